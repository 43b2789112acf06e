"""What the client wants back: by `?map=`, or else by its Accept header."""

from enum import StrEnum

from core.line.service.problems import Problem
from core.line.service.results import Form


class Wanted(StrEnum):
    """Values of `?map=`."""

    NONE = "none"
    PNG = "png"
    TIFF = "tiff"


_OF_QUERY = {Wanted.NONE: Form.JSON, Wanted.PNG: Form.PNG, Wanted.TIFF: Form.TIFF}
_OF_RANGE = {
    "*/*": Form.JSON,
    "application/*": Form.JSON,
    "image/*": Form.PNG,
    **{form.value: form for form in Form},
}


def wanted_form(wanted: Wanted | None, accept: str | None) -> Form:
    """The form of the answer; JSON where nothing is said.

    Raises:
        Problem: The client accepts none that there is.
    """
    if wanted is not None:
        return _OF_QUERY[wanted]
    if accept is None or not accept.strip():
        return Form.JSON
    ranges = [_weighed(part) for part in accept.split(",")]
    for name, weight in sorted(ranges, key=lambda pair: -pair[1]):  # of equal ones the first
        if weight > 0 and name in _OF_RANGE:
            return _OF_RANGE[name]
    raise Problem(406, f"The answer can be one of {', '.join(form.value for form in Form)}. Accept one of them.")


def _weighed(part: str) -> tuple[str, float]:
    """A media range and its weight, 1 where it has none that can be read."""
    name, *parameters = (piece.strip().lower() for piece in part.split(";"))
    weight = next((text[2:] for text in parameters if text.startswith("q=")), "1")
    try:
        return name, float(weight)
    except ValueError:
        return name, 1.0
