"""What each action of the table does."""

from collections.abc import Callable, Mapping
from functools import partial

from PySide6.QtCore import Qt

from cfa_gui.composition import Composition
from cfa_gui.widgets.image_canvas import OverlayMode
from cfa_gui.workbench import Workbench

Handler = Callable[[], object]


def handlers(parts: Composition, bench: Workbench) -> Mapping[str, Handler]:
    """One handler for each key of `cfa_gui.actions.ENTRIES`, but those that the main window has itself."""
    return {
        **_files(parts),
        **_samples(parts, bench),
        **_review(parts),
        **_view(bench),
        **_panels(parts, bench),
    }


def _files(parts: Composition) -> Mapping[str, Handler]:
    return {
        "open_folder": parts.choose_good_folder,
        "open_model": parts.deploy.choose_model,
        "save": parts.deploy.save,
        "save_as": parts.deploy.save_as,
        "train": parts.start_training,
        "cancel": parts.tasks.cancel,
        "live": parts.live.show,
        "export_report": parts.export.report,
        "export_scores": parts.export.scores,
        "export_overlays": parts.export.overlays,
    }


def _samples(parts: Composition, bench: Workbench) -> Mapping[str, Handler]:
    return {
        "sample_parts": parts.samples.open_sample_parts,
        "open_images": parts.choose_good_images,
        "leave_out": parts.leave_selected_out,
        "restore": parts.samples.restore,
        "draw_region": partial(bench.draw, ignored=False),
        "draw_ignored": partial(bench.draw, ignored=True),
        "clear_regions": parts.samples.clear_regions,
    }


def _review(parts: Composition) -> Mapping[str, Handler]:
    review = parts.review
    return {
        "inspect_images": parts.choose_images,
        "inspect_folder": parts.choose_folder,
        "inspect_waiting": parts.inspect.inspect_waiting,
        "clear_images": parts.session.clear_images,
        "previous": review.previous,
        "next": review.next,
        "next_flagged": review.next_flagged,
        "defect": review.defect,
        "good": review.good,
        "unlabel": review.unlabel,
        "undo": review.undo,
        "undo_everywhere": review.undo,
        "add_good": parts.add_selected_to_good,
        "best_f1": parts.threshold.best_f1,
        "reset": parts.threshold.reset,
    }


def _view(bench: Workbench) -> Mapping[str, Handler]:
    canvas, bar = bench.canvas.canvas, bench.canvas.bar
    modes = {
        "heat": OverlayMode.HEAT,
        "contour": OverlayMode.CONTOUR,
        "truth": OverlayMode.TRUTH,
        "side_by_side": OverlayMode.SIDE_BY_SIDE,
        "blink": OverlayMode.BLINK,
    }
    return {
        **{key: partial(bar.set_mode, mode) for key, mode in modes.items()},
        "zoom_in": canvas.zoom_in,
        "zoom_out": canvas.zoom_out,
        "zoom_fit": canvas.zoom_fit,
        "zoom_actual": canvas.zoom_actual,
        "list": partial(bench.images.set_view, "list"),
        "grid": partial(bench.images.set_view, "grid"),
        "search": bench.images.focus_search,
        "focus_images": partial(bench.images.view.setFocus, Qt.FocusReason.ShortcutFocusReason),
        "focus_threshold": bench.threshold.focus_line,
    }


def _panels(parts: Composition, bench: Workbench) -> Mapping[str, Handler]:
    def bring(name: str) -> None:
        parts.live.hide()  # the panels are behind it
        bench.bring(name)

    names = {
        **{f"panel_{name}": name for name in ("samples", "training", "review", "deploy")},
        "export_model": "deploy",
    }
    return {key: partial(bring, name) for key, name in names.items()}
