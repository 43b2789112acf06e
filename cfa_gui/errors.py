"""From an exception to what the user reads."""

import traceback

from core.errors import CancelledByUser, CfaError

_MEMORY_HINT = (
    "There was not enough memory. Choose a smaller batch, a smaller image size or more compression, "
    "or use the processor (CPU)."
)
_BUG = "Something went wrong inside the program. The details say what; please send them along when you report it."


def user_message(error: BaseException) -> tuple[str, str | None]:
    """A sentence for the user, and details for a report where the error is a bug.

    Args:
        error: Anything that was raised.

    Returns:
        The text, and a traceback, or None where the text says everything: what the user can mend, or cancelled.
    """
    if isinstance(error, CancelledByUser):
        return "Cancelled.", None
    if isinstance(error, CfaError):
        return str(error), None
    if isinstance(error, MemoryError):
        return _MEMORY_HINT, traceback_text(error)
    if isinstance(error, OSError) and error.strerror:
        where = f" ({error.filename})" if error.filename else ""
        return f"The system refused: {error.strerror}{where}.", traceback_text(error)
    return _BUG, traceback_text(error)


def traceback_text(error: BaseException) -> str:
    """The whole traceback with its causes, as Python would print it."""
    return "".join(traceback.format_exception(error)).rstrip()
