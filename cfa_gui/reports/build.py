"""From results to a report: which images to show, and the words for everything. Runs on a worker thread."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from cfa_gui.models.engine import Facilities
from cfa_gui.models.exports import MapOf
from cfa_gui.models.results import ImageResult, Results
from cfa_gui.models.review import Known
from cfa_gui.reports import figures
from cfa_gui.reports.exhibits import exhibit, number_words
from cfa_gui.reports.report import HELD_OUT, Fact, Gallery, Rate, Report, ThresholdWords, Tile, moment_words
from cfa_gui.widgets.histogram_bars import DEFECT, GOOD, MARK_OF, ORDER, UNLABELLED
from core.config import Config
from core.config_words import bank, origin, picture, score, variation
from core.counting import counted
from core.dataset import Label
from core.images import shown
from core.metrics import Confusion, SortedScores, image_auroc
from core.progress import CancelToken, Phase, Progress
from core.progress import Report as Tell
from core.threshold import BestF1, FalseAlarmRate, Threshold, Verdict, percent
from core.trained_model import Calibration, TrainedModel
from core.version import VERSION

MOST_WORST = 12
MOST_WRONG = 6
MOST_FAILURES = 20
_GROUP_OF = {None: UNLABELLED, Label.GOOD: GOOD, Label.DEFECT: DEFECT}
_LABELS = "Labels come from the folders that the images were in, or from the person who reviewed them."
_ORIGINS = {"paper": "the paper’s settings", "ours": "as it comes with the program", "custom": "own settings"}


@dataclass(frozen=True, slots=True)
class Subject:
    """What a report is about.

    Attributes:
        results: Images, scores and threshold; at least one image has a score.
        model: The model.
        name: What the model is called.
        facilities: Versions and devices; None where they are not known.
        device: The one that was asked for ("auto", "cpu", "cuda:0").
        made: When.
    """

    results: Results
    model: TrainedModel
    name: str
    facilities: Facilities | None
    device: str
    made: datetime


def build_report(subject: Subject, map_of: MapOf, report: Tell, cancel: CancelToken) -> Report:
    """Gather all that a report says.

    Args:
        subject: See there.
        map_of: Gives the anomaly maps.
        report: Told after each image shown.
        cancel: Checked before each image shown.

    Raises:
        CancelledByUser: The token was set.
    """
    results = subject.results
    scored = results.scored
    scores = np.array([image.score for image in scored], np.float64)
    groups = np.array([_GROUP_OF[image.label] for image in scored], np.int8)
    calibration = subject.model.calibration
    line, lower, known = results.threshold, results.threshold.lower, results.known
    confusion = SortedScores(known.scores, known.defect).confusion_at(line.value) if len(known.scores) else None
    failures = results.failures
    return Report(
        title="Inspection report",
        model=shown(subject.name),
        made=subject.made,
        tiles=_tiles(results),
        threshold=_threshold(line, calibration, measured=confusion is not None),
        histogram=figures.histogram(scores, groups, line.value, lower, number_words(line.value), calibration.scores),
        histogram_groups=tuple(_histogram_groups(groups, len(calibration.scores))),
        matrix=confusion,
        good_words="known good" if known.held_out else "labelled good",
        label_words=" ".join(_label_words(results)),
        rates=tuple(_rates(confusion, known)) if confusion else (),
        galleries=_galleries(results, map_of, report, cancel),
        heat_scale=figures.heat_scale(),
        failures=tuple(Fact(shown(i.sample.name), shown(i.message)) for i in failures[:MOST_FAILURES]),
        more_failures=max(0, len(failures) - MOST_FAILURES),
        settings=_settings(subject.model, results),
        versions=_versions(subject),
    )


def _tiles(results: Results) -> tuple[Tile, ...]:
    scored = results.scored
    counts = {verdict: sum(image.verdict is verdict for image in scored) for verdict in Verdict}
    waiting = len(results.images) - len(scored) - len(results.failures)

    def share(count: int) -> str:
        return f"{100 * count / len(scored):.1f} %"

    tiles = [
        Tile(len(scored), "image inspected" if len(scored) == 1 else "images inspected"),
        Tile(counts[Verdict.DEFECT], "flagged as defect", share(counts[Verdict.DEFECT]), "defect"),
        Tile(counts[Verdict.GOOD], "passed as good", share(counts[Verdict.GOOD]), "good"),
    ]
    if results.threshold.lower is not None:
        tiles.insert(2, Tile(counts[Verdict.UNCERTAIN], "uncertain", share(counts[Verdict.UNCERTAIN]), "uncertain"))
    if results.failures:
        tiles.append(Tile(len(results.failures), "could not be read"))
    if waiting:
        tiles.append(Tile(waiting, "not inspected yet"))
    return tuple(tiles)


def _histogram_groups(groups: NDArray[np.int8], held_out: int) -> Iterator[tuple[str, int]]:
    for group in ORDER:
        if count := int((groups == group).sum()):
            yield MARK_OF[group], count
    if held_out:
        yield HELD_OUT, held_out


def _threshold(threshold: Threshold, calibration: Calibration, *, measured: bool) -> ThresholdWords:
    caution = ""
    match threshold.policy:
        case FalseAlarmRate():
            caution = "This holds for parts made and photographed like the good ones that the model learned from."
        case BestF1():
            if measured:
                caution = (
                    "If the rates below are taken on the same images that the threshold was chosen from, they are "
                    "somewhat better than what new parts will give."
                )
        case _:
            caution = "No false-alarm rate is promised by it."
    lower = "" if threshold.lower is None else number_words(threshold.lower)
    return ThresholdWords(number_words(threshold.value), lower, calibration.sentence(threshold), caution)


def _label_words(results: Results) -> Iterator[str]:
    yield _LABELS
    if count := results.known.held_out:
        yield f"Known to be good are also {counted(count, 'image')} held out from the training."
    if any(image.learned and image.label is not None for image in results.scored):
        yield "Images that the model has learned from do not count."
    if results.threshold.lower is not None:
        yield "An uncertain part counts as passed."


def _rates(counts: Confusion, known: Known) -> Iterator[Rate]:
    good, defects = counts.true_good + counts.false_alarm, counts.missed + counts.true_defect
    flagged = counts.true_defect + counts.false_alarm
    yield Rate("Defects found", "recall", _share(counts.recall), f"{counts.true_defect:,} of {defects:,} defects")
    yield Rate("Defects missed", "miss rate", _share(counts.miss_rate), f"{counts.missed:,} of {defects:,} defects")
    of_good = f"{counts.false_alarm:,} of {good:,} good parts"
    yield Rate("False alarms", "false-alarm rate", _share(counts.false_alarm_rate), of_good)
    of_flagged = f"{counts.true_defect:,} of {flagged:,} flagged"
    yield Rate("Rightly flagged", "precision", _share(counts.precision), of_flagged)
    yield Rate("Balance of the two", "F1", _plain(counts.f1), "1 is best")
    if good and defects:
        yield Rate("Separation", "image AUROC", _plain(image_auroc(known.scores, known.defect)), "1 is best")


def _share(rate: float | None) -> str:
    return "–" if rate is None else f"{100 * rate:.1f} %"


def _plain(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _galleries(results: Results, map_of: MapOf, report: Tell, cancel: CancelToken) -> tuple[Gallery, ...]:
    chosen = _choose(results)
    total = sum(len(images) for _, _, images in chosen)
    done = 0
    galleries = []
    for title, words, images in chosen:
        exhibits = []
        for image in images:
            cancel.check()
            report(Progress(Phase.SAVING, done, total))
            exhibits.append(exhibit(image, results.threshold.value, map_of))
            done += 1
        galleries.append(Gallery(title, words, tuple(exhibits)))
    report(Progress(Phase.SAVING, total, total))
    return tuple(galleries)


def _choose(results: Results) -> list[tuple[str, str, Sequence[ImageResult]]]:
    """Titles, words and images: the highest scores, then what else was judged wrongly by the labels."""
    ranked = sorted(results.scored, key=lambda image: -(image.score or 0.0))
    worst, rest = ranked[:MOST_WORST], ranked[MOST_WORST:]
    missed = [i for i in reversed(rest) if i.label is Label.DEFECT and i.verdict is not Verdict.DEFECT]
    alarms = [i for i in rest if i.label is Label.GOOD and i.verdict is Verdict.DEFECT]
    flagged = len(results.flagged)
    words = (
        "No image is flagged. These have the highest scores."
        if flagged == 0
        else f"{_of(len(worst), len(ranked))}, the strangest first. {flagged:,} in all are flagged."
    )
    chosen: list[tuple[str, str, Sequence[ImageResult]]] = [("The highest scores", words, worst)]
    if missed:
        said = (
            f"{_of(min(MOST_WRONG, len(missed)), len(missed))} labelled defect and not flagged, the lowest score first."
        )
        chosen.append(("Missed defects", said, missed[:MOST_WRONG]))
    if alarms:
        said = f"{_of(min(MOST_WRONG, len(alarms)), len(alarms))} labelled good and flagged, not shown above."
        chosen.append(("More false alarms", said, alarms[:MOST_WRONG]))
    return chosen


def _of(some: int, all_of: int) -> str:
    return f"{some} of {all_of:,} images" if some < all_of else counted(some, "image")


def _settings(model: TrainedModel, results: Results) -> tuple[Fact, ...]:
    config, summary, calibration = model.config, model.summary, model.calibration
    held_out = "none"
    if calibration.scores:
        best = percent(calibration.smallest_rate())
        held_out = f"{calibration.in_words('good image')}; they can promise a false-alarm rate of {best} at best"
    epochs = counted(config.training.epochs, "epoch")
    regions = config.preprocessing.regions
    ignored = sum(region.ignored for region in regions)
    inside = len(regions) - ignored
    parts = [
        counted(inside, "region of interest", "regions of interest") if inside else "",
        counted(ignored, "ignored area") if ignored else "",
    ]
    found = dict.fromkeys(image.sample.path.parent.name for image in results.images)
    folders = [shown(name) for name in list(found)[:6]] + (["…"] if len(found) > 6 else [])
    return (
        Fact("Images", f"{len(results.images):,}, from {', '.join(folders)}"),
        Fact("Preset", f"{config.preset.capitalize()} ({_ORIGINS[origin(config)]})"),
        Fact("Backbone", _backbone(config)),
        Fact("Image size", picture(config)),
        Fact("Inspected area", " and ".join(part for part in parts if part) or "the whole picture"),
        Fact("Memory bank", f"{bank(config)}; {summary.bank_size:,} centres of {summary.channels:,} channels"),
        Fact("Patch score", score(config)),
        Fact("Trained on", f"{summary.images:,} good images, {epochs}, seed {config.training.seed}"),
        Fact("What may vary", variation(config) or "only what the good images show"),
        Fact("Held out", held_out),
        Fact("Model made", f"{_moment(model.created)}, on {summary.device}"),
    )


def _backbone(config: Config) -> str:
    return "EfficientNet-Lite0 (built in)" if config.backbone == "lite0" else config.backbone


def _moment(iso: str) -> str:
    try:
        moment = datetime.fromisoformat(iso)
    except ValueError:
        return shown(iso)
    return moment_words(moment)


def _versions(subject: Subject) -> tuple[Fact, ...]:
    facilities = subject.facilities
    versions = [("cfa-gui", VERSION), *(facilities.versions if facilities else ())]
    facts = [Fact("Versions", ", ".join(f"{name} {version}" for name, version in versions))]
    devices = dict(facilities.devices) if facilities else {}
    preferred = "cuda:0" if subject.device in ("auto", "cuda") and "cuda:0" in devices else subject.device
    words = devices.get("cpu" if preferred == "auto" else preferred)
    return (*facts, Fact("Device", words)) if words else tuple(facts)
