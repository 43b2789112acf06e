"""The images: list or grid, with search, filter and order."""

from dataclasses import replace

from PySide6.QtCore import QItemSelection, QItemSelectionModel, QModelIndex, QSize, Qt, Signal, Slot
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QButtonGroup, QComboBox, QLineEdit, QListView, QToolButton, QWidget

from cfa_gui import theme
from cfa_gui.models.image_list import ImageListModel
from cfa_gui.models.review import Show, Sort
from cfa_gui.models.session import Collection, Session
from cfa_gui.panels import parts
from cfa_gui.panels.image_delegate import ImageDelegate
from cfa_gui.widgets.empty_list import EmptyListView
from core.counting import counted

FILTERS = (
    (Show.ALL, "All images", "Every image."),
    (Show.FLAGGED, "Flagged", "Score above the threshold."),
    (Show.PASSED, "Passed", "Score at or below the threshold."),
    (Show.UNCERTAIN, "Uncertain", "Score between the two lines, if the uncertain band is in use."),
    (Show.FALSE_ALARM, "False alarms", "Flagged, but labelled good (false positives)."),
    (Show.MISSED, "Missed defects", "Passed, but labelled defect (false negatives)."),
    (Show.UNLABELLED, "Not labelled", "Nobody has said yet what these are."),
    (Show.FAILED, "Failed", "Could not be inspected; the reason is in the tooltip."),
    (Show.TRUE_DEFECT, "Found defects", "Flagged, and labelled defect (true positives)."),
    (Show.TRUE_GOOD, "Good and passed", "Passed, and labelled good (true negatives)."),
)
SORTS = (
    (Sort.HIGHEST, "Highest first"),
    (Sort.LOWEST, "Lowest first"),
    (Sort.NAME, "By name"),
)


_CELL_WIDTH = 116


class ImagesPanel(parts.Panel):
    """Shows the image list model; emits what the user picks."""

    collection_chosen = Signal(object)
    """Collection."""
    query_chosen = Signal(object)
    """Query."""
    selection_made = Signal(tuple, int)
    """Positions selected in the collection, and the current one."""
    view_chosen = Signal(str)
    """"grid" or "list"."""

    def __init__(self, session: Session, images: ImageListModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._images = images
        self._following = False
        self._delegate = ImageDelegate(self)
        self._build_controls()
        self._build_view()
        layout = parts.column(self, gap=6)
        layout.addLayout(parts.row(self._samples, self._review, stretch_last=True, gap=0))
        layout.addLayout(parts.row(self._search, self._list_button, self._grid_button, stretch_last=True, gap=4))
        layout.addLayout(parts.row(self._filter, self._sort, stretch_last=True, gap=4))
        layout.addWidget(self._view, 1)
        layout.addWidget(self._count)
        self._connect()
        self._on_shown()
        self._on_rows()

    def _build_controls(self) -> None:
        self._samples = parts.button("Good parts", "The images that a model learns from.")
        self._review = parts.button("Inspected", "The images that the model has looked at.")
        self._pages = QButtonGroup(self)
        for number, page in enumerate((self._samples, self._review)):
            page.setCheckable(True)
            page.setProperty("role", "segment")
            self._pages.addButton(page, number)
        self._search = QLineEdit(placeholderText="Search by name", clearButtonEnabled=True)
        self._search.setAccessibleName("Search by name")
        self._search.setToolTip("Show only images whose name contains this text.")
        for clear in self._search.findChildren(QToolButton):
            clear.setAccessibleName("Clear the search")
        self._list_button = parts.tool_button(
            "List", "Show the images as a list.", "format-list-bulleted", checkable=True
        )
        self._grid_button = parts.tool_button(
            "Grid", "Show the images as a grid of thumbnails.", "view-grid-outline", checkable=True
        )
        self._views = QButtonGroup(self)
        self._views.addButton(self._list_button, 0)
        self._views.addButton(self._grid_button, 1)
        self._filter = QComboBox()
        self._filter.setAccessibleName("Filter")
        self._filter.setToolTip("Which of the inspected images to show.")
        for number, (show, text, tip) in enumerate(FILTERS):
            self._filter.addItem(text, show)
            self._filter.setItemData(number, tip, Qt.ItemDataRole.ToolTipRole)
        self._sort = QComboBox()
        self._sort.setAccessibleName("Order")
        self._sort.setToolTip("In which order to show them.")
        for sort, text in SORTS:
            self._sort.addItem(text, sort)
        for box in (self._filter, self._sort):
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.setMinimumContentsLength(7)

    def _build_view(self) -> None:
        self._view = view = EmptyListView()
        view.setModel(self._images)
        view.setItemDelegate(self._delegate)
        view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        view.setUniformItemSizes(True)
        view.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        view.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        view.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        view.setResizeMode(QListView.ResizeMode.Adjust)
        view.setMovement(QListView.Movement.Static)
        view.setMouseTracking(True)
        view.setAccessibleName("Images")
        self._count = parts.caption()

    def _connect(self) -> None:
        self._pages.idClicked.connect(self._on_page_clicked)
        self._views.idClicked.connect(self._on_view_clicked)
        self._search.textChanged.connect(self._on_query)
        self._filter.currentIndexChanged.connect(self._on_query)
        self._sort.currentIndexChanged.connect(self._on_query)
        self._view.selectionModel().selectionChanged.connect(self._on_selection)
        self._view.selectionModel().currentChanged.connect(self._on_current_index)
        self._images.rows_changed.connect(self._on_rows)
        self._images.marks_changed.connect(self.redraw)
        session = self._session
        session.shown_changed.connect(self._on_shown)
        session.results_added.connect(self.redraw)
        session.model_changed.connect(self.redraw)
        session.current_changed.connect(self._follow)
        session.selection_changed.connect(self._follow)
        theme.notifier().changed.connect(self.redraw)

    @property
    def view(self) -> QListView:
        """The list itself, for keyboard focus and shortcuts."""
        return self._view

    def set_view(self, name: str) -> None:
        """Show a "grid" or a "list"."""
        grid = name == "grid"
        self._delegate.grid = grid
        (self._grid_button if grid else self._list_button).setChecked(True)
        self._view.setViewMode(QListView.ViewMode.IconMode if grid else QListView.ViewMode.ListMode)
        self._view.setMovement(QListView.Movement.Static)
        self._view.setResizeMode(QListView.ResizeMode.Adjust)
        self._view.setWrapping(grid)
        self._view.setSpacing(0)
        self._fit_cells()
        self._scroll_to_current()

    def _fit_cells(self) -> None:
        """Share the width of the grid out among as many columns as fit."""
        width = self._view.viewport().width() - 4  # Qt wraps where cells fill the width to the last pixel
        columns = max(1, width // _CELL_WIDTH)
        self._delegate.cell = QSize(max(_CELL_WIDTH, width // columns), 132)
        self._view.setGridSize(self._delegate.cell if self._delegate.grid else QSize())

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802  Qt's name
        """Other columns where the panel has another width."""
        super().resizeEvent(event)
        self._fit_cells()

    def focus_search(self) -> None:
        """Put the cursor into the search field."""
        self._search.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self._search.selectAll()

    def choose_filter(self, show: Show) -> None:
        """Show only some images, as if picked in the list of filters."""
        self._filter.setCurrentIndex(self._filter.findData(show))

    @Slot()
    def redraw(self) -> None:
        """Paint what is visible."""
        self._view.viewport().update()
        self._tell_count()

    @Slot(int)
    def _on_page_clicked(self, number: int) -> None:
        self.collection_chosen.emit(Collection.REVIEW if number else Collection.SAMPLES)

    @Slot(int)
    def _on_view_clicked(self, number: int) -> None:
        self.set_view("grid" if number else "list")
        self.view_chosen.emit("grid" if number else "list")

    @Slot()
    def _on_query(self) -> None:
        query = replace(
            self._images.query,
            show=Show(self._filter.currentData()),
            sort=Sort(self._sort.currentData()),
            search=self._search.text().strip(),
        )
        self.query_chosen.emit(query)

    @Slot()
    def _on_shown(self) -> None:
        review = self._session.shown is Collection.REVIEW
        (self._review if review else self._samples).setChecked(True)
        self._filter.setVisible(review)
        self._sort.setVisible(review)

    @Slot()
    def _on_rows(self) -> None:
        self._follow()
        self._tell_count()

    def _tell_count(self) -> None:
        shown = self._images.rowCount()
        good = len(self._session.samples.good) if self._session.samples else 0
        total = len(self._session.review) if self._session.shown is Collection.REVIEW else good
        self._samples.setText(f"Good parts  {good}" if good else "Good parts")
        self._review.setText(f"Inspected  {len(self._session.review)}" if len(self._session.review) else "Inspected")
        selected = len(self._session.selection)
        text = counted(shown, "image") if shown == total else f"{shown} of {counted(total, 'image')}"
        self._count.setText(f"{text} · {selected} selected" if selected > 1 else text if total else "")
        self._view.set_empty_text(*self._empty_words(total))

    def _empty_words(self, total: int) -> tuple[str, str]:
        if total:
            return "No image to show", "The filter or the search leaves none."
        if self._session.shown is Collection.SAMPLES:
            return "No good parts yet", "Drop a folder of good parts on the window."
        if self._session.model is None:
            return "No model yet", "Train one, or open a model file; then images can be inspected."
        return "Nothing inspected yet", "Drop images or a folder on the window."

    @Slot(QItemSelection, QItemSelection)
    def _on_selection(self, _selected: QItemSelection, _deselected: QItemSelection) -> None:
        self._tell_selection()

    @Slot(QModelIndex, QModelIndex)
    def _on_current_index(self, now: QModelIndex, _before: QModelIndex) -> None:
        model = self._view.selectionModel()
        if now.isValid() and not self._following and not model.hasSelection():  # Qt makes a row current at focus
            model.select(now, QItemSelectionModel.SelectionFlag.Select)
        else:
            self._tell_selection()

    def _tell_selection(self) -> None:
        if self._following:
            return
        picked = self._view.selectionModel().selection()  # few ranges, where there may be 10,000 indexes
        runs = sorted((picked.at(i).top(), picked.at(i).bottom()) for i in range(picked.size()))
        places = tuple(place for top, bottom in runs for place in self._images.order[top : bottom + 1].tolist())
        current = self._images.place_of(self._view.currentIndex().row())
        if current < 0 and places:
            current = places[0]
        self._following = True
        self.selection_made.emit(places, current)
        self._following = False
        self._tell_count()

    @Slot()
    def _follow(self) -> None:
        """Select what the session says is selected."""
        if self._following:
            return
        self._following = True
        model = self._view.selectionModel()
        current = self._images.row_of(self._session.current)
        selection = QItemSelection()
        for first, last in self._images.runs_of(self._session.selection):
            selection.select(self._images.index(first), self._images.index(last))
        model.select(selection, QItemSelectionModel.SelectionFlag.ClearAndSelect)
        if current >= 0:
            model.setCurrentIndex(self._images.index(current), QItemSelectionModel.SelectionFlag.NoUpdate)
        self._following = False
        self._scroll_to_current()
        self._tell_count()

    def _scroll_to_current(self) -> None:
        index = self._view.currentIndex()
        if index.isValid():
            self._view.scrollTo(index)
