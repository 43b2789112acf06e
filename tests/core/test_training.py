import dataclasses
import itertools
import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from core import centre_shapes, member_training
from core.backbone import Backbone
from core.config import Bank, Config, DescriptorStart, Score
from core.descriptor import Descriptor
from core.errors import CancelledByUser
from core.feature_cache import FeatureCache
from core.hold_out import hold_out
from core.images import read_image
from core.inspection import Inspector
from core.progress import CancelToken, Phase, Progress, StepRecord
from core.samples import Sample
from core.trained_model import TrainedModel
from core.training import train
from core.training_steps import Features
from tests.core.parts import TINY, with_defect
from tests.core.states import same, state

pytestmark = pytest.mark.usefixtures("shared_backbone")
BANKS = pytest.mark.parametrize("bank", list(Bank))

TrainedWith = Callable[..., TrainedModel]


# --- determinism ------------------------------------------------------------------------------------------------------


@BANKS
def test_that_the_same_seed_gives_the_same_model_and_another_seed_another(
    bank: Bank, trained_with: TrainedWith
) -> None:
    first = trained_with(bank=bank, bank_ratio=2, epochs=2, learning_rate=1e-3, seed=5)
    again = trained_with(bank=bank, bank_ratio=2, epochs=2, learning_rate=1e-3, seed=5)
    other = trained_with(bank=bank, bank_ratio=2, epochs=2, learning_rate=1e-3, seed=6)
    assert same(first, again)
    assert first.summary.history == again.summary.history
    for name in ("descriptor.weight", "bank"):
        assert not torch.equal(state(first)[name], state(other)[name])
    assert first.calibration.scores != other.calibration.scores


def test_that_the_order_in_which_the_images_are_given_changes_nothing(
    parts: tuple[Sample, ...], trained_with: TrainedWith
) -> None:
    assert same(trained_with(), train(parts[::-1], TINY, device="cpu"))


def test_that_the_global_random_state_plays_no_part(trained_with: TrainedWith) -> None:
    torch.manual_seed(1)
    first = trained_with(bank=Bank.GLOBAL, bank_ratio=4)
    torch.manual_seed(2)
    assert same(first, trained_with(bank=Bank.GLOBAL, bank_ratio=4))


@BANKS
def test_that_features_on_disk_give_the_model_that_features_in_memory_give(
    bank: Bank, parts: tuple[Sample, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    spilled: list[int] = []
    leave = FeatureCache.__exit__

    def note(cache: FeatureCache, *error: object) -> None:
        spilled.append(cache.spilled)
        leave(cache, *error)  # type: ignore[arg-type]

    monkeypatch.setattr(FeatureCache, "__exit__", note)
    config = TINY.with_changes(bank=bank, bank_ratio=2, epochs=2, learning_rate=1e-3)
    models = [train(parts, config, device="cpu", memory_budget=budget) for budget in (2**31, 40_000, 0)]
    assert spilled[0] == 0
    assert 0 < spilled[1] < 9
    assert spilled[2] == 9
    assert same(models[0], models[1])
    assert same(models[0], models[2])


# --- what is trained, and what is not ---------------------------------------------------------------------------------


def test_that_descriptor_and_radius_are_trained_and_bank_scale_and_backbone_are_not(
    trained_with: TrainedWith, backbone: Backbone
) -> None:
    frozen = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    trained = {"descriptor.weight", "descriptor.bias", "radius", "centre_radii"}
    shapes = {"bank", "centre_axes", "axis_basis"}  # centres with axes come to their patches' mean
    for axes, measured in ((0, set()), (4, shapes)):
        settings = {"score": Score.TANGENT, "centre_axes": axes}
        before, after = (state(trained_with(epochs=epochs, **settings)) for epochs in (0, 2))
        assert {name for name in before if not torch.equal(before[name], after[name])} == trained | measured
    assert all(torch.equal(frozen[name], tensor) for name, tensor in backbone.state_dict().items())


def test_that_a_trained_network_asks_for_no_gradient_and_is_in_eval(trained: TrainedModel) -> None:
    assert not any(p.requires_grad for p in trained.network.parameters())
    assert not any(m.training for m in trained.network.modules())


def test_that_the_radius_belongs_to_the_state_that_is_saved(trained: TrainedModel) -> None:
    shapes = {"bank", "centre_axes", "axis_basis", "centre_radii"}
    assert shapes | {"radius", "level_scale", "descriptor.weight", "descriptor.bias"} == set(state(trained))


@BANKS
def test_that_a_centres_radius_is_the_mean_distance_of_the_good_patches_nearest_to_it(
    bank: Bank, trained_with: TrainedWith, parts: tuple[Sample, ...]
) -> None:
    trained = trained_with(bank=bank, bank_ratio=2, epochs=1, centre_axes=0)
    network, config = trained.network, trained.config
    distances: dict[int, list[float]] = defaultdict(list)
    for sample in hold_out(parts, config.training.holdout, config.training.seed).never_held_out:
        phi = network.describe(network.pyramid(torch.from_numpy(read_image(sample.path))[None])).flatten(0, 2)
        table = torch.cdist(phi, network.bank, compute_mode="donot_use_mm_for_euclid_dist")
        for row, distance in zip(table.argmin(dim=1).tolist(), table.amin(dim=1).tolist(), strict=True):
            distances[row].append(distance)
    mean = statistics.mean(itertools.chain(*distances.values()))
    expected = [(sum(distances[row]) + 10 * mean) / (len(distances[row]) + 10) for row in range(len(network.bank))]
    assert network.centre_radii.tolist() == pytest.approx(expected, rel=1e-3)


def test_that_the_excess_leaves_of_a_good_part_less_than_of_a_defect(
    trained_with: TrainedWith, parts: tuple[Sample, ...]
) -> None:
    trained = trained_with(bank=Bank.GLOBAL, score=Score.EXCESS)
    good = read_image(parts[0].path)
    inspector = Inspector(trained, device="cpu")
    assert 0 <= inspector.inspect(good).score < inspector.inspect(with_defect(good, 8, 8, 12)).score


def test_that_without_epochs_the_model_is_the_untrained_one(trained_with: TrainedWith) -> None:
    untrained = trained_with(epochs=0)
    assert untrained.summary.history == ()
    assert float(untrained.network.radius) == pytest.approx(1e-5)
    channels, generator = untrained.network.backbone.channels, torch.Generator().manual_seed(0)
    start = Descriptor(channels, 176, DescriptorStart.PUBLISHED, generator)
    assert torch.equal(untrained.network.descriptor.weight, start.weight)


def test_that_the_optimiser_is_the_published_one_but_for_the_radius_pace(
    trained_with: TrainedWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[torch.optim.AdamW] = []

    class Spy(torch.optim.AdamW):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            made.append(self)

    monkeypatch.setattr(torch.optim, "AdamW", Spy)
    trained_with(learning_rate=0.002, radius_learning_rate=0.03, weight_decay=0.04)
    (optimiser,) = made
    of = {tuple(tuple(p.shape) for p in group["params"]): group for group in optimiser.param_groups}
    assert {shapes: group["lr"] for shapes, group in of.items()} == {((176, 178), (176,)): 0.002, ((),): 0.03}
    for group in of.values():
        assert (group["weight_decay"], group["amsgrad"], group["betas"]) == (0.04, True, (0.9, 0.999))


def test_that_r_moves_repulsion_becomes_active_and_the_record_shows_it(trained_with: TrainedWith) -> None:
    """From the published r = 1e-5: attraction pushes it out until patches repel, and the loss falls."""
    history = trained_with(epochs=40, batch_size=3, radius_learning_rate=1e-2).summary.history
    assert history[0].radius_squared < 1e-3
    assert history[0].repulsion == history[0].repulsion_active == 0.0
    assert history[-1].radius_squared > 0.2
    assert max(record.repulsion_active for record in history) > 0
    assert max(record.repulsion for record in history) > 0
    assert history[-1].loss < history[0].loss / 2
    for record in history:
        assert record.loss == pytest.approx(record.attraction + record.repulsion, rel=1e-5)
        assert 0 <= record.repulsion_active <= 1
        assert (record.repulsion > 0) == (record.repulsion_active > 0)
        assert all(math.isfinite(value) for value in dataclasses.astuple(record))


def test_that_the_record_holds_means_over_its_steps(trained_with: TrainedWith, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine steps, recorded one by one; or, where few records are wanted, after the fourth, the eighth and the last."""
    every = trained_with(epochs=1, batch_size=1).summary.history
    monkeypatch.setattr(member_training, "_RECORDS", 2)
    some = trained_with(epochs=1, batch_size=1).summary.history
    assert [record.epoch for record in some] == pytest.approx([4 / 9, 8 / 9, 1.0])
    assert len(every) == 9
    for field in ("loss", "attraction", "radius_squared", "nearest_squared"):
        means = [sum(getattr(r, field) for r in rows) / len(rows) for rows in (every[:4], every[4:8], every[8:])]
        assert [getattr(record, field) for record in some] == pytest.approx(means, rel=1e-5)


# --- progress and cancel ----------------------------------------------------------------------------------------------


def test_that_progress_tells_every_phase_in_order_and_never_more_than_the_whole(
    parts: tuple[Sample, ...], trained: TrainedModel
) -> None:
    seen: list[Progress] = []
    train(parts, TINY.with_changes(epochs=2), device="cpu", report=seen.append)
    phases = list(dict.fromkeys(progress.phase for progress in seen))
    assert phases == [Phase.READING, Phase.FEATURES, Phase.BANK, Phase.TRAINING, Phase.MEASURING, Phase.CALIBRATING]
    order = [phases.index(progress.phase) for progress in seen]
    assert order == sorted(order)
    totals = {Phase.FEATURES: 9, Phase.BANK: 9, Phase.TRAINING: 2, Phase.MEASURING: 9, Phase.CALIBRATING: 3}
    for phase, total in totals.items():
        done = [progress.done for progress in seen if progress.phase is phase]
        assert done == sorted(done)
        assert done[-1] == total
        assert {progress.total for progress in seen if progress.phase is phase} == {total}
    steps = [progress.step for progress in seen if progress.phase is Phase.TRAINING]
    assert all(isinstance(step, StepRecord) for step in steps)
    assert all(progress.step is None for progress in seen if progress.phase is not Phase.TRAINING)


def test_that_the_shapes_of_the_centres_are_a_phase_of_its_own_that_can_be_cancelled(
    parts: tuple[Sample, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Progress] = []
    token = CancelToken()
    config = TINY.with_changes(score=Score.TANGENT, centre_axes=2)
    model = train(parts, config, device="cpu", report=seen.append)
    phases = list(dict.fromkeys(progress.phase for progress in seen))
    assert phases[-3:] == [Phase.MEASURING, Phase.SHAPES, Phase.CALIBRATING]
    shapes = [progress for progress in seen if progress.phase is Phase.SHAPES]
    centres = len(model.network.bank)
    assert (shapes[0].done, shapes[-1].done, shapes[-1].total, shapes[-1].unit) == (0, centres, centres, "centres")
    after: list[Progress] = []

    def cancel(progress: Progress) -> None:
        if progress.phase is Phase.SHAPES:
            after.append(progress)
            if progress.done == centres:  # all have axes; their radii are left
                token.cancel()

    monkeypatch.setattr(centre_shapes, "nearest_ellipsoid", lambda *_: pytest.fail("went on with the radii"))
    with pytest.raises(CancelledByUser):
        train(parts, config, device="cpu", report=cancel, cancel=token)
    assert list(dict.fromkeys(progress.done for progress in after)) == [0, centres]


def test_that_clustering_is_a_phase_of_its_own(parts: tuple[Sample, ...]) -> None:
    seen: list[Phase] = []
    config = TINY.with_changes(bank=Bank.GLOBAL, bank_ratio=4)
    train(parts, config, device="cpu", report=lambda progress: seen.append(progress.phase))
    phases = list(dict.fromkeys(seen))
    assert phases[2:5] == [Phase.BANK, Phase.CLUSTERING, Phase.TRAINING]


@pytest.mark.parametrize(
    "phase",
    [Phase.READING, Phase.FEATURES, Phase.BANK, Phase.TRAINING, Phase.MEASURING, Phase.CALIBRATING],
)
@BANKS
def test_that_training_can_be_cancelled_in_every_phase(phase: Phase, bank: Bank, parts: tuple[Sample, ...]) -> None:
    token = CancelToken()
    after: list[Progress] = []

    def cancel_at(progress: Progress) -> None:
        if token.cancelled:
            after.append(progress)
        elif progress.phase is phase:
            token.cancel()

    config = TINY.with_changes(bank=bank, bank_ratio=4, epochs=2, learning_rate=1e-3)
    with pytest.raises(CancelledByUser):
        train(parts, config, device="cpu", report=cancel_at, cancel=token)
    assert after == []


@pytest.mark.parametrize("look", range(3), ids=["finest level", "common scale", "positions"])
def test_that_training_can_be_cancelled_while_the_features_are_looked_at(
    look: int, parts: tuple[Sample, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    token, pictures = CancelToken(), Features.pictures
    looked_at: list[int] = []

    def counted(features: Features, report: Callable[[int], None]) -> Iterator[tuple[list[Tensor], Tensor]]:
        looked_at.append(0)
        for picture in pictures(features, report):
            looked_at[-1] += 1
            if len(looked_at) == look + 1:
                token.cancel()
            yield picture

    monkeypatch.setattr(Features, "pictures", counted)
    config = TINY.with_changes(feature_scale="explained", descriptor_start="aligned")
    with pytest.raises(CancelledByUser):
        train(parts, config, device="cpu", cancel=token)
    assert len(looked_at) == look + 1
    assert looked_at[-1] == 1


def test_that_a_token_set_beforehand_stops_before_the_first_image(parts: tuple[Sample, ...]) -> None:
    token = CancelToken()
    token.cancel()
    seen: list[Progress] = []
    with pytest.raises(CancelledByUser):
        train(parts, TINY, device="cpu", report=seen.append, cancel=token)
    assert {progress.phase for progress in seen} <= {Phase.READING}


# --- what is told of it -----------------------------------------------------------------------------------------------


def test_that_the_summary_tells_what_was_made(trained: TrainedModel) -> None:
    summary = trained.summary
    assert (summary.bank_size, summary.channels) == tuple(trained.network.bank.shape) == (64, 176)
    assert summary.level_scale == tuple(trained.network.level_scale.tolist())
    assert summary.device.startswith("CPU")
    assert summary.seconds > 0


@pytest.mark.parametrize("ratio", [1, 4, 64])
def test_that_the_descriptor_ratio_divides_channels_and_the_bank_ratio_rows(
    ratio: int, trained_with: TrainedWith
) -> None:
    network = trained_with(descriptor_ratio=ratio, bank_ratio=2).network
    assert network.bank.shape == (32, 176 // ratio)


def test_that_no_setting_of_the_tiny_model_is_left_to_a_default() -> None:
    assert isinstance(TINY, Config)
    assert TINY.with_changes(bank=Bank.MEAN, epochs=1, learning_rate=1e-3) == TINY
