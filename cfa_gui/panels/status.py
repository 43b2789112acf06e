"""The status line: what is going on, how far it is, and how many images there are."""

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QLabel, QProgressBar, QPushButton, QStatusBar, QWidget

from cfa_gui import theme
from cfa_gui.models.pace import Estimate
from cfa_gui.models.run_state import RunState
from cfa_gui.models.session import Keeping, Session
from cfa_gui.panels.words import progress_text
from core.counting import counted
from core.progress import Progress

_WORDS = {
    RunState.OPENING: "Opening…",
    RunState.SAVING: "Saving…",
    RunState.TRAINING: "Training…",
    RunState.INSPECTING: "Inspecting…",
    RunState.EXPORTING: "Exporting…",
    RunState.LIVE: "Live",
    RunState.CANCELLING: "Cancelling…",
}


_KEPT = {
    Keeping.OFF: ("", ""),
    Keeping.SAVED: ("Review saved", "Every score, label and threshold is on the disk."),
    Keeping.SAVING: ("Saving the review…", "Scores, labels and the threshold are being written."),
    Keeping.FAILED: ("Review not saved", "Scores and labels are in this window only: “Export scores” writes them."),
    Keeping.READ_ONLY: ("Read-only", "Another window has this review. What is changed here is not kept."),
}


class StatusPanel(QStatusBar):
    """The status bar of the window."""

    cancel_wanted = Signal()

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._told: RunState | None = None
        self._message = QLabel("Loading the engine…")
        self._message.setAccessibleName("What is going on")
        self._bar = QProgressBar()
        self._bar.setFixedWidth(180)
        self._bar.setTextVisible(False)
        self._bar.setAccessibleName("Progress")
        self._cancel = QPushButton("Cancel")
        self._cancel.setProperty("role", "link")
        self._cancel.setToolTip("Stop what is being done (Ctrl+.).")
        self._counts = QLabel()
        self.addWidget(self._message)
        self.addWidget(self._bar)
        self.addWidget(self._cancel)
        self._kept = QLabel()
        self._kept.setContentsMargins(0, 0, theme.MARGIN, 0)
        self._kept.setAccessibleName("Whether the review is saved")
        self.addPermanentWidget(self._kept)
        self.addPermanentWidget(self._counts)
        self._bar.hide()
        self._cancel.hide()
        self.setSizeGripEnabled(False)
        self.setContentsMargins(theme.MARGIN, 0, theme.MARGIN, 0)
        self._cancel.clicked.connect(self.cancel_wanted)
        session.state_changed.connect(self._on_state)
        session.samples_changed.connect(self._on_state)
        session.facilities_changed.connect(self._on_state)
        session.progressed.connect(self._on_progress)
        session.keeping_changed.connect(self._on_kept)
        session.images_changed.connect(self._on_kept)
        self._on_state()

    @Slot()
    def _on_state(self) -> None:
        session = self._session
        working = session.state is not RunState.IDLE
        self._bar.setVisible(working and session.state is not RunState.LIVE)  # it has no end to move towards
        self._cancel.setVisible(working)
        self._cancel.setText("Stop" if session.state is RunState.LIVE else "Cancel")
        self._cancel.setEnabled(session.allowed().cancel)
        if not working:
            self._bar.reset()
            self._message.setText("Ready" if session.facilities else "Loading the engine…")
        elif session.state is not self._told:
            self._message.setText(_WORDS[session.state])
            self._bar.setRange(0, 0)
        self._told = session.state
        good = len(session.samples.good) if session.samples else 0
        words = [counted(good, "good part")] if good else []
        if len(session.review):
            words.append(self._inspected())
        self._counts.setText(" · ".join(words))

    def _inspected(self) -> str:
        """Of how many images there are scores; while they come the message counts them."""
        review = self._session.review
        scored, images = int(review.scored.sum()), len(review)
        if scored == images:
            return f"{images:,} inspected"
        if self._session.state is RunState.INSPECTING:
            return counted(images, "image")
        return f"{scored:,} of {images:,} inspected"

    @Slot()
    def _on_kept(self) -> None:
        text, tip = _KEPT[self._session.keeping] if len(self._session.review) else ("", "")
        self._kept.setText(text)
        self._kept.setToolTip(tip)

    @Slot(object, object)
    def _on_progress(self, progress: Progress, estimate: Estimate) -> None:
        if self._session.state in (RunState.IDLE, RunState.CANCELLING):
            return
        waiting = "" if self._session.facilities else "Loading the engine… · "
        self._message.setText(waiting + progress_text(progress, estimate))
        share = estimate.share
        if share is None:
            self._bar.setRange(0, 0)
        else:
            self._bar.setRange(0, 1000)
            self._bar.setValue(round(1000 * share))
