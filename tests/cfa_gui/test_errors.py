"""What the user reads when something goes wrong."""

from cfa_gui.errors import user_message
from core.errors import CancelledByUser, DatasetError, OutOfMemoryError


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except type(error) as caught:
        return caught


def test_that_what_the_user_can_mend_is_said_without_details() -> None:
    assert user_message(DatasetError("The folder is empty.")) == ("The folder is empty.", None)


def test_that_cancelling_is_no_error() -> None:
    assert user_message(CancelledByUser()) == ("Cancelled.", None)


def test_that_a_bug_keeps_its_traceback() -> None:
    text, details = user_message(raised(ValueError("surprise")))
    assert "surprise" not in text
    assert details is not None
    assert "Traceback" in details
    assert "ValueError: surprise" in details
    assert "raise error" in details


def test_that_lack_of_memory_becomes_a_hint() -> None:
    text, details = user_message(raised(MemoryError()))
    assert "smaller" in text
    assert details is not None
    assert user_message(OutOfMemoryError("Use a smaller batch.")) == ("Use a smaller batch.", None)


def test_that_the_system_is_quoted_with_the_file() -> None:
    text, _ = user_message(PermissionError(13, "Permission denied", "/there/part.cfa"))
    assert "Permission denied" in text
    assert "/there/part.cfa" in text
