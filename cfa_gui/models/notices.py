"""What the program has to say, on its way from a controller to the toasts."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from PySide6.QtCore import QObject, Signal

Level = Literal["info", "success", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Notice:
    """One message.

    Attributes:
        text: One or two sentences.
        level: How serious it is.
        details: What "Details" unfolds.
        action: A button's words and what it does.
    """

    text: str
    level: Level = "info"
    details: str | None = None
    action: tuple[str, Callable[[], object]] | None = None


class Notices(QObject):
    """Where controllers put their messages."""

    posted = Signal(object)
    """Notice."""

    def post(
        self,
        text: str,
        level: Level = "info",
        details: str | None = None,
        action: tuple[str, Callable[[], object]] | None = None,
    ) -> None:
        """Say something."""
        self.posted.emit(Notice(text, level, details, action))
