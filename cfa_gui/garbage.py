"""Python's cyclic garbage, collected on the GUI thread and at quiet times only.

Left to itself, Python collects on whatever thread happens to allocate. On the worker thread that would destroy objects
of Qt where they must not be touched; and a full collection looks through the millions of objects that the engine's
libraries made at import, which holds the window up for half a second.
"""

import gc

from PySide6.QtCore import QObject, QTimer, Slot

_MILLISECONDS = 1000
_MIDDLE, _FULL = 10, 60
"""Every how many looks the middle and the oldest generation are collected too."""


class GarbageKeeper(QObject):
    """Collects once a second while the event loop runs. `stop` gives the matter back to Python.

    Args:
        parent: The window.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._looks = 0
        self._timer = QTimer(self, interval=_MILLISECONDS)
        self._timer.timeout.connect(self._look)
        self._timer.start()
        gc.disable()

    @Slot()
    def settle(self) -> None:
        """What is there by now stays: never look through it again. For when the imports are done."""
        gc.freeze()

    def stop(self) -> None:
        """Let Python collect by itself again."""
        self._timer.stop()
        gc.unfreeze()
        gc.enable()

    @Slot()
    def _look(self) -> None:
        self._looks += 1
        if self._looks % _FULL == 0:
            gc.collect(2)
        elif self._looks % _MIDDLE == 0:
            gc.collect(1)
        elif gc.get_count()[0] > gc.get_threshold()[0]:
            gc.collect(0)
