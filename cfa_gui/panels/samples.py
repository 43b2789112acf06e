"""The good parts: how many, what to mind, and where on the picture to look."""

from functools import partial
from pathlib import Path

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QFrame, QLabel, QSizePolicy, QVBoxLayout, QWidget

from cfa_gui import theme
from cfa_gui.models.samples import SampleSet
from cfa_gui.models.session import Session
from cfa_gui.panels import parts
from core.config import Region
from core.counting import counted
from core.dataset import Finding, Layout

_KINDS_SHOWN = 3
_SIZES_SHOWN = 3


def sizes_text(samples: SampleSet) -> str:
    """The sizes of the images in words, width first as people say it."""
    listed = [f"{width} × {height}" for (height, width), _ in samples.sizes[:_SIZES_SHOWN]]
    if not listed:
        return ""
    if len(samples.sizes) == 1:
        return f"All {listed[0]} pixels"
    more = len(samples.sizes) - _SIZES_SHOWN
    counted = ", ".join(f"{text} ({samples.sizes[i][1]})" for i, text in enumerate(listed))
    return f"{counted} pixels" + (f" and {more} more sizes" if more > 0 else "")


def others_text(samples: SampleSet) -> str:
    """What is done with the images of the folder that are not learned from."""
    if samples.dataset.layout is not Layout.SORTED:
        return f"{counted(len(samples.test), 'test image')} in this folder: inspected after training."
    images = counted(len(samples.test), "image")
    kinds = list(dict.fromkeys(sample.kind for sample in samples.test if sample.kind))
    named = f" in {', '.join(kinds[:_KINDS_SHOWN])}" + (", …" if len(kinds) > _KINDS_SHOWN else "") if kinds else ""
    return f"Not learned from: {images}{named}, by the folders' names. Inspected after training."


class SamplesPanel(parts.Panel):
    """Reads the session's samples and regions; emits what the user wants done with them."""

    open_wanted = Signal()
    sample_parts_wanted = Signal()
    restore_wanted = Signal()
    leave_out_wanted = Signal(list)
    """Paths to take out of the good parts."""
    drawing_wanted = Signal(bool)
    """Draw a region; True: one to ignore."""
    region_removed = Signal(int)
    regions_cleared = Signal()
    continue_wanted = Signal()

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._build()
        content = QWidget()
        column = parts.column(content)
        column.addWidget(parts.title("Good parts"))
        column.addWidget(self._count)
        column.addWidget(self._folder)
        column.addWidget(self._sizes)
        column.addWidget(self._test)
        column.addLayout(parts.row(self._open, self._samples))
        column.addWidget(self._state)
        column.addLayout(self._findings)
        column.addWidget(self._restore, 0, Qt.AlignmentFlag.AlignLeft)
        column.addSpacing(theme.GAP)
        column.addWidget(parts.line())
        column.addWidget(parts.title("Where to inspect"))
        column.addWidget(self._regions_hint)
        column.addLayout(parts.row(self._draw, self._ignore))
        column.addLayout(self._regions)
        column.addWidget(self._clear, 0, Qt.AlignmentFlag.AlignLeft)
        column.addStretch(1)
        layout = parts.column(self, margin=0, gap=0)
        layout.addWidget(parts.scrolled(content), 1)
        foot = QWidget()
        parts.column(foot).addWidget(self._continue)
        layout.addWidget(foot)
        self._connect()
        self._on_samples()
        self._on_regions()
        self._on_state()

    def _build(self) -> None:
        self._count = QLabel()
        self._count.setProperty("role", "number")
        self._folder = parts.caption()
        self._sizes = parts.caption()
        self._test = parts.caption()
        self._state = parts.caption()
        self._open = parts.button("Open folder…", "Choose another folder of good parts.", "folder-open-outline")
        self._samples = parts.button(
            "Sample parts", "Open the sample parts that come with the program.", "shape-outline"
        )
        self._findings = QVBoxLayout()
        self._findings.setSpacing(theme.GAP)
        self._restore = parts.link("Put back", "Take the images in again that were left out.")
        self._regions_hint = parts.caption()
        self._draw = parts.button(
            "Region",
            "Draw the region to inspect; outside it nothing is looked at (region of interest).",
            "vector-square",
        )
        self._ignore = parts.button(
            "Ignored area",
            "Draw an area that is not looked at, such as a label or a clamp (ignore mask).",
            "eye-off-outline",
        )
        self._regions = QVBoxLayout()
        self._regions.setSpacing(2)
        self._clear = parts.link("Remove all", "Look at the whole picture again.")
        self._continue = parts.button(
            "Continue to training", "Go on to the training panel.", "arrow-right", primary=True
        )

    def _connect(self) -> None:
        self._open.clicked.connect(self.open_wanted)
        self._samples.clicked.connect(self.sample_parts_wanted)
        self._restore.clicked.connect(self.restore_wanted)
        self._draw.clicked.connect(self._on_draw)
        self._ignore.clicked.connect(self._on_ignore)
        self._clear.clicked.connect(self.regions_cleared)
        self._continue.clicked.connect(self.continue_wanted)
        self._session.samples_changed.connect(self._on_samples)
        self._session.config_changed.connect(self._on_regions)
        self._session.state_changed.connect(self._on_state)

    @Slot()
    def _on_draw(self) -> None:
        self.drawing_wanted.emit(False)  # noqa: FBT003  a signal

    @Slot()
    def _on_ignore(self) -> None:
        self.drawing_wanted.emit(True)  # noqa: FBT003  a signal

    @Slot(bool)
    def show_drawing(self, drawing: bool) -> None:
        """Explain the drawing while it goes on."""
        if drawing:
            self._regions_hint.setText(
                "Click the corners on the picture; Enter or a double click ends, Backspace takes a corner back, "
                "Escape gives up. With the keyboard: arrows move the cross, Space sets a corner."
            )
        else:
            self._on_regions()

    @Slot()
    def _on_state(self) -> None:
        allowed = self._session.allowed()
        self._open.setEnabled(allowed.open)
        self._samples.setEnabled(allowed.open)
        self._draw.setEnabled(allowed.draw)
        self._ignore.setEnabled(allowed.draw)
        self._continue.setEnabled(allowed.train)
        self._restore.setEnabled(allowed.open)

    @Slot()
    def _on_samples(self) -> None:
        samples = self._session.samples
        self._restore.setVisible(bool(samples and samples.removed))
        parts.clear(self._findings)
        if samples is None:
            self._count.setText("None yet")
            self._folder.setText("Drop a folder of good parts anywhere on this window.")
            for label in (self._sizes, self._test, self._state):
                label.hide()
            return
        self._count.setText(counted(len(samples.good), "image"))
        self._folder.setText(str(samples.dataset.root))
        self._folder.setToolTip(str(samples.dataset.root))
        self._sizes.setText(sizes_text(samples))
        self._sizes.setVisible(bool(samples.sizes))
        self._test.setVisible(bool(samples.test))
        self._test.setText(others_text(samples))
        self._state.setVisible(samples.checking or not samples.findings)
        self._state.setText("Checking the images…" if samples.checking else "✓  The check found nothing to mind.")
        for finding in samples.findings:
            self._findings.addWidget(self._card(finding))
        removed = len(samples.removed)
        self._restore.setText(f"Put back {counted(removed, 'image')}")

    def _card(self, finding: Finding) -> QFrame:
        card = QFrame()
        card.setProperty("role", "card")
        column = parts.column(card, margin=theme.GAP, gap=4)
        sign = QLabel()
        sign.setPixmap(
            theme.icon("alert-circle-outline", "defect" if finding.severity == "error" else "uncertain").pixmap(18, 18)
        )
        sign.setAlignment(Qt.AlignmentFlag.AlignTop)
        sign.setAccessibleName("Problem" if finding.severity == "error" else "Warning")
        sentence = parts.body(finding.what)
        sentence.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        column.addLayout(parts.row(sign, sentence, stretch_last=True))
        good = {sample.path for sample in self._session.samples.good} if self._session.samples else set()
        concerned = [sample.path for sample in finding.samples if sample.path in good]
        if concerned and len(concerned) < len(good):
            leave = parts.link(
                f"Leave {counted(len(concerned), 'image')} out",
                "Take them out of the training; the files stay where they are.\n"
                + "\n".join(path.name for path in concerned[:8]),
            )
            leave.clicked.connect(partial(self._leave_out, concerned))
            column.addWidget(leave, 0, Qt.AlignmentFlag.AlignLeft)
        return card

    def _leave_out(self, paths: list[Path]) -> None:
        self.leave_out_wanted.emit(paths)

    @Slot()
    def _on_regions(self) -> None:
        regions = self._session.config.preprocessing.regions
        parts.clear(self._regions)
        for place, region in enumerate(regions):
            self._regions.addWidget(self._region_row(place, region))
        self._clear.setVisible(len(regions) > 1)
        inside = sum(not region.ignored for region in regions)
        self._regions_hint.setText(
            "The whole picture is inspected. Draw on the picture to change that; it is kept in the model."
            if not regions
            else ("Only inside the regions drawn." if inside else "Everywhere but in the ignored areas.")
            + " This goes into the next training."
        )

    def _region_row(self, place: int, region: Region) -> QWidget:
        holder = QWidget()
        name = f"{'Ignored area' if region.ignored else 'Region'} {place + 1}, {len(region.points)} corners"
        remove = parts.tool_button(f"Remove {name}", "Remove it.", "close")
        remove.clicked.connect(partial(self.region_removed.emit, place))
        layout = parts.row(QLabel(name), stretch_last=True)
        layout.addStretch(1)
        layout.addWidget(remove)
        holder.setLayout(layout)
        return holder
