"""Which labels a metav1.LabelSelector selects.

Source: Kubernetes API reference, LabelSelector; NotIn and DoesNotExist also select objects without the key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fairlead_core.api import LabelSelector, Requirement
from fairlead_core.outcome import Rejected

Labels = Mapping[str, str]
Test = Callable[[Labels], bool]


def compile_selector(selector: LabelSelector | None) -> Test | Rejected:
    """A test of labels. None and an empty selector select everything; an unknown operator is Rejected."""
    if selector is None or not (selector.match_labels or selector.match_expressions):
        return _everything
    tests: list[Test] = []
    if selector.match_labels:
        tests.append(_equal(selector.match_labels))
    for requirement in selector.match_expressions:
        test = _requirement(requirement)
        if isinstance(test, Rejected):
            return test
        tests.append(test)
    return tests[0] if len(tests) == 1 else lambda labels: all(test(labels) for test in tests)


def _everything(_: Labels) -> bool:
    return True


def _equal(wanted: Labels) -> Test:
    pairs = tuple(wanted.items())
    if len(pairs) == 1:
        key, value = pairs[0]
        return lambda labels: labels.get(key) == value
    return lambda labels: all(labels.get(key) == value for key, value in pairs)


def _requirement(requirement: Requirement) -> Test | Rejected:
    key, values = requirement.key, frozenset(requirement.values)
    tests: dict[str, Test] = {
        "In": lambda labels: labels.get(key) in values,
        "NotIn": lambda labels: labels.get(key) not in values,
        "Exists": lambda labels: key in labels,
        "DoesNotExist": lambda labels: key not in labels,
    }
    test = tests.get(requirement.operator)
    if test is None or bool(values) != (requirement.operator in ("In", "NotIn")):
        told = f"nodeSelector: {key} {requirement.operator} with {len(values)} values is no requirement"
        return Rejected("BadSelector", f"{told}: In and NotIn take values, Exists and DoesNotExist none")
    return test
