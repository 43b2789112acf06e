"""The table of flagged regions."""

from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from cfa_gui.models.flagged import ListedRegion
from cfa_gui.models.region_table import RegionTableModel


def test_that_a_region_is_told_in_pixels_of_the_picture(qtbot: QtBot) -> None:
    model = RegionTableModel()
    model.set_regions([ListedRegion((10.4, 20.0, 30.0, 40.0), 1234.4, 0.98765)])
    texts = [model.index(0, column).data() for column in range(model.columnCount())]
    assert texts == ["0.988", "1,234", "20, 10", "40 × 30"]
    heads = [model.headerData(column, Qt.Orientation.Horizontal) for column in range(model.columnCount())]
    assert heads == ["Peak", "Area", "Left, top", "Size"]


def test_that_two_hundred_regions_are_one_change(qtbot: QtBot) -> None:
    """Cell by cell a view would measure its columns 800 times."""
    model = RegionTableModel()
    resets: list[None] = []
    model.modelReset.connect(lambda: resets.append(None))
    with qtbot.assertNotEmitted(model.dataChanged), qtbot.assertNotEmitted(model.rowsInserted):
        model.set_regions([ListedRegion((0.0, 0.0, 1.0, 1.0), 1.0, 1.0)] * 200)
    assert model.rowCount() == 200
    assert len(resets) == 1
