"""Preferences: one small JSON file, typed, versioned, sparse, written atomically; it can never block start-up.

The configuration of a training is not a preference: it is in the model file.
"""

import json
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import platformdirs
from PySide6.QtCore import QByteArray, QSettings
from PySide6.QtWidgets import QMainWindow

from cfa_gui.theme import COLOUR_MAPS
from core.atomic_file import make_folder, write_bytes
from core.errors import OutputError

VERSION = 1
RECENT = 10
"""How many folders and model files are remembered."""
_SCHEMES = ("system", "dark", "light")
_MODES = ("none", "heat", "contour", "truth", "side by side", "blink")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Preferences:
    """What the user likes, on this machine.

    Attributes:
        colour_scheme: "system", "dark" or "light".
        colour_map: One of theme.COLOUR_MAPS.
        overlay_mode: One of widgets.image_canvas.OverlayMode.
        overlay_opacity: 0..1.
        list_view: "grid" or "list".
        device: "auto", "cpu", "cuda:0", ...
        minimum_region_area: Smallest flagged region listed, in pixels of the map, 1 or more.
        last_folder: Where the next file dialog opens; "" at first.
        recent_folders: Folders of good parts, latest first, at most ten.
        recent_models: Model files, latest first, at most ten.
        live_source: What the live view looks at: "camera", "folder" or "video".
        live_watched: The folder that it watches; "" at first.
        live_video: The video file; "" at first.
        live_loop: The video begins again at its end.
        live_saved: Where pictures of the live view are kept; "" at first.
    """

    colour_scheme: str = "system"
    colour_map: str = "inferno"
    overlay_mode: str = "heat"
    overlay_opacity: float = 0.7
    list_view: str = "list"
    device: str = "auto"
    minimum_region_area: int = 1
    last_folder: str = ""
    recent_folders: tuple[str, ...] = ()
    recent_models: tuple[str, ...] = ()
    live_source: str = "camera"
    live_watched: str = ""
    live_video: str = ""
    live_loop: bool = True
    live_saved: str = ""


class SettingsStore:
    """Holds the preferences in force and writes each change.

    Args:
        path: The file; in the platform's configuration folder where None.

    Attributes:
        warning: One sentence about what could not be read at start, or None.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = default_path() if path is None else path
        self._preferences, self._unknown, self.warning = _load(self._path)
        if self.warning:
            _log.warning("%s", self.warning)

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def preferences(self) -> Preferences:
        """What is in force now."""
        return self._preferences

    def update(self, **changes: Any) -> Preferences:
        """Change and write.

        A file that cannot be written is logged and otherwise ignored: preferences never stop the work.

        Raises:
            ValueError: A value that the field may not have, or no such field: a bug of the caller.
        """
        for key, value in changes.items():
            if key not in _CHECKS or not _CHECKS[key](value):
                raise ValueError(f"the preference {key} cannot be {value!r}")
        changed = replace(self._preferences, **changes)
        if changed != self._preferences:
            self._preferences = changed
            self._write()
        return changed

    def remember_folder(self, folder: Path) -> Preferences:
        """Put a folder at the head of `recent_folders`, and let the next file dialog open beside it."""
        recent = _with_head(self._preferences.recent_folders, folder)
        return self.update(recent_folders=recent, last_folder=str(folder.parent))

    def remember_model(self, path: Path) -> Preferences:
        """Put a model file at the head of `recent_models`."""
        return self.update(recent_models=_with_head(self._preferences.recent_models, path))

    def _write(self) -> None:
        """Write what differs from the defaults, in one step; keys of a later version are kept."""
        default = Preferences()
        names = [field.name for field in fields(Preferences)]
        pairs = {name: getattr(self._preferences, name) for name in names}
        changed = {name: value for name, value in pairs.items() if value != getattr(default, name)}
        text = json.dumps({"version": VERSION, **self._unknown, **changed}, indent=2, ensure_ascii=False)
        try:
            make_folder(self._path.parent)
            write_bytes(self._path, (text + "\n").encode("utf-8", "surrogateescape"))
        except OutputError as error:
            _log.warning("The preferences cannot be kept: %s", error)


def default_path() -> Path:
    """The preferences file in the platform's configuration folder."""
    return Path(platformdirs.user_config_dir("cfa-gui", appauthor=False)) / "preferences.json"


def save_geometry(window: QMainWindow) -> None:
    """Keep size, place and docks of the window."""
    store = _geometry_store()
    store.setValue("geometry", window.saveGeometry())
    store.setValue("state", window.saveState())


def restore_geometry(window: QMainWindow) -> bool:
    """Put the window where it was; False where nothing, or nothing usable, was kept."""
    store = _geometry_store()
    geometry, state = store.value("geometry"), store.value("state")
    placed = isinstance(geometry, QByteArray) and window.restoreGeometry(geometry)
    if isinstance(state, QByteArray):
        window.restoreState(state)
    return placed


def _geometry_store() -> QSettings:
    """Beside the preferences on every platform, so that one folder holds all and a test can move it."""
    return QSettings(str(default_path().with_name("window.ini")), QSettings.Format.IniFormat)


def _with_head(recent: tuple[str, ...], path: Path) -> tuple[str, ...]:
    head = str(path)
    return (head, *(item for item in recent if item != head))[:RECENT]


def _load(path: Path) -> tuple[Preferences, dict[str, object], str | None]:
    """The preferences, keys that this version does not know, and a warning or None."""
    try:
        stored = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return Preferences(), {}, None
    except (OSError, ValueError) as error:
        return Preferences(), {}, f"The preferences in {path} cannot be read ({error}); the defaults are used."
    if not isinstance(stored, dict):
        return Preferences(), {}, f"The preferences in {path} are not a list of settings; the defaults are used."
    return _interpret(stored, path)


def _interpret(stored: dict[str, object], path: Path) -> tuple[Preferences, dict[str, object], str | None]:
    good: dict[str, Any] = {}
    bad: list[str] = []
    unknown: dict[str, object] = {}
    for key, value in stored.items():
        plain = tuple(value) if isinstance(value, list) else value
        if key == "version":
            continue
        if key not in _CHECKS:
            unknown[key] = value
        elif _CHECKS[key](plain):
            good[key] = plain
        else:
            bad.append(key)
    warning = f"Not understood in {path}, so set to the default: {', '.join(bad)}." if bad else None
    return replace(Preferences(), **good), unknown, warning


def _one_of(allowed: tuple[str, ...]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and value in allowed


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and 0 <= value <= 1


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_yes_or_no(value: object) -> bool:
    return isinstance(value, bool)


def _is_recent(value: object) -> bool:
    return isinstance(value, tuple) and len(value) <= RECENT and all(isinstance(item, str) for item in value)


_CHECKS: Mapping[str, Callable[[object], bool]] = {
    "colour_scheme": _one_of(_SCHEMES),
    "colour_map": _one_of(COLOUR_MAPS),
    "overlay_mode": _one_of(_MODES),
    "overlay_opacity": _is_share,
    "list_view": _one_of(("grid", "list")),
    "device": _is_text,
    "minimum_region_area": _is_count,
    "last_folder": _is_text,
    "recent_folders": _is_recent,
    "recent_models": _is_recent,
    "live_source": _one_of(("camera", "folder", "video")),
    "live_watched": _is_text,
    "live_video": _is_text,
    "live_loop": _is_yes_or_no,
    "live_saved": _is_text,
}
