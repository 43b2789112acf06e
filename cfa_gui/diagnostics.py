"""What a report of an error needs, fit to be sent away: versions, device, settings, numbers, last lines of the log.

No image, no folder and no image's name is in it: of a path the last part is left, of an image its suffix.
"""

import json
import re
from dataclasses import asdict
from pathlib import Path

from cfa_gui.log import versions
from cfa_gui.models.session import Session
from cfa_gui.settings import Preferences
from core.counting import counted
from core.images import IMAGE_SUFFIXES

LINES = 60
"""Of the log."""
_MOST_BYTES = 64_000
_FOLDERS = re.compile(r"""(?:[A-Za-z]:)?[\\/](?:[^\\/\n"'“”]*[\\/])*""")
_SUFFIXES = "|".join(sorted((suffix[1:] for suffix in IMAGE_SUFFIXES), key=len, reverse=True))
_IMAGE = re.compile(rf"""[^\s\\/"'“”:;,(]+\.({_SUFFIXES})\b""", re.IGNORECASE)
_PRIVATE = ("last_folder", "recent_folders", "recent_models")


def diagnostics(session: Session, preferences: Preferences, screen: str, log_file: Path | None) -> str:
    """The text for a report.

    Args:
        session: What is open; of it only numbers and settings.
        preferences: Without folders and files.
        screen: Size and scale, in words.
        log_file: None: there is none.
    """
    facilities = session.facilities
    libraries = [f"{name} {version}" for name, version in facilities.versions] if facilities else []
    liked = {name: value for name, value in asdict(preferences).items() if name not in _PRIVATE}
    sections = {
        "Versions": [*versions(), *libraries],
        "Devices": [words for _name, words in facilities.devices] if facilities else ["not known yet"],
        "Screen": [screen],
        "Preferences": [json.dumps(liked)],
        "Training": [json.dumps(session.config.to_json())],
        "Session": _numbers(session),
        f"Last {LINES} lines of the log": last_lines(log_file, LINES) or ["none"],
    }
    written = ("\n".join([title, *(f"  {reduced(line)}" for line in lines)]) for title, lines in sections.items())
    return "\n\n".join(written)


def _numbers(session: Session) -> list[str]:
    review, samples, model = session.review, session.samples, session.model
    scored, failed = int(review.scored.sum()), int(review.failed.sum())
    return [
        f"state: {session.state}; review: {session.keeping}",
        f"good parts: {len(samples.good) if samples else 0}",
        f"images under review: {len(review)}, with a score: {scored}, failed: {failed}",
        "no model" if model is None else f"model of {counted(model.summary.images, 'image')}, {model.summary.device}",
    ]


def last_lines(path: Path | None, count: int) -> list[str]:
    """The end of a text file; nothing where it cannot be read."""
    if path is None:
        return []
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _MOST_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return text.splitlines()[-count:]


def reduced(line: str) -> str:
    """A line without folders and without the names of images."""
    return _IMAGE.sub(r"….\1", _FOLDERS.sub("…/", line))
