"""Short messages that come and go over the window."""

from collections.abc import Callable
from typing import Literal

from PySide6.QtWidgets import QWidget

Level = Literal["info", "success", "warning", "error"]


class ToastArea(QWidget):
    """Stacks messages in the lower right corner of its parent; errors stay until closed.

    Args:
        parent: The widget over which the messages lie; the area follows its size.
    """

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)

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

    def messages(self) -> tuple[str, ...]:
        """The texts shown now, oldest first."""
        return ()

    def clear(self) -> None:
        """Take all messages away."""
