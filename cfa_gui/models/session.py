"""The one holder of truth. Controllers change it, panels read it, and it says what changed. It holds no widget."""

from enum import StrEnum
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from cfa_gui.models.comparison import Comparison, Earlier, compare
from cfa_gui.models.engine import Facilities
from cfa_gui.models.maps import MapStore
from cfa_gui.models.pace import Estimate
from cfa_gui.models.review import Review
from cfa_gui.models.run_state import Allowed, Facts, RunState, allowed, require_transition
from cfa_gui.models.samples import SampleSet
from core.config import Config, Region
from core.dataset import Sample
from core.presets import preset
from core.progress import Progress
from core.review_records import Project, Stored
from core.threshold import Threshold
from core.trained_model import Calibration, TrainedModel


class Collection(StrEnum):
    """Which images the list and the canvas show."""

    SAMPLES = "samples"
    REVIEW = "review"


class Keeping(StrEnum):
    """Whether the review store has all that was done to the review."""

    OFF = "off"
    SAVED = "saved"
    SAVING = "saving"
    FAILED = "failed"
    READ_ONLY = "read-only"


class Session(QObject):
    """What is open, what is going on, and what the threshold is.

    Signals tell what changed and carry no data but where a panel must draw little: it reads the rest here.
    """

    state_changed = Signal()
    """The run state, or what is allowed."""
    progressed = Signal(object, object)
    """Progress and Estimate of the task at work."""
    samples_changed = Signal()
    config_changed = Signal()
    model_changed = Signal()
    """Another model, or where it is saved, or whether it is."""
    images_changed = Signal()
    """The images under review are others, or their results were dropped."""
    results_added = Signal()
    """More scores are there."""
    current_result_changed = Signal()
    """The image on the canvas may have got its score or its map."""
    labels_changed = Signal()
    threshold_changed = Signal()
    shown_changed = Signal()
    """The list shows the other collection."""
    current_changed = Signal()
    selection_changed = Signal()
    facilities_changed = Signal()
    keeping_changed = Signal()
    resumable_changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._state = RunState.IDLE
        self.samples: SampleSet | None = None
        self.config: Config = preset("standard")
        self.model: TrainedModel | None = None
        self.model_path: Path | None = None
        self.model_unsaved = False
        self.review = Review()
        self.maps = MapStore()
        self.threshold: Threshold | None = None
        self.first_threshold: Threshold | None = None
        self.earlier: Earlier | None = None
        self.learned: frozenset[Path] = frozenset()
        self.facilities: Facilities | None = None
        self.keeping = Keeping.OFF
        self.resumable: Project | None = None
        self.shown = Collection.SAMPLES
        self.current = -1
        self.selection: tuple[int, ...] = ()

    @property
    def calibration(self) -> Calibration:
        """The good images that were held out from the model; empty where there is no model."""
        return self.model.calibration if self.model else Calibration()

    @property
    def state(self) -> RunState:
        """The long task of the moment."""
        return self._state

    def enter(self, state: RunState) -> None:
        """Change the run state.

        Raises:
            ImpossibleTransitionError: It cannot follow the present one.
        """
        require_transition(self._state, state)
        self._state = state
        self.state_changed.emit()

    def allowed(self) -> Allowed:
        """What may be pressed now."""
        review = self.shown is Collection.REVIEW
        return allowed(
            Facts(
                state=self._state,
                samples=len(self.samples.good) if self.samples else 0,
                has_model=self.model is not None,
                images=len(self.review),
                scored=int(self.review.scored.sum()),
                held_out=len(self.calibration.scores),
                selected=len(self.selection) if review else 0,
                can_undo=self.review.can_undo,
                read_only=self.keeping is Keeping.READ_ONLY,
            )
        )

    def report(self, progress: Progress, estimate: Estimate) -> None:
        """Tell how far the task is."""
        self.progressed.emit(progress, estimate)

    def set_facilities(self, facilities: Facilities) -> None:
        """The engine is there."""
        self.facilities = facilities
        self.facilities_changed.emit()

    def set_keeping(self, keeping: Keeping) -> None:
        """How it stands with the review store."""
        if keeping is not self.keeping:
            before, self.keeping = self.keeping, keeping
            self.keeping_changed.emit()
            if Keeping.READ_ONLY in (before, keeping):
                self.state_changed.emit()

    def set_resumable(self, project: Project | None) -> None:
        """The review that can be gone on with."""
        self.resumable = project
        self.resumable_changed.emit()

    def restore_images(self, stored: Stored) -> None:
        """The images of a review that was kept, with their labels and results; the model is there already."""
        self.clear_images()
        self.review.add(stored.samples)
        self.review.note_good_folders(stored.good_by_folder)
        for place, sample in enumerate(stored.samples):
            result = stored.scores.get(sample.path)
            if result is not None and result.score is not None:
                self.review.restore(place, result.score)
            elif result is not None and result.message is not None:
                self.review.record_failure(place, result.message)
        self.images_changed.emit()
        self.results_added.emit()
        self.state_changed.emit()

    def set_samples(self, samples: SampleSet | None) -> None:
        """Other good parts, or the same with some taken out."""
        self.samples = samples
        self.samples_changed.emit()
        self.state_changed.emit()

    def set_config(self, config: Config) -> None:
        """Other settings for the next training."""
        if config != self.config:
            self.config = config
            self.config_changed.emit()

    def set_regions(self, regions: tuple[Region, ...]) -> None:
        """Other regions of interest for the next training."""
        self.set_config(self.config.with_changes(regions=regions))

    def set_model(self, model: TrainedModel, path: Path | None) -> None:
        """Another model: results of the old one are dropped, labels stay.

        Args:
            model: The model, with its threshold.
            path: Where it is stored; None: nowhere yet.
        """
        self.model = model
        self.model_path = path
        self.model_unsaved = path is None
        self.first_threshold = self.threshold = model.threshold
        self.earlier = None
        self.learned = frozenset()
        self.review.set_learned(self.learned)
        self.review.set_calibration(model.calibration)
        self.review.forget_results()
        self.maps.clear()
        self.model_changed.emit()
        self.images_changed.emit()
        self.threshold_changed.emit()
        self.state_changed.emit()

    def note_training(self, learned: frozenset[Path], earlier: Earlier | None) -> None:
        """Where the model that was just set comes from.

        Args:
            learned: The images that it was trained from, held-out ones included.
            earlier: What the model before said, to compare with.
        """
        self.learned, self.earlier = learned, earlier
        self.review.set_learned(learned)
        self.labels_changed.emit()

    def comparison(self) -> Comparison | None:
        """Before and after the latest training, on the same images; None where there is nothing to compare."""
        if self.earlier is None or self.threshold is None or self._state is not RunState.IDLE:
            return None
        return compare(self.earlier, self.review, self.threshold, self.learned)

    def note_saved(self, model: TrainedModel, path: Path) -> None:
        """The model was written; changes made since then count as unsaved."""
        self.model = model
        self.model_path = path
        self.model_unsaved = self.threshold != model.threshold
        self.model_changed.emit()

    def set_threshold(self, threshold: Threshold) -> None:
        """The one threshold of the program."""
        if threshold == self.threshold:
            return
        self.threshold = threshold
        if not self.model_unsaved:
            self.model_unsaved = True
            self.model_changed.emit()
        self.threshold_changed.emit()

    def set_first_threshold(self, threshold: Threshold) -> None:
        """The threshold a model without one starts with; "reset" comes back to it."""
        self.first_threshold = self.threshold = threshold
        self.threshold_changed.emit()

    def add_images(self, samples: tuple[Sample, ...]) -> tuple[int, ...]:
        """More images to review; returns their positions."""
        places = tuple(int(place) for place in self.review.add(samples))
        self.images_changed.emit()
        self.state_changed.emit()
        return places

    def clear_images(self) -> None:
        """An empty review."""
        self.review = Review()
        self.review.set_learned(self.learned)
        self.review.set_calibration(self.calibration)
        self.earlier = None
        self.maps.clear()
        if self.shown is Collection.REVIEW:
            self.select((), -1)
        self.images_changed.emit()
        self.state_changed.emit()

    def show(self, collection: Collection) -> None:
        """Show the good parts or the images under review."""
        if collection is not self.shown:
            self.shown = collection
            self.selection = ()
            self.current = -1
            self.shown_changed.emit()
            self.current_changed.emit()
            self.selection_changed.emit()
            self.state_changed.emit()

    def select(self, selection: tuple[int, ...], current: int) -> None:
        """Other images selected, and the one that the canvas shows; positions in the shown collection."""
        if selection != self.selection:
            self.selection = selection
            self.selection_changed.emit()
            self.state_changed.emit()
        if current != self.current:
            self.current = current
            self.current_changed.emit()

    def reselect(self, selection: tuple[int, ...], current: int) -> None:
        """As `select`, but announced even where the positions are the same: they hold other images now."""
        self.selection, self.current = selection, current
        self.selection_changed.emit()
        self.current_changed.emit()
        self.state_changed.emit()

    def current_sample(self) -> Sample | None:
        """The image on the canvas."""
        images = self.review.samples if self.shown is Collection.REVIEW else (self.samples.good if self.samples else ())
        return images[self.current] if 0 <= self.current < len(images) else None
