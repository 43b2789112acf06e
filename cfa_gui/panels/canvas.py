"""The picture in the middle: which image, what the model says of it, and the controls for looking."""

from pathlib import Path

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from cfa_gui import theme
from cfa_gui.models.flagged import map_rectangle
from cfa_gui.models.pictures import Picture
from cfa_gui.models.review import Group, Mark
from cfa_gui.models.session import Collection, Session
from cfa_gui.panels import parts
from cfa_gui.settings import Preferences
from cfa_gui.widgets.canvas_bar import CanvasBar
from cfa_gui.widgets.elided_label import ElidedLabel
from cfa_gui.widgets.image_canvas import ImageCanvas, OverlayMode
from cfa_gui.widgets.stat import Stat
from core.overlay import heat_range

_VERDICT = {
    Mark.WAITING: ("Not inspected", None),
    Mark.GOOD: ("Passed", "good"),
    Mark.UNCERTAIN: ("Uncertain", "uncertain"),
    Mark.DEFECT: ("Flagged", "defect"),
    Mark.FAILED: ("Not inspected", "uncertain"),
}
_LABEL = {
    Group.UNLABELLED: ("Not labelled", "unlabelled"),
    Group.GOOD: ("Good", "good"),
    Group.DEFECT: ("Defect", "defect"),
}


class CanvasPanel(parts.Panel):
    """Header, canvas and bar. It shows the session's current image once its picture was brought."""

    region_drawn = Signal(list, bool)
    overlay_chosen = Signal(str)
    opacity_chosen = Signal(float)
    colour_map_chosen = Signal(str)

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._path: Path | None = None
        self._hidden = False
        self.canvas = ImageCanvas()
        self.bar = CanvasBar(self.canvas)
        self._name = ElidedLabel(Qt.TextElideMode.ElideMiddle)
        self._name.setProperty("role", "section")
        self._name.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._note = ElidedLabel(Qt.TextElideMode.ElideRight)
        self._note.setProperty("role", "caption")
        self._score = Stat("Score", "How strange the strangest spot of this image is (anomaly score).")
        self._verdict = Stat("Verdict", "What the threshold says of this image.")
        self._label = Stat("Label", "What a person says of this image (ground truth).")
        self._layout()
        self._connect()
        self._on_current()

    def _layout(self) -> None:
        header = QWidget()
        line = QHBoxLayout(header)
        line.setContentsMargins(theme.MARGIN, 6, theme.MARGIN, 6)
        line.setSpacing(2 * theme.GAP)
        words = QVBoxLayout()
        words.setSpacing(0)
        words.addStretch(1)
        words.addWidget(self._name)
        words.addWidget(self._note)
        words.addStretch(1)
        line.addLayout(words, 1)
        for stat in (self._score, self._verdict, self._label):
            stat.set_least_width(84)
            line.addWidget(stat)
        header.setFixedHeight(52)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(header)
        layout.addWidget(self.canvas, 1)
        layout.addWidget(self.bar)

    def _connect(self) -> None:
        session = self._session
        session.current_changed.connect(self._on_current)
        session.current_result_changed.connect(self._on_result)
        session.threshold_changed.connect(self._on_threshold)
        session.labels_changed.connect(self._tell)
        session.config_changed.connect(self._show_regions)
        session.model_changed.connect(self._show_regions)
        session.shown_changed.connect(self._show_regions)
        session.images_changed.connect(self._on_result)
        self.canvas.region_drawn.connect(self.region_drawn)
        self.bar.mode_changed.connect(self._on_mode)
        self.bar.opacity_changed.connect(self.opacity_chosen)
        self.bar.colour_map_changed.connect(self.colour_map_chosen)

    def use(self, preferences: Preferences) -> None:
        """Look as the user left it."""
        try:
            self.bar.set_mode(OverlayMode(preferences.overlay_mode))
        except ValueError:
            self.bar.set_mode(OverlayMode.HEAT)
        self.bar.set_opacity(preferences.overlay_opacity)
        self.bar.set_colour_map(preferences.colour_map)

    def toggle_overlay(self) -> None:
        """Hide the overlay, or show it again."""
        self._hidden = not self._hidden
        self.canvas.set_overlay_hidden(self._hidden)

    @Slot(object)
    def _on_mode(self, mode: OverlayMode) -> None:
        self.overlay_chosen.emit(str(mode))

    @Slot()
    def _on_current(self) -> None:
        sample = self._session.current_sample()
        if sample is None:
            self._path = None
            self.canvas.set_picture(None)
            self.canvas.set_empty_text(*self._empty_words())
            self.canvas.set_threshold(None)
            self.canvas.set_colour_bar(wanted=False)
        self._tell()

    def _empty_words(self) -> tuple[str, str]:
        if self._session.shown is Collection.REVIEW:
            if self._session.model is None:
                return "No model yet", "Train one, or open a model file, to inspect images."
            if len(self._session.review) > 0:
                return "No image chosen", "The list on the left has what there is to choose from."
            return "Drop images to inspect", "Files or whole folders; results appear while the inspection runs."
        return "No image chosen", "Choose one in the list on the left."

    @Slot(object)
    def show_picture(self, picture: Picture) -> None:
        """Show the current image's picture."""
        self._path = picture.path
        self.canvas.set_picture(picture.pixels)
        self.canvas.set_truth(picture.truth)
        self.bar.set_truth_available(picture.truth is not None)
        self._show_regions()
        self._on_result()

    @Slot(str)
    def show_failure(self, sentence: str) -> None:
        """Say why the current image cannot be shown."""
        self._path = None
        self.canvas.set_picture(None)
        self.canvas.set_empty_text("This image cannot be shown", sentence)
        self._tell()

    @Slot()
    def _on_result(self) -> None:
        self._lay_heat()
        self._on_threshold()

    def _lay_heat(self) -> None:
        session = self._session
        values = session.maps.get(session.current) if session.shown is Collection.REVIEW else None
        placement = session.review.placements.get(session.current)
        sample = session.current_sample()
        self.canvas.set_colour_bar(session.shown is Collection.REVIEW and bool(session.review.placements))
        if values is None or placement is None or sample is None or sample.path != self._path:
            self.canvas.set_heat(None)
            return
        self.canvas.set_heat(values, map_rectangle(placement))

    @Slot()
    def _on_threshold(self) -> None:
        threshold = self._session.threshold
        if threshold is not None and threshold.value > 0:
            self.canvas.set_range(*heat_range(threshold.value))
        has_map = self._session.shown is Collection.REVIEW and self._session.current in self._session.review.placements
        self.canvas.set_threshold(threshold.value if threshold and has_map else None)
        self._tell()

    @Slot()
    def _show_regions(self) -> None:
        session = self._session
        config = session.config
        if session.shown is Collection.REVIEW and session.model is not None:
            config = session.model.config
        self.canvas.set_regions([(region.points, region.ignored) for region in config.preprocessing.regions])

    @Slot()
    def _tell(self) -> None:
        session = self._session
        sample = session.current_sample()
        review = session.shown is Collection.REVIEW and sample is not None
        for stat in (self._verdict, self._label):
            stat.setVisible(review)
        self._score.setVisible(review and session.current not in session.review.messages)
        self._name.set_whole_text(sample.name if sample else "")
        self._note.set_whole_text("")
        if sample is None or not review:
            self._note.set_whole_text("Good part: a model learns from it" if sample else "")
            return
        place = session.current
        score = session.review.scores[place]
        mark = Mark(int(session.review.mark_of(place, session.threshold)))
        self._score.set_value(None if mark in (Mark.WAITING, Mark.FAILED) else float(score), "{:.3f}")
        self._verdict.set_text(*_VERDICT[mark])
        self._label.set_text(*_LABEL[Group(int(session.review.groups[place]))])
        known = "The model learned from it: not counted" if session.review.learned[place] else sample.kind
        self._note.set_whole_text(session.review.messages.get(place, known.replace("_", " ")))
