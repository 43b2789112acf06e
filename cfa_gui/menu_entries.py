"""Menus and shortcuts as data: one table, from which the menus and the sheet on F1 are made."""

from dataclasses import dataclass

MENUS = ("File", "Samples", "Train", "Review", "Deploy", "View", "Help")


@dataclass(frozen=True, slots=True)
class Entry:
    """One action.

    Attributes:
        key: What the handlers are named by.
        menu: One of MENUS.
        text: In the menu.
        tip: In the status line and the tooltip.
        shortcuts: Portable text, the first one is shown.
        icon: Of the Material Design set.
        needs: Field of `Allowed` that must be true, or "" where always.
        viewing: The shortcut works while looking at images only, so that single letters disturb no typing.
        begins_group: A line stands above it.
    """

    key: str
    menu: str
    text: str
    tip: str
    shortcuts: tuple[str, ...] = ()
    icon: str = ""
    needs: str = ""
    viewing: bool = False
    begins_group: bool = False


ENTRIES: tuple[Entry, ...] = (
    Entry(
        "open_folder",
        "File",
        "Open folder of good parts…",
        "Choose a folder of good parts.",
        ("Ctrl+O",),
        "folder-open-outline",
        "open",
    ),
    Entry("open_model", "File", "Open model…", "Choose a .cfa model file.", ("Ctrl+Shift+O",), "file-outline", "open"),
    Entry(
        "save",
        "File",
        "Save model",
        "Write the model to its file.",
        ("Ctrl+S",),
        "content-save-outline",
        "save",
        begins_group=True,
    ),
    Entry("save_as", "File", "Save model as…", "Write the model to another file.", ("Ctrl+Shift+S",), "", "save"),
    Entry("quit", "File", "Quit", "Close the program.", ("Ctrl+Q",), begins_group=True),
    Entry(
        "sample_parts",
        "Samples",
        "Try the sample parts",
        "Open the sample parts that come with the program.",
        (),
        "shape-outline",
        "open",
    ),
    Entry(
        "open_images",
        "Samples",
        "Open single images as good parts…",
        "Choose image files to learn from.",
        (),
        "",
        "open",
    ),
    Entry(
        "leave_out",
        "Samples",
        "Leave the selected images out",
        "Take them out of the training; the files stay.",
        ("Del",),
        "",
        "draw",
        viewing=True,
        begins_group=True,
    ),
    Entry("restore", "Samples", "Put all back", "Take the images in again that were left out.", (), "", "draw"),
    Entry(
        "draw_region",
        "Samples",
        "Draw the region to inspect",
        "Outside it nothing is looked at (region of interest).",
        ("Ctrl+R",),
        "vector-square",
        "draw",
        begins_group=True,
    ),
    Entry(
        "draw_ignored",
        "Samples",
        "Draw an ignored area",
        "Inside it nothing is looked at (ignore mask).",
        ("Ctrl+Shift+R",),
        "eye-off-outline",
        "draw",
    ),
    Entry("clear_regions", "Samples", "Remove all regions", "Look at the whole picture again.", (), "", "draw"),
    Entry("train", "Train", "Train", "Learn from the good parts.", ("Ctrl+T",), "play", "train"),
    Entry("cancel", "Train", "Cancel", "Stop what is being done.", ("Ctrl+.",), "stop", "cancel"),
    Entry(
        "inspect_images",
        "Review",
        "Inspect images…",
        "Choose images to inspect.",
        ("Ctrl+I",),
        "image-search-outline",
        "inspect",
    ),
    Entry(
        "inspect_folder", "Review", "Inspect a folder…", "Choose a folder to inspect.", ("Ctrl+Shift+I",), "", "inspect"
    ),
    Entry(
        "inspect_waiting", "Review", "Inspect the images that wait", "Those that have no score yet.", (), "", "inspect"
    ),
    Entry(
        "clear_images",
        "Review",
        "Empty the list",
        "Take all inspected images off the list; the files stay.",
        (),
        "",
        "clear",
    ),
    Entry(
        "previous",
        "Review",
        "Previous image",
        "Go to the image before.",
        ("Left",),
        "",
        "",
        viewing=True,
        begins_group=True,
    ),
    Entry("next", "Review", "Next image", "Go to the next image.", ("Right",), "", "", viewing=True),
    Entry(
        "next_flagged",
        "Review",
        "Next flagged image",
        "Go to the next flagged image.",
        ("N",),
        "skip-next-outline",
        "review",
        viewing=True,
    ),
    Entry(
        "defect",
        "Review",
        "Label as defect",
        "The selected images are defective.",
        ("D",),
        "",
        "label",
        viewing=True,
        begins_group=True,
    ),
    Entry("good", "Review", "Label as good", "The selected images are good.", ("G",), "", "label", viewing=True),
    Entry(
        "unlabel",
        "Review",
        "Take the label off",
        "Nobody has said what the selected images are.",
        ("U",),
        "",
        "label",
        viewing=True,
    ),
    Entry(
        "undo",
        "Review",
        "Undo the label",
        "Take the latest change of labels back.",
        ("Z",),
        "undo",
        "undo",
        viewing=True,
    ),
    Entry("undo_everywhere", "Review", "Undo the label (also while typing elsewhere)", "", ("Ctrl+Z",), "", "undo"),
    Entry(
        "add_good",
        "Review",
        "Add to the good parts",
        "Let the next training learn from the selected images.",
        (),
        "",
        "add_good",
    ),
    Entry(
        "live",
        "Deploy",
        "Live…",
        "Look at a camera, a watched folder or a video, with a verdict on each picture.",
        ("Ctrl+Shift+L",),
        "video-outline",
    ),
    Entry(
        "best_f1",
        "Deploy",
        "Threshold at best F1",
        "Needs labelled good and defective images.",
        ("Ctrl+B",),
        "",
        "threshold",
        begins_group=True,
    ),
    Entry("reset", "Deploy", "Reset the threshold", "Back to the one that the model came with.", (), "", "threshold"),
    Entry(
        "focus_threshold", "Deploy", "Go to the threshold", "Then the arrow keys move it.", ("Ctrl+H",), "", "threshold"
    ),
    Entry(
        "export_model",
        "Deploy",
        "Export the model…",
        "Go to the Deploy panel: the model for ONNX Runtime, OpenVINO or libtorch.",
        ("Ctrl+Shift+E",),
        "export",
        "save",
        begins_group=True,
    ),
    Entry(
        "export_report",
        "Deploy",
        "Export report…",
        "Write what was found for others to read: a web page or a PDF.",
        ("Ctrl+E",),
        "file-chart-outline",
        "export",
    ),
    Entry(
        "export_scores",
        "Deploy",
        "Export scores (CSV)…",
        "Write a table of all images with score, verdict and label.",
        (),
        "table-arrow-right",
        "export",
    ),
    Entry(
        "export_overlays",
        "Deploy",
        "Export overlays…",
        "Write a picture with its heat map for each image.",
        (),
        "image-multiple-outline",
        "export",
    ),
    Entry(
        "hide_overlay", "View", "Hide or show the overlay", "See the bare picture.", ("Space",), "", "", viewing=True
    ),
    Entry(
        "heat",
        "View",
        "Heat",
        "Where the model finds it strange (anomaly map).",
        ("H",),
        "",
        "",
        viewing=True,
        begins_group=True,
    ),
    Entry("contour", "View", "Contour", "The outline of what is above the threshold.", ("C",), "", "", viewing=True),
    Entry(
        "truth",
        "View",
        "True defects",
        "What was drawn by hand (ground truth), where there is one.",
        ("T",),
        "",
        "",
        viewing=True,
    ),
    Entry("side_by_side", "View", "Side by side", "The picture and its heat.", ("S",), "", "", viewing=True),
    Entry("blink", "View", "Blink", "The overlay comes and goes.", ("B",), "", "", viewing=True),
    Entry(
        "zoom_in", "View", "Zoom in", "Nearer.", ("+", "="), "magnify-plus-outline", "", viewing=True, begins_group=True
    ),
    Entry("zoom_out", "View", "Zoom out", "Farther.", ("-",), "magnify-minus-outline", "", viewing=True),
    Entry("zoom_fit", "View", "Whole picture", "Fit the picture into the window.", ("0",), "", "", viewing=True),
    Entry(
        "zoom_actual",
        "View",
        "Actual pixels",
        "One pixel of the picture on one of the screen.",
        ("1",),
        "",
        "",
        viewing=True,
    ),
    Entry(
        "list", "View", "List", "Show the images as a list.", ("Ctrl+1",), "format-list-bulleted", "", begins_group=True
    ),
    Entry("grid", "View", "Grid of thumbnails", "Show the images as a grid.", ("Ctrl+2",), "view-grid-outline", ""),
    Entry("search", "View", "Search by name", "Put the cursor into the search field.", ("Ctrl+F",), "magnify", ""),
    Entry("focus_images", "View", "Go to the images", "Put the keyboard on the list.", ("Ctrl+L",), "", ""),
    Entry("panel_samples", "View", "Samples panel", "The good parts.", ("Ctrl+3",), "", "", begins_group=True),
    Entry("panel_training", "View", "Train panel", "Settings and course of the training.", ("Ctrl+4",), "", ""),
    Entry("panel_review", "View", "Review panel", "Labels and flagged regions.", ("Ctrl+5",), "", ""),
    Entry("panel_deploy", "View", "Deploy panel", "The model for other runtimes.", ("Ctrl+6",), "", ""),
    Entry("shortcuts", "Help", "Keyboard shortcuts", "All keys on one sheet.", ("F1",), "keyboard-outline"),
    Entry("log", "Help", "Show the log file", "Open the folder of the log file.", (), "text-box-outline"),
    Entry(
        "diagnostics",
        "Help",
        "Copy diagnostics",
        "Copy versions, device, settings and the end of the log, for a report. No image and no folder is in it.",
        (),
        "content-copy",
    ),
    Entry("about", "Help", "About", "Versions and devices.", (), "information-outline", begins_group=True),
)
HIDDEN = frozenset({"undo_everywhere"})
LIVE_KEYS = (
    ("Hold the picture", "Space"),
    ("Save the picture as good", "G"),
    ("Save the picture as defect", "D"),
    ("Fill the screen", "F11"),
    ("Leave the full screen", "Esc"),
)
"""Of the live page, which has no menu while it fills the screen."""
