"""What the live view says, in plain words."""

from cfa_gui.models.live import Lamp, LiveModel, LiveState
from core.line.live.sources import flows, name_of

LAMPS = {
    Lamp.OFF: ("muted", "STOPPED"),
    Lamp.WAITING: ("muted", "WAITING"),
    Lamp.GOOD: ("good", "OK"),
    Lamp.UNCERTAIN: ("uncertain", "UNCERTAIN"),
    Lamp.DEFECT: ("defect", "NG"),
    Lamp.UNREADABLE: ("uncertain", "UNREADABLE"),
    Lamp.NO_PICTURE: ("defect", "NO PICTURE"),
    Lamp.NO_VERDICT: ("muted", "NO VERDICT"),
}
"""Colour and word. Unreadable and no picture are never lit: they are no verdicts."""
LIT = (Lamp.GOOD, Lamp.UNCERTAIN, Lamp.DEFECT)
_DETAILS = {
    Lamp.GOOD: "Good",
    Lamp.UNCERTAIN: "Between the two lines: look at it",
    Lamp.DEFECT: "Flagged",
    Lamp.UNREADABLE: "This picture could not be inspected",
}


def lamp_detail(model: LiveModel, *, has_model: bool) -> str:
    """The line below the lamp's word."""
    lamp = model.lamp
    if model.frozen and lamp in LIT:
        return "Held, not the present one"
    if lamp is Lamp.OFF:
        return "At its end" if model.state is LiveState.ENDED else "No picture is being taken"
    if lamp is Lamp.WAITING:
        starting = model.state is LiveState.STARTING
        return "Getting ready…" if starting else "for the first picture"
    if lamp is Lamp.NO_VERDICT:
        return "There is no threshold yet" if has_model else "There is no model yet"
    if lamp is Lamp.NO_PICTURE:
        return _no_picture(model)
    return _DETAILS[lamp]


def _no_picture(model: LiveModel) -> str:
    if model.state is LiveState.FAILED:
        return "Could not be started"
    return "Trying again…" if model.state is LiveState.LOST else "Nothing new for 2 seconds"


def headline(model: LiveModel, *, has_model: bool) -> tuple[str, str, str]:
    """What is going on: a mark ("" for none, or a token of the theme), a title, and a sentence."""
    name = name_of(model.choice) if model.choice is not None else ""
    title, sentence = _states(model, name)
    if model.state is LiveState.RUNNING and not has_model:
        sentence = f"{sentence} · no model: pictures can be kept, not judged"
    if model.frozen:
        goes_on = "The inspection goes on and is counted. " if model.running else ""
        return "uncertain", "Picture held", f"{goes_on}Space lets it go."
    mark = "defect" if model.state in (LiveState.LOST, LiveState.FAILED) or model.stale else ""
    return mark, title, sentence


def _states(model: LiveModel, name: str) -> tuple[str, str]:
    match model.state:
        case LiveState.OFF:
            return "Not running", "Choose what to look at, then press Start."
        case LiveState.STARTING:
            return f"Starting {name}…", "The source is being opened and the model made ready."
        case LiveState.STOPPING:
            return f"Stopping {name}…", ""
        case LiveState.LOST:
            return f"Lost {name}: trying again every second", model.message
        case LiveState.FAILED:
            return "Could not be started", model.message
        case LiveState.ENDED:
            return f"{name} is at its end", model.message
        case _:
            file = model.shown.name if model.shown is not None else ""
            still = "" if not model.stale else "Nothing new for 2 seconds · "
            waiting = "Waiting for the first image · " if not file and model.choice and not flows(model.choice) else ""
            return file or name, f"{still}{waiting}{model.source}"


def empty_words(model: LiveModel, *, kind: str, has_model: bool) -> tuple[str, str]:
    """Title and hint where no picture is shown."""
    if model.state is LiveState.FAILED:
        return "Could not be started", model.message
    if model.state is LiveState.LOST:
        return "No picture", model.message
    if model.running:
        return "Waiting for the first picture", model.source
    hints = {
        "camera": "Choose a camera above, then press Start.",
        "folder": "Choose the folder that your camera's own software writes to, then press Start.",
        "video": "Choose a video above, then press Start.",
    }
    if kind == "camera" and model.cameras == ():
        return "No camera found", "Plug one in and press ⟳, or choose a watched folder or a video instead."
    rest = "" if has_model else " Without a model the pictures can be kept to learn from, but not judged."
    return "Nothing to look at yet", hints[kind] + rest
