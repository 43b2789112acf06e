"""`cfa review`: what was reviewed in the window."""

from pathlib import Path
from typing import Annotated

import typer

from core.cli import output as out
from core.cli.options import Json

app = typer.Typer(
    name="review", help="List, export, check and remove what was reviewed in the window.", no_args_is_help=True
)
Store = Annotated[Path | None, typer.Option(metavar="FILE", help="The review store; the window's own where left out.")]
ProjectId = Annotated[int, typer.Argument(metavar="REVIEW", help="Its number; `cfa review list` shows them.")]


@app.command("list", short_help="The reviews in the store.")
def review_list(*, store: Store = None, as_json: Json = False) -> None:
    """The reviews in the store, the latest first."""
    with out.outcome(as_json=as_json):
        from core.cli import reviewing

        reviewing.list_projects(store, as_json=as_json)


@app.command("export", short_help="Write a review as CSV or Parquet.")
def review_export(
    project: ProjectId,
    output: Annotated[Path, typer.Argument(metavar="FILE", help="Ends in .csv or .parquet.")],
    *,
    store: Store = None,
    log: Annotated[
        bool, typer.Option("--log", help="Who said what and when, instead of one row for each image.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write a review: for each image its score, verdict and label, and by which model, threshold and person."""
    with out.outcome(as_json=as_json):
        from core.cli import reviewing

        reviewing.export(project, output, store, log=log, as_json=as_json)


@app.command("remove", short_help="Remove a review for good.")
def review_remove(
    project: ProjectId,
    *,
    store: Store = None,
    yes: Annotated[bool, typer.Option("--yes", help="Really; without it the review is named and stays.")] = False,
    as_json: Json = False,
) -> None:
    """Remove a review with its scores, labels and log. Pictures and models stay where they are."""
    with out.outcome(as_json=as_json):
        from core.cli import reviewing

        reviewing.remove(project, store, really=yes, as_json=as_json)


@app.command("check", short_help="See whether a store is sound.")
def review_check(*, store: Store = None, as_json: Json = False) -> None:
    """See whether a store is sound, and which images are no longer where they were."""
    with out.outcome(as_json=as_json):
        from core.cli import reviewing

        reviewing.check(store, as_json=as_json)
