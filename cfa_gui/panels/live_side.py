"""Beside the live picture: the lamp, the score, the running figures, and what can be done with the picture."""

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QGridLayout, QWidget

from cfa_gui.models.live import Figures, LiveModel, lamp_of
from cfa_gui.models.session import Session
from cfa_gui.panels import parts
from cfa_gui.panels.live_threshold import LiveThreshold
from cfa_gui.panels.live_words import LAMPS, LIT, lamp_detail
from cfa_gui.settings import SettingsStore
from cfa_gui.widgets.lamp import Lamp
from cfa_gui.widgets.score_gauge import ScoreGauge
from cfa_gui.widgets.stat import Stat

_STATS = (
    ("good", "Good", "Pictures with a score up to the threshold since the start."),
    ("flagged", "Flagged", "Pictures with a score above the threshold since the start."),
    ("rate", "Flagged rate", "Share of the judged pictures that were flagged."),
    ("uncertain", "Uncertain", "Pictures with a score between the two lines since the start."),
    ("unreadable", "Unreadable", "Pictures that could not be read or inspected since the start."),
    ("skipped", "Skipped", "Pictures not inspected, because a newer one was there already: the newest wins."),
    ("pictures", "Pictures", "Pictures that the source gave since the start."),
    ("median", "Latency", "From the source giving a picture until it is on screen with its verdict: median of 200."),
    ("worst", "Worst", "The longest of the last 200 pictures."),
    ("received", "Source", "Pictures per second that the source gives, over the last 3 seconds."),
    ("inspected", "Inspected", "Pictures per second that are inspected, over the last 3 seconds."),
    ("shown", "Shown", "Pictures per second on the screen, over the last 3 seconds."),
)  # fmt: skip
_COLUMNS = 3
_WALL_COLUMNS = 2
_ON_THE_WALL = ("good", "flagged", "uncertain", "unreadable", "rate", "median")
"""What is read from afar."""
_WALL_CAPTION, _WALL_NUMBER = 0.02, 0.055
"""Sizes of type there, in shares of the window's height."""


class LiveSide(parts.Panel):
    """One column; `set_wall` makes it large."""

    freeze_wanted = Signal()
    good_wanted = Signal()
    defect_wanted = Signal()
    folder_wanted = Signal()

    def __init__(
        self, live: LiveModel, session: Session, settings: SettingsStore, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._live = live
        self._session = session
        self._settings = settings
        self.lamp = Lamp()
        self.gauge = ScoreGauge()
        self.threshold = LiveThreshold(session)
        self._stats = {key: Stat(caption, tip) for key, caption, tip in _STATS}
        self._freeze = parts.button("Hold the picture", "Hold it, or let it go on (Space).", "pause")
        self._freeze.setCheckable(True)
        self._good = parts.button("Save as good", "Save the picture that is shown as a good part (G).", "check")
        self._defect = parts.button("Save as defect", "Save the picture that is shown as a defect (D).", "close")
        self._folder = parts.link("Choose where to save…", "Pictures are saved in its folders “good” and “defect”.")
        self._actions = QWidget()
        self._grid = QGridLayout()
        self._arrange()
        self._connect()
        self.refresh()
        self._on_figures()
        self._on_sources()

    def _arrange(self) -> None:
        self._grid.setHorizontalSpacing(12)
        self._grid.setVerticalSpacing(8)
        self._lay_stats([key for key, _, _ in _STATS], _COLUMNS)
        actions = parts.column(self._actions, margin=0)
        actions.addWidget(self._freeze)
        for button in (self._good, self._defect):
            actions.addWidget(button)
        actions.addWidget(self._folder)
        below = QWidget()
        inner = parts.column(below, margin=0)
        inner.addWidget(self.threshold)
        inner.addWidget(parts.line())
        inner.addLayout(self._grid)
        inner.addWidget(parts.line())
        inner.addWidget(self._actions)
        layout = parts.column(self)
        layout.addWidget(self.lamp, 3)
        layout.addWidget(self.gauge, 1)
        layout.addWidget(parts.scrolled(below, whole=True))

    def _lay_stats(self, keys: list[str], columns: int) -> None:
        for column in range(_COLUMNS):
            self._grid.setColumnStretch(column, int(column < columns))
        for stat in self._stats.values():
            self._grid.removeWidget(stat)
            stat.hide()
        for number, key in enumerate(keys):
            self._grid.addWidget(self._stats[key], number // columns, number % columns)
            self._stats[key].show()

    def _connect(self) -> None:
        live = self._live
        live.picture_changed.connect(self.refresh)
        live.state_changed.connect(self.refresh)
        live.frozen_changed.connect(self.refresh)
        live.figures_changed.connect(self._on_figures)
        live.sources_changed.connect(self._on_sources)
        self._session.threshold_changed.connect(self.refresh)
        self._session.model_changed.connect(self.refresh)
        self._freeze.clicked.connect(self.freeze_wanted)
        self._good.clicked.connect(self.good_wanted)
        self._defect.clicked.connect(self.defect_wanted)
        self._folder.clicked.connect(self.folder_wanted)

    def set_wall(self, *, on: bool, height: int) -> None:
        """Large enough to be read from three metres, with what matters there; or as in the window.

        Args:
            on: Large.
            height: Of the window, logical pixels.
        """
        self._actions.setVisible(not on)
        self.threshold.set_wall(on=on)
        if on:
            self._lay_stats(list(_ON_THE_WALL), _WALL_COLUMNS)
        else:
            self._lay_stats([key for key, _, _ in _STATS], _COLUMNS)
        for stat in self._stats.values():
            stat.set_size(*((round(height * _WALL_CAPTION), round(height * _WALL_NUMBER)) if on else (0, 0)))
        self.gauge.setMinimumHeight(round(height * 0.13) if on else 56)

    @Slot()
    def refresh(self) -> None:
        """Lamp, score and buttons."""
        live, session = self._live, self._session
        lamp = live.lamp
        key, word = LAMPS[lamp]
        detail = lamp_detail(live, has_model=session.model is not None)
        self.lamp.show_verdict(key, word, detail, hollow=live.frozen or lamp not in LIT)
        threshold = session.threshold if session.model is not None else None
        found = live.shown.found if live.shown is not None and (live.frozen or lamp in LIT) else None
        verdict_key = LAMPS[lamp_of(live.shown)][0] if live.shown is not None else "muted"
        self.gauge.show_score(
            found.score if found else None,
            threshold.value if threshold else None,
            threshold.lower if threshold else None,
            verdict_key,
        )
        has_picture = live.shown is not None and live.shown.frame is not None
        self._freeze.setEnabled(live.shown is not None)
        self._freeze.setChecked(live.frozen)
        self._freeze.setText(" Let it go on" if live.frozen else " Hold the picture")
        self._good.setEnabled(has_picture)
        self._defect.setEnabled(has_picture)

    @Slot()
    def _on_sources(self) -> None:
        saved = self._settings.preferences.live_saved
        self._folder.setText(
            f"Saved to …{saved[-30:]}" if len(saved) > 31 else f"Saved to {saved}" if saved else "Choose where to save…"
        )
        if saved:
            self._folder.setToolTip(f"{saved}: press to choose another folder.")

    @Slot()
    def _on_figures(self) -> None:
        for key, text in _texts(self._live.figures).items():
            self._stats[key].set_text(text, _mark(key))


def _mark(key: str) -> str | None:
    return {"good": "good", "flagged": "defect", "uncertain": "uncertain"}.get(key)


def _texts(figures: Figures) -> dict[str, str]:
    counts, latency, share = figures.counts, figures.latency, figures.counts.flagged_rate
    return {
        "good": f"{counts.good:,}",
        "flagged": f"{counts.flagged:,}",
        "uncertain": f"{counts.uncertain:,}",
        "unreadable": f"{counts.unreadable:,}",
        "rate": "–" if share is None else f"{100 * share:.1f} %",
        "skipped": f"{counts.skipped:,}",
        "pictures": f"{counts.received:,}",
        "received": f"{figures.received:.1f} /s",
        "inspected": f"{figures.inspected:.1f} /s",
        "shown": f"{figures.shown:.1f} /s",
        "median": "–" if latency is None else f"{latency.median * 1000:.0f} ms",
        "worst": "–" if latency is None else f"{latency.worst * 1000:.0f} ms",
    }
