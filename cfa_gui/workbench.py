"""The window once something is open: canvas in the middle, panels in docks around it; wiring only."""

from functools import partial

from PySide6.QtCore import Qt, QTimer, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QApplication, QDockWidget, QMainWindow, QTabBar, QTabWidget, QWidget

from cfa_gui.composition import Composition
from cfa_gui.models.review import Query, Show
from cfa_gui.models.session import Collection
from cfa_gui.panels.canvas import CanvasPanel
from cfa_gui.panels.deploy import DeployPanel
from cfa_gui.panels.images import ImagesPanel
from cfa_gui.panels.review import ReviewPanel
from cfa_gui.panels.samples import SamplesPanel
from cfa_gui.panels.threshold import ThresholdPanel
from cfa_gui.panels.training import TrainingPanel

_RIGHT = 360
_LEFT = 324
_BOTTOM = 232
_SETTLE = 500
"""Milliseconds after which the slider of the opacity rests."""
_MOST_CONTROLS = 200
"""More than all panels have; Tab gives up there."""


class Workbench(QMainWindow):
    """Panels in docks; it is a page of the window, so that the empty window can be empty."""

    def __init__(self, parts: Composition, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowFlags(Qt.WindowType.Widget)
        self._parts = parts
        self._sized = False
        self._focus_check = QTimer(self, singleShot=True, interval=0)
        self._focus_check.timeout.connect(self._bring_focus_back)
        session, preferences = parts.session, parts.settings.preferences
        self._opacity = preferences.overlay_opacity
        self._settle = QTimer(self, singleShot=True, interval=_SETTLE)
        self._settle.timeout.connect(self._keep_opacity)
        self.canvas = CanvasPanel(session)
        self.images = ImagesPanel(session, parts.images)
        self.samples = SamplesPanel(session)
        self.training = TrainingPanel(session)
        self.review = ReviewPanel(session, preferences.minimum_region_area)
        self.threshold = ThresholdPanel(session)
        self.deploy = DeployPanel(session, parts.plan)
        self.setCentralWidget(self.canvas)
        self.setDockOptions(
            QMainWindow.DockOption.AnimatedDocks
            | QMainWindow.DockOption.AllowTabbedDocks
            | QMainWindow.DockOption.AllowNestedDocks
        )
        self.setTabPosition(Qt.DockWidgetArea.RightDockWidgetArea, QTabWidget.TabPosition.North)
        self.docks = {
            "images": self._dock("Images", "images", self.images, Qt.DockWidgetArea.LeftDockWidgetArea),
            "threshold": self._dock("Threshold", "threshold", self.threshold, Qt.DockWidgetArea.BottomDockWidgetArea),
            "samples": self._dock("Samples", "samples", self.samples, Qt.DockWidgetArea.RightDockWidgetArea),
            "training": self._dock("Train", "training", self.training, Qt.DockWidgetArea.RightDockWidgetArea),
            "review": self._dock("Review", "review", self.review, Qt.DockWidgetArea.RightDockWidgetArea),
            "deploy": self._dock("Deploy", "deploy", self.deploy, Qt.DockWidgetArea.RightDockWidgetArea),
        }
        self.canvas.use(preferences)
        self.images.set_view(preferences.list_view)
        self._first_layout()
        self.set_movable(movable=False)
        for dock in self.docks.values():
            dock.visibilityChanged.connect(self._mind_focus)
        parts.session.state_changed.connect(self._mind_focus)
        self._wire_images()
        self._wire_work()
        self._wire_review()
        self._wire_deploy()

    def _dock(self, title: str, name: str, panel: QWidget, area: Qt.DockWidgetArea) -> QDockWidget:
        dock = QDockWidget(title)
        dock.setObjectName(name)
        dock.setWidget(panel)
        dock.setAccessibleName(title)
        self.addDockWidget(area, dock)
        return dock

    def _first_layout(self) -> None:
        docks = self.docks
        for dock in docks.values():
            dock.setFloating(False)
            dock.show()
        self.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, docks["images"])
        self.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, docks["threshold"])
        for name in ("samples", "training", "review", "deploy"):
            self.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, docks[name])
        self.tabifyDockWidget(docks["samples"], docks["training"])
        self.tabifyDockWidget(docks["training"], docks["review"])
        self.tabifyDockWidget(docks["review"], docks["deploy"])
        docks["samples"].raise_()
        for bar in self.findChildren(QTabBar, options=Qt.FindChildOption.FindDirectChildrenOnly):
            bar.setAccessibleName("Panels")
        self._first_sizes()

    def _first_sizes(self) -> None:
        docks = self.docks
        self.resizeDocks([docks["images"], docks["samples"]], [_LEFT, _RIGHT], Qt.Orientation.Horizontal)
        self.resizeDocks([docks["threshold"]], [_BOTTOM], Qt.Orientation.Vertical)

    @Slot()
    def reset_layout(self) -> None:
        """All docks where they were at first."""
        self._first_layout()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802  Qt's name
        """Sizes can be given to docks only once there is room to share out."""
        super().showEvent(event)
        if not self._sized:
            self._sized = True
            self._first_sizes()

    def set_movable(self, movable: bool) -> None:
        """Give the panels title bars, to be moved, floated and closed by; or take them away."""
        for dock in self.docks.values():
            bar = dock.titleBarWidget()
            if movable and bar is not None:
                dock.setTitleBarWidget(None)  # type: ignore[arg-type]  # the stubs forget that None is Qt's own bar
                bar.deleteLater()
            elif not movable and bar is None:
                dock.setTitleBarWidget(QWidget())

    def bring(self, name: str) -> None:
        """Show a dock, in front of those it shares a place with."""
        self.docks[name].show()
        self.docks[name].raise_()

    def focusNextPrevChild(self, forward: bool) -> bool:  # noqa: N802  Qt's name
        """Tab leaves out the panels behind the front one, which Qt takes to be visible."""
        moved = super().focusNextPrevChild(forward)
        for _ in range(_MOST_CONTROLS):
            if not moved or not self._focus_is_behind():
                break
            moved = super().focusNextPrevChild(forward)
        return moved

    def _focus_is_behind(self) -> bool:
        """Whether the keyboard is on a panel that another one covers."""
        focused = QApplication.focusWidget()
        return focused is not None and any(
            dock.isAncestorOf(focused) and dock.visibleRegion().isEmpty() for dock in self.docks.values()
        )

    @Slot()
    def _mind_focus(self) -> None:
        """Once all is laid out, see that the keyboard is not on something that nobody sees."""
        self._focus_check.start()

    @Slot()
    def _bring_focus_back(self) -> None:
        lost = QApplication.focusWidget() is None and QApplication.activeWindow() is self.window()
        if self.isVisible() and (lost or self._focus_is_behind()):
            self.images.view.setFocus(Qt.FocusReason.OtherFocusReason)

    def _wire_images(self) -> None:
        parts, images, canvas = self._parts, self.images, self.canvas
        images.collection_chosen.connect(self._on_collection)
        images.query_chosen.connect(self._on_query)
        images.selection_made.connect(parts.session.select)
        images.view_chosen.connect(partial(self._remember, "list_view"))
        parts.pictures.picture_ready.connect(canvas.show_picture)
        parts.pictures.picture_failed.connect(canvas.show_failure)
        parts.pictures.thumbnail_ready.connect(images.redraw)
        canvas.region_drawn.connect(parts.samples.add_region)
        canvas.overlay_chosen.connect(partial(self._remember, "overlay_mode"))
        canvas.opacity_chosen.connect(self._on_opacity)
        canvas.colour_map_chosen.connect(partial(self._remember, "colour_map"))
        canvas.canvas.drawing_changed.connect(self.samples.show_drawing)

    def _wire_work(self) -> None:
        parts, samples, training = self._parts, self.samples, self.training
        samples.open_wanted.connect(parts.choose_good_folder)
        samples.sample_parts_wanted.connect(parts.samples.open_sample_parts)
        samples.restore_wanted.connect(parts.samples.restore)
        samples.leave_out_wanted.connect(parts.samples.remove_paths)
        samples.drawing_wanted.connect(self.draw)
        samples.region_removed.connect(parts.samples.remove_region)
        samples.regions_cleared.connect(parts.samples.clear_regions)
        samples.continue_wanted.connect(partial(self.bring, "training"))
        training.train_wanted.connect(parts.start_training)
        training.cancel_wanted.connect(parts.tasks.cancel)
        training.preset_chosen.connect(parts.use_preset)
        training.setting_changed.connect(parts.change_setting)
        training.save_wanted.connect(parts.deploy.save)
        parts.train.started.connect(self._on_training_started)
        parts.train.stepped.connect(training.add_step)
        parts.train.finished.connect(partial(self.bring, "training"))

    def _wire_review(self) -> None:
        parts, review, threshold = self._parts, self.review, self.threshold
        review.good_wanted.connect(parts.review.good)
        review.defect_wanted.connect(parts.review.defect)
        review.unlabel_wanted.connect(parts.review.unlabel)
        review.undo_wanted.connect(parts.review.undo)
        review.next_flagged_wanted.connect(parts.review.next_flagged)
        review.add_good_wanted.connect(parts.add_selected_to_good)
        review.open_wanted.connect(parts.choose_images)
        review.region_chosen.connect(self.canvas.canvas.highlight_box)
        review.minimum_area_chosen.connect(partial(self._remember, "minimum_region_area"))
        threshold.moved.connect(parts.threshold.move)
        threshold.lower_moved.connect(parts.threshold.move_lower)
        threshold.band_wanted.connect(parts.threshold.use_band)
        threshold.best_f1_wanted.connect(parts.threshold.best_f1)
        threshold.rate_wanted.connect(parts.threshold.false_alarm_rate)
        threshold.reset_wanted.connect(parts.threshold.reset)
        threshold.cell_chosen.connect(self._on_cell)
        parts.session.shown_changed.connect(self.bring_shown)

    @Slot(float)
    def _on_opacity(self, opacity: float) -> None:
        """Keep it once the slider rests: each write waits for the disk."""
        self._opacity = opacity
        self._settle.start()

    @Slot()
    def _keep_opacity(self) -> None:
        self._remember("overlay_opacity", self._opacity)

    def _wire_deploy(self) -> None:
        parts, deploy = self._parts, self.deploy
        deploy.format_chosen.connect(parts.deployment.use_format)
        deploy.check_chosen.connect(parts.deployment.use_check)
        deploy.folder_wanted.connect(parts.deployment.choose_folder)
        deploy.export_wanted.connect(parts.deployment.export)
        deploy.cancel_wanted.connect(parts.tasks.cancel)
        deploy.show_wanted.connect(parts.deployment.show_folder)

    def _remember(self, name: str, value: object) -> None:
        self._parts.settings.update(**{name: value})

    @Slot(object)
    def _on_collection(self, collection: Collection) -> None:
        session = self._parts.session
        session.show(collection)
        if session.current < 0 and self._parts.images.rowCount():
            place = self._parts.images.place_of(0)
            session.select((place,), place)

    @Slot(object)
    def _on_query(self, query: Query) -> None:
        self._parts.images.set_query(query)
        self.threshold.show_filter(query.show)

    @Slot(object)
    def _on_cell(self, show: Show) -> None:
        self._on_collection(Collection.REVIEW)
        self.images.choose_filter(show)

    @Slot()
    def bring_shown(self) -> None:
        """The panel of the images that are shown, in front."""
        if self._parts.session.shown is Collection.REVIEW:
            self.bring("review")
            return
        self.bring("samples")

    @Slot()
    def _on_training_started(self) -> None:
        self.training.begin()
        self.bring("training")

    @Slot(bool)
    def draw(self, ignored: bool) -> None:
        """Let the user draw a region on the picture."""
        if self._parts.session.shown is not Collection.SAMPLES:
            self._on_collection(Collection.SAMPLES)
        self.canvas.canvas.setFocus(Qt.FocusReason.OtherFocusReason)
        self.canvas.canvas.start_drawing(ignored)
