"""The batched path beside the one that a CPU takes: the same scores, for any model, size and batch."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from core.backbone import random_backbone
from core.config import Config, Region, Score
from core.cuda import scoring
from core.cuda.ensemble import EnsembleScorer
from core.cuda.maps import MapMaker
from core.cuda.scoring import BatchScorer
from core.errors import ImageError, OutOfMemoryError
from core.images import read_image
from core.inspection import Failure, Inspection, Inspector
from core.model import CfaModel
from core.progress import Phase, Progress
from core.samples import Sample
from core.trained_model import Calibration, Companion, TrainedModel, TrainingSummary
from tests.core.cuda.devices import DEVICES, PlayedBack, needs_cuda
from tests.core.parts import TINY, UNSCALED, WHOLE_64, picture, with_defect, write_parts, write_text_file

RIGHT = Region(((0.4, 0.1), (1.0, 0.0), (1.0, 0.9), (0.5, 1.0)))
HOLE = Region(((0.6, 0.3), (0.8, 0.3), (0.7, 0.6)), ignored=True)


@cache
def model(config: Config, size: int = 64, centres: int = 150, axes: int = 3) -> TrainedModel:
    """Random weights; a bank among the descriptors of a picture, radii below the distances. Do not change it."""
    torch.manual_seed(0)
    method = config.method
    network = CfaModel(random_backbone(config.backbone), descriptor_ratio=method.descriptor_ratio, initial_radius=0.65)
    for module in network.backbone.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.1, 0.1)  # type: ignore[arg-type]
            torch.nn.init.uniform_(module.weight, 0.8, 1.2)
    with torch.no_grad():
        phi = network.eval().describe_images(torch.from_numpy(picture(1, size, size))[None]).flatten(0, 2)
        network.level_scale.copy_(torch.rand(3) / phi.std())
        phi = network.describe_images(torch.from_numpy(picture(1, size, size))[None]).flatten(0, 2)
        network.set_bank(phi[torch.arange(centres) % len(phi)] + 0.3 * torch.randn(centres, phi.shape[1]))
        basis = torch.linalg.qr(torch.randn(phi.shape[1], 8)).Q.T.contiguous()
        own = torch.linalg.qr(torch.randn(centres, 8, axes)).Q
        radii = torch.rand(centres) * network.nearest(torch.zeros(1, 64, 64, 3).byte(), 1)[0].min()
        found = (own * torch.linspace(0.3, 0.9, axes)).transpose(1, 2).contiguous()
        network.set_shapes(found, basis, radii)
    network.requires_grad_(requires_grad=False)
    return TrainedModel(config, network, Calibration(), None, TrainingSummary(1, 0, (), 0.0, "", centres, 1, ()), "")


def two_scales(config: Config) -> TrainedModel:
    """An ensemble of two such networks, which share their backbone."""
    first = model(config)
    second = CfaModel(first.network.backbone, descriptor_ratio=1, initial_radius=0.65).eval()
    second.bank, second.level_scale = first.network.bank.flip(0) + 0.1, 1.1 * first.network.level_scale
    second.set_shapes(first.network.centre_axes, first.network.axis_basis, first.network.centre_radii)
    second.descriptor.load_state_dict(first.network.descriptor.state_dict())
    second.requires_grad_(requires_grad=False)
    return replace(first, companion=Companion(second, (0.7, 1.6)))


def on(device: str, trained: TrainedModel) -> Inspector:
    """An inspector that takes the batched path, on whichever device."""
    inspector = Inspector(trained, device=device)
    if device == "cpu":
        inspector._scorer = EnsembleScorer(trained, torch.device("cpu"))
    return inspector


def recording(trained: TrainedModel) -> Inspector:
    """As `on` a CPU, but recording as on a device."""
    inspector = on("cpu", trained)
    assert inspector._scorer is not None
    for scorer in inspector._scorer.members:
        scorer._records = True
    return inspector


def plainly(trained: TrainedModel, images: Sequence[np.ndarray]) -> list[Inspection]:
    inspector = Inspector(trained, device="cpu")
    return [inspector.inspect(image) for image in images]


def close(found: Sequence[Inspection], right: Sequence[Inspection], rtol: float = 1e-4) -> None:
    for one, other in zip(found, right, strict=True):
        assert one.score == pytest.approx(other.score, rel=rtol)
        assert one.placement == other.placement
        np.testing.assert_allclose(one.anomaly_map, other.anomaly_map, rtol=rtol, atol=rtol * other.score)
        assert one.score == one.anomaly_map.max()
        assert not one.anomaly_map.flags.writeable


@pytest.mark.parametrize("device", DEVICES)
def test_that_images_of_several_sizes_inspected_together_keep_their_order(device: str) -> None:
    trained = model(WHOLE_64.with_changes(score=Score.TANGENT))
    images = [picture(seed, *size) for seed, size in enumerate([(64, 64), (56, 73), (64, 64), (56, 73), (64, 64)])]
    inspector = on(device, trained)
    assert inspector.in_batches
    close(inspector.inspect_together(images), plainly(trained, images))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("regions", [(), (RIGHT, HOLE)])
def test_that_an_ensemble_of_two_scales_scores_as_on_the_cpu(device: str, regions: tuple[Region, ...]) -> None:
    config = WHOLE_64.with_changes(score=Score.TANGENT, second_scale=1.5, regions=regions)
    trained = two_scales(config)
    sizes = [*UNSCALED, (64, 64), (64, 64), (64, 64), (90, 40)]
    images = [with_defect(picture(seed, *size), 20, 12, 9) for seed, size in enumerate(sizes)]
    inspector, right = on(device, trained), plainly(trained, images)
    close(list(inspector.inspect_images(images)), right)
    close(inspector.inspect_together(images), right)
    close([inspector.inspect(image) for image in images], right)


@pytest.mark.parametrize("device", DEVICES)
def test_that_a_member_that_runs_out_of_memory_halves_its_batches_and_no_image_is_mixed_up(
    device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = two_scales(WHOLE_64.with_changes(score=Score.TANGENT, second_scale=1.5))
    images = [with_defect(picture(seed, 64, 64), 20, 12, 4 + seed) for seed in range(9)]
    right, inspector, compute = plainly(trained, images), on(device, trained), BatchScorer._compute

    def hungry(scorer: BatchScorer, pixels: torch.Tensor, maker: MapMaker) -> tuple[torch.Tensor, torch.Tensor]:
        if pixels.shape[1] > 64 and len(pixels) > 2:  # the second member's pictures alone
            raise torch.OutOfMemoryError("CUDA out of memory")
        return compute(scorer, pixels, maker)

    monkeypatch.setattr(BatchScorer, "_compute", hungry)
    close(inspector.inspect_together(images), right)
    close(list(inspector.inspect_images(images)), right)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("score", list(Score))
@pytest.mark.parametrize(
    ("backbone", "ratio", "axes"),
    [("lite0", 1, 5), ("lite0", 4, 0), ("resnet18", 2, 3), pytest.param("wide_resnet50_2", 1, 16, marks=needs_cuda)],
)
def test_that_scores_are_those_of_the_cpu(device: str, score: Score, backbone: str, ratio: int, axes: int) -> None:
    config = TINY.with_changes(backbone=backbone, descriptor_ratio=ratio, score=score, image_size=64)
    trained = model(config, axes=axes)
    images = [with_defect(picture(seed, 64, 64), 8 * seed, 20, 12) for seed in range(4)]
    inspector = on(device, trained)
    close([inspector.inspect(image) for image in images], plainly(trained, images))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("regions", [(), (RIGHT, HOLE)])
def test_that_sizes_that_need_padding_and_regions_give_what_the_cpu_gives(
    device: str, regions: tuple[Region, ...]
) -> None:
    trained = model(WHOLE_64.with_changes(regions=regions))
    images = [picture(index, *size) for index, size in enumerate((*UNSCALED, *UNSCALED, (64, 64)))]
    inspector = on(device, trained)
    close([inspector.inspect(image) for image in images], plainly(trained, images))
    close(list(inspector.inspect_images(images)), plainly(trained, images))


@pytest.mark.parametrize("device", DEVICES)
def test_that_many_images_give_what_one_gives(device: str) -> None:
    trained = model(TINY.with_changes(image_size=64, score=Score.EXCESS))
    images = [picture(seed, 64, 64) for seed in range(11)]
    inspector = on(device, trained)
    together = list(inspector.inspect_images(images))
    close(together, [inspector.inspect(image) for image in images], rtol=2e-5)
    again = list(inspector.inspect_images(images))
    assert [result.score for result in together] == [result.score for result in again]


@pytest.mark.parametrize("device", DEVICES)
def test_that_a_score_does_not_depend_on_what_else_is_in_the_batch(device: str) -> None:
    trained = model(TINY.with_changes(image_size=64))
    images = [picture(seed, 64, 64) for seed in range(7)]
    others = [*(with_defect(image, 0, 0, 30) for image in images[:6]), images[6]]
    inspector = on(device, trained)
    assert list(inspector.inspect_images(images))[6].score == list(inspector.inspect_images(others))[6].score


@pytest.mark.parametrize("device", DEVICES)
def test_that_too_little_memory_halves_the_batch_and_goes_on(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = model(TINY.with_changes(image_size=64))
    images = [picture(seed, 64, 64) for seed in range(13)]
    right = [result.score for result in on(device, trained).inspect_images(images)]
    tried: list[int] = []
    compute = BatchScorer._compute

    def hungry(scorer: BatchScorer, pixels: torch.Tensor, maker: MapMaker) -> tuple[torch.Tensor, torch.Tensor]:
        tried.append(len(pixels))
        if len(pixels) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return compute(scorer, pixels, maker)

    monkeypatch.setattr(BatchScorer, "_compute", hungry)
    inspector = on(device, trained)
    found = [result.score for result in inspector.inspect_images(images)]
    assert found == pytest.approx(right, rel=2e-5)
    assert max(tried) == 4
    assert tried.count(4) == 1  # it has learned
    tried.clear()
    list(inspector.inspect_images(images))
    assert max(tried) == 2


@pytest.mark.parametrize("device", DEVICES)
def test_that_too_little_memory_for_one_image_is_told(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def hungry(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    inspector = on(device, model(TINY))
    monkeypatch.setattr(BatchScorer, "_compute", hungry)
    with pytest.raises(OutOfMemoryError, match="too little free memory"):
        inspector.inspect(picture(0))
    with pytest.raises(OutOfMemoryError, match="too little free memory"):
        list(inspector.inspect_images([picture(0)]))


def test_that_axes_count() -> None:
    """Else the tests beside would see nothing of them."""
    config = TINY.with_changes(score=Score.TANGENT, image_size=64)
    with_axes, without = (on("cpu", model(config, axes=axes)).inspect(picture(2, 64, 64)).score for axes in (3, 0))
    assert with_axes < 0.999 * without


@pytest.mark.parametrize("score", [Score.TANGENT, Score.CERTAINTY])
def test_that_single_images_that_are_played_back_score_as_they_come(
    score: Score, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two sizes in turn: the results of one must not lie where the other writes."""
    trained = model(WHOLE_64.with_changes(score=score))
    monkeypatch.setattr(scoring, "Recording", PlayedBack)
    monkeypatch.setattr(PlayedBack, "made", 0)
    inspector = recording(trained)
    images = [picture(seed, *UNSCALED[seed % 2]) for seed in range(8)]
    close([inspector.inspect(image) for image in images], plainly(trained, images))
    assert PlayedBack.made == 2


def test_that_without_memory_for_a_recording_nothing_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def refused(*arguments: object) -> None:
        asked.append(arguments)
        raise torch.OutOfMemoryError("CUDA out of memory")

    trained = model(TINY.with_changes(image_size=64))
    monkeypatch.setattr(scoring, "Recording", refused)
    inspector = recording(trained)
    images = [picture(seed, 64, 64) for seed in range(4)]
    close([inspector.inspect(image) for image in images], plainly(trained, images))
    assert len(asked) == 1


def test_that_recordings_are_given_up_before_the_batch_is_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    trained = model(TINY.with_changes(image_size=64))
    monkeypatch.setattr(scoring, "Recording", PlayedBack)
    inspector = recording(trained)
    assert inspector._scorer is not None
    (scorer,) = inspector._scorer.members
    images = [picture(seed, 64, 64) for seed in range(7)]
    right = [inspector.inspect(image).score for image in images]
    tried: list[int] = []
    compute = BatchScorer._compute

    def hungry(scorer: BatchScorer, pixels: torch.Tensor, maker: MapMaker) -> tuple[torch.Tensor, torch.Tensor]:
        tried.append(len(pixels))
        if scorer._recordings():
            raise torch.OutOfMemoryError("CUDA out of memory")
        return compute(scorer, pixels, maker)

    monkeypatch.setattr(BatchScorer, "_compute", hungry)
    most = scorer._most
    assert [result.score for result in inspector.inspect_images(images)] == pytest.approx(right, rel=2e-5)
    assert tried == [1, 1, 2, 4]
    assert not scorer._recordings()
    assert scorer._most == most


@pytest.mark.parametrize("device", DEVICES)
def test_that_files_of_mixed_sizes_come_in_order_and_broken_ones_are_named(device: str, tmp_path: Path) -> None:
    trained = model(WHOLE_64)
    samples: list[Sample] = list(write_parts(tmp_path, [*UNSCALED, *[(64, 64)] * 6, *UNSCALED[:2]]))
    for place in (0, 3, 8, len(samples) + 3):
        samples.insert(place, write_text_file(tmp_path, f"broken {place}.png"))
    seen: list[Progress] = []
    results = list(on(device, trained).inspect_many(samples, report=seen.append))
    assert [result.sample for result in results] == samples
    assert [isinstance(result, Failure) for result in results] == ["broken" in sample.name for sample in samples]
    good = [result for result in results if isinstance(result, Inspection)]
    close(good, plainly(trained, [read_image(result.sample.path) for result in good]))
    assert seen == [Progress(Phase.INSPECTING, done, len(samples)) for done in range(1, len(samples) + 1)]


def test_that_only_as_many_sizes_are_kept_ready_as_fit() -> None:
    trained = model(WHOLE_64)
    inspector = on("cpu", trained)
    assert inspector._scorer is not None
    (scorer,) = inspector._scorer.members
    for width in range(40, 80):
        inspector.inspect(picture(width, 50, width))
    assert len(scorer._ready) == scoring._SIZES


def test_that_many_images_on_a_cpu_give_what_one_gives() -> None:
    trained = model(TINY.with_changes(image_size=64))
    images = [picture(seed, 64, 64) for seed in range(3)]
    close(list(Inspector(trained, device="cpu").inspect_images(iter(images))), plainly(trained, images), rtol=1e-6)


@pytest.mark.parametrize("batched", [False, True])
def test_that_among_many_an_array_that_is_no_image_is_told(batched: bool) -> None:
    trained = model(TINY)
    inspector = on("cpu", trained) if batched else Inspector(trained, device="cpu")
    results = inspector.inspect_images([picture(0), picture(1)[..., 0]])
    assert next(results).score > 0
    with pytest.raises(ImageError, match="uint8 RGB"):
        next(results)


def test_that_the_model_stays_as_it_was() -> None:
    trained = model(TINY)
    before = {name: tensor.clone() for name, tensor in trained.network.state_dict().items()}
    on("cpu", trained)
    after = trained.network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


@needs_cuda
def test_that_an_inspector_on_a_device_leaves_one_on_the_cpu_alone() -> None:
    trained = model(TINY)
    one = Inspector(trained, device="cpu")
    score = one.inspect(picture(3)).score
    Inspector(trained, device="cuda").inspect(picture(3))
    assert one.inspect(picture(3)).score == score


@needs_cuda
def test_that_a_recorded_image_scores_as_one_that_was_not_recorded() -> None:
    trained = model(TINY.with_changes(image_size=64))
    inspector = Inspector(trained, device="cuda")
    images = [picture(seed, 64, 64) for seed in range(6)]
    first = [Inspector(trained, device="cuda").inspect(image) for image in images]
    close([inspector.inspect(image) for image in images], first, rtol=1e-6)


@needs_cuda
def test_that_memory_that_really_runs_out_halves_the_batch() -> None:
    trained = model(TINY.with_changes(image_size=224, backbone="resnet18"))
    inspector = Inspector(trained, device="cuda")
    images = [picture(seed, 224, 224) for seed in range(80)]
    right = [result.score for result in inspector.inspect_images(images)]
    torch.cuda.empty_cache()
    whole = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 350 * 2**20) / whole)
    try:
        found = [result.score for result in Inspector(trained, device="cuda").inspect_images(images)]
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert found == pytest.approx(right, rel=2e-5)
