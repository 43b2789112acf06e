"""What is to be exported for the line, and what came of it."""

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from core.export.words import Exported, Format


class Check(StrEnum):
    """On which images the exported model is compared with the original, besides those drawn."""

    LISTED = "listed"
    HELD_OUT = "held out"
    FOLDER = "folder"
    DRAWN = "drawn"


@dataclass(frozen=True, slots=True)
class Plan:
    """What the user wants.

    Attributes:
        format: Of the model.
        folder: Where to; None: not said yet.
        check: The images to compare on.
        check_folder: Where they are, if in a folder; None: not said yet.
    """

    format: Format = Format.ONNX
    folder: Path | None = None
    check: Check = Check.LISTED
    check_folder: Path | None = None


class Deployment(QObject):
    """The plan and the latest outcome."""

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.plan = Plan()
        self.outcome: Exported | None = None

    def change(self, **changes: object) -> None:
        """Change single parts of the plan; the outcome of an earlier one goes."""
        self.plan, self.outcome = replace(self.plan, **changes), None  # type: ignore[arg-type]
        self.changed.emit()

    def set_outcome(self, outcome: Exported | None) -> None:
        """What was written last; None: nothing, or it is out of date."""
        self.outcome = outcome
        self.changed.emit()
