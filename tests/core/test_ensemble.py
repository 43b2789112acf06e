"""An ensemble of two scales (CFA++): two models of one kind, and the mean of their maps in the unit of each."""

import dataclasses
import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from core.checkpoint import Checkpoint, Resume
from core.config import Config, Region, Resizing, Score, StrideFit
from core.ensemble import combined, on_grid, unit_of
from core.geometry import geometry
from core.hold_out import hold_out
from core.images import read_image
from core.inspection import Inspection, Inspector
from core.model_file import identity, load_model, save_model
from core.opencv import cv2
from core.progress import Phase, Progress
from core.samples import Sample
from core.scoring import Scored
from core.trained_model import Calibration, Companion, TrainedModel
from core.training import train
from tests.core.parts import TINY, WHOLE_64, picture, with_defect
from tests.core.states import same, state

pytestmark = pytest.mark.usefixtures("shared_backbone")
TWO = TINY.with_changes(second_scale=1.5, score=Score.TANGENT)
LEFT = Region(((0.0, 0.0), (0.4, 0.0), (0.65, 1.0), (0.0, 1.0)))


@pytest.fixture(scope="module")
def two(parts: tuple[Sample, ...]) -> TrainedModel:
    """An ensemble trained on the tiny parts; do not change it."""
    return train(parts, TWO, device="cpu")


def alone(trained: TrainedModel) -> list[TrainedModel]:
    """Each member as a model of its own."""
    return [
        dataclasses.replace(trained, config=config, network=network, companion=None)
        for config, network in zip(trained.config.members, trained.networks, strict=True)
    ]


def found(trained: TrainedModel, images: Sequence[np.ndarray]) -> list[Inspection]:
    inspector = Inspector(trained, device="cpu")
    return [inspector.inspect(image) for image in images]


# --- the mean of maps -------------------------------------------------------------------------------------------------


def test_that_a_unit_is_the_median_score_of_good_images() -> None:
    assert unit_of([3.0, 1.0, 2.0, 50.0]) == 2.5
    assert unit_of([]) == unit_of([0.0, 0.0, 1.0]) == 1.0  # nothing to divide by


def test_that_a_map_comes_to_a_coarser_grid_by_the_mean_of_what_each_pixel_covers() -> None:
    values = np.random.default_rng(0).random((9, 6), np.float32)
    fine = np.repeat(np.repeat(values, 2, axis=0), 2, axis=1)  # 1.5 pixels are three halves
    right = fine.reshape(6, 3, 4, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(on_grid(values, np.ones((9, 6), np.bool_), (6, 4)), right, rtol=1e-6)


def test_that_what_was_not_inspected_does_not_dilute_the_mean() -> None:
    inspected = np.zeros((12, 12), np.bool_)
    inspected[:, :7] = True
    values = np.where(inspected, np.float32(2), np.float32(0))
    coarse = on_grid(values, inspected, (8, 8))
    np.testing.assert_allclose(coarse[:, :5], 2, rtol=1e-6)  # the fifth column is inspected in part
    assert (coarse[:, 5:] == 0).all()


def test_that_one_member_is_given_back_as_it_is() -> None:
    (place_of,) = (geometry((32, 32), TINY, 32, 4),)
    one = Scored(np.ones((32, 32), np.float32), 1.0)
    assert combined([one], [place_of], [7.0]) is one


# --- inspection -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [
        TWO,
        TINY.with_changes(second_scale=2.0, score=Score.CERTAINTY, regions=(LEFT,)),
        WHOLE_64.with_changes(second_scale=1.3, stride_fit=StrideFit.ROUNDED, score=Score.TANGENT),
        WHOLE_64.with_changes(second_scale=1.5, regions=(LEFT,)),
    ],
    ids=["R", "R, regions", "whole", "whole, padded, regions"],
)
def test_that_an_ensemble_scores_by_the_mean_of_its_members_in_their_units(
    config: Config, parts: tuple[Sample, ...]
) -> None:
    trained = train(parts, config, device="cpu")
    assert trained.companion is not None
    images = [picture(40, 56, 73), with_defect(picture(41, 90, 64), 20, 10, 14)]
    members = [found(member, images) for member in alone(trained)]
    for index, result in enumerate(found(trained, images)):
        first, second = (member[index] for member in members)
        size = first.anomaly_map.shape[::-1]
        larger = cv2.resize(second.anomaly_map, size, interpolation=cv2.INTER_AREA)
        mean = (first.anomaly_map / trained.units[0] + larger / trained.units[1]) / 2
        assert result.placement == first.placement
        assert second.anomaly_map.shape[0] > first.anomaly_map.shape[0]
        looked_at = first.anomaly_map > 0
        difference = np.abs(result.anomaly_map - mean)[looked_at]
        if not config.preprocessing.regions:
            assert difference.max() < 1e-5 * mean.max()
        else:  # along the border of a region a part of what a pixel covers counts
            assert np.median(difference) < 1e-6
            network = trained.network
            place_of = geometry(images[index].shape[:2], config.members[0], network.stride, network.cell)
            assert (result.anomaly_map[~place_of.inspected] == 0).all()
        assert result.score == result.anomaly_map.max()


def test_that_files_images_and_one_image_alone_give_the_same_scores(
    two: TrainedModel, parts: tuple[Sample, ...]
) -> None:
    inspector = Inspector(two, device="cpu")
    images = [read_image(sample.path) for sample in parts]
    single = [inspector.inspect(image).score for image in images]
    of_files = list(inspector.inspect_many(parts))
    assert [one.score for one in of_files if isinstance(one, Inspection)] == single
    assert [one.score for one in inspector.inspect_images(images)] == single
    assert [one.score for one in inspector.inspect_together(images)] == single


# --- training ---------------------------------------------------------------------------------------------------------


def test_that_each_member_is_the_model_that_its_size_alone_would_give(
    two: TrainedModel, parts: tuple[Sample, ...]
) -> None:
    for member, size, ratio in zip(alone(two), (32, 48), (1, 2), strict=True):
        config = TINY.with_changes(image_size=size, bank_ratio=ratio, score=Score.TANGENT)
        single = train(parts, config, device="cpu")
        ours, theirs = state(member), state(single)
        assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert two.summary.bank_size == sum(len(network.bank) for network in two.networks)
    assert [history[-1].epoch for history in two.summary.histories] == [1.0, 1.0]


def test_that_units_and_threshold_come_from_the_images_held_out(two: TrainedModel, parts: tuple[Sample, ...]) -> None:
    held_out = hold_out(parts, TWO.training.holdout, TWO.training.seed).held_out
    images = [read_image(sample.path) for sample in held_out]
    for member, unit in zip(alone(two), two.units, strict=True):
        assert unit == statistics.median(one.score for one in found(member, images))
    assert two.calibration == Calibration(
        tuple(sample.name for sample in held_out), tuple(one.score for one in found(two, images))
    )
    assert two.threshold is not None


def test_that_without_held_out_images_the_units_come_from_those_trained_on(parts: tuple[Sample, ...]) -> None:
    trained = train(parts, TWO.with_changes(holdout=0.0), device="cpu")
    images = [read_image(sample.path) for sample in parts]
    for member, unit in zip(alone(trained), trained.units, strict=True):
        assert unit == statistics.median(one.score for one in found(member, images))
    assert trained.calibration == Calibration() and trained.threshold is None


def test_that_progress_says_which_member_it_is(parts: tuple[Sample, ...]) -> None:
    seen: list[Progress] = []
    train(parts, TWO, device="cpu", report=seen.append)
    phases = dict.fromkeys((one.part, one.parts) for one in seen if one.phase is Phase.TRAINING)
    assert list(phases) == [(1, 2), (2, 2)]
    calibrating = dict.fromkeys((one.part, one.parts) for one in seen if one.phase is Phase.CALIBRATING)
    assert list(calibrating) == [(1, 2), (2, 2), (1, 1)]
    seen.clear()
    train(parts, TINY, device="cpu", report=seen.append)
    assert {(one.part, one.parts) for one in seen} == {(1, 1)}


# --- cut off and gone on with -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def undisturbed(parts: tuple[Sample, ...]) -> TrainedModel:
    return train(parts, TWO.with_changes(epochs=3), device="cpu")


@pytest.mark.parametrize("resume", [Resume.REQUIRED, Resume.IF_IT_FITS])
@pytest.mark.parametrize("cut_in", [1, 2])
def test_that_an_ensemble_whose_training_was_cut_off_ends_as_if_it_had_not_been(
    cut_in: int, resume: Resume, undisturbed: TrainedModel, parts: tuple[Sample, ...], tmp_path: Path
) -> None:
    config, path = TWO.with_changes(epochs=3), tmp_path / "part.cfa.unfinished"

    def cut_off(progress: Progress) -> None:
        if progress.phase is Phase.TRAINING and progress.part == cut_in and progress.done > 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(parts, config, device="cpu", checkpoint=Checkpoint(path), report=cut_off)
    seen: list[Progress] = []
    resumed = train(parts, config, device="cpu", checkpoint=Checkpoint(path, resume), report=seen.append)
    steps = [(one.part, one.done) for one in seen if one.phase is Phase.TRAINING]
    assert min(steps) > (cut_in, 2.0)
    assert same(resumed, undisturbed)
    assert resumed.summary.history == undisturbed.summary.history
    assert sorted(file.name for file in tmp_path.iterdir()) == ["part.cfa.unfinished", "part.cfa.unfinished-2"]
    Checkpoint(path).remove()
    assert list(tmp_path.iterdir()) == []


def test_that_a_second_member_left_by_another_training_is_not_gone_on_with(
    two: TrainedModel, parts: tuple[Sample, ...], tmp_path: Path
) -> None:
    path = tmp_path / "unfinished"
    train(parts, TWO.with_changes(seed=5), device="cpu", checkpoint=Checkpoint(path))
    left = Checkpoint(path).of_network(1)
    path.unlink()
    assert left.exists
    train(parts, TINY.with_changes(score=Score.TANGENT), device="cpu", checkpoint=Checkpoint(path))
    resumed = train(parts, TWO, device="cpu", checkpoint=Checkpoint(path, Resume.REQUIRED))
    assert same(resumed, two)


# --- the file ---------------------------------------------------------------------------------------------------------


def test_that_an_ensemble_comes_back_from_its_file_bit_for_bit(two: TrainedModel, tmp_path: Path) -> None:
    save_model(two, tmp_path / "a.cfa")
    loaded = load_model(tmp_path / "a.cfa")
    assert same(two, loaded)
    assert loaded.networks[0].backbone is loaded.networks[1].backbone
    assert identity(loaded) == identity(two)
    images = [picture(50), with_defect(picture(51), 4, 4, 8)]
    for one, other in zip(found(loaded, images), found(two, images), strict=True):
        assert one.score == other.score
        np.testing.assert_array_equal(one.anomaly_map, other.anomaly_map)


def test_that_the_backbone_is_in_the_file_once(two: TrainedModel, tmp_path: Path) -> None:
    sizes = []
    for name, model in (("two", two), *((f"one {i}", member) for i, member in enumerate(alone(two)))):
        save_model(model, tmp_path / name)
        sizes.append((tmp_path / name).stat().st_size)
    backbone = sum(t.numel() * t.element_size() for t in two.network.backbone.state_dict().values())
    assert sizes[0] < sizes[1] + sizes[2] - 0.9 * backbone


def test_that_another_unit_or_second_member_is_another_model(two: TrainedModel) -> None:
    assert two.companion is not None
    others = [
        dataclasses.replace(two, companion=Companion(two.companion.network, (1.0, 2.0))),
        dataclasses.replace(two, companion=Companion(two.network, two.companion.units)),
    ]
    assert len({identity(model) for model in (two, *others)}) == 3


@pytest.mark.parametrize("units", [(0.0, 1.0), (1.0, -2.0)])
def test_that_a_file_whose_units_or_members_do_not_fit_is_refused(
    units: tuple[float, float], two: TrainedModel, tmp_path: Path
) -> None:
    from core.errors import ModelFileError

    assert two.companion is not None
    broken = [
        dataclasses.replace(two, companion=Companion(two.companion.network, units)),
        dataclasses.replace(two, companion=None),
        dataclasses.replace(two, config=two.config.with_changes(second_scale=0)),
    ]
    for number, model in enumerate(broken):
        path = tmp_path / f"{number}.cfa"
        save_model(model, path)
        with pytest.raises(ModelFileError, match="parts do not fit together"):
            load_model(path)


# --- settings ---------------------------------------------------------------------------------------------------------


def test_that_the_second_size_follows_the_image_size() -> None:
    config = Config().with_changes(second_scale=1.5)
    assert [member.preprocessing.image_size for member in config.members] == [256, 384]
    larger = config.with_changes(image_size=320)
    assert [member.preprocessing.image_size for member in larger.members] == [320, 480]
    assert [member.method.bank_ratio for member in larger.members] == [2, 4]  # as many centres from 2.25 x the patches
    assert [member.method.bank_ratio for member in larger.with_changes(bank_ratio=40).members] == [40, 64]
    assert all(member.preprocessing.second_scale == 0 for member in larger.members)
    assert Config().members == (Config(),)


def test_that_the_centre_crop_takes_the_second_scale_away() -> None:
    config = Config().with_changes(second_scale=1.5)
    assert config.with_changes(resizing=Resizing.CROP).preprocessing.second_scale == 0
    assert config.with_changes(resizing=Resizing.SQUARE).preprocessing.second_scale == 1.5
