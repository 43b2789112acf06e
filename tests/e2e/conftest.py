"""The same checks as for the window's own tests: no thread, timer or widget is left, no word of Qt's is overheard."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: tiny pictures gain nothing from threads that spin

from tests.cfa_gui.conftest import few_objects, no_leaks, pytest_configure

__all__ = ["few_objects", "no_leaks", "pytest_configure"]
