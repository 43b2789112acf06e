"""Short messages that come and go over the window."""

from collections.abc import Callable
from typing import Literal

from PySide6.QtCore import QEvent, QObject, QPoint, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QAccessible, QAccessibleEvent, QCursor, QEnterEvent, QGuiApplication, QKeyEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from cfa_gui import theme
from cfa_gui.widgets.icon_label import IconLabel

Level = Literal["info", "success", "warning", "error"]

MOST = 4
"""How many are shown at once; beyond, the oldest that is no error leaves."""
WIDTH = 380
_SECONDS: dict[Level, float | None] = {"info": 4, "success": 4, "warning": 10, "error": None}
_ICONS: dict[Level, tuple[str, str]] = {
    "info": ("information-outline", "accent"),
    "success": ("check-circle-outline", "good"),
    "warning": ("alert-outline", "uncertain"),
    "error": ("alert-octagon-outline", "defect"),
}
_EDGE = 16
_LINE = 28


class Toast(QFrame):
    """One message."""

    closed = Signal(object)
    """Itself."""
    unfolded = Signal()
    """It needs another height."""

    def __init__(
        self,
        text: str,
        level: Level,
        details: str | None,
        action: tuple[str, Callable[[], object]] | None,
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        self.text = text
        self.level = level
        self._action = None if action is None else action[1]
        self._details = QPlainTextEdit(details or "")
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._close)
        self._closer = QToolButton()
        self._rest = QCursor.pos()
        theme.set_role(self, "toast")
        self.setProperty("level", level)
        self.setAccessibleName(f"{level}: {text}")
        self.setFixedWidth(WIDTH)
        self._arrange(details, None if action is None else action[0])
        self._wait()

    def _arrange(self, details: str | None, action: str | None) -> None:
        icon, ink = _ICONS[self.level]
        sign = IconLabel(theme.icon(icon, ink), 18)
        words = QLabel(self.text)
        words.setWordWrap(True)
        words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        close = self._closer
        close.setIcon(theme.icon("close", "muted"))
        close.setToolTip("Close this message")
        close.setAccessibleName("Close this message")
        close.clicked.connect(self._close)
        row = QHBoxLayout()
        row.setSpacing(theme.GAP)
        sign.setFixedHeight(_LINE)
        words.setContentsMargins(0, 6, 0, 6)
        row.addWidget(sign, alignment=Qt.AlignmentFlag.AlignTop)
        row.addWidget(words, 1, Qt.AlignmentFlag.AlignTop)
        row.addWidget(close, alignment=Qt.AlignmentFlag.AlignTop)
        column = QVBoxLayout(self)
        column.setContentsMargins(theme.MARGIN, theme.GAP, theme.GAP, theme.GAP)
        column.setSpacing(4)
        column.addLayout(row)
        self._add_buttons(column, details, action)
        self._details.setReadOnly(True)
        self._details.setTabChangesFocus(True)
        self._details.setFixedHeight(140)
        self._details.setAccessibleName("Details of the message")
        self._details.hide()
        column.addWidget(self._details)

    def _add_buttons(self, column: QVBoxLayout, details: str | None, action: str | None) -> None:
        buttons = QHBoxLayout()
        buttons.setContentsMargins(18 + theme.GAP - 5, 0, 0, 0)
        if action is not None:
            buttons.addWidget(_link(action, "", self._act))
        if details is not None:
            buttons.addWidget(_link("Details", "Show what to send along with a report", self._toggle_details))
            buttons.addWidget(_link("Copy", "Copy the message and its details", self._copy))
        if buttons.count():
            buttons.addStretch()
            column.addLayout(buttons)

    def height_needed(self) -> int:
        """At its fixed width, with the details folded or not."""
        layout = self.layout()
        return 0 if layout is None else layout.totalHeightForWidth(WIDTH)

    @Slot()
    def _act(self) -> None:
        action = self._action
        self._close()
        if action is not None:
            action()

    @Slot()
    def _toggle_details(self) -> None:
        self._details.setVisible(self._details.isHidden())
        self._timer.stop()
        self.unfolded.emit()

    @Slot()
    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(f"{self.text}\n\n{self._details.toPlainText()}")

    @Slot()
    def _close(self) -> None:
        self._timer.stop()
        self.closed.emit(self)

    def _wait(self) -> None:
        seconds = _SECONDS[self.level]
        if seconds is not None and self._details.isHidden():
            self._timer.start(int(seconds * 1000))

    def enterEvent(self, event: QEnterEvent) -> None:  # noqa: N802  Qt's name
        """Stay while it is being read: not where it came up under a pointer that rests."""
        if event.globalPosition().toPoint() != self._rest:
            self._timer.stop()

    def leaveEvent(self, _event: QEvent) -> None:  # noqa: N802  Qt's name
        """Time goes on."""
        self._wait()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802  Qt's name
        """Escape closes it."""
        if event.key() == Qt.Key.Key_Escape:
            self._close()
        else:
            super().keyPressEvent(event)


class ToastArea(QWidget):
    """Stacks messages in the lower right corner of its parent; errors stay until closed.

    Args:
        parent: The widget over which the messages lie; the area follows its size.
        inset: Logical pixels on the right of the parent that stay free.
    """

    def __init__(self, parent: QWidget, inset: int = 0) -> None:
        super().__init__(parent)
        self._inset = inset
        self._toasts: list[Toast] = []
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(theme.GAP)
        self.setAccessibleName("Messages")
        self.hide()
        parent.installEventFilter(self)

    def show_message(
        self,
        text: str,
        level: Level = "info",
        details: str | None = None,
        action: tuple[str, Callable[[], object]] | None = None,
    ) -> None:
        """Show one message.

        Args:
            text: One or two sentences.
            level: "info" and "success" leave after some seconds, "warning" later, "error" not by itself.
            details: What "Details" unfolds, ready to be copied.
            action: A button's words and what it does; the message leaves once it is pressed.
        """
        same = next((toast for toast in self._toasts if toast.text == text and toast.level == level), None)
        if same is not None:
            self._remove(same)
        if len(self._toasts) >= MOST:
            self._remove(next((toast for toast in self._toasts if toast.level != "error"), self._toasts[0]))
        toast = Toast(text, level, details, action, self)
        toast.closed.connect(self._remove)
        toast.unfolded.connect(self._place)
        self._toasts.append(toast)
        self._column.addWidget(toast)
        toast.move(0, self.height())  # out of sight until placed, or the pointer may be taken to rest on it
        toast.show()
        self._place()
        QAccessible.updateAccessibility(QAccessibleEvent(toast, QAccessible.Event.Alert))

    def messages(self) -> tuple[str, ...]:
        """The texts shown now, oldest first."""
        return tuple(toast.text for toast in self._toasts)

    def clear(self) -> None:
        """Take all messages away."""
        for toast in tuple(self._toasts):
            self._remove(toast)

    @Slot(object)
    def _remove(self, toast: Toast) -> None:
        if toast in self._toasts:
            self._toasts.remove(toast)
            self._column.removeWidget(toast)
            toast.hide()
            toast.deleteLater()
            self._place()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802  Qt's name
        """Stay in the corner when the parent is resized."""
        if watched is self.parent() and event.type() == QEvent.Type.Resize:
            self._place()
        return False

    @Slot()
    def _place(self) -> None:
        parent = self.parentWidget()
        if not self._toasts or parent is None:
            self.hide()
            return
        for toast in self._toasts:
            toast.setFixedHeight(toast.height_needed())
        self._column.activate()
        self.resize(WIDTH, self._column.sizeHint().height())
        self.move(QPoint(parent.width() - self.width() - _EDGE - self._inset, parent.height() - self.height() - _EDGE))
        self.show()
        self.raise_()


def _link(text: str, tip: str, slot: Callable[[], None]) -> QPushButton:
    button = QPushButton(text)
    theme.set_role(button, "link")
    button.setToolTip(tip)
    button.clicked.connect(slot)
    return button
