"""One image under review: label it, and see which regions are flagged."""

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QSizePolicy, QSpinBox, QTableView, QWidget

from cfa_gui import theme
from cfa_gui.models.flagged import listed_regions
from cfa_gui.models.region_table import RegionTableModel
from cfa_gui.models.review import Group
from cfa_gui.models.session import Collection, Session
from cfa_gui.panels import parts
from core.counting import counted

_TABLE = 72
"""Of the regions; in a lower panel all scrolls together."""


class ReviewPanel(parts.Panel):
    """Reads the current image; emits labels and the region to point at."""

    good_wanted = Signal()
    defect_wanted = Signal()
    unlabel_wanted = Signal()
    undo_wanted = Signal()
    next_flagged_wanted = Signal()
    add_good_wanted = Signal()
    open_wanted = Signal()
    region_chosen = Signal(object)
    """(top, left, height, width) in pixels of the picture, or None."""
    minimum_area_chosen = Signal(int)

    def __init__(self, session: Session, minimum_area: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._regions = RegionTableModel(self)
        self._build(minimum_area)
        content = QWidget()
        column = parts.column(content)
        column.addWidget(parts.title("Label"))
        column.addWidget(self._hint)
        labels = parts.row(self._defect, self._good, self._unlabel, stretch_last=True, gap=4)
        column.addLayout(labels)
        column.addLayout(parts.row(self._undo, self._next, stretch_last=True, gap=4))
        column.addWidget(self._add_good, 0, Qt.AlignmentFlag.AlignLeft)
        column.addWidget(parts.line())
        column.addWidget(parts.title("Flagged regions"))
        column.addWidget(self._state)
        column.addWidget(self._table, 1)
        column.addLayout(parts.row(self._area_label, self._area))
        foot = QWidget()
        parts.column(foot).addWidget(self._open)
        layout = parts.column(self, margin=0, gap=0)
        layout.addWidget(parts.scrolled(content), 1)
        layout.addWidget(foot)
        self._later = QTimer(self, singleShot=True, interval=30)
        self._later.timeout.connect(self._list_regions)
        self._connect()
        self._on_state()
        self._list_regions()

    def _build(self, minimum_area: int) -> None:
        self._hint = parts.caption()
        self._defect = parts.button("Defect", "The selected images are defective (key D).")
        self._good = parts.button("Good", "The selected images are good (key G).")
        self._unlabel = parts.button("No label", "Take the label off the selected images (key U).")
        for made in (self._defect, self._good, self._unlabel):
            made.setText(f" {made.text().strip()}")
        self._defect.setIcon(theme.mark_icon("defect"))
        self._good.setIcon(theme.mark_icon("good"))
        self._unlabel.setIcon(theme.mark_icon("unlabelled"))
        self._undo = parts.button("Undo", "Take the latest label back (key Z).", "undo")
        self._next = parts.button("Next flagged", "Go to the next flagged image (key N).", "skip-next-outline")
        self._add_good = parts.link(
            "Add to the good parts", "Let the next training learn from the selected images; for false alarms."
        )
        self._state = parts.caption()
        self._table = table = QTableView()
        table.setModel(self._regions)
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.verticalHeader().hide()
        table.verticalHeader().setDefaultSectionSize(28)
        table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        table.horizontalHeader().setStretchLastSection(True)
        table.setShowGrid(False)
        table.setTabKeyNavigation(False)
        table.setMinimumHeight(_TABLE)
        table.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Ignored)
        table.setAccessibleName("Flagged regions of this image")
        self._area = QSpinBox(minimum=1, maximum=100000, value=minimum_area, suffix=" px")
        self._area.setKeyboardTracking(False)
        theme.indent(self._area)
        self._area.setAccessibleName("Smallest region listed")
        self._area.setToolTip(
            "Regions smaller than this, in pixels of the map, are not listed. Verdicts do not change."
        )
        self._area_label = parts.caption("Smallest region listed")
        self._area_label.setWordWrap(False)
        self._open = parts.button(
            "Inspect images…", "Choose images to inspect (Ctrl+I); or drop them.", "image-search-outline", primary=True
        )

    def _connect(self) -> None:
        session = self._session
        for made, wanted in (
            (self._good, self.good_wanted),
            (self._defect, self.defect_wanted),
            (self._unlabel, self.unlabel_wanted),
            (self._undo, self.undo_wanted),
            (self._next, self.next_flagged_wanted),
            (self._add_good, self.add_good_wanted),
            (self._open, self.open_wanted),
        ):
            made.clicked.connect(wanted)
            made.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # a click leaves the keyboard with the images
        self._area.valueChanged.connect(self.minimum_area_chosen)
        self._area.valueChanged.connect(self._on_image)
        self._table.selectionModel().selectionChanged.connect(self._on_row)
        for signal in (
            session.current_changed,
            session.current_result_changed,
            session.threshold_changed,
            session.images_changed,
            session.shown_changed,
        ):
            signal.connect(self._on_image)
        session.state_changed.connect(self._on_state)
        session.selection_changed.connect(self._on_state)

    @Slot()
    def _on_state(self) -> None:
        allowed = self._session.allowed()
        for made in (self._good, self._defect, self._unlabel):
            made.setEnabled(allowed.label)
        self._undo.setEnabled(allowed.undo)
        self._next.setEnabled(allowed.review)
        self._add_good.setEnabled(allowed.add_good)
        self._open.setEnabled(allowed.inspect)
        self._hint.setText(self._hint_text())

    def _hint_text(self) -> str:
        session = self._session
        if session.shown is not Collection.REVIEW or not len(session.review):
            return "Labels are given to inspected images, so that the threshold can be measured against them."
        count = len(session.selection)
        groups = session.review.groups
        done = int((groups != Group.UNLABELLED).sum())
        which = f"{counted(count, 'image')} selected" if count else "No image selected"
        return f"{which} · {done} of {counted(groups.size, 'image has', 'images have')} a label"

    @Slot()
    def _on_image(self) -> None:
        """Wait until the present burst of changes is over: a row of regions is not worth a stutter."""
        if not self._later.isActive():
            self._later.start()

    @Slot()
    def _list_regions(self) -> None:
        session = self._session
        place = session.current
        values = session.maps.get(place) if session.shown is Collection.REVIEW else None
        placement = session.review.placements.get(place)
        if values is None or placement is None or session.threshold is None:
            self._regions.set_regions(())
            self._state.setText("Nothing to list: this image has not been inspected.")
        else:
            listed = listed_regions(values, placement, session.threshold.value, self._area.value())
            self._regions.set_regions(listed)
            self._state.setText(
                "Choose a region to see it on the picture." if listed else "No region is above the threshold."
            )
        self.region_chosen.emit(None)

    @Slot()
    def _on_row(self) -> None:
        rows = [index.row() for index in self._table.selectionModel().selectedRows()]
        self.region_chosen.emit(self._regions.regions[rows[0]].box if rows else None)
