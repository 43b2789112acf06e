"""The parts of the menus that are not plain actions: recent files, docks, colours, device; and the layout kept."""

from functools import partial
from pathlib import Path

from PySide6.QtCore import QByteArray, QObject, QSettings, Qt, Slot
from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QApplication, QMenu, QMenuBar, QToolButton

from cfa_gui import theme
from cfa_gui.composition import Composition
from cfa_gui.settings import default_path
from cfa_gui.workbench import Workbench

_SCHEMES = (("system", "As the desktop"), ("light", "Light"), ("dark", "Dark"))
_DOCKS_KEY = "docks"


class ViewMenus(QObject):
    """Adds to the menus of a window."""

    def __init__(self, bar: QMenuBar, parts: Composition, bench: Workbench, menus: dict[str, QMenu]) -> None:
        super().__init__(bench)
        self._bar = bar
        self._parts = parts
        self._bench = bench
        self._recent = QMenu("Open recent", bench)
        self._recent.aboutToShow.connect(self._fill_recent)
        file = menus["File"]
        file.insertMenu(file.actions()[2], self._recent)
        self._fill_view(menus["View"])
        self._device = QToolButton()
        self._device.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self._device.setToolTip("Where the engine computes.")
        self._device.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self._devices = QMenu(self._device)
        self._device.setMenu(self._devices)
        parts.session.facilities_changed.connect(self._fill_devices)
        self._fill_devices()

    def _fill_view(self, menu: QMenu) -> None:
        menu.addSeparator()
        docks = menu.addMenu("Panels")
        for dock in self._bench.docks.values():
            docks.addAction(dock.toggleViewAction())
        docks.addSeparator()
        movable = QAction("Show title bars, to move them", self, checkable=True)
        movable.toggled.connect(self._bench.set_movable)
        docks.addAction(movable)
        docks.addAction("Put all back in place", self._bench.reset_layout)
        colours = menu.addMenu("Colours")
        group = QActionGroup(self)
        for scheme, text in _SCHEMES:
            action = QAction(text, self, checkable=True)
            action.setChecked(self._parts.settings.preferences.colour_scheme == scheme)
            action.triggered.connect(partial(self._use_scheme, scheme))
            group.addAction(action)
            colours.addAction(action)

    def _use_scheme(self, scheme: str, _checked: bool = False) -> None:
        self._parts.settings.update(colour_scheme=scheme)
        app = QApplication.instance()
        if isinstance(app, QApplication):
            theme.apply(app, scheme)

    @Slot()
    def _fill_recent(self) -> None:
        self._recent.clear()
        preferences = self._parts.settings.preferences
        for paths in (preferences.recent_folders, preferences.recent_models):
            for path in paths:
                action = self._recent.addAction(path)
                action.triggered.connect(partial(self._open, Path(path)))
            self._recent.addSeparator()
        if self._recent.isEmpty():
            self._recent.addAction("Nothing yet").setEnabled(False)

    def _open(self, path: Path, _checked: bool = False) -> None:
        self._parts.opening.open([path])

    @Slot()
    def _fill_devices(self) -> None:
        facilities = self._parts.session.facilities
        self._devices.clear()
        chosen = self._parts.settings.preferences.device
        devices = [("auto", "Automatic"), *(facilities.devices if facilities else ())]
        group = QActionGroup(self._devices)
        for name, words in devices:
            action = QAction(words, self._devices, checkable=True)
            action.setChecked(name == chosen)
            action.triggered.connect(partial(self._use_device, name))
            group.addAction(action)
            self._devices.addAction(action)
        words = dict(devices).get(chosen, chosen)
        if chosen == "auto" and facilities and facilities.devices:
            words = f"{facilities.devices[-1][1]} (automatic)"
        self._device.setText(f"Device: {words}")
        self._bar.setCornerWidget(self._device)  # lays it out anew, as wide as its text is now
        self._device.show()

    def _use_device(self, name: str, _checked: bool = False) -> None:
        self._parts.settings.update(device=name)
        self._fill_devices()

    def save_docks(self) -> None:
        """Keep where the docks are."""
        _store().setValue(_DOCKS_KEY, self._bench.saveState())

    def restore_docks(self) -> None:
        """Put the docks where they were the last time."""
        state = _store().value(_DOCKS_KEY)
        if isinstance(state, QByteArray):
            self._bench.restoreState(state)


def _store() -> QSettings:
    return QSettings(str(default_path().with_name("window.ini")), QSettings.Format.IniFormat)
