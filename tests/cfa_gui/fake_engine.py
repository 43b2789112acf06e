"""An engine without torch: it finishes at once, fails, or waits at a gate until told. Brighter images score higher."""

import hashlib
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from cfa_gui.models.engine import Facilities, Inspected, NotInspected
from core.config import Config
from core.dataset import Sample
from core.errors import ImageError, ModelFileError
from core.export.words import Difference, Exported, Parity, Target
from core.images import read_image
from core.line.live.judged import Found, Inspect
from core.placement import place
from core.presets import preset
from core.progress import CancelToken, Phase, Progress, Report, StepRecord
from core.threshold import Threshold, false_alarm_threshold, manual_threshold
from core.trained_model import Calibration, TrainedModel, TrainingSummary

CALIBRATION = tuple(number / 10 for number in range(1, 31))


class Gate:
    """Where the worker waits until it is told to go on."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._open = threading.Event()

    def open(self) -> None:
        """Let everyone through from now on."""
        self._open.set()

    def wait(self, cancel: CancelToken) -> None:
        """Wait; a cancel ends it too."""
        self.reached.set()
        while not self._open.wait(0.005):
            cancel.check()


def fake_model(
    scores: Sequence[float] = CALIBRATION,
    threshold: Threshold | None = None,
    config: Config | None = None,
) -> TrainedModel:
    """A model without a network."""
    names = tuple(f"{number}.png" for number in range(len(scores)))
    return TrainedModel(
        config=config or preset("standard"),
        network=cast("Any", None),
        calibration=Calibration(names, tuple(scores)),
        threshold=threshold,
        summary=TrainingSummary(
            images=40,
            held_out=len(scores),
            skipped=(),
            seconds=61.0,
            device="CPU",
            bank_size=784,
            channels=176,
            level_scale=(1.0,),
        ),
        created="2026-01-01T00:00:00+00:00",
    )


class FakeEngine:
    """Set `gate` to hold a training or an inspection up, `error` to make the next task fail."""

    def __init__(self) -> None:
        self.gate: Gate | None = None
        self.error: Exception | None = None
        self.saved: dict[Path, TrainedModel] = {}
        self.trained: list[tuple[tuple[Sample, ...], Config]] = []
        self.ties: tuple[Difference, ...] = ()
        self.exported: list[tuple[TrainedModel, Target, tuple[Sample, ...]]] = []
        self.calibration: tuple[float, ...] = CALIBRATION

    def warm_up(self) -> Facilities:
        """Nothing to import."""
        return Facilities((("cpu", "CPU, 2 threads"),), (("Python", "3"),))

    def train(
        self, good: Sequence[Sample], config: Config, *, device: str, report: Report, cancel: CancelToken
    ) -> TrainedModel:
        """Report a few steps, then wait at the gate."""
        self._fail()
        self.trained.append((tuple(good), config))
        for number in range(3):
            cancel.check()
            step = StepRecord(number / 3, 9.0 - number, 8.0, 1.0, 0.1 * number, 0.5, 0.0)
            report(Progress(Phase.TRAINING, number / 3, 1, "epochs", step))
        self._wait(cancel)
        first = false_alarm_threshold(self.calibration, 0.05) if len(self.calibration) >= 19 else None
        return fake_model(self.calibration, first, config)

    def load(self, path: Path) -> TrainedModel:
        """A model that was saved here; ModelFileError otherwise."""
        self._fail()
        if path not in self.saved:
            raise ModelFileError(f"{path.name} is not a model of this program. Choose another file.")
        return self.saved[path]

    def save(self, model: TrainedModel, path: Path) -> None:
        """Keep the model and touch the file."""
        self._fail()
        path.write_text("fake")
        self.saved[path] = model

    def identity(self, model: TrainedModel) -> str:
        """Models with the same settings and held-out scores are the same."""
        return hashlib.sha256(repr((model.config, model.calibration)).encode()).hexdigest()

    def inspect_many(
        self, model: TrainedModel, samples: Sequence[Sample], *, device: str, report: Report, cancel: CancelToken
    ) -> Iterator[Inspected | NotInspected]:
        """Score by mean brightness, 0..25.5; waits at the gate before the second image."""
        self._fail()
        for number, sample in enumerate(samples):
            cancel.check()
            if number == 1:
                self._wait(cancel)
            try:
                picture = read_image(sample.path)
            except ImageError as error:
                yield NotInspected(sample, str(error))
                continue
            where = place((picture.shape[0], picture.shape[1]), model.config.preprocessing, 32)
            values = np.zeros(where.crop[2:], np.float32)
            score = float(picture.mean()) / 10
            values[2:6, 3:9] = score
            yield Inspected(sample, score, values, where)
            report(Progress(Phase.INSPECTING, number + 1, len(samples)))

    def open_inspector(self, model: TrainedModel, *, device: str) -> Inspect:
        """Score by mean brightness, 0..25.5."""
        self._fail()

        def inspect(pixels: NDArray[np.uint8]) -> Found:
            where = place((pixels.shape[0], pixels.shape[1]), model.config.preprocessing, 32)
            values = np.zeros(where.crop[2:], np.float32)
            score = float(pixels.mean()) / 10
            values[2:6, 3:9] = score
            return Found(score, values, where)

        return inspect

    def export(
        self,
        model: TrainedModel,
        target: Target,
        samples: Sequence[Sample],
        *,
        device: str,
        report: Report,
        cancel: CancelToken,
    ) -> Exported:
        """Touch a file; waits at the gate first."""
        self._fail()
        report(Progress(Phase.CHECKING, 1, 2))
        self._wait(cancel)
        self.exported.append((model, target, tuple(samples)))
        largest = Difference("a.png", 1.0, 1.0, 2e-7, 0.0)
        parity = Parity(len(samples), 8, (), largest, self.ties, 1e-6, (), (), 41.0, 50.0)
        return Exported(target.folder, ("model.onnx", "run.py", "model.json"), parity)

    def make_sample_parts(self, folder: Path, *, report: Report, cancel: CancelToken) -> Path:
        """A few grey squares in MVTec AD layout."""
        self._fail()
        write_parts(folder)
        return folder

    def _wait(self, cancel: CancelToken) -> None:
        if self.gate is not None:
            self.gate.wait(cancel)

    def _fail(self) -> None:
        if self.error is not None:
            error, self.error = self.error, None
            raise error


def write_picture(path: Path, grey: int, size: tuple[int, int] = (24, 32)) -> Path:
    """A plain grey picture; its score is grey / 10."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), grey, np.uint8)).save(path)
    return path


def write_parts(root: Path, good: int = 12, test_good: int = 4, defects: int = 4) -> Path:
    """A data set in MVTec AD layout: good parts score about 1 to 2.5, defects 15 and more."""
    for number in range(good):
        write_picture(root / "train" / "good" / f"{number:03}.png", 10 + number)
    for number in range(test_good):
        write_picture(root / "test" / "good" / f"{number:03}.png", 12 + 2 * number)
    for number in range(defects):
        write_picture(root / "test" / "scratch" / f"{number:03}.png", 150 + 20 * number)
        mask = write_picture(root / "ground_truth" / "scratch" / f"{number:03}_mask.png", 255)
        assert mask.exists()
    return root


def manual(value: float) -> Threshold:
    """A threshold set by hand."""
    return manual_threshold(value)
