"""Deploy: the model for other runtimes, and how it compares with the original."""

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import QComboBox, QGridLayout, QLabel, QLineEdit, QProgressBar, QWidget

from cfa_gui import theme
from cfa_gui.models.deployment import Check, Deployment
from cfa_gui.models.pace import Estimate
from cfa_gui.models.run_state import RunState
from cfa_gui.models.session import Session
from cfa_gui.panels import parts
from cfa_gui.panels.words import progress_text
from cfa_gui.widgets.stat import Stat
from core.counting import counted
from core.export.words import Exported, Format
from core.progress import Progress

FORMATS = (
    (
        Format.ONNX,
        "ONNX",
        "For ONNX Runtime: Python, C, C++, C#, Java, JavaScript.",
    ),
    (
        Format.OPENVINO,
        "OpenVINO",
        "For OpenVINO: Python and C++, on Intel’s and other processors.",
    ),
    (Format.TORCHSCRIPT, "TorchScript", "For PyTorch: Python and C++ (libtorch)."),
)
CHECKS = (
    (Check.LISTED, "Images in the list"),
    (Check.HELD_OUT, "Held-out good parts"),
    (Check.FOLDER, "A folder of images…"),
    (Check.DRAWN, "Drawn images only"),
)
STATS = (
    ("difference", "Score difference", "The largest, as a share of the original’s score; a thousandth is allowed."),
    ("flips", "Verdicts that differ", "Images that one of the two flags and the other does not; none is allowed."),
    ("images", "Images compared", "Yours, and those drawn in many sizes."),
    ("time", "Time per image", "Of the exported model, on this computer (median)."),
)


class DeployPanel(parts.Panel):
    """Reads the plan of an export and its outcome; emits what is wanted."""

    format_chosen = Signal(object)
    """Format."""
    check_chosen = Signal(object)
    """Check."""
    folder_wanted = Signal()
    export_wanted = Signal()
    cancel_wanted = Signal()
    show_wanted = Signal()

    def __init__(self, session: Session, deployment: Deployment, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._deployment = deployment
        self._build_plan()
        self._build_outcome()
        content = QWidget()
        column = parts.column(content)
        column.addWidget(parts.title("Deploy"))
        column.addWidget(
            parts.caption(
                "Write the model for other runtimes: picture in; heat map, score and verdict out. "
                "The line then needs neither this program nor its settings."
            )
        )
        column.addLayout(self._form)
        column.addWidget(self._outcome)
        column.addStretch(1)
        layout = parts.column(self, margin=0, gap=0)
        self._area = parts.scrolled(content)
        layout.addWidget(self._area, 1)
        foot = QWidget()
        bottom = parts.column(foot)
        for widget in (self._doing, self._bar, self._hint, self._export, self._cancel):
            bottom.addWidget(widget)
        layout.addWidget(foot)
        self._reveal = QTimer(self, singleShot=True, interval=0)
        self._reveal.timeout.connect(self._show_all_of_it)
        self._connect()
        self._on_plan()
        self._on_state()

    def _build_plan(self) -> None:
        self._format = QComboBox()
        for kind, text, _ in FORMATS:
            self._format.addItem(text, kind)
        self._format_remark = parts.caption()
        self._format_remark.setMinimumHeight(2 * self._format_remark.fontMetrics().lineSpacing())
        self._format_remark.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._folder = QLineEdit(readOnly=True, placeholderText="Not chosen yet")
        self._choose = parts.button("Choose…", "Choose a new or empty folder for the exported model.")
        self._check = QComboBox()
        self._check.setToolTip("On these images the exported model must give the original’s scores and verdicts.")
        for check, text in CHECKS:
            self._check.addItem(text, check)
        self._check_remark = parts.caption()
        self._form = QGridLayout()
        self._form.setHorizontalSpacing(theme.GAP)
        self._form.setVerticalSpacing(theme.GAP)
        self._form.setColumnStretch(1, 1)
        rows: tuple[tuple[str, QWidget], ...] = (
            ("Format", self._format),
            ("", self._format_remark),
            ("Folder", self._folder),
            ("", self._choose),
            ("Compare on", self._check),
            ("", self._check_remark),
        )
        for number, (text, widget) in enumerate(rows):
            if text:
                label = QLabel(text)
                label.setBuddy(widget)
                widget.setAccessibleName(text)
                self._form.addWidget(label, number, 0)
            self._form.addWidget(widget, number, 1)
        self._form.setAlignment(self._choose, Qt.AlignmentFlag.AlignLeft)

    def _build_outcome(self) -> None:
        self._outcome = QWidget()
        self._stats = {name: Stat(text, tip) for name, text, tip in STATS}
        self._sentence = parts.body()
        self._show = parts.link("Show the folder", "Open it in the program that the system has for folders.")
        parts.fixed_width(self._show)
        column = parts.column(self._outcome, margin=0)
        column.addWidget(parts.line())
        column.addWidget(parts.title("Compared with the original"))
        grid = QGridLayout()
        grid.setSpacing(theme.GAP)
        for number, stat in enumerate(self._stats.values()):
            grid.addWidget(stat, number // 2, number % 2)
        column.addLayout(grid)
        column.addWidget(self._sentence)
        column.addWidget(self._show)
        self._doing = parts.body()
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setAccessibleName("Progress of the export")
        self._hint = parts.caption()
        self._export = parts.button(
            "Export", "Write the model, once it gives the original’s scores.", "export", primary=True
        )
        self._cancel = parts.button("Cancel", "Stop; nothing is written (Ctrl+.).", "stop")

    def _connect(self) -> None:
        session = self._session
        self._format.activated.connect(self._on_format)
        self._check.activated.connect(self._on_check)
        self._choose.clicked.connect(self.folder_wanted)
        self._export.clicked.connect(self.export_wanted)
        self._cancel.clicked.connect(self.cancel_wanted)
        self._show.clicked.connect(self.show_wanted)
        self._deployment.changed.connect(self._on_plan)
        for signal in (session.state_changed, session.model_changed, session.threshold_changed):
            signal.connect(self._on_state)
        for signal in (session.images_changed, session.samples_changed):
            signal.connect(self._on_plan)
        session.progressed.connect(self._on_progress)

    @Slot(int)
    def _on_format(self, row: int) -> None:
        self.format_chosen.emit(FORMATS[row][0])

    @Slot(int)
    def _on_check(self, row: int) -> None:
        self.check_chosen.emit(CHECKS[row][0])

    @Slot()
    def _on_plan(self) -> None:
        plan = self._deployment.plan
        row = next(number for number, (kind, *_) in enumerate(FORMATS) if kind is plan.format)
        self._format.setCurrentIndex(row)
        self._format_remark.setText(FORMATS[row][2])
        self._folder.setText("" if plan.folder is None else str(plan.folder))
        self._folder.setToolTip(self._folder.text())
        self._check.setCurrentIndex([check for check, _ in CHECKS].index(plan.check))
        self._check_remark.setText(self._compared_on())
        self._show_outcome(self._deployment.outcome)

    def _compared_on(self) -> str:
        session, plan = self._session, self._deployment.plan
        match plan.check:
            case Check.LISTED:
                return counted(len(session.review), "image") + ", and some drawn in many sizes."
            case Check.HELD_OUT:
                if session.samples is None:
                    return "Open the folder of good parts that the model was trained on."
                return "The good parts that only set the threshold, and some drawn in many sizes."
            case Check.FOLDER:
                return f"{plan.check_folder}, and some drawn in many sizes."
            case Check.DRAWN:
                return "No image of yours: what is drawn tells of sizes, little of your parts."

    def _show_outcome(self, outcome: Exported | None) -> None:
        self._outcome.setVisible(outcome is not None)
        if outcome is None:
            return
        self._reveal.start()  # once it is laid out
        parity = outcome.parity
        self._stats["difference"].set_text(f"{parity.largest.relative:.1e}")
        self._stats["flips"].set_text(str(len(parity.flips)))
        self._stats["images"].set_text(f"{parity.images} + {parity.drawn} drawn")
        self._stats["time"].set_text(f"{parity.milliseconds:.0f} ms")
        skipped = f"{counted(len(parity.skipped), 'image')} could not be read." if parity.skipped else ""
        written = (
            f"Written to {outcome.folder.name}: {', '.join(outcome.files)}. "
            "model.json says what goes in and out, run.py runs it."
        )
        self._sentence.setText(" ".join(filter(None, (written, parity.tie_sentence(), skipped))))

    @Slot()
    def _show_all_of_it(self) -> None:
        """What the export came to must not lie below the edge."""
        self._area.ensureWidgetVisible(self._outcome)

    @Slot()
    def _on_state(self) -> None:
        session = self._session
        exporting = session.state is RunState.EXPORTING
        ready = session.allowed().save and session.threshold is not None
        for widget in (self._format, self._choose, self._check):
            widget.setEnabled(not exporting)
        self._export.setEnabled(ready)
        self._export.setVisible(not exporting)
        self._cancel.setVisible(exporting)
        self._bar.setVisible(exporting)
        self._doing.setVisible(exporting)
        if not exporting:
            self._doing.clear()
            self._bar.setRange(0, 0)
        self._hint.setText(self._missing())
        self._hint.setVisible(bool(self._hint.text()))

    def _missing(self) -> str:
        session = self._session
        if session.model is None:
            return "There is no model yet. Train one, or open one."
        return "" if session.threshold is not None else "There is no threshold yet: the verdicts follow from it."

    @Slot(object, object)
    def _on_progress(self, progress: Progress, estimate: Estimate) -> None:
        if self._session.state is not RunState.EXPORTING:
            return
        share = estimate.share
        self._doing.setText(progress_text(progress, estimate))
        self._bar.setRange(0, 0 if share is None else 1000)
        if share is not None:
            self._bar.setValue(round(1000 * share))
