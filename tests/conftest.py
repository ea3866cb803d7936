"""Rules for every test."""

import os
from collections.abc import Generator

import pytest
from hypothesis import settings

# Every run tries the same examples: a red one is the change's fault. FAIRLEAD_EXPLORE looks for new ones.
settings.register_profile("same", derandomize=True, print_blob=True)
settings.register_profile("explore", print_blob=True)
settings.load_profile("explore" if os.environ.get("FAIRLEAD_EXPLORE") else "same")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With FAIRLEAD_NO_SKIP set, as in `make test`, a skipped test has failed: CI has all that it needs."""
    report = yield
    if report.skipped and os.environ.get("FAIRLEAD_NO_SKIP") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped although FAIRLEAD_NO_SKIP is set: {report.longrepr}"
    return report
