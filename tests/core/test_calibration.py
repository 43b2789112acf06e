"""Every good image is learned from, and scored by a network that has not: `calibration=cross`."""

import statistics
from pathlib import Path

import pytest

from core.checkpoint import Checkpoint, Resume
from core.config import Bank, Calibrating, Config, DescriptorStart, FeatureScale, Score
from core.errors import CancelledByUser
from core.hold_out import HoldOut, hold_out
from core.images import read_image
from core.inspection import Inspector
from core.model import CfaModel
from core.progress import CancelToken, Phase, Progress
from core.samples import Sample
from core.threshold import FalseAlarmRate
from core.trained_model import Calibration, TrainedModel
from core.training import PARTS_HELD_OUT, train
from tests.core.parts import TINY, write_parts, write_text_file
from tests.core.states import same, same_weights

pytestmark = pytest.mark.usefixtures("shared_backbone")
CROSS = TINY.with_changes(calibration=Calibrating.CROSS)
SHAPED = CROSS.with_changes(
    bank=Bank.GLOBAL,
    bank_ratio=2,
    score=Score.TANGENT,
    feature_scale=FeatureScale.EXPLAINED,
    descriptor_start=DescriptorStart.ALIGNED,
)
TWO = CROSS.with_changes(second_scale=1.5, score=Score.TANGENT)


def plan_of(samples: tuple[Sample, ...], config: Config) -> HoldOut:
    return hold_out(samples, config.training.holdout, config.training.seed, PARTS_HELD_OUT)


def in_turns(plan: HoldOut) -> list[tuple[list[Sample], list[Sample]]]:
    """Of each turn the images held out and those learned from."""
    return [
        (
            [plan.images[index] for index in turn],
            [sample for index, sample in enumerate(plan.images) if index not in turn],
        )
        for turn in plan.turns
    ]


def scores(trained: TrainedModel, samples: list[Sample]) -> list[float]:
    inspector = Inspector(trained, device="cpu")
    return [inspector.inspect(read_image(sample.path)).score for sample in samples]


def in_its_unit(trained: TrainedModel, monkeypatch: pytest.MonkeyPatch, *, of_member: int = 0) -> None:
    """Let other trainings measure with a model's factors of the levels, not with their own."""
    scale = trained.networks[of_member].level_scale

    def as_there(network: CfaModel, *_: object) -> None:
        network.level_scale.copy_(scale)

    monkeypatch.setattr("core.member_training.set_level_scale", as_there)


@pytest.mark.parametrize("config", [CROSS, SHAPED], ids=["published", "shaped"])
def test_that_the_model_learns_from_all_and_each_score_is_of_a_model_that_did_not_learn_from_the_image(
    config: Config, parts: tuple[Sample, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = train(parts, config, device="cpu")
    alone = config.with_changes(holdout=0.0)
    assert same_weights(trained, train(parts, alone, device="cpu"))
    in_its_unit(trained, monkeypatch)
    turns = in_turns(plan_of(parts, config))
    assert [len(held_out) for held_out, _ in turns] == [3, 3, 3, 3]
    expected = [score for held_out, others in turns for score in scores(train(others, alone, device="cpu"), held_out)]
    assert trained.calibration.scores == tuple(expected)
    assert trained.calibration.names == tuple(sample.name for held_out, _ in turns for sample in held_out)
    assert (trained.summary.images, trained.summary.held_out) == (12, 12)


def test_that_the_threshold_promises_what_all_images_held_out_allow(parts: tuple[Sample, ...]) -> None:
    threshold = train(parts, CROSS, device="cpu").threshold
    assert threshold is not None and isinstance(threshold.policy, FalseAlarmRate)
    assert threshold.policy.images == 12
    assert threshold.policy.rate == pytest.approx(1 / 13)
    split = train(parts, TINY, device="cpu").threshold
    assert split is not None and isinstance(split.policy, FalseAlarmRate)
    assert (split.policy.images, split.policy.rate) == (3, 0.25)


def test_that_there_are_no_more_turns_than_the_promise_needs(tmp_path: Path) -> None:
    samples = write_parts(tmp_path, [(32, 32)] * 110)
    told: list[Progress] = []
    trained = train(samples, CROSS.with_changes(epochs=0), device="cpu", report=told.append)
    assert {progress.turns for progress in told if progress.turn} == {2}  # 28 images each
    assert trained.summary.held_out == 56 >= PARTS_HELD_OUT
    assert trained.summary.images == 110
    assert trained.calibration.smallest_rate() <= 0.02


def test_that_without_hold_out_nothing_is_scored(parts: tuple[Sample, ...]) -> None:
    trained = train(parts, CROSS.with_changes(holdout=0.0), device="cpu")
    assert trained.calibration == Calibration() and trained.threshold is None


def test_that_an_image_that_cannot_be_read_is_told_once_and_scored_by_none(
    tmp_path: Path, parts: tuple[Sample, ...]
) -> None:
    broken = write_text_file(tmp_path, "part 05 broken.png")
    trained = train([*parts, broken], CROSS, device="cpu")
    assert [skipped.name for skipped in trained.summary.skipped] == [broken.name]
    assert (trained.summary.images, trained.summary.held_out) == (12, 12)
    assert same_weights(trained, train(parts, CROSS.with_changes(holdout=0.0), device="cpu"))


def test_that_an_image_is_not_held_out_where_no_other_can_be_read(tmp_path: Path) -> None:
    (sample,) = write_parts(tmp_path, [(32, 32)])
    trained = train([sample, write_text_file(tmp_path, "none.png")], CROSS, device="cpu")
    assert (trained.summary.images, trained.summary.held_out, trained.threshold) == (1, 0, None)


def test_that_progress_tells_the_turns_and_shows_the_loss_of_the_model_alone(parts: tuple[Sample, ...]) -> None:
    told: list[Progress] = []
    trained = train(parts, CROSS, device="cpu", report=told.append)
    assert list(dict.fromkeys((p.turn, p.turns) for p in told if p.phase is Phase.TRAINING)) == [
        (0, 0),
        *((turn, 4) for turn in (1, 2, 3, 4)),
    ]
    assert {progress.turn for progress in told if progress.step} == {0}
    assert [progress.step for progress in told if progress.step] == list(trained.summary.history)
    assert {p.phase for p in told if p.turn} <= {Phase.BANK, Phase.CLUSTERING, Phase.TRAINING, Phase.MEASURING}
    calibrating = [(p.done, p.total) for p in told if p.phase is Phase.CALIBRATING]
    assert calibrating == sorted(calibrating) and calibrating[0] == (0, 12) and calibrating[-1] == (12, 12)


@pytest.mark.parametrize("phase", [Phase.BANK, Phase.TRAINING, Phase.MEASURING])
def test_that_a_cancel_is_heard_in_a_turn(phase: Phase, parts: tuple[Sample, ...]) -> None:
    token = CancelToken()

    def cancel(progress: Progress) -> None:
        if progress.turn == 2 and progress.phase is phase:
            token.cancel()

    with pytest.raises(CancelledByUser):
        train(parts, CROSS, device="cpu", report=cancel, cancel=token)


@pytest.mark.parametrize("cut_in", [0, 3])
def test_that_a_training_cut_off_in_a_turn_ends_as_if_it_had_not_been(
    cut_in: int, parts: tuple[Sample, ...], tmp_path: Path
) -> None:
    config, path = CROSS.with_changes(epochs=3), tmp_path / "part.cfa.unfinished"

    def cut_off(progress: Progress) -> None:
        if progress.phase is Phase.TRAINING and progress.turn == cut_in and progress.done > 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(parts, config, device="cpu", checkpoint=Checkpoint(path), report=cut_off)
    told: list[Progress] = []
    resumed = train(parts, config, device="cpu", checkpoint=Checkpoint(path, Resume.REQUIRED), report=told.append)
    assert min((p.turn, p.done) for p in told if p.phase is Phase.TRAINING) > (cut_in, 2.0)
    undisturbed = train(parts, config, device="cpu")
    assert same(resumed, undisturbed)
    assert resumed.calibration == undisturbed.calibration
    foreign = [tmp_path / name for name in ("part.cfa.unfinished-copy", "part.cfa.unfinished-0", "part.cfa")]
    for file in foreign:
        file.write_bytes(b"mine")
    assert len(list(tmp_path.iterdir())) == 5 + len(foreign)
    Checkpoint(path).remove()
    assert sorted(tmp_path.iterdir()) == sorted(foreign)


def test_that_the_members_of_an_ensemble_have_one_unit_each_in_all_turns(
    parts: tuple[Sample, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = train(parts, TWO, device="cpu")
    assert same_weights(trained, train(parts, TWO.with_changes(holdout=0.0), device="cpu"))
    members = TWO.with_changes(holdout=0.0).members
    turns = in_turns(plan_of(parts, TWO))
    for number, (of_member, unit) in enumerate(zip(members, trained.units, strict=True)):
        in_its_unit(trained, monkeypatch, of_member=number)
        alone = [score for held_out, others in turns for score in scores(train(others, of_member), held_out)]
        assert unit == statistics.median(alone)
    assert len(trained.calibration.scores) == 12
    assert 0.3 < statistics.median(trained.calibration.scores) < 3.0  # in units of a usual good image
