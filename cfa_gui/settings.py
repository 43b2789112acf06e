"""Preferences: one small JSON file, typed, versioned, sparse, written atomically; it can never block start-up.

The configuration of a training is not a preference: it is in the model file.
"""

from dataclasses import dataclass
from pathlib import Path

from PySide6.QtWidgets import QMainWindow

VERSION = 1


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


class SettingsStore:
    """Holds the preferences in force and writes each change.

    Args:
        path: The file; the platform's configuration folder where None.

    Attributes:
        warning: One sentence about what could not be read at start, or None.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.warning: str | None = None
        self._preferences = Preferences()

    @property
    def preferences(self) -> Preferences:
        """What is in force now."""
        return self._preferences

    def update(self, **changes: object) -> Preferences:
        """Change and write. A file that cannot be written is logged and otherwise ignored: preferences never stop the work.

        Raises:
            ValueError: A value that the field may not have (a bug of the caller).
        """
        return self._preferences

    def remember_folder(self, folder: Path) -> Preferences:
        """Put a folder at the head of `recent_folders`."""
        return self._preferences

    def remember_model(self, path: Path) -> Preferences:
        """Put a model file at the head of `recent_models`."""
        return self._preferences


def default_path() -> Path:
    """The preferences file in the platform's configuration folder."""
    return Path()


def save_geometry(window: QMainWindow) -> None:
    """Keep size, place and docks of the window (QSettings)."""


def restore_geometry(window: QMainWindow) -> bool:
    """Put the window where it was; False where nothing was kept or it no longer fits a screen."""
    return False
