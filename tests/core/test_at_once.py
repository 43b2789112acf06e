import pytest
import torch

from core.at_once import images_at_once
from core.config import Config


@pytest.mark.parametrize(
    ("threads", "changes", "count", "expected"),
    [
        (1, {}, 100, 1),
        (2, {}, 100, 2),
        (8, {}, 100, 8),
        (8, {}, 1, 1),
        (8, {}, 3, 2),  # of four threads each: three of two would leave two threads idle
        (6, {}, 4, 3),
        (32, {}, 100, 8),
        (8, {"image_size": 512}, 100, 4),
        (8, {"image_size": 1024}, 100, 1),
        (8, {"image_size": 2048}, 100, 1),
        (8, {"second_scale": 2.0}, 100, 4),
        (8, {"resizing": "R+C", "image_size": 1024, "crop_size": 256}, 100, 8),
    ],
)
def test_that_each_image_has_a_thread_and_large_ones_have_several(
    monkeypatch: pytest.MonkeyPatch, threads: int, changes: dict[str, object], count: int, expected: int
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert images_at_once(Config().with_changes(**changes), count) == expected
