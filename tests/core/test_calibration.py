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
CROSS = TINY.with_changes(calibration=Calibrating.CROSS, holdout=0.34)
"""Of six images two at a time."""
SHAPED = CROSS.with_changes(
    bank=Bank.GLOBAL,
    bank_ratio=2,
    score=Score.TANGENT,
    feature_scale=FeatureScale.EXPLAINED,
    descriptor_start=DescriptorStart.ALIGNED,
)
TWO = CROSS.with_changes(holdout=0.5, second_scale=1.5, score=Score.TANGENT)


@pytest.fixture
def few(parts: tuple[Sample, ...]) -> tuple[Sample, ...]:
    return parts[:6]


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
    config: Config, few: tuple[Sample, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = train(few, config, device="cpu")
    alone = config.with_changes(holdout=0.0)
    assert same_weights(trained, train(few, alone, device="cpu"))
    in_its_unit(trained, monkeypatch)
    turns = in_turns(plan_of(few, config))
    assert [len(held_out) for held_out, _ in turns] == [2, 2, 2]
    expected = [score for held_out, others in turns for score in scores(train(others, alone, device="cpu"), held_out)]
    assert trained.calibration.scores == tuple(expected)
    assert trained.calibration.names == tuple(sample.name for held_out, _ in turns for sample in held_out)
    assert (trained.summary.images, trained.summary.held_out) == (6, 6)


def test_that_the_threshold_promises_what_all_images_held_out_allow(few: tuple[Sample, ...]) -> None:
    threshold = train(few, CROSS, device="cpu").threshold
    assert threshold is not None and isinstance(threshold.policy, FalseAlarmRate)
    assert threshold.policy.images == 6
    assert threshold.policy.rate == pytest.approx(1 / 7)
    split = train(few, CROSS.with_changes(calibration=Calibrating.SPLIT), device="cpu").threshold
    assert split is not None and isinstance(split.policy, FalseAlarmRate)
    assert split.policy.images == 2
    assert split.policy.rate == pytest.approx(1 / 3)


def test_that_there_are_no_more_turns_than_the_promise_needs(tmp_path: Path) -> None:
    samples = write_parts(tmp_path, [(32, 32)] * 110)
    told: list[Progress] = []
    trained = train(samples, CROSS.with_changes(epochs=0), device="cpu", report=told.append)
    assert {progress.turns for progress in told if progress.turn} == {2}  # 37 images each
    assert trained.summary.held_out == 74 >= PARTS_HELD_OUT
    assert trained.summary.images == 110
    assert trained.calibration.smallest_rate() <= 0.02


def test_that_without_hold_out_nothing_is_scored(few: tuple[Sample, ...]) -> None:
    trained = train(few, CROSS.with_changes(holdout=0.0), device="cpu")
    assert trained.calibration == Calibration() and trained.threshold is None


def test_that_an_image_that_cannot_be_read_is_told_once_and_scored_by_none(
    tmp_path: Path, few: tuple[Sample, ...]
) -> None:
    broken = write_text_file(tmp_path, "part 05 broken.png")
    trained = train([*few, broken], CROSS, device="cpu")
    assert [skipped.name for skipped in trained.summary.skipped] == [broken.name]
    held_out = [sample for sample in plan_of((*few, broken), CROSS).held_out if sample is not broken]
    assert trained.calibration.names == tuple(sample.name for sample in held_out)
    assert trained.summary.images == 6
    assert same_weights(trained, train(few, CROSS.with_changes(holdout=0.0), device="cpu"))


def test_that_an_image_is_not_held_out_where_no_other_can_be_read(tmp_path: Path) -> None:
    (sample,) = write_parts(tmp_path, [(32, 32)])
    trained = train([sample, write_text_file(tmp_path, "none.png")], CROSS, device="cpu")
    assert (trained.summary.images, trained.summary.held_out, trained.threshold) == (1, 0, None)


def test_that_progress_tells_the_turns_and_shows_the_loss_of_the_model_alone(few: tuple[Sample, ...]) -> None:
    told: list[Progress] = []
    trained = train(few, CROSS, device="cpu", report=told.append)
    assert list(dict.fromkeys((p.turn, p.turns) for p in told if p.phase is Phase.TRAINING)) == [
        (turn, 3) for turn in range(4)
    ]
    assert {progress.turn for progress in told if progress.step} == {0}
    assert [progress.step for progress in told if progress.step] == list(trained.summary.history)
    assert {p.phase for p in told if p.turn} <= {Phase.BANK, Phase.CLUSTERING, Phase.TRAINING, Phase.MEASURING}
    calibrating = [(p.done, p.total) for p in told if p.phase is Phase.CALIBRATING]
    assert calibrating == sorted(calibrating) and calibrating[0] == (0, 6) and calibrating[-1] == (6, 6)


@pytest.mark.parametrize("phase", [Phase.BANK, Phase.TRAINING, Phase.MEASURING])
def test_that_a_cancel_is_heard_in_a_turn(phase: Phase, few: tuple[Sample, ...]) -> None:
    token = CancelToken()

    def cancel(progress: Progress) -> None:
        if progress.turn == 2 and progress.phase is phase:
            token.cancel()

    with pytest.raises(CancelledByUser):
        train(few, CROSS, device="cpu", report=cancel, cancel=token)


@pytest.mark.parametrize("cut_in", [0, 2])
def test_that_a_training_cut_off_in_a_turn_ends_as_if_it_had_not_been(
    cut_in: int, few: tuple[Sample, ...], tmp_path: Path
) -> None:
    config, path = CROSS.with_changes(epochs=3), tmp_path / "part.cfa.unfinished"

    def cut_off(progress: Progress) -> None:
        if progress.phase is Phase.TRAINING and progress.turn == cut_in and progress.done > 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(few, config, device="cpu", checkpoint=Checkpoint(path), report=cut_off)
    told: list[Progress] = []
    resumed = train(few, config, device="cpu", checkpoint=Checkpoint(path, Resume.REQUIRED), report=told.append)
    assert min((p.turn, p.done) for p in told if p.phase is Phase.TRAINING) > (cut_in, 2.0)
    undisturbed = train(few, config, device="cpu")
    assert same(resumed, undisturbed)
    assert resumed.calibration == undisturbed.calibration
    foreign = [tmp_path / name for name in ("part.cfa.unfinished-copy", "part.cfa.unfinished-0", "part.cfa")]
    for file in foreign:
        file.write_bytes(b"mine")
    assert len(list(tmp_path.iterdir())) == 4 + len(foreign)
    Checkpoint(path).remove()
    assert sorted(tmp_path.iterdir()) == sorted(foreign)


def test_that_the_members_of_an_ensemble_have_one_unit_each_in_all_turns(
    few: tuple[Sample, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = train(few, TWO, device="cpu")
    assert same_weights(trained, train(few, TWO.with_changes(holdout=0.0), device="cpu"))
    members = TWO.with_changes(holdout=0.0).members
    turns = in_turns(plan_of(few, TWO))
    for number, (of_member, unit) in enumerate(zip(members, trained.units, strict=True)):
        in_its_unit(trained, monkeypatch, of_member=number)
        alone = [score for held_out, others in turns for score in scores(train(others, of_member), held_out)]
        assert unit == statistics.median(alone)
    assert len(trained.calibration.scores) == 6
    assert 0.3 < statistics.median(trained.calibration.scores) < 3.0  # in units of a usual good image
