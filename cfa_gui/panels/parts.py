"""Small pieces that all panels are made of, so that they look alike."""

from PySide6.QtCore import QEvent, QObject, QSize, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QLayout,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from cfa_gui import theme
from cfa_gui.widgets.wheel import let_wheel_scroll


class Panel(QWidget):
    """A surface in the panel's colour; its content scrolls where there is not enough room."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setProperty("role", "panel")


class _Scrolled(QScrollArea):
    """Never narrower than its content, and as high as that where there is room and it is wanted."""

    def __init__(self, content: QWidget, *, whole: bool) -> None:
        super().__init__()
        self._content, self._whole = content, whole
        self.setWidget(content)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802  Qt's name
        """Qt asks the content for its size, but tells nobody that it became another."""
        if event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return super().eventFilter(watched, event)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802  Qt's name
        """Text may wrap elsewhere."""
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self.updateGeometry()

    def sizeHint(self) -> QSize:  # noqa: N802  Qt's name
        """All of the content, or what Qt finds enough."""
        if not self._whole:
            return super().sizeHint()
        frame = 2 * self.frameWidth()
        wanted = self._content.sizeHint()
        wrapped = self._content.heightForWidth(self.width() - frame)  # -1 where nothing wraps
        return QSize(wanted.width(), wrapped if wrapped > 0 else wanted.height()) + QSize(frame, frame)

    def minimumSizeHint(self) -> QSize:  # noqa: N802  Qt's name
        """The content's width beside the bar that scrolls it."""
        width = self._content.minimumSizeHint().width() + self.verticalScrollBar().sizeHint().width()
        return super().minimumSizeHint().expandedTo(QSize(width, 0))


def scrolled(content: QWidget, *, whole: bool = False) -> QScrollArea:
    """Content that scrolls up and down, never sideways, also where the wheel turns over a setting.

    Args:
        content: What scrolls.
        whole: It asks for all the height that it needs, and scrolls only where there is less.
    """
    let_wheel_scroll(content)
    return _Scrolled(content, whole=whole)


def line() -> QFrame:
    """A thin line between sections."""
    made = QFrame()
    made.setProperty("role", "line")
    return made


def clear(layout: QLayout) -> None:
    """Remove all widgets of a layout."""
    while (item := layout.takeAt(0)) is not None:
        widget = item.widget()
        if widget is not None:
            widget.setParent(None)
            widget.deleteLater()


def title(text: str) -> QLabel:
    """The heading of a section."""
    label = QLabel(text)
    label.setProperty("role", "section")
    return label


def caption(text: str = "") -> QLabel:
    """A muted remark that wraps."""
    label = QLabel(text)
    label.setProperty("role", "caption")
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.NoTextInteraction)
    return label


def link(text: str, tooltip: str) -> QPushButton:
    """A button that looks like a link, for what is seldom needed."""
    made = button(text, tooltip)
    made.setProperty("role", "link")
    return made


def body(text: str = "") -> QLabel:
    """A sentence that wraps."""
    label = QLabel(text)
    label.setWordWrap(True)
    return label


def button(text: str, tooltip: str, icon: str = "", *, primary: bool = False) -> QPushButton:
    """A button; the primary one, of which a panel has one at most, is in the accent colour."""
    made = QPushButton(f" {text}" if icon else text)
    made.setToolTip(tooltip)
    made.setAccessibleName(text.replace("&", ""))
    made.setAccessibleDescription(tooltip)
    if icon:
        made.setIcon(theme.icon(icon))
    if primary:
        set_primary(made, icon, primary=True)
    return made


def set_primary(button: QPushButton, icon: str, *, primary: bool) -> None:
    """Give a button the accent colour, or take it away."""
    role = "primary" if primary else ""
    if (button.property("role") or "") != role:
        theme.set_role(button, role)
        if icon:
            button.setIcon(theme.icon(icon, "on_accent" if primary else "text"))


def tool_button(text: str, tooltip: str, icon: str, *, checkable: bool = False) -> QToolButton:
    """A button that shows only its icon."""
    made = QToolButton()
    made.setToolTip(tooltip)
    made.setAccessibleName(text)
    made.setAccessibleDescription(tooltip)
    made.setCheckable(checkable)
    made.setAutoRaise(True)
    made.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    made.setIcon(theme.icon(icon))
    return made


def column(parent: QWidget | None = None, margin: int = theme.MARGIN, gap: int = theme.GAP) -> QVBoxLayout:
    """A column with the margins of a panel."""
    layout = QVBoxLayout(parent) if parent is not None else QVBoxLayout()
    layout.setContentsMargins(margin, margin, margin, margin)
    layout.setSpacing(gap)
    return layout


def row(*widgets: QWidget, stretch_last: bool = False, gap: int = theme.GAP) -> QHBoxLayout:
    """Widgets side by side without a margin."""
    layout = QHBoxLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(gap)
    for widget in widgets:
        layout.addWidget(widget)
    if not stretch_last:
        layout.addStretch(1)
    return layout


def fixed_width(widget: QWidget) -> None:
    """As wide as it wants to be, not more."""
    widget.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Preferred)
