"""What the live view looks at: a camera, a watched folder or a video; start and stop."""

from PySide6.QtCore import QSignalBlocker, Qt, Signal, Slot
from PySide6.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QHBoxLayout, QStackedWidget, QWidget

from cfa_gui import theme
from cfa_gui.models.live import LiveModel, LiveState
from cfa_gui.models.session import Session
from cfa_gui.panels import parts
from cfa_gui.settings import Preferences
from core.line.live.camera import Mode
from core.line.live.cameras import USUAL_MODES, FoundCamera
from core.line.live.sources import CameraChoice, FolderChoice, SourceChoice, VideoChoice

KINDS = {"camera": "Camera", "folder": "Watched folder", "video": "Video file"}
_AUTOMATIC = -14.0
_LONGEST_NAME = 40


class SourceBar(QWidget):
    """One row of controls."""

    start_wanted = Signal(object)
    """SourceChoice."""
    stop_wanted = Signal()
    refresh_wanted = Signal()
    watched_wanted = Signal()
    video_wanted = Signal()
    back_wanted = Signal()
    full_screen_wanted = Signal()
    kind_changed = Signal()

    def __init__(
        self, live: LiveModel, session: Session, preferences: Preferences, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._live = live
        self._session = session
        self._kind = QComboBox()
        for key, words in KINDS.items():
            self._kind.addItem(words, key)
        self._cameras, self._modes, self._exposure = QComboBox(), QComboBox(), QDoubleSpinBox()
        self._refresh = parts.tool_button("Look for cameras", "Look for cameras again.", "refresh")
        self._folder = parts.button("Choose folder…", "The folder that images are written to.", "folder-eye-outline")
        self._video = parts.button("Choose video…", "A video file, shown at its own rate.", "filmstrip")
        self._loop = QCheckBox("Again from the start at its end")
        self._loop.setChecked(preferences.live_loop)
        self._stack = QStackedWidget()
        self._start = parts.button("Start", "Take pictures and judge each.", "play", primary=True)
        self._stop = parts.button("Stop", "Stop, and free the camera.", "stop")
        self._arrange()
        self._connect()
        self._kind.setCurrentIndex(max(0, self._kind.findData(preferences.live_source)))
        self._on_kind()
        self.update_state()

    @property
    def kind(self) -> str:
        """What is looked at: "camera", "folder" or "video"."""
        return str(self._kind.currentData())

    def choice(self) -> SourceChoice | None:
        """What is chosen, or None where that is not complete."""
        live = self._live
        if self.kind == "folder":
            return FolderChoice(live.watched) if live.watched else None
        if self.kind == "video":
            return VideoChoice(live.video, self._loop.isChecked()) if live.video else None
        camera, mode = self._cameras.currentData(), self._modes.currentData()
        if not isinstance(camera, FoundCamera):
            return None
        exposure = None if self._exposure.value() == _AUTOMATIC else self._exposure.value()
        wanted = mode if isinstance(mode, Mode) else None
        return CameraChoice(camera.index, camera.name, camera.backend, wanted, exposure)

    def focus_first(self) -> None:
        """Put the keyboard on what can be done next."""
        (self._start if self._start.isEnabled() else self._kind).setFocus(Qt.FocusReason.OtherFocusReason)

    def _arrange(self) -> None:
        self._kind.setAccessibleName("What to look at")
        self._cameras.setAccessibleName("Camera")
        self._cameras.setMinimumWidth(180)
        self._modes.setAccessibleName("Size and rate")
        self._modes.setToolTip(
            "What the camera is asked for. What comes instead, if it has not got that, the line below says."
        )
        self._modes.addItem("As it is set", None)
        for mode in USUAL_MODES:
            self._modes.addItem(f"{mode.width} × {mode.height} at {mode.rate:g}/s", mode)
        self._exposure.setRange(_AUTOMATIC, 10_000)
        self._exposure.setDecimals(1)
        self._exposure.setValue(_AUTOMATIC)
        self._exposure.setSpecialValueText("Automatic exposure")
        self._exposure.setPrefix("Exposure ")
        self._exposure.setAccessibleName("Exposure")
        self._exposure.setMinimumWidth(156)
        self._exposure.setToolTip(
            "A fixed exposure keeps all pictures alike. In the camera's own unit: on Linux mostly 0.1 ms, on Windows "
            "powers of two of a second (−6 is 1/64 s). At the bottom: automatic."
        )
        theme.indent(self._exposure)
        self._stack.addWidget(_row(self._cameras, self._refresh, self._modes, self._exposure))
        self._stack.addWidget(_row(self._folder))
        self._stack.addWidget(_row(self._video, self._loop))
        back = parts.button("Images", "Back to the images (what runs goes on).", "arrow-left")
        back.clicked.connect(self.back_wanted)
        full = parts.tool_button("Fill the screen", "Fill the screen, to be read from afar (F11).", "fullscreen")
        full.clicked.connect(self.full_screen_wanted)
        row = QHBoxLayout(self)
        row.setContentsMargins(theme.MARGIN, theme.GAP, theme.MARGIN, theme.GAP)
        row.setSpacing(theme.GAP)
        row.addWidget(back)
        row.addWidget(self._kind)
        row.addWidget(self._stack, 1)
        for button in (self._start, self._stop):
            button.setMinimumWidth(96)
            row.addWidget(button)
        row.addWidget(full)

    def _connect(self) -> None:
        self._kind.activated.connect(self._on_kind)
        self._refresh.clicked.connect(self.refresh_wanted)
        self._folder.clicked.connect(self.watched_wanted)
        self._video.clicked.connect(self.video_wanted)
        self._start.clicked.connect(self._on_start)
        self._stop.clicked.connect(self.stop_wanted)
        self._live.sources_changed.connect(self._on_sources)
        self._live.state_changed.connect(self.update_state)
        self._session.state_changed.connect(self.update_state)

    @Slot()
    def _on_kind(self) -> None:
        self._stack.setCurrentIndex(self._kind.currentIndex())
        self._on_sources()
        self.kind_changed.emit()

    @Slot()
    def _on_sources(self) -> None:
        self._fill_cameras()
        for button, path, words in (
            (self._folder, self._live.watched, "Choose folder…"),
            (self._video, self._live.video, "Choose video…"),
        ):
            button.setText(f" {_shortened(path.name)}" if path else f" {words}")
            if path:
                button.setToolTip(str(path))
        self.update_state()

    def _fill_cameras(self) -> None:
        cameras, chosen = self._live.cameras, self._cameras.currentData()
        with QSignalBlocker(self._cameras):
            self._cameras.clear()
            for camera in cameras or ():
                self._cameras.addItem(camera.name, camera)
            if not cameras:
                self._cameras.addItem("No camera found" if cameras == () else "Looking for cameras…")
            self._cameras.setCurrentIndex(max(0, self._cameras.findData(chosen)))

    @Slot()
    def update_state(self) -> None:
        """What may be pressed now."""
        running = self._live.running
        for widget in (self._kind, self._stack):
            widget.setEnabled(not running)
        self._cameras.setEnabled(bool(self._live.cameras))
        self._start.setVisible(not running)
        self._start.setEnabled(self._session.allowed().live and self.choice() is not None)
        self._stop.setVisible(running)
        self._stop.setEnabled(self._live.state is not LiveState.STOPPING)

    @Slot()
    def _on_start(self) -> None:
        choice = self.choice()
        if choice is not None:
            self.start_wanted.emit(choice)


def _row(*widgets: QWidget) -> QWidget:
    holder = QWidget()
    holder.setLayout(parts.row(*widgets))
    return holder


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
