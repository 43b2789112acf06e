"""The same checks as for the window's own tests: no thread, timer or widget is left, no word of Qt's is overheard."""

from tests.cfa_gui.conftest import few_objects, no_leaks, pytest_configure

__all__ = ["few_objects", "no_leaks", "pytest_configure"]
