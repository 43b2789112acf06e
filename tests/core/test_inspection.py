import dataclasses
import math
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import core.inspection
from core.config import Config, Region, Resizing, Score
from core.descriptor import Descriptor
from core.errors import CancelledByUser, DatasetError, DeviceError, ImageError, OutOfMemoryError
from core.images import read_image
from core.inspection import Failure, Inspection, Inspector
from core.model import CfaModel
from core.progress import CancelToken, Phase, Progress
from core.samples import Sample
from core.scoring import Scored
from core.trained_model import TrainedModel
from core.training import train
from tests.core.parts import TINY, UNSCALED, WHOLE_64, picture, with_defect, write_parts, write_text_file

LEFT_HALF = Region(((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)))


@pytest.fixture
def inspector(trained: TrainedModel) -> Inspector:
    return Inspector(trained, device="cpu")


def trained_on(parts: Sequence[Sample], config: Config) -> Inspector:
    return Inspector(train(parts, config.with_changes(epochs=0, holdout=0.0), device="cpu"), device="cpu")


@pytest.fixture
def mixed(tmp_path: Path, shared_backbone: None) -> tuple[Inspector, tuple[Sample, ...]]:
    """A model of whole pictures of mixed sizes, some of them padded, and those pictures."""
    samples = write_parts(tmp_path, UNSCALED)
    return trained_on(samples, WHOLE_64), samples


def found(results: Iterator[Inspection | Failure]) -> list[Inspection]:
    inspections = []
    for result in results:
        assert isinstance(result, Inspection)
        inspections.append(result)
    return inspections


# --- a score depends on its image and the model alone -----------------------------------------------------------------


def test_that_the_order_of_the_images_changes_no_score_and_no_map(
    mixed: tuple[Inspector, tuple[Sample, ...]],
) -> None:
    inspector, samples = mixed
    forward = found(inspector.inspect_many(samples))
    backward = found(inspector.inspect_many(samples[::-1]))[::-1]
    repeated = found(inspector.inspect_many(samples[:1] * 3))
    alone = [inspector.inspect(read_image(sample.path)) for sample in samples]
    for one, other, single in zip(forward, backward, alone, strict=True):
        assert one.score == other.score == single.score
        np.testing.assert_array_equal(one.anomaly_map, other.anomaly_map)
        np.testing.assert_array_equal(one.anomaly_map, single.anomaly_map)
    assert {result.score for result in repeated} == {forward[0].score}


def test_that_another_inspector_of_the_same_model_gives_the_same_bits(trained: TrainedModel) -> None:
    one, other = (Inspector(trained, device="cpu").inspect(picture(50)) for _ in range(2))
    assert one.score == other.score


@pytest.mark.parametrize("score", list(Score))
def test_that_the_network_gives_one_image_what_it_gives_many(score: Score, trained: TrainedModel) -> None:
    images = torch.from_numpy(np.stack([picture(seed) for seed in range(5)]))
    with torch.inference_mode():
        together = trained.network(images, score, 3)
        alone = torch.cat([trained.network(image[None], score, 3) for image in images])
    assert together.shape == (5, 8, 8)
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


def test_that_inspecting_changes_nothing_in_the_model(trained: TrainedModel, inspector: Inspector) -> None:
    before = {name: t.clone() for name, t in trained.network.state_dict().items()}
    inspector.inspect(picture(3))
    assert all(torch.equal(before[name], t) for name, t in trained.network.state_dict().items())


def test_that_the_threshold_has_no_part_in_the_score(trained: TrainedModel) -> None:
    bare = Inspector(trained.with_threshold(None), device="cpu").inspect(picture(3))
    assert bare.score == Inspector(trained, device="cpu").inspect(picture(3)).score


# --- what a result is -------------------------------------------------------------------------------------------------


def test_that_the_score_is_the_maximum_of_a_read_only_map_at_the_inputs_size(inspector: Inspector) -> None:
    result = inspector.inspect(picture(20, 48, 80))
    assert result.anomaly_map.shape == (32, 32)
    assert result.anomaly_map.dtype == np.float32
    assert result.score == float(result.anomaly_map.max())
    assert isinstance(result.score, float)
    assert result.source_map().shape == (48, 80)
    with pytest.raises(ValueError, match="read-only"):
        result.anomaly_map[0, 0] = 1


def test_that_a_defect_scores_above_every_good_part_and_is_found_where_it_is(
    parts: tuple[Sample, ...], shared_backbone: None
) -> None:
    inspector = trained_on(parts, TINY.with_changes(smoothing=1.0))
    good = max(inspector.inspect(picture(seed)).score for seed in range(100, 110))
    for top, left in ((2, 20), (20, 2)):
        result = inspector.inspect(with_defect(picture(100), top, left, 8))
        assert result.score > good
        y, x = np.unravel_index(result.anomaly_map.argmax(), result.anomaly_map.shape)
        assert top - 4 <= y <= top + 12
        assert left - 4 <= x <= left + 12


def test_that_a_result_carries_its_sample_or_a_name_of_its_own(inspector: Inspector, parts: tuple[Sample, ...]) -> None:
    assert inspector.inspect(picture(0), parts[3]).sample is parts[3]
    assert inspector.inspect(picture(0)).sample.name == "image"


def test_that_outside_the_crop_nothing_is_claimed(parts: tuple[Sample, ...], shared_backbone: None) -> None:
    config = TINY.with_changes(resizing=Resizing.CROP, image_size=48, crop_size=40)
    inspector = trained_on(parts, config)
    result = inspector.inspect(picture(0, 96, 144))
    assert result.anomaly_map.shape == (40, 40)
    assert result.placement.canvas == (48, 48)
    on_source = result.source_map()
    assert np.isnan(on_source[0]).all()
    assert np.isnan(on_source[:, :30]).all()
    assert np.isfinite(on_source[10:86, 40:104]).all()


# --- padding and regions ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0.0, 1e8, math.nan, math.inf])
def test_that_what_padded_cells_hold_changes_no_score_and_no_map(
    value: float, mixed: tuple[Inspector, tuple[Sample, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    inspector, samples = mixed
    clean = found(inspector.inspect_many(samples))
    forward = CfaModel.forward
    cells = {(16, 20): (14, 19), (20, 16): (19, 14)}

    def spoiled(network: CfaModel, images: Tensor, score: Score, neighbours: int) -> Tensor:
        scores = forward(network, images, score, neighbours).clone()
        rows, columns = cells.get((scores.shape[1], scores.shape[2]), tuple(scores.shape[1:]))
        scores[:, rows:] = value
        scores[:, :, columns:] = value
        return scores

    monkeypatch.setattr(CfaModel, "forward", spoiled)
    for one, other in zip(clean, found(inspector.inspect_many(samples)), strict=True):
        assert one.score == other.score
        np.testing.assert_array_equal(one.anomaly_map, other.anomaly_map)


def test_that_a_defect_outside_the_region_is_not_seen(tmp_path: Path, shared_backbone: None) -> None:
    samples = write_parts(tmp_path, [(64, 64)] * 8)
    inspector = trained_on(samples, TINY.with_changes(regions=(LEFT_HALF,), image_size=64, smoothing=1.0))
    good, spoiled = picture(70, 64, 64), with_defect(picture(70, 64, 64), 0, 56, 8)
    clean, outside = inspector.inspect(good), inspector.inspect(spoiled)
    assert not outside.anomaly_map[:, 32:].any()
    assert outside.score == outside.anomaly_map[:, :32].max()
    assert outside.score == pytest.approx(clean.score, rel=0.05)  # the network sees a little over the border
    inside = inspector.inspect(with_defect(good, 0, 0, 8))
    assert inside.score > 1.2 * clean.score


def test_that_what_patches_outside_the_region_hold_changes_nothing(
    parts: tuple[Sample, ...], shared_backbone: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    inspector = trained_on(parts, TINY.with_changes(regions=(LEFT_HALF,)))
    clean = inspector.inspect(picture(70))
    project = Descriptor.project

    def spoiled(descriptor: Descriptor, pyramid: Sequence[Tensor]) -> Tensor:
        return torch.where(torch.arange(8) < 4, project(descriptor, pyramid), math.inf)

    monkeypatch.setattr(Descriptor, "project", spoiled)
    dirty = inspector.inspect(picture(70))
    assert clean.score == dirty.score
    np.testing.assert_array_equal(clean.anomaly_map, dirty.anomaly_map)


def test_that_regions_that_leave_nothing_are_told_in_a_sentence(trained: TrainedModel) -> None:
    nothing = Region(((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)), ignored=True)
    config = trained.config.with_changes(regions=(nothing,))
    inspector = Inspector(dataclasses.replace(trained, config=config), device="cpu")
    with pytest.raises(DatasetError, match=r"leave nothing to inspect\. Make the region of interest larger\."):
        inspector.inspect(picture(0))


# --- sizes and kinds of pictures --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (3, 2), (31, 33), (700, 500)])
@pytest.mark.parametrize("resizing", [Resizing.WHOLE, Resizing.SQUARE])
def test_that_any_size_can_be_inspected(
    size: tuple[int, int], resizing: Resizing, parts: tuple[Sample, ...], shared_backbone: None
) -> None:
    inspector = trained_on(parts, TINY.with_changes(resizing=resizing))
    result = inspector.inspect(picture(0, *size))
    assert math.isfinite(result.score)
    assert result.score >= 0
    assert result.source_map().shape == size
    assert np.isfinite(result.source_map()).all()


def test_that_a_view_of_an_image_gives_what_its_copy_gives(inspector: Inspector) -> None:
    """Flipped, sliced, in Fortran order and read-only: none is turned down, none changes the score."""
    image = picture(4, 32, 32)
    for view in (image[:, ::-1], image[::-1], np.asfortranarray(image), picture(4, 64, 64)[::2, ::2]):
        frozen = view.view()
        frozen.flags.writeable = False
        assert inspector.inspect(frozen).score == inspector.inspect(np.ascontiguousarray(view)).score


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((3, 8, 8), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        np.zeros((0, 8, 3), np.uint8),
        np.zeros((1, 8, 8, 3), np.uint8),
    ],
    ids=str,
)
def test_that_what_is_no_image_is_refused_by_its_shape_and_type(image: np.ndarray, inspector: Inspector) -> None:
    with pytest.raises(ImageError, match=r"An image is \(H, W, 3\) uint8 RGB; this array is"):
        inspector.inspect(image)


# --- many files -------------------------------------------------------------------------------------------------------


def test_that_a_file_that_cannot_be_read_is_named_and_the_others_are_inspected(
    inspector: Inspector, parts: tuple[Sample, ...], tmp_path: Path
) -> None:
    broken = write_text_file(tmp_path, "broken.png")
    gone = Sample(tmp_path / "gone.png", "gone.png", None, "", None)
    results = list(inspector.inspect_many([parts[0], broken, gone, parts[1]]))
    assert [type(result) for result in results] == [Inspection, Failure, Failure, Inspection]
    for result, sample in zip(results[1:3], (broken, gone), strict=True):
        assert isinstance(result, Failure)
        assert result.sample is sample
        assert str(sample.path) in result.message
        assert result.message.endswith(".")


def test_that_a_picture_too_elongated_for_the_crop_is_a_failure_and_the_others_are_inspected(
    parts: tuple[Sample, ...], shared_backbone: None, tmp_path: Path
) -> None:
    inspector = trained_on(parts, TINY.with_changes(resizing=Resizing.CROP, crop_size=32))
    (strip,) = write_parts(tmp_path, [(1, 400)])
    results = list(inspector.inspect_many([strip, parts[0]]))
    assert [type(result) for result in results] == [Failure, Inspection]


def test_that_results_come_one_by_one_and_progress_counts_them(inspector: Inspector, parts: tuple[Sample, ...]) -> None:
    seen: list[Progress] = []
    results = inspector.inspect_many(parts[:3], report=seen.append)
    assert seen == []
    for count, _ in enumerate(results, start=1):
        assert seen[-1] == Progress(Phase.INSPECTING, count, 3)
    assert len(seen) == 3


def test_that_files_are_scored_at_the_same_time_and_come_in_their_order(
    inspector: Inspector, parts: tuple[Sample, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = [inspector.inspect(read_image(sample.path)).score for sample in parts[:6]]
    seen, two = Inspector._seen, threading.Barrier(2)

    def met(self: Inspector, *look: Any) -> Scored:
        two.wait(timeout=60)
        return seen(self, *look)

    monkeypatch.setattr(core.inspection, "images_at_once", lambda _config, _count: 2)
    monkeypatch.setattr(Inspector, "_seen", met)
    results = found(inspector.inspect_many(parts[:6]))
    assert [result.sample for result in results] == list(parts[:6])
    assert [result.score for result in results] == alone


def test_that_files_are_scored_one_by_one_where_torch_does_the_work(
    inspector: Inspector, parts: tuple[Sample, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, one = Inspector._seen, threading.Lock()

    def undisturbed(self: Inspector, *look: Any) -> Scored:
        assert one.acquire(blocking=False)
        try:
            return seen(self, *look)
        finally:
            one.release()

    inspector.trained.network._fast_searches = {1: None}
    monkeypatch.setattr(core.inspection, "images_at_once", lambda _config, _count: 2)
    monkeypatch.setattr(Inspector, "_seen", undisturbed)
    assert len(found(inspector.inspect_many(parts[:6]))) == 6


def test_that_inspecting_nothing_gives_nothing(inspector: Inspector) -> None:
    assert list(inspector.inspect_many([])) == []


def test_that_inspection_can_be_cancelled_between_images(inspector: Inspector, parts: tuple[Sample, ...]) -> None:
    token = CancelToken()
    results = inspector.inspect_many(parts, cancel=token)
    next(results)
    token.cancel()
    with pytest.raises(CancelledByUser):
        next(results)


def test_that_a_missing_device_is_told(
    trained: TrainedModel, inspector: Inspector, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DeviceError, match="cuda:99"):
        Inspector(trained, device="cuda:99")


def starve(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Let the features need more memory than there is."""

    def hungry(_network: CfaModel, _images: Tensor, _count: int) -> object:
        if kind == "graphics card":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return torch.empty(10**15) if kind == "torch" else np.empty(10**15)

    monkeypatch.setattr(CfaModel, "nearest", hungry)


@pytest.mark.parametrize("kind", ["torch", "numpy", "graphics card"])
def test_that_too_little_memory_is_told_in_a_sentence(
    kind: str, inspector: Inspector, monkeypatch: pytest.MonkeyPatch
) -> None:
    starve(monkeypatch, kind)
    where = kind if kind == "graphics card" else "computer"
    with pytest.raises(OutOfMemoryError, match=f"The {where} has too little free memory.*smaller image size"):
        inspector.inspect(picture(0))


def test_that_any_other_error_of_torch_stays_what_it_is(inspector: Inspector, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug keeps its traceback."""
    monkeypatch.setattr(CfaModel, "nearest", lambda *_: torch.zeros(2) @ torch.zeros(3))
    with pytest.raises(RuntimeError, match="inconsistent tensor size"):
        inspector.inspect(picture(0))
