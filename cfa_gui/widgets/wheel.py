"""The wheel over a form: it scrolls, and changes no setting that one only passes over."""

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtWidgets import QAbstractSlider, QAbstractSpinBox, QComboBox, QScrollBar, QWidget


class _Scrolls(QObject):
    """Hands the wheel on to what lies behind. A number that has the focus keeps it; a choice never does."""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802  Qt's name
        """See `QObject.eventFilter`."""
        if event.type() != QEvent.Type.Wheel or not isinstance(watched, QWidget):
            return False
        if watched.hasFocus() and not isinstance(watched, QComboBox):
            return False
        event.ignore()
        return True


def let_wheel_scroll(content: QWidget) -> None:
    """For all sliders, choices and boxes of digits that are in a widget now. The wheel gives them no focus, either."""
    filtering = _Scrolls(content)
    for kind in (QAbstractSlider, QAbstractSpinBox, QComboBox):
        for part in content.findChildren(kind):
            if not isinstance(part, QScrollBar):
                part.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
                part.installEventFilter(filtering)
