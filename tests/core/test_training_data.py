import itertools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from core.config import Bank, Region, Resizing
from core.descriptor import Descriptor
from core.errors import DatasetError, DeviceError, OutOfMemoryError
from core.hold_out import hold_out
from core.images import read_image
from core.inspection import Inspector
from core.model import CfaModel
from core.samples import Label, Sample
from core.threshold import FalseAlarmRate
from core.trained_model import Calibration, TrainedModel
from core.training import train
from tests.core.parts import TINY, UNSCALED, WHOLE_64, picture, write_parts, write_text_file
from tests.core.states import same, state

pytestmark = pytest.mark.usefixtures("shared_backbone")
BANKS = pytest.mark.parametrize("bank", list(Bank))
LEFT_HALF = Region(((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)))

TrainedWith = Callable[..., TrainedModel]


# --- hold-out, calibration, threshold ---------------------------------------------------------------------------------


def test_that_calibration_scores_are_those_of_every_later_inspection(
    trained: TrainedModel, parts: tuple[Sample, ...]
) -> None:
    by_name = {sample.name: sample for sample in parts}
    assert len(trained.calibration.names) == trained.summary.held_out == 3
    assert trained.summary.images == 9
    inspector = Inspector(trained, device="cpu")
    for name, score in zip(trained.calibration.names, trained.calibration.scores, strict=True):
        assert inspector.inspect(read_image(by_name[name].path)).score == score


def test_that_held_out_images_take_no_part_in_training(tmp_path: Path) -> None:
    samples = write_parts(tmp_path, [(32, 32)] * 8)
    held_out = hold_out(samples, TINY.training.holdout, TINY.training.seed).held_out
    first = train(samples, TINY, device="cpu")
    for sample in held_out:
        Image.fromarray(255 - picture(99)).save(sample.path)
    second = train(samples, TINY, device="cpu")
    assert all(torch.equal(a, b) for a, b in zip(state(first).values(), state(second).values(), strict=True))
    assert first.calibration.names == second.calibration.names
    assert first.calibration.scores != second.calibration.scores


def test_that_a_new_model_has_a_threshold_from_its_held_out_images(trained: TrainedModel) -> None:
    assert trained.threshold is not None
    assert isinstance(trained.threshold.policy, FalseAlarmRate)
    assert trained.threshold.policy.images == 3
    assert trained.threshold.policy.rate == pytest.approx(0.25)
    assert trained.threshold.value == max(trained.calibration.scores)


def test_that_the_first_threshold_promises_five_per_cent_where_there_are_images_enough() -> None:
    scores = tuple(float(n) for n in range(100))
    threshold = Calibration(tuple(map(str, scores)), scores).first_threshold()
    assert threshold is not None
    assert isinstance(threshold.policy, FalseAlarmRate)
    assert threshold.policy.rate == pytest.approx(0.05)
    assert Calibration().first_threshold() is None


def test_that_parts_shot_several_times_are_held_out_whole_and_counted_as_one(tmp_path: Path) -> None:
    samples = []
    for time, number in itertools.product(range(4), range(12)):
        path = tmp_path / f"{time}-{number:02}.png"
        Image.fromarray(np.clip(picture(number, 64, 64).astype(int) + 8 * time, 0, 255).astype(np.uint8)).save(path)
        samples.append(Sample(path, path.name, Label.GOOD, "good", None))
    trained = train(samples, TINY, device="cpu")
    calibration, policy = trained.calibration, trained.threshold and trained.threshold.policy
    assert len(calibration.scores) == 12
    assert calibration.part_count == 3
    assert {Counter(name[2:] for name in calibration.names)[part] for part in {n[2:] for n in calibration.names}} == {4}
    assert isinstance(policy, FalseAlarmRate)
    assert (policy.images, policy.parts, policy.rate) == (12, 3, 0.25)
    assert "48 good images show about 12 parts. Images of one part were held out together" in trained.summary.notes[0]
    assert (
        "12 held-out good images of 3 parts can promise a false-alarm rate of 25 % at best; 19 parts promise 5 %."
        in (trained.summary.notes[-1])
    )


def test_that_without_hold_out_there_is_no_calibration_and_no_threshold(trained_with: TrainedWith) -> None:
    trained = trained_with(holdout=0.0)
    assert trained.threshold is None
    assert trained.calibration == Calibration()
    assert (trained.summary.images, trained.summary.held_out) == (12, 0)


# --- what cannot be read ----------------------------------------------------------------------------------------------


def test_that_a_corrupt_image_among_many_is_skipped_named_and_counted(
    tmp_path: Path, trained_with: TrainedWith, parts: tuple[Sample, ...]
) -> None:
    broken = write_text_file(tmp_path, "part 99 broken.png")
    trained = train([*parts, broken], TINY.with_changes(holdout=0.0), device="cpu")
    assert [entry.name for entry in trained.summary.skipped] == [broken.name]
    assert str(broken.path) in trained.summary.skipped[0].message
    assert trained.summary.images == 12
    assert same(trained, trained_with(holdout=0.0))


def test_that_corrupt_held_out_images_are_skipped_and_counted(tmp_path: Path) -> None:
    samples = write_parts(tmp_path, [(32, 32)] * 8)
    held_out = hold_out(samples, 0.25, 0).held_out
    held_out[0].path.write_text("no picture")
    one = train(samples, TINY, device="cpu")
    assert [entry.name for entry in one.summary.skipped] == [held_out[0].name]
    assert one.calibration.names == (held_out[1].name,)
    assert (one.summary.images, one.summary.held_out) == (6, 1)
    held_out[1].path.write_text("no picture")
    none = train(samples, TINY, device="cpu")
    assert len(none.summary.skipped) == 2
    assert none.threshold is None


def test_that_a_picture_too_elongated_for_the_crop_is_skipped_and_named(tmp_path: Path) -> None:
    samples = write_parts(tmp_path, [(48, 48)] * 4 + [(1, 400)])
    config = TINY.with_changes(resizing=Resizing.CROP, image_size=48, crop_size=32, holdout=0.0)
    trained = train(samples, config, device="cpu")
    assert [entry.name for entry in trained.summary.skipped] == [samples[-1].name]
    assert "elongated" in trained.summary.skipped[0].message


def test_that_where_no_image_can_be_read_training_is_refused(tmp_path: Path) -> None:
    samples = [write_text_file(tmp_path, f"{n}.png") for n in range(3)]
    with pytest.raises(DatasetError, match=r"None of the 3 training images can be read.*0\.png"):
        train(samples, TINY.with_changes(holdout=0.0), device="cpu")


def test_that_training_on_nothing_is_refused() -> None:
    with pytest.raises(DatasetError, match="no good image to train on"):
        train([], TINY, device="cpu")


def test_that_a_missing_device_is_told(parts: tuple[Sample, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cuda:99", "abacus", "meta"):
        with pytest.raises(DeviceError, match=name):
            train(parts, TINY, device=name)


def starve(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Let the features need more memory than there is."""

    def hungry(_network: CfaModel, _images: Tensor) -> object:
        if kind == "graphics card":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return torch.empty(10**15) if kind == "torch" else np.empty(10**15)

    monkeypatch.setattr(CfaModel, "pyramid", hungry)


@pytest.mark.parametrize("kind", ["torch", "numpy", "graphics card"])
def test_that_too_little_memory_is_told_in_a_sentence(
    kind: str, parts: tuple[Sample, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    starve(monkeypatch, kind)
    where = kind if kind == "graphics card" else "computer"
    with pytest.raises(OutOfMemoryError, match=f"The {where} has too little free memory.*smaller image size"):
        train(parts, TINY, device="cpu")


def test_that_any_other_error_of_torch_stays_what_it_is(
    parts: tuple[Sample, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug keeps its traceback."""
    monkeypatch.setattr(CfaModel, "pyramid", lambda _network, _images: torch.zeros(2) @ torch.zeros(3))
    with pytest.raises(RuntimeError, match="inconsistent tensor size"):
        train(parts, TINY, device="cpu")


# --- sizes, padding, regions ------------------------------------------------------------------------------------------


@BANKS
def test_that_images_of_mixed_sizes_and_aspects_train_and_inspect(bank: Bank, tmp_path: Path) -> None:
    sizes = [*UNSCALED, (20, 300), (300, 20), (5, 7), (1, 1)]
    samples = write_parts(tmp_path, sizes)
    config = WHOLE_64.with_changes(bank=bank, bank_ratio=3, batch_size=3, holdout=0.0, epochs=1, learning_rate=1e-3)
    trained = train(samples, config, device="cpu")
    assert trained.summary.images == len(sizes)
    inspector = Inspector(trained, device="cpu")
    for sample in samples:
        result = inspector.inspect(read_image(sample.path), sample)
        assert math.isfinite(result.score)
        assert result.source_map().shape == read_image(sample.path).shape[:2]


@pytest.fixture
def in_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way runs in torch, where a test may change what it does; compiled it would have been traced before."""
    monkeypatch.setattr(CfaModel, "compile_all", lambda *_: None)


def garbage_in_padding(monkeypatch: pytest.MonkeyPatch, value: float) -> None:
    """Patches of cells without picture hold something else; for the padded sizes of `UNSCALED` at stride 4."""
    project = Descriptor.project
    cells = {(16, 20): (14, 19), (20, 16): (19, 14)}

    def spoiled(descriptor: Descriptor, pyramid: Sequence[Tensor]) -> Tensor:
        phi = project(descriptor, pyramid)
        rows, columns = cells.get((phi.shape[2], phi.shape[3]), tuple(phi.shape[2:]))
        keep = torch.zeros(phi.shape[2:], dtype=torch.bool)
        keep[:rows, :columns] = True
        return torch.where(keep, phi, value)

    monkeypatch.setattr(Descriptor, "project", spoiled)


@BANKS
@pytest.mark.usefixtures("in_torch")
@pytest.mark.parametrize("value", [0.0, 1e8, -3e8])
def test_that_padding_takes_part_in_nothing(
    bank: Bank, value: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = write_parts(tmp_path, UNSCALED * 2)
    config = WHOLE_64.with_changes(bank=bank, bank_ratio=4, epochs=2, learning_rate=1e-3, initial_radius=0.7)
    clean = train(samples, config, device="cpu")
    garbage_in_padding(monkeypatch, value)
    spoiled = train(samples, config, device="cpu")
    assert same(clean, spoiled)
    assert clean.summary.history == spoiled.summary.history
    assert float(clean.network.bank.abs().max()) < 1e3


@pytest.mark.usefixtures("in_torch")
def test_that_patches_outside_the_region_take_no_part_in_bank_and_training(
    trained_with: TrainedWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = trained_with(regions=(LEFT_HALF,))
    assert len(trained.network.bank) == 32  # half of 8 x 8
    assert len(trained_with().network.bank) == 64
    project = Descriptor.project

    def spoiled(descriptor: Descriptor, pyramid: Sequence[Tensor]) -> Tensor:
        phi = project(descriptor, pyramid)
        return torch.where(torch.arange(8) < 4, phi, 1e8)

    monkeypatch.setattr(Descriptor, "project", spoiled)
    assert same(trained, trained_with(regions=(LEFT_HALF,)))


def test_that_an_ignored_region_and_its_complement_of_interest_are_the_same(trained_with: TrainedWith) -> None:
    right = Region(((0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0)), ignored=True)
    assert same(trained_with(regions=(LEFT_HALF,)), trained_with(regions=(right,)))


@pytest.mark.parametrize(
    "regions",
    [
        (Region(((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)), ignored=True),),
        (Region(((0.5, 0.5), (0.51, 0.5), (0.5, 0.51))),),
        (LEFT_HALF, Region(LEFT_HALF.points, ignored=True)),
    ],
    ids=["all ignored", "too small", "interest ignored"],
)
def test_that_regions_that_leave_nothing_are_refused(regions: tuple[Region, ...], trained_with: TrainedWith) -> None:
    with pytest.raises(DatasetError, match="leave nothing to inspect"):
        trained_with(regions=regions)


def test_that_fewer_patches_than_neighbours_are_refused(trained_with: TrainedWith) -> None:
    corner = Region(((0.0, 0.0), (0.25, 0.0), (0.25, 0.25), (0.0, 0.25)))
    assert len(trained_with(regions=(corner,), neighbours=2, hard_negatives=2).network.bank) == 4
    with pytest.raises(DatasetError, match=r"only 4 patches; K \+ J = 5"):
        trained_with(regions=(corner,), neighbours=2, hard_negatives=3)


@pytest.mark.parametrize(("k", "j"), [(1, 0), (1, 1), (5, 2), (2, 5), (3, 0)])
def test_that_any_number_of_neighbours_trains(k: int, j: int, trained_with: TrainedWith) -> None:
    trained = trained_with(neighbours=k, hard_negatives=j, initial_radius=1.5)
    assert math.isfinite(trained.summary.history[-1].loss)
    assert (trained.summary.history[-1].repulsion > 0) == (j > 0)


def test_that_one_image_is_enough_for_a_model_and_the_notes_say_that_it_is_few(parts: tuple[Sample, ...]) -> None:
    trained = train(parts[:1], TINY, device="cpu")
    assert (trained.summary.images, trained.summary.held_out) == (1, 0)
    assert any("1 image" in note for note in trained.summary.notes)


def test_that_the_notes_tell_what_rate_so_few_images_can_promise(trained: TrainedModel) -> None:
    assert any("25.0%" in note or "25 %" in note for note in trained.summary.notes)
