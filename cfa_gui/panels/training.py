"""Train: which preset, how it goes, and what was learned."""

from functools import partial

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import QButtonGroup, QProgressBar, QPushButton, QToolButton, QWidget

from cfa_gui import theme
from cfa_gui.models.pace import Estimate
from cfa_gui.models.run_state import Allowed, RunState
from cfa_gui.models.session import Session
from cfa_gui.panels import parts
from cfa_gui.panels.learned import LearnedBox
from cfa_gui.panels.setting_fields import EXPERT, ON_THE_LINE
from cfa_gui.panels.settings_form import SettingsForm, SettingsPairs
from cfa_gui.panels.words import progress_text
from cfa_gui.widgets.loss_plot import LossPlot
from core.config import Calibrating, Config, Training
from core.counting import counted
from core.progress import Progress, StepRecord
from core.variation import how_many

PRESETS = (
    ("fast", "Fast", "Smaller memory of good parts: quicker to train and to inspect."),
    ("standard", "Standard", "For most parts; needs no alignment."),
    (
        "thorough",
        "Thorough",
        "Looks at every picture a second time, larger: finds more, takes about three times as long.",
    ),
    ("paper", "Paper", "The published settings: 30 rounds, centre crop, aligned parts, no held-out images."),
)
_COMPARE_MS = 200


class TrainingPanel(parts.Panel):
    """Reads the session's settings, progress and model; emits what to train with."""

    train_wanted = Signal()
    cancel_wanted = Signal()
    preset_chosen = Signal(str)
    setting_changed = Signal(str, object)
    save_wanted = Signal()

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._steps, self._epoch = 0, 0.0
        self._build()
        content = QWidget()
        self._column = column = parts.column(content)
        column.addWidget(self._learned)
        column.addWidget(parts.title("Train"))
        column.addWidget(self._hint)
        column.addLayout(self._presets)
        column.addWidget(self._remark)
        column.addWidget(self._line_title)
        column.addWidget(self._line)
        column.addWidget(self._line_remark)
        column.addWidget(self._expert_toggle, 0, Qt.AlignmentFlag.AlignLeft)
        column.addWidget(self._expert)
        column.addWidget(self._before_plot)
        column.addWidget(self._plot)
        column.addStretch(1)
        layout = parts.column(self, margin=0, gap=0)
        layout.addWidget(parts.scrolled(content), 1)
        foot = QWidget()
        bottom = parts.column(foot)
        bottom.addWidget(self._doing)
        bottom.addWidget(self._bar)
        bottom.addWidget(self._save)
        bottom.addWidget(self._train)
        bottom.addWidget(self._cancel)
        layout.addWidget(foot)
        self._connect()
        self._on_config()
        self._on_model()
        self._on_state()

    def _build(self) -> None:
        self._hint = parts.caption()
        self._presets = parts.row(stretch_last=True, gap=0)
        self._group = QButtonGroup(self)
        self._buttons: dict[str, QPushButton] = {}
        for name, text, tip in PRESETS:
            choice = parts.button(text, tip)
            choice.setCheckable(True)
            choice.setProperty("role", "segment")
            choice.clicked.connect(partial(self._on_preset, name))
            self._presets.addWidget(choice)
            self._group.addButton(choice)
            self._buttons[name] = choice
        self._remark = parts.caption()
        self._line_title = parts.title("What may vary on the line")
        self._line = SettingsPairs(ON_THE_LINE)
        self._line_remark = parts.caption()
        self._expert_toggle = QToolButton()
        self._expert_toggle.setText("Expert settings")
        self._expert_toggle.setCheckable(True)
        self._expert_toggle.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._expert_toggle.setIcon(theme.icon("chevron-right"))
        self._expert_toggle.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._expert_toggle.setToolTip("Every single setting, for those who know the method.")
        self._expert = SettingsForm(EXPERT)
        self._expert.hide()
        self._plot = LossPlot()
        self._plot.setMinimumHeight(260)
        self._plot.hide()
        self._before_plot = parts.caption(
            "First the features of every good image are computed, then a memory of good is built from them. "
            "Once the learning begins, its loss is drawn here."
        )
        self._learned = LearnedBox()
        self._doing = parts.body()
        self._doing.setMinimumHeight(2 * self._doing.fontMetrics().lineSpacing())  # one line or two: nothing moves
        self._doing.setAlignment(Qt.AlignmentFlag.AlignBottom)
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setAccessibleName("Progress of the training")
        self._train = parts.button("Train", "Learn from the good parts (Ctrl+T).", "play", primary=True)
        self._save = parts.button(
            "Save the model…", "One file that holds everything (Ctrl+S).", "content-save-outline", primary=True
        )
        self._cancel = parts.button("Cancel", "Stop; the model that you had stays (Ctrl+.).", "stop")

    def _connect(self) -> None:
        session = self._session
        self._expert_toggle.toggled.connect(self._on_expert)
        self._expert.changed.connect(self.setting_changed)
        self._line.changed.connect(self.setting_changed)
        self._train.clicked.connect(self.train_wanted)
        self._cancel.clicked.connect(self.cancel_wanted)
        self._save.clicked.connect(self.save_wanted)
        session.config_changed.connect(self._on_config)
        session.samples_changed.connect(self._on_state)
        session.model_changed.connect(self._on_model)
        session.state_changed.connect(self._on_state)
        session.progressed.connect(self._on_progress)
        self._later = QTimer(self, singleShot=True, interval=_COMPARE_MS)
        self._later.timeout.connect(self._compare)
        for signal in (
            session.state_changed,
            session.labels_changed,
            session.threshold_changed,
            session.images_changed,
        ):
            signal.connect(self._compare_later)

    @Slot(bool)
    def _on_expert(self, shown: bool) -> None:
        self._expert.setVisible(shown)
        self._expert_toggle.setIcon(theme.icon("chevron-down" if shown else "chevron-right"))

    def _on_preset(self, name: str) -> None:
        self.preset_chosen.emit(name)

    @Slot()
    def begin(self) -> None:
        """A training has begun."""
        self._plot.clear()
        epochs = self._session.config.training.epochs
        self._plot.set_epochs(float(epochs) if epochs else None)
        self._plot.hide()
        self._steps, self._epoch = 0, 0.0
        self._on_state()

    @Slot(object)
    def add_step(self, step: StepRecord) -> None:
        """Draw one step of the training; one alone makes no line. The second member of an ensemble begins anew."""
        if step.epoch <= self._epoch:
            self._plot.clear()
            self._steps = 0
        self._epoch = step.epoch
        self._steps += 1
        self._plot.setVisible(self._steps > 1)
        self._before_plot.setVisible(self._steps < 2 and self._session.state is RunState.TRAINING)
        self._plot.append(
            step.epoch, step.loss, step.attraction, step.repulsion, step.radius_squared, step.nearest_squared
        )

    @Slot()
    def _on_config(self) -> None:
        config: Config = self._session.config
        self._expert.show_config(config)
        self._line.show_config(config)
        self._line_remark.setText(_times(how_many(config.training)))
        self._group.setExclusive(False)
        for name, choice in self._buttons.items():
            choice.setChecked(name == config.preset)
        self._group.setExclusive(True)
        custom = config.preset not in self._buttons
        tips = {name: tip for name, _text, tip in PRESETS}
        self._remark.setText(tips.get(config.preset, "Your own settings; choose a preset to go back to it."))
        self._expert_toggle.setText("Expert settings (changed)" if custom else "Expert settings")
        self._show_hint()

    def _show_hint(self) -> None:
        samples = self._session.samples
        self._hint.setText(_hint(self._session.config.training, len(samples.good) if samples else 0))

    @Slot()
    def _on_state(self) -> None:
        session = self._session
        allowed = session.allowed()
        training = session.state is RunState.TRAINING
        stopping = session.state is RunState.CANCELLING
        self._cancel.setVisible(training or stopping)
        self._cancel.setEnabled(training)
        self._cancel.setText("Cancelling…" if stopping else "Cancel")
        at_rest = not training and not stopping
        self._show_next(allowed, at_rest=at_rest)
        told = (self._remark, self._line_title, self._line, self._line_remark, self._expert_toggle, self._hint)
        for part in (*self._buttons.values(), *told):
            part.setVisible(at_rest)  # the plot gets their room
        self._expert.setVisible(at_rest and self._expert_toggle.isChecked())
        self._bar.setVisible(training)
        self._before_plot.setVisible(training and self._steps < 2)
        self._doing.setVisible(training)
        if training and not self._doing.text():
            self._doing.setText("Starting…")
            self._bar.setRange(0, 0)
        if not training:
            self._doing.setText("")
        self._learned.setVisible(at_rest and session.model is not None)
        self._show_hint()

    def _show_next(self, allowed: Allowed, *, at_rest: bool) -> None:
        """What there is to do: to train, and where there is a model, above all to keep it."""
        session = self._session
        count, again = len(session.samples.good) if session.samples else 0, session.model is not None
        verb = "Train again" if again else "Train"
        self._train.setText(f"{verb} on {counted(count, 'image')}" if count else verb)
        parts.set_primary(self._train, "play", primary=not again)
        self._train.setEnabled(allowed.train)
        self._train.setVisible(at_rest)
        self._save.setEnabled(allowed.save)
        self._save.setVisible(at_rest and again and session.model_unsaved)

    @Slot(object, object)
    def _on_progress(self, progress: Progress, estimate: Estimate) -> None:
        if self._session.state is not RunState.TRAINING:
            return
        self._doing.setText(progress_text(progress, estimate))
        share = estimate.share
        if share is None:
            self._bar.setRange(0, 0)
        else:
            self._bar.setRange(0, 1000)
            self._bar.setValue(round(1000 * share))

    @Slot()
    def _compare_later(self) -> None:
        """Once a burst of changes, such as a moving threshold, is over."""
        if self._session.earlier is not None or self._learned.compares:
            self._later.start()

    @Slot()
    def _compare(self) -> None:
        self._learned.show_comparison(self._session.comparison())

    @Slot()
    def _on_model(self) -> None:
        model = self._session.model
        if model is not None:
            self._learned.show_model(model)
        self._on_state()


def _times(pictures: int) -> str:
    """What it costs to learn so many pictures of each image."""
    if pictures == 1:
        return "Light, blur, place and angle as in the pictures."
    return f"Every picture is learned in {pictures} ways: training takes up to {pictures} times as long."


def _hint(training: Training, count: int) -> str:
    """What becomes of the good images."""
    held = round(count * training.holdout)
    if not count:
        return "Open good parts first: drop a folder on this window."
    if not held:
        return "No image is held out with these settings, so no false-alarm rate can be promised."
    if training.calibration is Calibrating.SPLIT:
        return (
            f"{held} of the {count} good images are held out: they are not learned from, "
            "so their scores tell how high a good part may score."
        )
    return (
        f"All {count} good images are learned from. To tell how high a good part may score, "
        f"{held} at a time are held out and scored by a model made without them."
    )
