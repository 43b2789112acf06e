"""The flagged regions of one image as a Qt table view wants them."""

from collections.abc import Sequence

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt

from cfa_gui.models.flagged import ListedRegion

_COLUMNS = (
    ("Peak", "Highest score in the region (peak of the anomaly map)."),
    ("Area", "Pixels of the picture above the threshold."),
    ("Left, top", "Where its frame begins, in pixels of the picture (bounding box)."),
    ("Size", "Width × height of its frame, in pixels of the picture."),
)
_RIGHT = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)


def _texts(region: ListedRegion) -> tuple[str, ...]:
    top, left, height, width = region.box
    return (
        f"{region.peak:.3f}",
        f"{region.area:,.0f}",
        f"{left:.0f}, {top:.0f}",
        f"{width:.0f} × {height:.0f}",
    )


class RegionTableModel(QAbstractTableModel):
    """A row for each region. All rows change at once: the view measures its columns once, not at every cell."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._regions: tuple[ListedRegion, ...] = ()
        self._rows: tuple[tuple[str, ...], ...] = ()

    @property
    def regions(self) -> tuple[ListedRegion, ...]:
        """What the rows are of."""
        return self._regions

    def set_regions(self, regions: Sequence[ListedRegion]) -> None:
        """Show other regions; views lose their selection."""
        self.beginResetModel()
        self._regions = tuple(regions)
        self._rows = tuple(map(_texts, self._regions))
        self.endResetModel()

    def rowCount(  # noqa: N802  Qt's name
        self,
        parent: QModelIndex | QPersistentModelIndex = QModelIndex(),  # noqa: B008  Qt's signature
    ) -> int:
        """Number of regions."""
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(  # noqa: N802  Qt's name
        self,
        parent: QModelIndex | QPersistentModelIndex = QModelIndex(),  # noqa: B008  Qt's signature
    ) -> int:
        """Peak, area, place and size."""
        return 0 if parent.isValid() else len(_COLUMNS)

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """The text of a cell."""
        if role == Qt.ItemDataRole.DisplayRole:
            return self._rows[index.row()][index.column()]
        return _RIGHT if role == Qt.ItemDataRole.TextAlignmentRole else None

    def headerData(  # noqa: N802  Qt's name
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> object:
        """Name and meaning of a column."""
        if orientation is not Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _RIGHT
        name, meaning = _COLUMNS[section]
        return {Qt.ItemDataRole.DisplayRole: name, Qt.ItemDataRole.ToolTipRole: meaning}.get(Qt.ItemDataRole(role))
