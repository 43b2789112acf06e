"""What the command line prints, and how an outcome becomes an exit status."""

import contextlib
import io
import json
import os
import shutil
import signal
import sys
import textwrap
import threading
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from core.errors import CancelledByUser, CfaError, ConfigError, OutputError
from core.progress import CancelToken, Phase, Progress

FAILED = 1
WRONG_USE = 2
CANCELLED = "Cancelled. Nothing was left half-written."
ENDS_WITH_INPUT = "CFA_ENDS_WITH_INPUT"
"""Set for a process by the `cfa` that starts it and holds the other end of its standard input; see `heed_parent`."""
_interrupted = CancelToken()
_stderr = Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)


def line(text: str = "") -> None:
    """One line of result on standard output."""
    _write(printable(text) + "\n")


def note(text: str) -> None:
    """One line for the person at the terminal, on standard error."""
    _stderr.print(printable(text), markup=False)


def table(rows: Sequence[tuple[str, str]]) -> None:
    """Names and values in two columns on standard output; long values are folded on a terminal only."""
    indent = max(len(name) for name, _ in rows) + 2
    room = shutil.get_terminal_size().columns - indent if sys.stdout.isatty() else 0
    for name, value in rows:
        text = printable(value)
        folded = textwrap.wrap(text, room, break_on_hyphens=False) if 0 < room < len(text) else [text]
        for row, part in enumerate(folded):
            _write(f"{'' if row else name:<{indent}}{part}\n")


def json_object(content: dict[str, Any]) -> None:
    """One JSON object on standard output, strict: no NaN, no half of a surrogate pair."""
    _write(json.dumps(_strict(content), allow_nan=False) + "\n")


def printable(text: str) -> str:
    """Control characters as escapes, so that a file's name cannot steer the terminal or break a line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def encodable(text: str) -> str:
    """What UTF-8 cannot hold (a file's name that is no text) as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def prepare_streams() -> None:
    """A closed stream swallows what is written; one whose encoding lacks a character shows it as an escape."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115  a device, for good
        if isinstance(stream := getattr(sys, name), io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def heed_interrupts() -> None:
    """From now on the first Ctrl-C asks the work to stop at the next safe place; a second one stops it at once.

    An exception that breaks out of the middle of an import or of a library's code may be lost, or change the exit
    status. Where Ctrl-C is ignored (a job in the background), it stays so.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)


def heed_termination() -> None:
    """From now on the system's wish that this program end (SIGTERM; Ctrl-Break on Windows) is as good as Ctrl-C."""
    for name in ("SIGTERM", "SIGBREAK"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, lambda *_: _interrupted.cancel())


def heed_parent() -> None:
    """Where another `cfa` started this one, its end is as good as Ctrl-C: nobody waits for the results any more."""
    if os.environ.pop(ENDS_WITH_INPUT, None):
        threading.Thread(target=_await_end_of_input, daemon=True).start()


def _await_end_of_input() -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 1024):  # past Python's buffer, whose lock must be free when the program ends
            pass
    _interrupted.cancel()


def _interrupt(*_: object) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _interrupted.cancel()


@contextlib.contextmanager
def outcome(*, as_json: bool) -> Iterator[CancelToken]:
    """Turn what a user can cause into one sentence and an exit status; a bug keeps its traceback.

    Gives the token that Ctrl-C sets.
    """
    try:
        yield _interrupted
    except CfaError as error:
        _end(str(error), WRONG_USE if isinstance(error, ConfigError) else FAILED, as_json=as_json)
    except (KeyboardInterrupt, CancelledByUser):
        _end(CANCELLED, FAILED, as_json=as_json)


def _end(sentence: str, status: int, *, as_json: bool) -> NoReturn:
    if as_json:
        json_object({"error": sentence})  # where standard output itself failed, it goes nowhere by now
    fail(sentence, status)


def fail(sentence: str, status: int = FAILED) -> NoReturn:
    """Say it on standard error and end with that exit status."""
    note(f"cfa: {sentence}")
    raise typer.Exit(status) from None


def _write(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads has had enough: `cfa inspect ... | head -1`
        _drop_stdout()
        raise typer.Exit(FAILED) from None
    except OSError as error:
        _drop_stdout()
        raise OutputError(f"The results cannot be printed: {error.strerror or error}.") from error


def _drop_stdout() -> None:
    """What is still in the buffer must not fail again when the program ends."""
    with contextlib.suppress(OSError), open(os.devnull, "wb") as nowhere:  # noqa: PTH123  a device, no path
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _strict(value: Any) -> Any:
    match value:
        case str():
            return encodable(value)
        case dict():
            return {_strict(key): _strict(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_strict(inner) for inner in value]
    return value


class ProgressBars:
    """Shows the engine's progress on standard error: one bar a phase, with what is done, what is left and how long."""

    def __init__(self) -> None:
        self._bars = Bars(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("{task.fields[detail]}"),
            console=_stderr,
        )
        self._tasks: dict[tuple[Phase, int, int, int], TaskID] = {}

    def __enter__(self) -> "ProgressBars":
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def __call__(self, progress: Progress, /) -> None:
        """A `core.progress.Report`."""
        if progress.total <= 0:
            return
        which = progress.phase, progress.part, progress.parts, progress.turn
        task = self._tasks.get(which)
        if task is None:
            self._finish()
            name = progress.phase.value.capitalize()
            if progress.parts > 1:
                name += f", scale {progress.part} of {progress.parts}"
            if progress.turn:
                name += f", held out {progress.turn} of {progress.turns}"
            task = self._bars.add_task(name, total=progress.total, unit=progress.unit, detail="")
            self._tasks[which] = task
        step = progress.step
        detail = "" if step is None else f"loss {step.loss:.1f}, r² {step.radius_squared:.3f}"
        self._bars.update(task, completed=progress.done, total=progress.total, detail=detail)

    def _finish(self) -> None:
        """A phase that begins ends those before it, also where not all that was counted had to be done."""
        for task in self._bars.tasks:
            self._bars.update(task.id, completed=task.total)
