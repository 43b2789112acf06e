import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.checkpoint import Checkpoint, Resume
from core.config import Config
from core.errors import CancelledByUser, CheckpointError
from core.progress import CancelToken, Phase, Progress
from core.samples import Sample
from core.trained_model import TrainedModel
from core.training import train
from tests.core.cli_runs import TRAIN_OPTIONS, Command, write_dataset
from tests.core.parts import TINY
from tests.core.states import same

pytestmark = pytest.mark.usefixtures("shared_backbone")
LONG = TINY.with_changes(epochs=4, learning_rate=1e-3)


class CutOffError(Exception):
    """A power cut."""


def cut_off(parts: tuple[Sample, ...], config: Config, path: Path, after: float) -> None:
    """Train until more than so many epochs are done, and no further."""

    def stop(progress: Progress) -> None:
        if progress.phase is Phase.TRAINING and progress.done > after:
            raise CutOffError

    with pytest.raises(CutOffError):
        train(parts, config, device="cpu", checkpoint=Checkpoint(path), report=stop)


def epochs_done(parts: tuple[Sample, ...], config: Config, checkpoint: Checkpoint) -> tuple[TrainedModel, list[float]]:
    """Go on, and say which parts of epochs were computed."""
    seen: list[float] = []

    def note(progress: Progress) -> None:
        if progress.phase is Phase.TRAINING:
            seen.append(progress.done)

    return train(parts, config, device="cpu", checkpoint=checkpoint, report=note), seen


@pytest.mark.parametrize("after", [1.0, 2.6, 3.9])
def test_that_a_training_that_was_cut_off_ends_as_if_it_had_not_been(
    parts: tuple[Sample, ...], tmp_path: Path, after: float
) -> None:
    undisturbed = train(parts, LONG, device="cpu")
    path = tmp_path / "part.cfa.unfinished"
    cut_off(parts, LONG, path, after)
    resumed, seen = epochs_done(parts, LONG, Checkpoint(path, Resume.REQUIRED))
    assert min(seen) > int(after)
    assert same(undisturbed, resumed)
    assert undisturbed.summary.history == resumed.summary.history


def test_that_a_training_of_other_images_or_settings_is_not_gone_on_with(
    parts: tuple[Sample, ...], tmp_path: Path
) -> None:
    path = tmp_path / "unfinished"
    cut_off(parts, LONG, path, 2.0)
    for images, config in ((parts[:-1], LONG), (parts, LONG.with_changes(seed=9))):
        with pytest.raises(CheckpointError, match="has other images, settings or another device"):
            train(images, config, device="cpu", checkpoint=Checkpoint(path, Resume.REQUIRED))
        anew, seen = epochs_done(images, config, Checkpoint(path))
        assert min(seen) < 1
        assert same(anew, train(images, config, device="cpu"))
        cut_off(parts, LONG, path, 2.0)


def test_that_a_damaged_or_missing_checkpoint_is_told_or_done_without(
    parts: tuple[Sample, ...], tmp_path: Path
) -> None:
    path = tmp_path / "unfinished"
    with pytest.raises(CheckpointError, match="There is no unfinished training"):
        train(parts, TINY, device="cpu", checkpoint=Checkpoint(path, Resume.REQUIRED))
    cut_off(parts, LONG, path, 1.0)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(flipped) // 2] ^= 1
    for damaged in (b"", whole[:100], whole[:-1], bytes(flipped)):
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match="is damaged"):
            train(parts, LONG, device="cpu", checkpoint=Checkpoint(path, Resume.REQUIRED))
    _, seen = epochs_done(parts, LONG, Checkpoint(path))
    assert min(seen) < 1


def test_that_a_place_that_cannot_be_written_costs_the_checkpoint_and_not_the_training(
    parts: tuple[Sample, ...], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trained = train(parts, TINY, device="cpu", checkpoint=Checkpoint(tmp_path / "nowhere" / "unfinished"))
    assert same(trained, train(parts, TINY, device="cpu"))
    assert "an epoch is not kept" in caplog.text


def test_that_cancelling_keeps_the_epochs_that_are_done(parts: tuple[Sample, ...], tmp_path: Path) -> None:
    token, path = CancelToken(), tmp_path / "unfinished"

    def cancel(progress: Progress) -> None:
        if progress.phase is Phase.TRAINING and progress.done > 2:
            token.cancel()

    with pytest.raises(CancelledByUser):
        train(parts, LONG, device="cpu", checkpoint=Checkpoint(path), report=cancel, cancel=token)
    resumed, seen = epochs_done(parts, LONG, Checkpoint(path, Resume.REQUIRED))
    assert min(seen) > 2
    assert same(resumed, train(parts, LONG, device="cpu"))


@pytest.fixture
def cfa(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


def test_that_resume_after_a_kill_gives_the_file_that_an_undisturbed_training_gives(
    cfa: Command, tmp_path: Path
) -> None:
    from core.model_file import load_model

    root = write_dataset(tmp_path / "parts", good=8)
    options = ["train", str(root), *TRAIN_OPTIONS, "--calibration", "split", "--epochs", "60"]
    program = [sys.executable, "-m", "core.cli", *options, "--out", str(tmp_path / "a.cfa")]
    unfinished = tmp_path / "a.cfa.unfinished"
    with subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as killed:
        deadline = time.monotonic() + 90
        while not unfinished.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        killed.send_signal(signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)
    assert unfinished.exists()
    assert not (tmp_path / "a.cfa").exists()
    assert cfa(*options, "--out", tmp_path / "a.cfa", "--resume").status == 0
    assert not unfinished.exists()
    assert cfa(*options, "--out", tmp_path / "b.cfa").status == 0
    assert same(load_model(tmp_path / "a.cfa"), load_model(tmp_path / "b.cfa"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.cfa", "b.cfa", "parts"]


def test_that_a_training_anew_leaves_an_unfinished_one_until_it_has_an_epoch_of_its_own(
    cfa: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_dataset(tmp_path / "parts", good=8)
    unfinished = tmp_path / "a.cfa.unfinished"
    unfinished.write_bytes(b"hours of work")

    def cancelled(*_: object) -> None:
        raise CancelledByUser

    with monkeypatch.context() as patch:
        patch.setattr("core.member_training._build_bank", cancelled)
        result = cfa("train", root, *TRAIN_OPTIONS, "--out", tmp_path / "a.cfa")
    assert result.status == 1
    assert "--resume would go on with it" in result.err
    assert unfinished.read_bytes() == b"hours of work"
    assert cfa("train", root, *TRAIN_OPTIONS, "--out", tmp_path / "a.cfa").status == 0
    assert not unfinished.exists()


def test_that_resume_without_anything_to_resume_says_so(cfa: Command, tmp_path: Path) -> None:
    root = write_dataset(tmp_path / "parts", good=8)
    result = cfa("train", root, *TRAIN_OPTIONS, "--out", tmp_path / "a.cfa", "--resume")
    result.assert_one_sentence("There is no unfinished training", "Train without resuming")
    assert result.status == 1
