"""The `cfa` command in this process, and what its tests work on: a small data set and a model trained on it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

HEIGHT, WIDTH = 40, 48
GOOD = 40
HELD_OUT = 20
TRAIN_OPTIONS = ("--preset", "fast", "--image-size", "64", "--holdout", "0.5", "--device", "cpu")


def picture(seed: int, *, defect: bool = False) -> NDArray[np.uint8]:
    """A part: a disc on a bright, grainy ground, with or without a loud square; (40, 48, 3) uint8 RGB."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    inside = (y - HEIGHT / 2) ** 2 + (x - WIDTH / 2) ** 2 < 14**2
    shades = np.where(inside[..., None], (80, 90, 110), (200, 200, 200)) + rng.normal(0, 5, (HEIGHT, WIDTH, 3))
    if defect:
        shades[15:27, 18:30] = (255, 20, 20)
    return np.clip(shades, 0, 255).astype(np.uint8)


def write(path: Path, pixels: NDArray[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def write_dataset(root: Path, good: int = GOOD) -> Path:
    """MVTec AD layout: good images to train on; 5 good and 5 defective ones, with masks, to test."""
    for i in range(good):
        write(root / f"train/good/{i:02d}.png", picture(i))
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[15:27, 18:30] = 255
    for i in range(5):
        write(root / f"test/good/{i:02d}.png", picture(1000 + i))
        write(root / f"test/dot/{i:02d}.png", picture(2000 + i, defect=True))
        write(root / f"ground_truth/dot/{i:02d}_mask.png", mask)
    return root


@dataclass(frozen=True)
class Result:
    """What one run of the command gave."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one strict JSON object that standard output is."""
        content = json.loads(self.out, parse_constant=_refuse)
        assert isinstance(content, dict)
        self.out.encode("ascii")
        return content

    def assert_one_sentence(self, *parts: str) -> None:
        """Standard error ends with what is wrong, on one line."""
        last = self.err.strip().splitlines()[-1]
        assert last.startswith(("cfa: ", "Error: ")), self.err
        assert "Traceback" not in self.err
        for part in parts:
            assert part in last


def _refuse(constant: str) -> NoReturn:
    raise AssertionError(f"{constant} is no JSON")


class Command:
    """Runs `cfa` with arguments. Whatever it raises but SystemExit would be a traceback, and fails the test."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: object) -> Result:
        from core.cli.main import app

        self._capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            app([str(argument) for argument in arguments], prog_name="cfa")
        captured = self._capsys.readouterr()
        assert isinstance(end.value.code, int)
        return Result(end.value.code, captured.out, captured.err)


@cache
def model_bytes() -> bytes:
    """A model file trained on `write_dataset`, trained once for all tests."""
    from core.config import Calibrating
    from core.dataset import good_samples
    from core.model_file import save_model
    from core.presets import preset
    from core.training import train

    with TemporaryDirectory() as folder:
        good = good_samples(write_dataset(Path(folder) / "parts"))
        config = preset("fast").with_changes(image_size=64, holdout=0.5, calibration=Calibrating.SPLIT)
        save_model(train(good, config, device="cpu"), Path(folder) / "part.cfa")
        return (Path(folder) / "part.cfa").read_bytes()


def model_in(folder: Path) -> Path:
    """A fresh copy of the model file."""
    path = folder / "part.cfa"
    path.write_bytes(model_bytes())
    return path


def files(folder: Path) -> dict[str, bytes]:
    """Everything below a folder, hidden files too: path → content."""
    return dict(_files(folder))


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path.read_bytes()
