"""The list of images at ten thousand, and its thumbnails in bounded memory."""

import time
from pathlib import Path

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage
from pytestqt.qtbot import QtBot

from cfa_gui.models.image_list import ImageListModel, Role, common_folder
from cfa_gui.models.review import Mark, Query, Show
from cfa_gui.models.session import Collection, Session
from cfa_gui.models.thumbnails import ThumbnailCache, to_image
from core.dataset import Label, Sample
from tests.cfa_gui.fake_engine import fake_model, manual


def many(count: int) -> tuple[Session, ImageListModel]:
    session = Session()
    session.set_model(fake_model(threshold=manual(0.5)), None)
    labels = (Label.GOOD, Label.DEFECT, None)
    session.add_images(
        tuple(Sample(Path(f"/p/test/{n:05}.png"), f"test/{n:05}.png", labels[n % 3], "", None) for n in range(count))
    )
    session.review.scores = np.random.default_rng(0).random(count)
    session.show(Collection.REVIEW)
    model = ImageListModel(session, ThumbnailCache(), session)
    model.refresh()
    return session, model


def test_that_ten_thousand_images_are_filtered_at_once(qtbot: QtBot) -> None:
    session, model = many(10_000)
    start = time.perf_counter()
    for number in range(20):
        session.set_threshold(manual(number / 20))
        model.set_query(Query(Show.FLAGGED if number % 2 else Show.PASSED, search="9"))
        model.refresh()
    assert (time.perf_counter() - start) / 20 < 0.05
    assert model.rowCount() > 0


def test_that_only_rows_that_are_asked_for_want_thumbnails(qtbot: QtBot) -> None:
    _, model = many(1000)
    wanted: list[Path] = []
    model.thumbnail_wanted.connect(wanted.append)
    for row in range(5):
        assert model.index(row).data(Role.THUMBNAIL) is None
    assert wanted == [Path(f"/p/{model.sample_at(row).name}") for row in range(5)]  # type: ignore[union-attr]


def test_that_rows_of_selected_images_come_as_runs(qtbot: QtBot) -> None:
    session, model = many(10)
    session.review.scores = np.arange(10.0)  # highest first: image 9 is row 0
    model.refresh()
    assert model.runs_of((9, 8, 7, 3, 0)) == [(0, 2), (6, 6), (9, 9)]
    assert model.runs_of(()) == []
    model.set_query(Query(search="00003"))
    assert model.runs_of((9, 3)) == [(0, 0)]


def test_that_a_name_can_be_read_but_not_typed_over(qtbot: QtBot) -> None:
    _, model = many(3)
    index = model.index(0)
    assert index.data().endswith(".png")
    assert model.flags(index) & Qt.ItemFlag.ItemIsSelectable
    assert not model.flags(index) & Qt.ItemFlag.ItemIsEditable


def test_that_a_change_that_leaves_the_rows_as_they_are_resets_nothing(qtbot: QtBot) -> None:
    session, model = many(10)
    with qtbot.assertNotEmitted(model.modelReset), qtbot.waitSignal(model.marks_changed):
        session.set_threshold(manual(0.9))
        model.refresh()


def test_that_verdicts_are_those_of_the_moment(qtbot: QtBot) -> None:
    session, model = many(3)
    session.review.scores = np.array([0.1, 0.9, np.nan])
    model.set_query(Query(sort=model.query.sort))
    model.refresh()
    assert [model.index(row).data(Role.MARK) for row in range(3)] == [Mark.DEFECT, Mark.GOOD, Mark.WAITING]
    session.set_threshold(manual(2.0))
    assert model.index(0).data(Role.MARK) == Mark.GOOD
    assert model.index(2).data(Role.SCORE) is None


def test_that_a_cache_of_thumbnails_keeps_to_its_limit() -> None:
    cache = ThumbnailCache(limit=3)
    for number in range(5):
        cache.put(Path(str(number)), QImage(4, 4, QImage.Format.Format_RGB888))
        cache.get(Path("0"))
    assert len(cache) == 3
    assert cache.get(Path("0")) is not None
    assert cache.get(Path("1")) is None


def test_that_a_broken_file_is_not_asked_for_again_until_files_change() -> None:
    cache = ThumbnailCache()
    cache.put_broken(Path("x"))
    assert cache.is_broken(Path("x"))
    cache.forget_broken()
    assert not cache.is_broken(Path("x"))


def test_that_an_image_for_qt_has_the_same_pixels() -> None:
    picture = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    image = to_image(picture[:, ::-1])
    colour = image.pixelColor(0, 1)
    assert (colour.red(), colour.green(), colour.blue()) == tuple(picture[1, 2])


def test_that_the_folder_all_names_share_is_found() -> None:
    assert common_folder(["train/good/1.png", "train/good/2.png"]) == len("train/good/")
    assert common_folder(["test/a/1.png", "test/ab/1.png"]) == len("test/")
    assert common_folder(["1.png", "10.png"]) == 0
    assert common_folder([]) == 0
