"""For all tests: one thread for torch, and what a test printed can be sent from one process to another."""

import os
from collections.abc import Generator
from typing import Any

import pytest

# before torch is imported, here and in the programs that the tests start: on tensors this small threads only wait for
# each other, and with another number of them a training ends a rounding apart
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escape what UTF-8 cannot hold: some tests log names of files that are no text."""
    report = yield
    report.sections = [(title, text.encode("utf-8", "backslashreplace").decode()) for title, text in report.sections]
    return report
