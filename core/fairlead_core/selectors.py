"""Which labels a metav1.LabelSelector selects.

Source: Kubernetes API reference, LabelSelector; NotIn and DoesNotExist also select objects without the key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Generic, Protocol, TypeVar

from fairlead_core.api import LabelSelector, Requirement
from fairlead_core.outcome import Rejected

Labels = Mapping[str, str]
Test = Callable[[Labels], bool]


class Selecting(Protocol):
    """Something that selects by labels: `label` is one pair that it needs for certain, None when there is
    none."""

    @property
    def selects(self) -> Test: ...
    @property
    def label(self) -> tuple[str, str] | None: ...


S = TypeVar("S", bound=Selecting)


class Index(Generic[S]):
    """Finds what selects given labels without asking everyone: of 50 pools by rack, one node asks its own
    two."""

    def __init__(self, items: Iterable[S]) -> None:
        self._general: list[tuple[int, S]] = []
        self._by_label: dict[tuple[str, str], list[tuple[int, S]]] = {}
        for entry in enumerate(items):
            label = entry[1].label
            bucket = self._general if label is None else self._by_label.setdefault(label, [])
            bucket.append(entry)

    def of(self, labels: Labels) -> list[S]:
        """The items that select `labels`, in the order they were given."""
        found = [entry for entry in self._general if entry[1].selects(labels)]
        for pair in labels.items():
            found += [entry for entry in self._by_label.get(pair, ()) if entry[1].selects(labels)]
        return [item for _, item in sorted(found, key=_rank)]


def _rank(entry: tuple[int, object]) -> int:
    return entry[0]


def certain_label(selector: LabelSelector | None) -> tuple[str, str] | None:
    """One label that everything selected has; the least key, so that it does not depend on the order."""
    return min(selector.match_labels.items()) if selector and selector.match_labels else None


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
