"""The steps of a training on a device beside those on the CPU."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from core import member_training, training_steps
from core.backbone import Backbone
from core.checkpoint import Checkpoint
from core.config import Bank, DescriptorStart, Score
from core.cuda.training import DeviceSearch, descriptors
from core.descriptor import Descriptor
from core.errors import CancelledByUser
from core.feature_cache import FeatureCache
from core.images import read_image
from core.inspection import Inspector
from core.model_file import load_model, save_model
from core.neighbours import distances_to_nearest
from core.progress import CancelToken, Phase, Progress
from core.samples import Sample
from core.trained_model import TrainedModel
from core.training import train
from core.training_search import training_search
from tests.core.cuda.devices import DEVICES, PlayedBack, needs_cuda
from tests.core.parts import TINY, WHOLE_64, write_parts


def pyramid(channels: Sequence[int], grid: tuple[int, int], batch: int, device: str) -> list[Tensor]:
    generator = torch.Generator().manual_seed(sum(channels))
    sizes = [(grid[0] >> level, grid[1] >> level) for level in range(len(channels))]
    maps = [torch.randn(batch, c, *size, generator=generator) for c, size in zip(channels, sizes, strict=True)]
    return [level.to(device) for level in maps]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("grid", [(8, 12), (16, 4), (4, 4)])
def test_that_descriptors_and_their_gradients_are_those_of_the_plain_ones(device: str, grid: tuple[int, int]) -> None:
    channels = (6, 10, 20)
    maps = pyramid(channels, grid, 3, device)
    one, other = (Descriptor(channels, 24, DescriptorStart.ORTHOGONAL).to(device) for _ in range(2))
    other.load_state_dict(one.state_dict())
    ours, plain = descriptors(maps, one), other(maps).permute(0, 2, 3, 1)
    torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-5)
    weights = torch.randn(ours.shape, generator=torch.Generator().manual_seed(0)).to(device)
    for values in (ours, plain):
        (values * weights).sum().backward()
    assert one.weight.grad is not None
    assert one.bias.grad is not None
    torch.testing.assert_close(one.weight.grad, other.weight.grad, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(one.bias.grad, other.bias.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("neighbours", "hard_negatives"), [(3, 3), (2, 5), (3, 0)])
@pytest.mark.parametrize("share", [1.0, 0.6])
def test_that_distances_and_gradients_are_those_of_the_plain_search(
    device: str, neighbours: int, hard_negatives: int, share: float
) -> None:
    channels, count = (6, 10, 20), neighbours + hard_negatives
    maps = pyramid(channels, (8, 12), 2, device)
    descriptor = Descriptor(channels, 24, DescriptorStart.ORTHOGONAL).to(device)
    bank = torch.randn(77, 24, generator=torch.Generator().manual_seed(2)).to(device)
    valid = torch.rand(2, 8, 12, generator=torch.Generator().manual_seed(4)) < share
    ours = DeviceSearch(bank, count)(maps, descriptor, valid)
    (first,) = torch.autograd.grad(ours.square().sum(), descriptor.weight)
    queries = descriptor(maps).permute(0, 2, 3, 1)[valid.to(device)]
    plain = distances_to_nearest(queries, bank, count)
    (second,) = torch.autograd.grad(plain.square().sum(), descriptor.weight)
    torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(first, second, rtol=1e-3, atol=1e-3 * float(second.abs().max()))


@pytest.mark.parametrize("device", DEVICES)
def test_that_pyramids_in_half_precision_come_back_rounded_and_stacked(device: str) -> None:
    first, second = pyramid((3, 5), (4, 6), 1, "cpu"), pyramid((3, 5), (4, 6), 1, "cpu")
    second[0][0, 0, 0, 0] = 1e6
    size = sum(level.numel() for level in first) * 2
    with FeatureCache(torch.device(device), 2 * size, half=True) as cache:
        for levels in (first, second, first):
            cache.append(levels)
        assert cache.spilled == 1  # half precision takes half the room
        stacked = cache.batch([0, 1, 2])
    second[0][0, 0, 0, 0] = 65504.0
    for level, (one, other) in zip(stacked, zip(first, second, strict=True), strict=True):
        assert level.dtype == torch.float32
        torch.testing.assert_close(level.cpu(), torch.cat((one, other, one)), rtol=1e-3, atol=1e-6)


@pytest.fixture
def as_on_a_device(monkeypatch: pytest.MonkeyPatch, shared_backbone: None) -> None:
    """A training on the CPU takes its steps as one on a device does."""
    monkeypatch.setattr(
        member_training, "training_search", lambda _channels, bank, count, _patches: DeviceSearch(bank, count)
    )
    monkeypatch.setattr(training_steps, "Recording", PlayedBack)
    monkeypatch.setattr(PlayedBack, "played", 0)


@pytest.mark.usefixtures("as_on_a_device")
@pytest.mark.parametrize(("bank", "axes"), [(Bank.MEAN, 0), (Bank.GLOBAL, 4)])
def test_that_steps_as_on_a_device_come_to_what_those_of_the_cpu_come_to(
    bank: Bank, axes: int, parts: tuple[Sample, ...], trained: TrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nine images in batches of four: the last batch of an epoch is never recorded."""
    changes = {"bank": bank, "centre_axes": axes, "score": Score.TANGENT, "epochs": 3, "initial_radius": 0.65}
    recorded = on_device(parts, "cpu", **changes)
    assert PlayedBack.played == 3 * 2
    with monkeypatch.context() as patched:
        patched.setattr(training_steps.Features, "alike", lambda _: False)
        plain = on_device(parts, "cpu", **changes)
    assert PlayedBack.played == 3 * 2
    close(recorded, plain, 1e-6)
    monkeypatch.setattr(member_training, "training_search", training_search)
    close(recorded, on_device(parts, "cpu", **changes), 1e-3)
    assert not torch.allclose(recorded.network.descriptor.weight, trained.network.descriptor.weight, rtol=1e-2)


@pytest.mark.usefixtures("as_on_a_device")
def test_that_without_memory_for_a_recording_steps_are_taken_one_by_one(
    parts: tuple[Sample, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, reads: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    right = on_device(parts, "cpu", epochs=2)
    monkeypatch.setattr(training_steps, "Recording", refused)
    close(on_device(parts, "cpu", epochs=2), right, 1e-6)


@pytest.mark.usefixtures("as_on_a_device")
def test_that_padded_pictures_of_several_sizes_train_as_on_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = write_parts(tmp_path, [(64, 64), (56, 73), (73, 56)] * 2)
    config = WHOLE_64.with_changes(bank=Bank.GLOBAL, bank_ratio=4, epochs=2)
    ours = train(parts, config, device="cpu")
    assert PlayedBack.played == 0
    monkeypatch.setattr(member_training, "training_search", training_search)
    close(ours, train(parts, config, device="cpu"), 1e-3)


def close(found: TrainedModel, right: TrainedModel, rtol: float) -> None:
    one, other = found.network.state_dict(), right.network.state_dict()
    for name in ("descriptor.weight", "descriptor.bias", "radius", "centre_radii"):
        torch.testing.assert_close(one[name], other[name], rtol=rtol, atol=rtol * float(other[name].abs().max()))
    assert found.calibration.scores == pytest.approx(right.calibration.scores, rel=rtol)
    losses = [[record.loss for record in model.summary.history] for model in (found, right)]
    assert losses[0] == pytest.approx(losses[1], rel=rtol)


def on_device(parts: Sequence[Sample], device: str = "cuda", **changes: object) -> TrainedModel:
    return train(parts, TINY.with_changes(**changes), device=device)


@needs_cuda
@pytest.mark.parametrize("bank", list(Bank))
def test_that_the_same_seed_gives_the_same_model(bank: Bank, parts: tuple[Sample, ...]) -> None:
    changes = {"bank": bank, "epochs": 4, "bank_ratio": 2, "score": Score.TANGENT, "centre_axes": 4}
    one, other = (on_device(parts, "cuda", **changes) for _ in range(2))
    first, second = one.network.state_dict(), other.network.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert one.calibration == other.calibration
    assert one.summary.history == other.summary.history


@needs_cuda
def test_that_pictures_of_several_sizes_with_padding_give_the_same_model_twice(tmp_path: Path) -> None:
    parts = write_parts(tmp_path, [(64, 64), (56, 73), (73, 56)] * 4)
    config = WHOLE_64.with_changes(bank=Bank.GLOBAL, epochs=3)
    one, other = (train(parts, config, device="cuda") for _ in range(2))
    assert torch.equal(one.network.descriptor.weight, other.network.descriptor.weight)
    assert one.calibration == other.calibration


@needs_cuda
def test_that_a_model_trained_on_a_device_scores_the_same_on_the_cpu(parts: tuple[Sample, ...], tmp_path: Path) -> None:
    trained = on_device(parts, epochs=3, bank=Bank.GLOBAL, score=Score.TANGENT, centre_axes=4)
    assert {str(tensor.device) for tensor in trained.network.state_dict().values()} == {"cpu"}
    save_model(trained, tmp_path / "model.cfa")
    loaded = load_model(tmp_path / "model.cfa")
    images = [read_image(sample.path) for sample in parts]
    scores = [result.score for result in Inspector(trained, device="cuda").inspect_images(images)]
    again = [result.score for result in Inspector(loaded, device="cuda").inspect_images(images)]
    on_cpu = [Inspector(loaded, device="cpu").inspect(image).score for image in images]
    assert again == scores
    assert on_cpu == pytest.approx(scores, rel=1e-4)


@needs_cuda
def test_that_training_on_a_device_comes_to_what_training_on_the_cpu_comes_to(parts: tuple[Sample, ...]) -> None:
    """Features in half precision and sums in another order drift apart over the steps, but not far."""
    one, other = (on_device(parts, device, epochs=5, initial_radius=0.65) for device in ("cuda", "cpu"))
    assert one.summary.level_scale == pytest.approx(other.summary.level_scale, rel=1e-3)
    assert one.calibration.scores == pytest.approx(other.calibration.scores, rel=0.02)
    assert one.summary.history[-1].loss == pytest.approx(other.summary.history[-1].loss, rel=0.05)


@needs_cuda
def test_that_a_training_that_was_cut_off_goes_on_to_the_same_model(
    parts: tuple[Sample, ...], backbone: Backbone, tmp_path: Path
) -> None:
    whole = on_device(parts, epochs=4)
    token, kept = CancelToken(), Checkpoint(tmp_path / "checkpoint")

    def stop(progress: Progress) -> None:
        if progress.phase == Phase.TRAINING and progress.done > 2.4:
            token.cancel()

    with pytest.raises(CancelledByUser):
        train(parts, TINY.with_changes(epochs=4), device="cuda", checkpoint=kept, report=stop, cancel=token)
    resumed = train(parts, TINY.with_changes(epochs=4), device="cuda", checkpoint=Checkpoint(tmp_path / "checkpoint"))
    assert torch.equal(resumed.network.descriptor.weight, whole.network.descriptor.weight)


@needs_cuda
def test_that_recorded_steps_are_those_that_are_not_recorded(
    parts: tuple[Sample, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nine images in batches of four: the last batch of an epoch is never recorded."""
    recorded = on_device(parts, epochs=3, initial_radius=0.65)
    monkeypatch.setattr(training_steps.Features, "alike", lambda _: False)
    plain = on_device(parts, epochs=3, initial_radius=0.65)
    torch.testing.assert_close(
        recorded.network.descriptor.weight, plain.network.descriptor.weight, rtol=1e-3, atol=1e-5
    )
    assert recorded.summary.history[-1].loss == pytest.approx(plain.summary.history[-1].loss, rel=1e-4)


@needs_cuda
def test_that_no_step_waits_for_the_device(parts: tuple[Sample, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    step = training_steps.gradients

    def watched(*arguments: object) -> Tensor:
        torch.cuda.set_sync_debug_mode("error")
        try:
            return step(*arguments)  # type: ignore[arg-type]
        finally:
            torch.cuda.set_sync_debug_mode("default")

    distances = training_steps.Features.distances

    def watched_distances(*arguments: object) -> Tensor:
        torch.cuda.set_sync_debug_mode("error")
        try:
            return distances(*arguments)  # type: ignore[arg-type]
        finally:
            torch.cuda.set_sync_debug_mode("default")

    monkeypatch.setattr(training_steps, "gradients", watched)
    monkeypatch.setattr(training_steps.Features, "alike", lambda _: False)  # nothing recorded: each step from Python
    monkeypatch.setattr(training_steps.Features, "distances", watched_distances)
    on_device(parts, epochs=2)
