"""The window: an empty page that is painted at once, then the workbench; menus, drops, title and closing."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QSize, Qt, QTimer, QUrl, Signal, Slot
from PySide6.QtGui import QCloseEvent, QDesktopServices, QDragEnterEvent, QDropEvent, QGuiApplication
from PySide6.QtWidgets import QLabel, QMainWindow, QStackedWidget, QWidget

from cfa_gui import settings as settings_module
from cfa_gui import theme
from cfa_gui.panels.start import StartPanel
from cfa_gui.settings import SettingsStore
from cfa_gui.widgets.lazy_plot import load_plotting, make_all_types

if TYPE_CHECKING:
    from cfa_gui.actions import Actions
    from cfa_gui.composition import Ask, Composition
    from cfa_gui.models.engine import Engine
    from cfa_gui.models.notices import Level, Notice
    from cfa_gui.panels.live import LivePanel
    from cfa_gui.view_menus import ViewMenus
    from cfa_gui.widgets.toast import ToastArea
    from cfa_gui.workbench import Workbench

APP_NAME = "cfa-gui"
SIZE = QSize(1280, 800)
"""At the first start, where the screen is large enough."""
FRAME = QSize(0, 40)
"""What a desktop puts around a window: it should not push the status line off a small screen."""


class MainWindow(QMainWindow):
    """Shows the start page first; `complete` builds the rest, which takes longer to import.

    Args:
        settings: The preferences.
        log_file: Where the log goes, for the Help menu.
        engine: A fake for tests; the real one where None.
        ask: Fake questions for tests; dialogs where None.
        store: Says where the review is kept; None: nowhere.
    """

    engine_ready = Signal()
    """What is slow to import is imported."""
    closed = Signal()
    """The window is gone for good: Qt does not notice by itself, for it was hidden before."""

    def __init__(
        self,
        settings: SettingsStore,
        log_file: Path | None = None,
        engine: "Engine | None" = None,
        ask: "Ask | None" = None,
        store: Callable[[], Path] | None = None,
    ) -> None:
        super().__init__()
        self._settings = settings
        self._log_file = log_file
        self._engine = engine
        self._ask = ask
        self._store = store
        self._paths: tuple[Path, ...] = ()
        self._closing = False
        self._later_close = False
        self.parts: Composition | None = None
        self.bench: Workbench | None = None
        self.live: LivePanel | None = None
        self._bench_met = False
        self._framed = False
        self._frame_before = self.geometry()
        self.actions_table: Actions | None = None
        self._toasts: dict[int, ToastArea] = {}
        self._view_menus: ViewMenus | None = None
        self.start = StartPanel(settings.preferences)
        self.start.painted.connect(self._on_painted)
        self.start.dropped.connect(self.open_paths)
        self.pages = QStackedWidget()
        self.pages.addWidget(self.start)
        self.setCentralWidget(self.pages)
        self.menuBar().setNativeMenuBar(False)
        self.statusBar().setSizeGripEnabled(False)
        self.statusBar().setContentsMargins(theme.MARGIN, 0, theme.MARGIN, 0)
        self.statusBar().addWidget(QLabel("Loading the engine…"))
        self.setAcceptDrops(True)
        self.setWindowTitle(APP_NAME)
        self.resize(SIZE.boundedTo(self.screen().availableSize() - FRAME))
        settings_module.restore_geometry(self)

    @Slot()
    def _on_painted(self) -> None:
        QTimer.singleShot(0, self.complete)

    @Slot()
    def complete(self) -> None:
        """Build everything behind the start page, once."""
        if self.parts is not None or self._closing:
            return
        from cfa_gui.actions import Actions
        from cfa_gui.composition import Composition
        from cfa_gui.dialogs.questions import Questions
        from cfa_gui.handlers import handlers
        from cfa_gui.live_page import live_page
        from cfa_gui.models.engine import CoreEngine
        from cfa_gui.panels.status import StatusPanel
        from cfa_gui.view_menus import ViewMenus
        from cfa_gui.widgets import colour_bar
        from cfa_gui.widgets.toast import ToastArea
        from cfa_gui.workbench import Workbench

        store = self._store() if self._store is not None else None
        engine = self._engine or CoreEngine(store and store.with_name("training.unfinished"))
        parts = Composition(engine, self._settings, self._ask or Questions(self), store, self)
        self.parts = parts
        self.bench = Workbench(parts)
        self.pages.addWidget(self.bench)
        self.live = live_page(parts)
        self.pages.addWidget(self.live)
        self._toasts = {0: ToastArea(self.start), 1: ToastArea(self.bench.canvas.canvas, colour_bar.WIDTH)}
        self._toasts[2] = ToastArea(self.live.canvas, colour_bar.WIDTH)
        status = StatusPanel(parts.session)
        status.cancel_wanted.connect(parts.tasks.cancel)
        self.setStatusBar(status)
        self.actions_table = Actions({**self._own_handlers(), **handlers(parts, self.bench)}, self)
        menus = self.actions_table.fill(self.menuBar())
        self._view_menus = ViewMenus(self.menuBar(), parts, self.bench, menus)
        self._wire(parts, self.bench)
        if self._settings.warning:
            parts.notices.post(self._settings.warning, "warning")
        make_all_types()
        parts.warm_up(load_plotting)
        if self._paths:
            parts.opening.open(self._paths)

    def _wire(self, parts: "Composition", bench: "Workbench") -> None:
        session = parts.session
        parts.notices.posted.connect(self._on_notice)
        self.start.browse_wanted.connect(parts.choose_good_folder)
        self.start.sample_parts_wanted.connect(parts.samples.open_sample_parts)
        self.start.resume_wanted.connect(parts.keeping.resume)
        session.resumable_changed.connect(self._on_resumable)
        for signal in (session.samples_changed, session.model_changed, session.images_changed, session.state_changed):
            signal.connect(self._on_session)
        session.selection_changed.connect(self._on_session)
        session.facilities_changed.connect(self.engine_ready)
        bench.canvas.canvas.drawing_changed.connect(self._on_drawing)
        parts.live.visible_changed.connect(self._on_live)
        if self.live is not None:
            self.live.full_screen_wanted.connect(self._fill_screen)
        if self.actions_table is not None:
            self.actions_table.give_viewing_keys([bench.images.view, bench.canvas.canvas])
            self.actions_table.give_letter_keys([bench.review])
        self._on_session()

    @Slot(list)
    def open_paths(self, paths: Sequence[Path]) -> None:
        """Open files and folders: from the command line, a drop, or the list of recent ones."""
        if self.parts is None:
            self._paths = tuple(paths)
        else:
            self.parts.opening.open(list(paths))

    @Slot()
    def _on_resumable(self) -> None:
        if self.parts is not None:
            from cfa_gui.panels.words import review_in_words

            project = self.parts.session.resumable
            self.start.show_resumable("" if project is None else review_in_words(project))

    @Slot(object)
    def _on_notice(self, notice: "Notice") -> None:
        area = self._toasts.get(self.pages.currentIndex())
        if area is not None:
            area.show_message(notice.text, notice.level, notice.details, notice.action)

    def tell(self, text: str, level: "Level" = "error", details: str | None = None) -> None:
        """Show a message, if there is a place for it yet."""
        area = self._toasts.get(self.pages.currentIndex())
        if area is not None:
            area.show_message(text, level, details)

    @Slot(bool)
    def _on_drawing(self, drawing: bool) -> None:
        """While a region is drawn, arrows and Space belong to the drawing."""
        if self.actions_table is not None:
            self.actions_table.set_viewing(not drawing)
            if not drawing:
                self._on_session()

    @Slot()
    def _on_session(self) -> None:
        """Page, title and what may be pressed follow from the session."""
        parts, bench = self.parts, self.bench
        if parts is None or bench is None or self.actions_table is None:
            return
        session = parts.session
        self.actions_table.update(session.allowed())
        empty = session.samples is None and session.model is None and not len(session.review)
        page: QWidget = self.start if empty else bench
        if parts.live.visible and self.live is not None:
            page = self.live
        before = self.pages.currentWidget()
        if before is not page:
            self.pages.setCurrentWidget(page)
            if page is bench:
                self._meet_bench(bench, anew=before is self.start)
        self.start.set_busy("Opening…" if empty and session.state != "idle" else "")
        self.setWindowTitle(self._title(parts))
        self.setWindowModified(session.model is not None and session.model_unsaved)

    def _meet_bench(self, bench: "Workbench", *, anew: bool) -> None:
        """The workbench comes: for the first time as it was left by the last window, from the live page as it was."""
        if not self._bench_met and self._view_menus is not None:
            self._view_menus.restore_docks()
        if anew or not self._bench_met:
            bench.bring_shown()  # whatever was in front the last time
        self._bench_met = True
        bench.images.view.setFocus(Qt.FocusReason.OtherFocusReason)

    @Slot(bool)
    def _on_live(self, shown: bool) -> None:
        """The live page comes or goes."""
        if self.live is not None:
            self.live.leave_wall()
        self._on_session()
        if shown and self.live is not None:
            self.live.arrive()

    @Slot(bool)
    def _fill_screen(self, full: bool) -> None:
        """Nothing but the live page on the screen; or the window as it was."""
        self.menuBar().setVisible(not full)
        self.statusBar().setVisible(not full)
        if full:
            self._framed = not self.isMaximized()
            self._frame_before = self.geometry()
            self.showFullScreen()
        elif self._framed:
            self.showNormal()
            self.setGeometry(self._frame_before)  # not every desktop gives it back
        else:
            self.showMaximized()

    def _title(self, parts: "Composition") -> str:
        samples = parts.session.samples
        names = [name for name in (parts.deploy.name, samples.dataset.root.name if samples else "") if name]
        return f"{' – '.join(names)}[*] – {APP_NAME}" if names else APP_NAME

    def _own_handlers(self) -> dict[str, Callable[[], object]]:
        return {
            "quit": self.close,
            "shortcuts": self.show_shortcuts,
            "log": self.show_log,
            "diagnostics": self.copy_diagnostics,
            "about": self.show_about,
            "hide_overlay": self.toggle_overlay,
        }

    def toggle_overlay(self) -> None:
        """Hide the overlay, or show it again."""
        if self.bench is not None:
            self.bench.canvas.toggle_overlay()

    def show_shortcuts(self) -> None:
        """The sheet on F1."""
        from cfa_gui.actions import sheet
        from cfa_gui.dialogs.shortcuts import ShortcutSheet

        ShortcutSheet(sheet(), self).open()

    def show_log(self) -> None:
        """Open the folder of the log file."""
        if self.parts is None:
            return
        if self._log_file is None or not self._log_file.exists():
            self.parts.notices.post("There is no log file yet.")
            return
        shown = QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._log_file.parent)))
        if not shown:
            self.parts.notices.post(f"The log file is {self._log_file}.")

    def copy_diagnostics(self) -> None:
        """Put what a report needs on the clipboard, to be looked at before it is sent."""
        if self.parts is None:
            return
        from cfa_gui.diagnostics import diagnostics

        size, scale = self.screen().size(), self.devicePixelRatioF()
        words = f"{size.width()} × {size.height()}, scale {scale:g}, {QGuiApplication.platformName()}"
        text = diagnostics(self.parts.session, self._settings.preferences, words, self._log_file)
        QGuiApplication.clipboard().setText(text)
        self.parts.notices.post(
            "Diagnostics copied: versions, device, settings and the end of the log. No image and no folder is in them.",
            "success",
            details=text,
        )

    def show_about(self) -> None:
        """Versions and devices."""
        from cfa_gui.dialogs.about import AboutDialog
        from core.version import VERSION

        facilities = self.parts.session.facilities if self.parts else None
        lines = ["The engine is still loading."]
        if facilities is not None:
            lines = [f"{name} {version}" for name, version in facilities.versions]
            lines += [f"Device: {words}" for _name, words in facilities.devices]
        lines.append(f"Log file: {self._log_file or 'none'}")
        AboutDialog(VERSION, lines, self).open()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802  Qt's name
        """Files and folders may be dropped anywhere."""
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802  Qt's name
        """Open what was dropped, after the drop has ended: a question must not hold the other program up."""
        paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
        event.acceptProposedAction()
        self._paths = tuple(paths)
        QTimer.singleShot(0, self._open_dropped)

    @Slot()
    def _open_dropped(self) -> None:
        if self.parts is not None:
            self.parts.opening.open(self._paths)

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802  Qt's name
        """Ask once: about the work that goes on, and about a model that is not saved."""
        if self._closing or self.parts is None:
            self._accept_close(event)
            return
        session = self.parts.session
        if session.state != "idle":
            if not self.parts.ask.stop_work(str(session.state)):
                event.ignore()
                return
            self._accept_close(event)
            return
        event.ignore()
        labels = 0 if self.parts.keeping.keeps else session.review.labels_not_kept
        if labels and not session.model_unsaved and not self.parts.ask.lose_labels(labels):
            return
        self.parts.deploy.guard(self._close_now, labels)

    def _accept_close(self, event: QCloseEvent) -> None:
        self._end()
        event.accept()
        self.closed.emit()

    def _close_now(self) -> None:
        self._end()
        QTimer.singleShot(0, self.close)

    def _end(self) -> None:
        if self._closing:
            return
        self._closing = True
        settings_module.save_geometry(self)
        if self._view_menus is not None:
            self._view_menus.save_docks()
        self.hide()  # gone at once; the work may need a moment to end
        if self.parts is not None:
            self.parts.shutdown()
