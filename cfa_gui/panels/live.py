"""The live page: picture with overlay, lamp and figures, the latest flagged pictures."""

import time
from datetime import datetime

import numpy as np
from PySide6.QtCore import QPointF, QSize, Qt, Signal, Slot
from PySide6.QtGui import QColor, QImage, QKeySequence, QPainter, QPen, QPixmap, QResizeEvent, QShortcut
from PySide6.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from cfa_gui import theme
from cfa_gui.models.flagged import map_rectangle
from cfa_gui.models.live import LiveModel, LiveState
from cfa_gui.models.session import Session
from cfa_gui.models.thumbnails import to_image
from cfa_gui.panels import parts
from cfa_gui.panels.live_side import LiveSide
from cfa_gui.panels.live_source import SourceBar
from cfa_gui.panels.live_words import empty_words, headline
from cfa_gui.settings import SettingsStore
from cfa_gui.widgets.canvas_bar import CanvasBar
from cfa_gui.widgets.flagged_strip import THUMBNAIL, FlaggedStrip, StripItem
from cfa_gui.widgets.icon_label import IconLabel
from cfa_gui.widgets.image_canvas import OverlayMode
from cfa_gui.widgets.live_canvas import LiveCanvas
from core.line.live.flagged import MOST, FlaggedPicture
from core.overlay import heat_range

_SIDE = 300
_WALL_SIDE = 0.4
"""Share of the width that lamp and figures take on the full screen."""
_WALL_TITLE, _WALL_SENTENCE = 0.035, 0.022
"""Sizes of type there, in shares of the height."""


class LivePanel(parts.Panel):
    """Reads the live model, emits what the user wants."""

    start_wanted = Signal(object)
    stop_wanted = Signal()
    refresh_wanted = Signal()
    watched_wanted = Signal()
    video_wanted = Signal()
    back_wanted = Signal()
    again_wanted = Signal()
    freeze_wanted = Signal()
    good_wanted = Signal()
    defect_wanted = Signal()
    saving_folder_wanted = Signal()
    flagged_chosen = Signal(object)
    full_screen_wanted = Signal(bool)
    overlay_chosen = Signal(str)
    opacity_chosen = Signal(float)
    colour_map_chosen = Signal(str)

    def __init__(
        self, live: LiveModel, session: Session, settings: SettingsStore, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._live = live
        self._session = session
        self._wall = False
        self._thumbnails: dict[int, StripItem] = {}
        self.source = SourceBar(live, session, settings.preferences)
        self.canvas = LiveCanvas()
        self.bar = CanvasBar(self.canvas)
        self.bar.set_truth_available(False)
        self.canvas.set_colour_bar(wanted=False)
        self.side = LiveSide(live, session, settings)
        self.strip = FlaggedStrip(MOST)
        self._alert = IconLabel(theme.icon("alert-outline", "defect"), 20)
        self._held = IconLabel(theme.icon("pause", "uncertain"), 20)
        self._title = QLabel()
        self._sentence = parts.caption()
        self._again = parts.button("Try again", "Open the source again now.", "refresh")
        self._line = parts.line()
        self._use(settings)
        self._arrange()
        self._connect()
        self._add_keys()
        self._on_threshold()
        self.refresh()

    def _use(self, settings: SettingsStore) -> None:
        preferences = settings.preferences
        mode = OverlayMode(preferences.overlay_mode)
        self.bar.set_mode(OverlayMode.HEAT if mode is OverlayMode.TRUTH else mode)
        self.bar.set_opacity(preferences.overlay_opacity)
        self.bar.set_colour_map(preferences.colour_map)

    def _arrange(self) -> None:
        self._title.setProperty("role", "section")
        self._header = QWidget()
        words = QVBoxLayout()
        words.setSpacing(0)
        words.addWidget(self._title)
        words.addWidget(self._sentence)
        head = QHBoxLayout(self._header)
        head.setContentsMargins(theme.MARGIN, 6, theme.MARGIN, 6)
        head.setSpacing(theme.GAP)
        head.addWidget(self._alert)
        head.addWidget(self._held)
        head.addLayout(words, 1)
        head.addWidget(self._again)
        self._header.setMinimumHeight(52)
        left = QVBoxLayout()
        left.setSpacing(0)
        left.addWidget(self._header)
        left.addWidget(self.canvas, 1)
        left.addWidget(self.bar)
        left.addWidget(parts.line())
        strip = QHBoxLayout()
        strip.setContentsMargins(theme.MARGIN, 4, theme.MARGIN, 4)
        strip.addWidget(self.strip, 1)
        left.addLayout(strip)
        middle = QHBoxLayout()
        middle.setSpacing(0)
        middle.addLayout(left, 1)
        middle.addWidget(self.side)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.source)
        layout.addWidget(self._line)
        layout.addLayout(middle, 1)
        self.side.setFixedWidth(_SIDE)

    def _connect(self) -> None:
        live, source, side = self._live, self.source, self.side
        live.picture_changed.connect(self._on_picture)
        live.state_changed.connect(self.refresh)
        live.frozen_changed.connect(self.refresh)
        live.sources_changed.connect(self.refresh)
        live.flagged_changed.connect(self._on_flagged)
        self._session.threshold_changed.connect(self._on_threshold)
        self._session.model_changed.connect(self._on_threshold)
        self.canvas.painted.connect(self._on_painted)
        self.bar.mode_changed.connect(self._on_mode)
        self.bar.opacity_changed.connect(self.opacity_chosen)
        self.bar.colour_map_changed.connect(self.colour_map_chosen)
        source.start_wanted.connect(self._on_start)
        source.stop_wanted.connect(self.stop_wanted)
        source.refresh_wanted.connect(self.refresh_wanted)
        source.watched_wanted.connect(self.watched_wanted)
        source.video_wanted.connect(self.video_wanted)
        source.back_wanted.connect(self.back_wanted)
        source.kind_changed.connect(self.refresh)
        source.full_screen_wanted.connect(self.toggle_wall)
        side.freeze_wanted.connect(self.freeze_wanted)
        side.good_wanted.connect(self.good_wanted)
        side.defect_wanted.connect(self.defect_wanted)
        side.folder_wanted.connect(self.saving_folder_wanted)
        self.strip.chosen.connect(self._on_strip)
        self._again.clicked.connect(self.again_wanted)

    def _add_keys(self) -> None:
        """Letters work everywhere on the page; Space on the picture, for buttons need it themselves."""
        within, here = Qt.ShortcutContext.WidgetWithChildrenShortcut, Qt.ShortcutContext.WidgetShortcut
        for key, widget, context, slot in (
            ("G", self, within, self.good_wanted.emit),
            ("D", self, within, self.defect_wanted.emit),
            ("F11", self, within, self.toggle_wall),
            ("Esc", self, within, self.leave_wall),
            ("Space", self.canvas, here, self.freeze_wanted.emit),
        ):
            shortcut = QShortcut(QKeySequence(key), widget, context=context)
            shortcut.activated.connect(slot)

    # The full screen

    @Slot()
    def toggle_wall(self) -> None:
        """Fill the screen, or no longer."""
        self.set_wall(on=not self._wall)

    @Slot()
    def leave_wall(self) -> None:
        """No longer fill the screen."""
        self.set_wall(on=False)

    def set_wall(self, *, on: bool) -> None:
        """Show what is read from afar and nothing else; or all controls."""
        if on == self._wall:
            return
        self._wall = on
        self._size_side()  # before the window takes its old size: large type would not let it
        for widget in (self.source, self._line, self.bar, self.strip):
            widget.setVisible(not on)
        self.full_screen_wanted.emit(on)
        self.canvas.setFocus(Qt.FocusReason.OtherFocusReason)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802  Qt's name
        """The full screen may have another size than the window."""
        super().resizeEvent(event)
        self._size_side()

    def _size_side(self) -> None:
        self.side.set_wall(on=self._wall, height=self.height())
        for label, share in ((self._title, _WALL_TITLE), (self._sentence, _WALL_SENTENCE)):
            label.setStyleSheet(f"font-size: {round(self.height() * share)}px" if self._wall else "")
        self.side.setFixedWidth(max(_SIDE, round(self.width() * _WALL_SIDE)) if self._wall else _SIDE)

    # What is shown

    def arrive(self) -> None:
        """The page has come to the front."""
        if self._live.running:
            self.canvas.setFocus(Qt.FocusReason.OtherFocusReason)
        else:
            self.source.focus_first()

    @Slot(object)
    def _on_start(self, choice: object) -> None:
        self.start_wanted.emit(choice)
        self.canvas.setFocus(Qt.FocusReason.OtherFocusReason)

    @Slot()
    def _on_picture(self) -> None:
        judged = self._live.shown
        if judged is None or judged.frame is None:
            self.canvas.set_picture(None)
            self.canvas.set_colour_bar(wanted=False)
        else:
            found = judged.found
            self.canvas.set_picture(judged.frame.pixels)
            self.canvas.set_colour_bar(found is not None and self._session.threshold is not None)
            if found is not None:
                self.canvas.set_heat(found.anomaly_map, map_rectangle(found.placement))
        self.refresh()

    @Slot()
    def _on_threshold(self) -> None:
        session = self._session
        threshold = session.threshold if session.model is not None else None
        if threshold is not None and threshold.value > 0:
            self.canvas.set_range(*heat_range(threshold.value))
        self.canvas.set_threshold(threshold.value if threshold else None)
        regions = session.model.config.preprocessing.regions if session.model is not None else ()
        self.canvas.set_regions([(region.points, region.ignored) for region in regions])
        self.refresh()

    @Slot()
    def refresh(self) -> None:
        """Everything but the picture."""
        live = self._live
        words = empty_words(live, kind=self.source.kind, has_model=self._session.model is not None)
        if self._unreadable():
            words = "This picture could not be inspected", self._unreadable()
        self.canvas.set_empty_text(*words)
        self._again.setVisible(live.state in (LiveState.LOST, LiveState.FAILED))
        self._tell()

    def _tell(self) -> None:
        mark, title, sentence = headline(self._live, has_model=self._session.model is not None)
        sentence = self._unreadable() or sentence
        self._alert.setVisible(mark == "defect")
        self._held.setVisible(mark == "uncertain")
        if title != self._title.text():
            self._title.setText(title)
        if sentence != self._sentence.text():
            self._sentence.setText(sentence)

    def _unreadable(self) -> str:
        """Why the latest picture could not be inspected; empty where it could, or where there is worse to tell."""
        live = self._live
        return live.shown.message if live.shown is not None and live.state is LiveState.RUNNING else ""

    @Slot()
    def _on_painted(self) -> None:
        judged = self._live.shown
        if judged is not None and not self._live.frozen:
            self._live.note_painted(judged.taken_at, time.monotonic())

    @Slot(object)
    def _on_mode(self, mode: OverlayMode) -> None:
        self.overlay_chosen.emit(str(mode))

    # The strip

    @Slot()
    def _on_flagged(self) -> None:
        flagged = self._live.flagged
        known = self._thumbnails
        ratio = self.devicePixelRatioF()
        self._thumbnails = {one.number: known.get(one.number) or _strip_item(one, ratio) for one in flagged}
        self.strip.show_items([self._thumbnails[one.number] for one in flagged])

    @Slot(int)
    def _on_strip(self, place: int) -> None:
        if place < len(self._live.flagged):
            self.flagged_chosen.emit(self._live.flagged[place])


def _strip_item(flagged: FlaggedPicture, ratio: float) -> StripItem:
    """A thumbnail with a ring round the strangest spot."""
    judged = flagged.judged
    pixmap = QPixmap(THUMBNAIL * ratio)
    pixmap.fill(theme.colour("canvas"))
    pixmap.setDevicePixelRatio(ratio)
    score = judged.found.score if judged.found is not None else 0.0
    clock = datetime.fromtimestamp(flagged.clock).astimezone().strftime("%H:%M:%S")
    if judged.frame is not None:
        painter = QPainter(pixmap)
        painter.setRenderHints(QPainter.RenderHint.SmoothPixmapTransform | QPainter.RenderHint.Antialiasing)
        _paint_thumbnail(painter, flagged, ratio)
        painter.end()
    tip = f"Flagged at {clock}, score {score:.3f}. Press to hold this picture."
    return StripItem(pixmap, f"✕ {score:.2f} · {clock}", f"{judged.name}: {tip}" if judged.name else tip)


def _paint_thumbnail(painter: QPainter, flagged: FlaggedPicture, ratio: float) -> None:
    frame, found = flagged.judged.frame, flagged.judged.found
    if frame is None:
        return
    height, width = frame.pixels.shape[:2]
    scale = min(THUMBNAIL.width() / width, THUMBNAIL.height() / height)
    step = max(1, int(1 / (2 * scale * ratio)))
    small: QImage = to_image(frame.pixels[::step, ::step])
    size = QSize(max(1, round(width * scale)), max(1, round(height * scale)))
    left, top = (THUMBNAIL.width() - size.width()) / 2, (THUMBNAIL.height() - size.height()) / 2
    fine = size * ratio
    painter.drawImage(
        QPointF(left, top),
        _with_ratio(
            small.scaled(fine, Qt.AspectRatioMode.IgnoreAspectRatio, Qt.TransformationMode.SmoothTransformation), ratio
        ),
    )
    if found is not None:
        row, column = np.unravel_index(int(found.anomaly_map.argmax()), found.anomaly_map.shape)
        y, x = found.placement.canvas_to_source(float(row) + 0.5, float(column) + 0.5)
        for pen in (QPen(QColor(10, 12, 16, 200), 4), QPen(QColor("#ffffff"), 1.5)):
            painter.setPen(pen)
            painter.drawEllipse(QPointF(left + x * scale, top + y * scale), 9, 9)


def _with_ratio(image: QImage, ratio: float) -> QImage:
    image.setDevicePixelRatio(ratio)
    return image
