"""The live page and what hangs on it; wiring only."""

from functools import partial

from cfa_gui.composition import Composition
from cfa_gui.panels.live import LivePanel


def live_page(parts: Composition) -> LivePanel:
    """The page, wired to its controllers."""
    live, keeping = parts.live, parts.keeping_pictures
    page = LivePanel(live.model, parts.session, parts.settings)
    page.start_wanted.connect(live.start)
    page.stop_wanted.connect(live.stop)
    page.refresh_wanted.connect(live.find_cameras)
    page.watched_wanted.connect(live.choose_watched)
    page.video_wanted.connect(live.choose_video)
    page.back_wanted.connect(live.hide)
    page.again_wanted.connect(live.try_again)
    page.freeze_wanted.connect(live.toggle_freeze)
    page.flagged_chosen.connect(live.show_flagged)
    page.good_wanted.connect(keeping.save_good)
    page.defect_wanted.connect(keeping.save_defect)
    page.saving_folder_wanted.connect(keeping.choose_folder)
    page.side.threshold.moved.connect(parts.threshold.move)
    page.side.threshold.reset_wanted.connect(parts.threshold.reset)
    page.overlay_chosen.connect(partial(_remember, parts, "overlay_mode"))
    page.opacity_chosen.connect(partial(_remember, parts, "overlay_opacity"))
    page.colour_map_chosen.connect(partial(_remember, parts, "colour_map"))
    return page


def _remember(parts: Composition, name: str, value: object) -> None:
    parts.settings.update(**{name: value})
