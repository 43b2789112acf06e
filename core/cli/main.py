"""The `cfa` command, put together.

Exit status: 0 fine, 1 failed or cancelled, 2 wrong use. Results go to standard output, progress and messages to
standard error; with --json standard output is one JSON object.
"""

import sys
import warnings
from typing import Annotated

import typer

from core.cli import commands, export_commands, many_commands, review_commands, serve_commands, watch_commands
from core.cli import output as out
from core.version import VERSION

app = typer.Typer(
    name="cfa",
    help="Visual inspection from good parts only (CFA).",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        out.line(f"cfa {VERSION}")
        raise typer.Exit


for group in (commands, many_commands, export_commands, watch_commands, serve_commands):
    app.add_typer(group.app)
app.add_typer(review_commands.app)


def main() -> None:
    """Entry point of the `cfa` command."""
    out.heed_interrupts()
    out.heed_parent()
    out.prepare_streams()
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # of libraries, to their developers
    app(prog_name="cfa")
