"""Pictures of a line as files."""

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from core.dataset import Label
from core.errors import OutputError
from core.images import read_image
from core.line.live.saving import file_name, save_picture
from tests.core.line.sources import plain

WHEN = datetime(2026, 3, 1, 14, 5, 9, 123_999).astimezone()


def test_that_a_name_says_when_and_how_strange() -> None:
    assert file_name(WHEN, 1.2044) == "2026-03-01_14-05-09.123_score-1.204.png"
    assert file_name(WHEN, None) == "2026-03-01_14-05-09.123.png"


def test_that_a_picture_is_written_without_loss_into_the_folder_of_its_label(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)
    path = save_picture(pixels, tmp_path / "new", Label.DEFECT, WHEN, 2.0)
    assert path.parent == tmp_path / "new" / "defect"
    assert np.array_equal(read_image(path), pixels)
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_that_two_pictures_of_one_moment_do_not_overwrite_each_other(tmp_path: Path) -> None:
    paths = {save_picture(plain(grey), tmp_path, Label.GOOD, WHEN, 1.0) for grey in (1, 2, 3)}
    assert sorted(int(read_image(path)[0, 0, 0]) for path in paths) == [1, 2, 3]


def test_that_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be written"):
        save_picture(plain(1), tmp_path / "file", Label.GOOD, WHEN)
