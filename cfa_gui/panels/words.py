"""Progress in plain words."""

from datetime import datetime

from cfa_gui.models.pace import Estimate, clock_text
from core.counting import counted
from core.progress import Phase, Progress
from core.review_records import Project

PHASES = {
    Phase.DRAWING: "Drawing the sample parts",
    Phase.READING: "Reading the images",
    Phase.PARTS: "Telling parts apart",
    Phase.FEATURES: "Computing features",
    Phase.BANK: "Building the memory of good",
    Phase.CLUSTERING: "Grouping what is alike",
    Phase.TRAINING: "Learning",
    Phase.MEASURING: "Measuring how good parts vary",
    Phase.SHAPES: "Shaping the memory of good",
    Phase.CALIBRATING: "Scoring the held-out images",
    Phase.SAVING: "Saving",
    Phase.INSPECTING: "Inspecting",
    Phase.EXPORTING: "Exporting the model",
    Phase.CHECKING: "Comparing with the original",
}
_ONE = {"batches": "batch"}
"""Of one: other units lose their s."""


def progress_text(progress: Progress, estimate: Estimate) -> str:
    """One line: phase, how far, how fast, how long still."""
    part = f" (scale {progress.part} of {progress.parts})" if progress.parts > 1 else ""
    turn = f"Held out, {progress.turn} of {progress.turns}: " if progress.turn else ""
    words = [f"{turn}{PHASES[progress.phase]}{part}"]
    if progress.total > 0:
        unit = _ONE.get(progress.unit, progress.unit.removesuffix("s")) if progress.total == 1 else progress.unit
        words.append(f"{_amount(progress.done)} of {_amount(progress.total)} {unit}")
    if estimate.rate is not None and progress.unit in ("images", "pictures"):
        words.append(f"{estimate.rate:.1f} {progress.unit}/s")
    if estimate.seconds_left is not None:
        words.append(f"{'about ' if estimate.roughly else ''}{clock_text(estimate.seconds_left)} left")
    return " · ".join(words)


def _amount(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else f"{value:,.1f}"


def review_in_words(project: Project) -> str:
    """What can be gone on with: name, size and when it was left."""
    left = datetime.fromisoformat(project.changed).astimezone()
    yours = f", {counted(project.labels, 'label')} of yours" if project.labels else ""
    return f"Continue “{project.name}” · {counted(project.images, 'image')}{yours} · {left:%d %b, %H:%M}"
