"""From an exception to what the user reads."""


def user_message(error: BaseException) -> tuple[str, str | None]:
    """A sentence for the user, and details for a report (a traceback) where the error is a bug.

    Args:
        error: Anything that was raised.

    Returns:
        The text, and None where the text says everything (the user can mend it, or cancelled).
    """
    return str(error), None
