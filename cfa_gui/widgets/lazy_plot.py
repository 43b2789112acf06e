"""A plot that says in words what will be there, and draws only when there is something to draw."""

from abc import abstractmethod
from typing import Generic, Protocol, TypeVar, cast

from PySide6.QtCore import QEvent, Qt, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget

from cfa_gui import theme


def load_plotting() -> None:
    """Import the plotting library; on another thread, so that the first plot does not hold the window up."""
    import cfa_gui.widgets.plotting  # noqa: F401  it makes no object of Qt when imported


def make_all_types() -> None:
    """Let PySide make each of its classes now, on the GUI thread; before `load_plotting` begins on another.

    PySide makes a class when it is first asked for, and that is not safe between threads. The plotting library asks
    for all of them when it is imported; a GUI thread that paints at that moment was seen to crash.
    """
    from PySide6 import QtCore, QtGui, QtWidgets

    for module in (QtCore, QtGui, QtWidgets):
        for name in dir(module):
            getattr(module, name)


class Chart(Protocol):
    """What draws: a widget that knows the plotting library."""

    def dress(self) -> None:
        """Take the colours of the moment."""


ChartT = TypeVar("ChartT", bound=Chart)


class LazyPlot(QWidget, Generic[ChartT]):
    """The base of all plots: its chart is made when it is first shown with data.

    That keeps the plotting library, half a second of import, out of the start of the program.

    Args:
        title: What is said while there is no data.
        hint: What to do for it.
        parent: The parent widget.
    """

    def __init__(self, title: str, hint: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._chart: ChartT | None = None
        self._hint_label = QLabel(hint)
        self._blank = _blank(title, self._hint_label)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.addWidget(self._blank)
        theme.notifier().changed.connect(self._on_theme)

    def set_hint(self, hint: str) -> None:
        """What to do to see data here."""
        self._hint_label.setText(hint)

    @abstractmethod
    def has_data(self) -> bool:
        """Whether there is anything to draw."""

    @abstractmethod
    def _make_chart(self) -> ChartT:
        """Import the library and make what draws; called once, when it is first needed."""

    @abstractmethod
    def _draw(self, chart: ChartT) -> None:
        """Bring the chart up to date; called only where it is in sight and there is data."""

    def redraw(self) -> None:
        """Show the data as it is now, or the blank; what is out of sight is drawn when it is shown."""
        self._show_chart(self.has_data())
        if self._chart is not None and self.isVisible() and self.has_data():
            self._draw(self._chart)

    def _show_chart(self, wanted: bool) -> None:
        if wanted and self._chart is None and self.isVisible():
            self._chart = self._make_chart()
            made = cast("QWidget", self._chart)
            made.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
            self._column.addWidget(made)
        if self._chart is None or self._blank.isHidden() is wanted:
            return
        self._blank.setVisible(not wanted)
        cast("QWidget", self._chart).setVisible(wanted)
        self._column.activate()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802  Qt's name
        """Draw what came while it was hidden."""
        super().showEvent(event)
        self.redraw()

    def event(self, event: QEvent) -> bool:
        """Draw anew on a screen with other pixels."""
        if event.type() == QEvent.Type.DevicePixelRatioChange:
            self._on_theme()
        return super().event(event)

    @Slot()
    def _on_theme(self) -> None:
        if self._chart is not None:
            self._chart.dress()
            self.redraw()


def _blank(title: str, hint: QLabel) -> QWidget:
    page = QWidget()
    page.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
    name = QLabel(title)
    theme.set_role(name, "muted")
    theme.set_role(hint, "caption")
    hint.setWordWrap(True)
    column = QVBoxLayout(page)
    column.setContentsMargins(theme.MARGIN, 0, theme.MARGIN, 0)
    column.setSpacing(4)
    name.setAlignment(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignBottom)
    hint.setAlignment(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop)
    column.addWidget(name)
    column.addWidget(hint)
    return page
