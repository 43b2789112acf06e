"""The menus' actions, made from their table."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMenu, QMenuBar, QWidget

from cfa_gui import theme
from cfa_gui.menu_entries import ENTRIES, HIDDEN, LIVE_KEYS, MENUS
from cfa_gui.models.run_state import Allowed


class Actions(QObject):
    """The actions of a window, by key.

    Args:
        handlers: What each key does.
        parent: The window.
    """

    def __init__(self, handlers: Mapping[str, Callable[[], object]], parent: QWidget) -> None:
        super().__init__(parent)
        self._actions: dict[str, QAction] = {}
        for entry in ENTRIES:
            action = QAction(entry.text, self)
            action.setToolTip(entry.tip)
            action.setStatusTip(entry.tip)
            action.setShortcuts([QKeySequence(text) for text in entry.shortcuts])
            if entry.icon:
                action.setIcon(theme.icon(entry.icon))
            if entry.viewing:
                action.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            action.triggered.connect(partial(_run, handlers[entry.key]))
            self._actions[entry.key] = action

    def __getitem__(self, key: str) -> QAction:
        return self._actions[key]

    def fill(self, bar: QMenuBar) -> dict[str, QMenu]:
        """Make the menus; returns them by name."""
        menus = {name: bar.addMenu(f"&{name}") for name in MENUS}
        for entry in ENTRIES:
            menu = menus[entry.menu]
            if entry.begins_group and menu.actions():
                menu.addSeparator()
            if entry.key in HIDDEN:
                bar.window().addAction(self._actions[entry.key])
            else:
                menu.addAction(self._actions[entry.key])
        return menus

    def give_viewing_keys(self, widgets: Sequence[QWidget]) -> None:
        """Let the single-letter shortcuts work while the keyboard is on these widgets or below them."""
        for entry in ENTRIES:
            if entry.viewing:
                for widget in widgets:
                    widget.addAction(self._actions[entry.key])

    def give_letter_keys(self, widgets: Sequence[QWidget]) -> None:
        """As above, without Space and arrows, which buttons and tables there need themselves."""
        for entry in ENTRIES:
            if entry.viewing and all(len(text) == 1 for text in entry.shortcuts):
                for widget in widgets:
                    widget.addAction(self._actions[entry.key])

    def set_viewing(self, on: bool) -> None:
        """Turn all single-letter shortcuts on or off."""
        for entry in ENTRIES:
            if entry.viewing:
                self._actions[entry.key].setEnabled(on)

    def update(self, allowed: Allowed) -> None:
        """Turn on and off what follows from the state."""
        for entry in ENTRIES:
            if entry.needs:
                self._actions[entry.key].setEnabled(getattr(allowed, entry.needs))


def sheet() -> list[tuple[str, list[tuple[str, str]]]]:
    """The sections of the sheet of shortcuts."""
    sections = []
    for menu in MENUS:
        pairs = [
            (entry.text.rstrip("…"), _shown(entry.shortcuts))
            for entry in ENTRIES
            if entry.menu == menu and entry.shortcuts and entry.key not in HIDDEN
        ]
        if pairs:
            sections.append((menu, pairs))
    sections.append(("Live", [(words, _shown((key,))) for words, key in LIVE_KEYS]))
    return sections


def _shown(shortcuts: Sequence[str]) -> str:
    return QKeySequence(shortcuts[0]).toString(QKeySequence.SequenceFormat.NativeText)


def _run(handler: Callable[[], object], _checked: bool = False) -> None:
    handler()
