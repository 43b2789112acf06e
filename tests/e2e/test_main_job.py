"""What the program is for, from the drop to the saved model, with the real engine; and what may go wrong on the way."""

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from cfa_gui.models.pace import Estimate
from cfa_gui.models.review import Group, Mark
from cfa_gui.models.session import Collection
from core.config import Calibrating
from core.progress import Phase, Progress
from core.sample_parts import make_sample_parts
from tests.e2e.desk import RealDesk


@pytest.fixture
def open_desk(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], RealDesk]]:
    monkeypatch.setattr("cfa_gui.settings.default_path", lambda: tmp_path / "config" / "preferences.json")
    monkeypatch.setattr("cfa_gui.view_menus.default_path", lambda: tmp_path / "config" / "preferences.json")
    opened: list[RealDesk] = []

    def make() -> RealDesk:
        opened.append(RealDesk(qtbot, tmp_path))
        return opened[-1]

    yield make
    for desk in opened:
        desk.close()


def test_that_one_bar_fills_once_from_the_first_image_read_to_the_last_one_held_out(
    open_desk: Callable[[], RealDesk], data_set: Path
) -> None:
    desk = open_desk()
    desk.open_parts(data_set)
    told: list[tuple[Progress, Estimate]] = []
    desk.parts.session.progressed.connect(lambda progress, estimate: told.append((progress, estimate)))
    desk.train()
    training = [(progress, estimate) for progress, estimate in told if progress.phase is not Phase.INSPECTING]
    shares = [estimate.share for _, estimate in training]
    assert shares == sorted(shares)  # type: ignore[type-var]
    assert max(progress.turn for progress, _ in training) > 1
    assert training[-1][0].phase is Phase.CALIBRATING
    assert shares[-1] == pytest.approx(1)


def test_that_a_model_saved_and_opened_elsewhere_gives_the_same_scores_bit_for_bit(
    open_desk: Callable[[], RealDesk], data_set: Path, tmp_path: Path
) -> None:
    desk = open_desk()
    assert desk.window.pages.currentWidget() is desk.window.start
    desk.open_parts(data_set)
    assert len(desk.parts.session.samples.good) == 24  # type: ignore[union-attr]
    desk.train()
    session = desk.parts.session
    assert session.shown is Collection.REVIEW
    scores = desk.scores()
    assert len(scores) == 8
    assert np.isfinite(list(scores.values())).all()
    defects = session.review.groups == Group.DEFECT
    assert session.review.scores[defects].min() > session.review.scores[~defects].max()

    desk.bench.threshold.best_f1_wanted.emit()
    assert session.threshold is not None
    assert (session.review.marks(session.threshold) == np.where(defects, Mark.DEFECT, Mark.GOOD)).all()
    desk.bench.threshold.moved.emit(session.threshold.value * 1.01)
    chosen = session.threshold
    desk.save(tmp_path / "part.cfa")
    assert desk.errors() == []
    assert not desk.window.isWindowModified()
    desk.close()

    again = open_desk()
    again.drop([tmp_path / "part.cfa"])
    again.until(lambda: again.parts.session.model is not None)
    again.until_idle()
    assert again.parts.session.threshold == chosen
    again.drop([data_set / "test"])  # Answers says: to inspect
    again.until(lambda: bool(again.parts.session.review.scored.all()) and len(again.parts.session.review) == 8)
    again.until_idle()
    assert sorted(again.scores().values()) == sorted(scores.values())
    assert {name.removeprefix("test/"): score for name, score in scores.items()} == {
        name.removeprefix("test/"): score for name, score in again.scores().items()
    }


def test_that_sample_parts_come_though_somebody_has_changed_those_that_were_there(
    open_desk: Callable[[], RealDesk], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = partial(make_sample_parts, good=3, test_good=1, defects_per_kind=1)
    monkeypatch.setattr("core.sample_parts.make_sample_parts", few)
    monkeypatch.setattr("cfa_gui.controllers.samples.sample_parts_folder", lambda: tmp_path / "parts")
    few(tmp_path / "parts")
    (tmp_path / "parts" / "train" / "good" / "000.jpg").unlink()
    desk = open_desk()
    desk.window.start._target._sample.click()
    desk.until(lambda: desk.parts.session.samples is not None or bool(desk.errors()))
    desk.until_idle()
    assert desk.errors() == []
    assert len(desk.parts.session.samples.good) == 3  # type: ignore[union-attr]
    assert len(list((tmp_path / "parts" / "train" / "good").iterdir())) == 2


def test_that_a_corrupt_image_in_the_middle_costs_only_itself(
    open_desk: Callable[[], RealDesk], data_set: Path, saved_model: Path, tmp_path: Path
) -> None:
    shutil.copytree(data_set / "test", tmp_path / "line")
    corrupt = tmp_path / "line" / "good" / "002.png"
    corrupt.write_bytes(corrupt.read_bytes()[:200])
    desk = open_desk()
    desk.drop([saved_model])
    desk.until(lambda: desk.parts.session.model is not None)
    desk.until_idle()
    desk.drop([tmp_path / "line"])
    review = desk.parts.session.review
    desk.until(lambda: int(review.scored.sum()) == 7 and int(review.failed.sum()) == 1)
    desk.until_idle()
    place = int(np.flatnonzero(review.failed)[0])
    assert review.samples[place].path == corrupt
    assert "002.png" in review.messages[place]
    assert any("1 image could not be inspected" in notice.text and "Failed" in notice.text for notice in desk.said)
    desk.parts.session.select((place,), place)
    desk.until(lambda: desk.bench.canvas._path is None)
    assert desk.errors() == []


def test_that_a_folder_that_disappears_leaves_the_model_and_says_what_to_do(
    open_desk: Callable[[], RealDesk], data_set: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "usb stick"
    shutil.copytree(data_set, folder)
    desk = open_desk()
    desk.open_parts(folder, calibration=Calibrating.SPLIT)
    desk.train()
    model, scores = desk.parts.session.model, desk.scores()
    shutil.rmtree(folder)
    desk.train()
    assert desk.parts.session.model is model
    assert desk.scores() == scores
    assert desk.parts.session.samples is not None
    (sentence,) = desk.errors()
    assert "None of the 19 training images can be read" in sentence
    assert "Check the path, or open its folder again" in sentence
    desk.drop([folder])
    desk.until(lambda: len(desk.errors()) == 2)
    assert "is not there any more. Choose another folder" in desk.errors()[1]
    assert desk.parts.session.model is model


def test_that_a_model_of_another_version_leaves_the_one_that_is_open(
    open_desk: Callable[[], RealDesk], saved_model: Path, tmp_path: Path
) -> None:
    import safetensors.torch
    import torch

    newer = tmp_path / "newer.cfa"
    newer.write_bytes(
        safetensors.torch.save({"a": torch.zeros(3)}, metadata={"cfa": json.dumps({"format_version": 99})})
    )
    desk = open_desk()
    desk.drop([saved_model])
    desk.until(lambda: desk.parts.session.model is not None)
    desk.until_idle()
    model = desk.parts.session.model
    desk.drop([newer])
    desk.until(lambda: bool(desk.errors()))
    desk.until_idle()
    (sentence,) = desk.errors()
    assert "newer.cfa" in sentence
    assert "format 99" in sentence
    assert "Install the newer version to open it" in sentence
    assert desk.parts.session.model is model
    assert desk.parts.session.model_path == saved_model


def test_that_a_full_disk_at_save_keeps_the_file_that_was_there_and_the_model_unsaved(
    open_desk: Callable[[], RealDesk], saved_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "part.cfa"
    target.write_bytes(saved_model.read_bytes())
    desk = open_desk()
    desk.drop([target])
    desk.until(lambda: desk.parts.session.model is not None)
    desk.until_idle()
    threshold = desk.parts.session.threshold
    assert threshold is not None
    desk.parts.threshold.move(threshold.value * 2)

    def full(_file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("core.atomic_file.os.fsync", full)
        desk.save(target)
    (sentence,) = desk.errors()
    assert "part.cfa cannot be written: No space left on device" in sentence
    assert "Choose another place" in sentence
    assert target.read_bytes() == saved_model.read_bytes()
    assert list(tmp_path.glob(".cfa-partial-*")) == []
    assert desk.parts.session.model_unsaved
    desk.save(target)
    assert len(desk.errors()) == 1
    assert not desk.parts.session.model_unsaved


def test_that_after_a_restart_the_review_is_continued_where_it_was(
    open_desk: Callable[[], RealDesk], data_set: Path, saved_model: Path
) -> None:
    desk = open_desk()
    desk.drop([saved_model])
    desk.until(lambda: desk.parts.session.model is not None)
    desk.until_idle()
    desk.drop([data_set / "test"])
    desk.until(lambda: bool(desk.parts.session.review.scored.all()) and len(desk.parts.session.review) == 8)
    desk.until_idle()
    desk.parts.session.select((3,), 3)
    desk.parts.review.defect()
    desk.parts.threshold.move(1.25)
    groups, scores = desk.parts.session.review.groups.tolist(), desk.scores()
    desk.close()
    assert not any(asked.startswith("labels") for asked in desk.answers.asked)

    again = open_desk()
    again.until(lambda: again.parts.session.resumable is not None)
    assert "8 images, 1 label of yours" in again.window.start._resume.text()
    again.window.start._resume.click()
    again.until(lambda: again.parts.session.model is not None)
    session = again.parts.session
    assert session.review.groups.tolist() == groups
    assert again.scores() == scores
    assert session.threshold is not None
    assert session.threshold.value == 1.25
    assert session.current == 3
    again.until_idle()
    assert again.scores() == scores
    assert all(session.maps.get(place) is not None for place in range(8))
    assert again.errors() == []


def test_that_a_training_cut_off_by_a_crash_is_gone_on_with_and_gives_the_same_scores(
    open_desk: Callable[[], RealDesk], data_set: Path, tmp_path: Path
) -> None:
    unfinished, kept = tmp_path / "training.unfinished", tmp_path / "kept"

    def trained(desk: RealDesk, seen: Callable[[Progress], object]) -> dict[str, float]:
        desk.parts.session.progressed.connect(lambda progress, _: seen(progress))
        desk.open_parts(data_set, epochs=12, learning_rate=1e-3, calibration=Calibrating.SPLIT)
        desk.train()
        assert desk.errors() == []
        return desk.scores()

    def keep(progress: Progress) -> None:
        """What a power cut after the first epochs would have left."""
        if progress.phase is Phase.TRAINING and not kept.exists() and unfinished.exists():
            shutil.copy(unfinished, kept)

    first = open_desk()
    undisturbed = trained(first, keep)
    assert not unfinished.exists()
    first.close()

    shutil.copy(kept, unfinished)
    (tmp_path / "reviews.sqlite").unlink()
    learned: list[float] = []
    again = open_desk()

    def note(progress: Progress) -> None:
        if progress.phase is Phase.TRAINING:
            learned.append(progress.done)

    scores = trained(again, note)
    assert min(learned) > 1
    assert scores == undisturbed
    assert not unfinished.exists()
