"""What the command line prints, and how an outcome becomes an exit status."""

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table

from core.errors import CancelledByUser, CfaError, ConfigError
from core.progress import Phase, Progress

FAILED = 1
WRONG_USE = 2
_stderr = Console(stderr=True, highlight=False, soft_wrap=True)
_stdout = Console(highlight=False, soft_wrap=True)


def line(text: str = "") -> None:
    """One line of result on standard output."""
    _stdout.print(text, markup=False)


def note(text: str) -> None:
    """One line for the person at the terminal, on standard error."""
    _stderr.print(text, markup=False)


def table(rows: Sequence[tuple[str, str]], title: str | None = None) -> None:
    """Names and values in two columns on standard output."""
    grid = Table(title=title, title_justify="left", show_header=False, box=None, pad_edge=False)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in rows:
        grid.add_row(_plain(name), _plain(value))
    _stdout.print(grid, markup=False)


def _plain(text: str) -> str:
    """Without markup, and with control characters made visible: a file name must not steer the terminal."""
    from rich.markup import escape

    return escape(printable(text))


def printable(text: str) -> str:
    """Control characters as escapes, so that a file name cannot steer the terminal or break a line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def json_object(content: dict[str, Any]) -> None:
    """One JSON object on standard output."""
    sys.stdout.write(json.dumps(content, allow_nan=False) + "\n")
    sys.stdout.flush()


@contextlib.contextmanager
def outcome(*, as_json: bool) -> Iterator[None]:
    """Turn what a user can cause into one sentence and an exit status; a bug keeps its traceback."""
    try:
        yield
    except ConfigError as error:
        _fail(str(error), WRONG_USE, as_json=as_json)
    except CfaError as error:
        _fail(str(error), FAILED, as_json=as_json)
    except (KeyboardInterrupt, CancelledByUser):
        _fail("Cancelled. Nothing was left half-written.", FAILED, as_json=as_json)


def _fail(sentence: str, status: int, *, as_json: bool) -> None:
    if as_json:
        json_object({"error": sentence})
    note(f"cfa: {printable(sentence)}")
    raise typer.Exit(status) from None


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
        self._tasks: dict[Phase, TaskID] = {}

    def __enter__(self) -> "ProgressBars":
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def __call__(self, progress: Progress, /) -> None:
        """A `core.progress.Report`."""
        if progress.total <= 0:
            return
        task = self._tasks.get(progress.phase)
        if task is None:
            name = progress.phase.value.capitalize()
            task = self._bars.add_task(name, total=progress.total, unit=progress.unit, detail="")
            self._tasks[progress.phase] = task
        step = progress.step
        detail = "" if step is None else f"loss {step.loss:.1f}, r² {step.radius_squared:.3f}"
        done: float = progress.done if progress.done == progress.total else int(progress.done)
        self._bars.update(task, completed=done, total=progress.total, detail=detail)
