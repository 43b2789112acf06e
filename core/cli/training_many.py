"""The work behind `cfa train-many`: each data set by `cfa train` in a process of its own. Imports no torch.

A process for each, and not a pool of them: what one leaves behind (memory, a crash, the system's out-of-memory killer)
ends with it.
"""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.atomic_file import make_folder, require_writable, write_bytes
from core.cli import output as out
from core.cli.output import ENDS_WITH_INPUT
from core.dataset import open_dataset
from core.errors import ConfigError, DatasetError
from core.folder_search import subfolders
from core.progress import CancelToken
from core.result_files import csv_table

COLUMNS = (
    "name",
    "state",
    "images",
    "held_out",
    "threshold",
    "seconds",
    "image_auroc",
    "pixel_auroc",
    "aupro",
    "path",
    "message",
)
_FIGURES = ("image_auroc", "pixel_auroc", "aupro")
_LOOK_SECONDS = 0.1
_CANCEL = signal.SIGINT if os.name == "posix" else signal.SIGTERM
_APART: dict[str, Any] = {"start_new_session": True} if os.name == "posix" else {"creationflags": 0x200}
"""A training hears of Ctrl-C from this program alone, once; a second one would break off its clean end."""
_Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train.

    Attributes:
        folder: Where the models go.
        options: Of `cfa train`, for all.
        jobs: So many at a time.
        test: Measure each on its own test images.
        resume: Leave models that are there, go on with trainings that were cut off.
        cluster: The address of a Ray cluster that trains, or `local`; None: this machine without Ray.
        gpus: There, the share of a graphics card of each training; None: 1/jobs where there are some.
    """

    folder: Path
    options: tuple[str, ...]
    jobs: int
    test: bool
    resume: bool
    cluster: str | None = None
    gpus: float | None = None


def train_many(paths: Sequence[Path], plan: Plan, *, as_json: bool, cancel: CancelToken) -> None:
    """`cfa train-many`."""
    cancel.check()
    datasets = _named(_expanded(paths))
    make_folder(plan.folder)
    summary = plan.folder / "summary.csv"
    require_writable(summary)
    rows = _here(datasets, plan, cancel) if plan.cluster is None else _on_cluster(plan.cluster, datasets, plan, cancel)
    write_bytes(summary, csv_table(COLUMNS, rows))
    failed = _failed(rows, summary, cancel)
    if as_json:
        content = {"models": rows, "summary": str(summary)}
        out.json_object(content if failed is None else content | {"error": failed})
    else:
        _print(rows)
    if failed is not None:
        out.fail(failed)


def _failed(rows: Sequence[_Row], summary: Path, cancel: CancelToken) -> str | None:
    """What went wrong, in a sentence; None where all are trained."""
    if cancel.cancelled:
        return out.CANCELLED
    failed = [row["name"] for row in rows if row["state"] == "failed"]
    return f"{len(failed)} of {len(rows)} failed: {', '.join(failed)}. {summary} says why." if failed else None


def _here(datasets: Mapping[str, Path], plan: Plan, cancel: CancelToken) -> list[_Row]:
    """Train all on this machine; a row for each, in their order."""
    with ThreadPoolExecutor(plan.jobs) as executor:
        work = [executor.submit(train_one, name, dataset, plan, cancel) for name, dataset in datasets.items()]
        for done in as_completed(work):
            _tell(done.result())
    return [done.result() for done in work]


def _on_cluster(address: str, datasets: Mapping[str, Path], plan: Plan, cancel: CancelToken) -> list[_Row]:
    """Train each in a task of its own on whatever machine has room; a row for each, in their order."""
    from core.line.cluster.connection import connected
    from core.line.cluster.tasks import run_tasks, share_of

    plan = dataclasses.replace(plan, folder=plan.folder.absolute())
    rows: dict[str, _Row] = {}
    with connected(address) as ray:
        share = share_of(ray.nodes(), jobs=plan.jobs, gpus=plan.gpus)
        calls = {name: (name, dataset.absolute(), plan) for name, dataset in datasets.items()}
        for name, result in run_tasks(ray, train_one, calls, share, cancel):
            lost = {"state": "cancelled" if cancel.cancelled else "failed", "message": result}
            rows[name] = _blank(name, plan) | lost if isinstance(result, str) else result
            _tell(rows[name])
    return [rows[name] for name in datasets]


def _expanded(paths: Iterable[Path]) -> list[Path]:
    """Each data set, and those in folders that hold several."""
    found: list[Path] = []
    for path in paths:
        inner = subfolders(path)
        is_one = "train" in inner or "good" in inner
        held = [] if is_one else [folder for folder in inner.values() if "train" in subfolders(folder)]
        found += held or [path]
    return found


def _named(datasets: Sequence[Path]) -> dict[str, Path]:
    """Name → data set; the name is its folder's, and the model's.

    Raises:
        ConfigError: Two have the same.
    """
    named: dict[str, Path] = {}
    for dataset in datasets:
        name = Path(os.path.abspath(dataset)).name  # noqa: PTH100
        other = named.setdefault(name, dataset)
        if other is not dataset or name.casefold() in {known.casefold() for known in named if known != name}:
            raise ConfigError(f"{dataset} and {other} would both give {name}.cfa. Train one of them by `cfa train`.")
    return named


def _blank(name: str, plan: Plan) -> _Row:
    return dict.fromkeys(COLUMNS) | {"name": name, "path": str(plan.folder / f"{name}.cfa"), "message": ""}


def train_one(name: str, dataset: Path, plan: Plan, cancel: CancelToken) -> _Row:
    """Train one; returns its row of the summary."""
    model, row = plan.folder / f"{name}.cfa", _blank(name, plan)
    if cancel.cancelled:
        return row | {"state": "cancelled"}
    if plan.resume and model.exists():
        return row | {"state": "left"}
    began = time.monotonic()
    try:
        command = _command(dataset, model, plan)
    except DatasetError as error:
        return row | {"state": "failed", "message": str(error)}
    status, content, said = _run(command, plan.jobs, cancel)
    row["seconds"] = round(time.monotonic() - began, 1)
    if status == 0 and "summary" in content:  # where a host ignores SIGCHLD, every process seems to end with 0
        return row | {"state": "trained"} | _figures(content)
    if cancel.cancelled:
        return row | {"state": "cancelled"}
    message = content.get("error") or f"It ended with status {status}. {said}".strip()
    return row | {"state": "failed", "message": message}


def _command(dataset: Path, model: Path, plan: Plan) -> list[str]:
    command = [sys.executable, "-m", "core.cli", "train", str(dataset), "--out", str(model), "--json", *plan.options]
    if plan.test and open_dataset(dataset).test:
        command += ["--test", str(dataset)]
    if plan.resume and model.with_name(f"{model.name}.unfinished").exists():
        command.append("--resume")
    return command


def _run(command: Sequence[str], jobs: int, cancel: CancelToken) -> tuple[int, dict[str, Any], str]:
    """Its exit status, the JSON object on its standard output, and the last that it said."""
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    environment = {"OMP_NUM_THREADS": threads} | os.environ | {ENDS_WITH_INPUT: "1"}
    root = str(Path(__file__).parents[2])
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    given, held = os.pipe()  # the system closes it with this process, however that ends
    process = subprocess.Popen(  # noqa: S603  this very program
        command,
        stdin=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=environment,
        **_APART,
    )
    os.close(given)
    ended = threading.Event()
    watcher = threading.Thread(target=_pass_on, args=(process, cancel, ended))
    watcher.start()
    try:
        output, said = process.communicate()
    finally:
        ended.set()
        watcher.join()
        os.close(held)
    content: dict[str, Any] = {}
    with contextlib.suppress(ValueError):
        content = json.loads(output)
    return process.returncode, content, "".join(said.strip().splitlines()[-1:])


def _pass_on(process: "subprocess.Popen[str]", cancel: CancelToken, ended: threading.Event) -> None:
    """Let a process know that the user has cancelled."""
    while not ended.wait(_LOOK_SECONDS):
        if cancel.cancelled:
            with contextlib.suppress(OSError):
                process.send_signal(_CANCEL)
            return


def _figures(content: dict[str, Any]) -> _Row:
    training, line = content.get("summary") or {}, content.get("threshold") or {}
    evaluation = content.get("evaluation") or {}
    return {
        "images": training.get("images"),
        "held_out": training.get("held_out"),
        "threshold": line.get("value"),
        **{name: evaluation.get(name) for name in _FIGURES},
    }


def _tell(row: _Row) -> None:
    """One line for the person at the terminal as soon as a training ends."""
    took = "" if row["seconds"] is None else f" in {row['seconds']:.0f} s"
    out.note(f"{row['name']}: {row['state']}{took}. {row['message']}".rstrip())


def _print(rows: Sequence[_Row]) -> None:
    width = max(len("name"), *(len(out.printable(row["name"])) for row in rows))
    titles = ("state", "images", "held out", "threshold", "AUROC", "AUPRO")
    out.line(f"{'name':<{width}}  {titles[0]:<9}" + "".join(f"  {title:>9}" for title in titles[1:]))
    for row in rows:
        figures = (row["images"], row["held_out"], row["threshold"], row["image_auroc"], row["aupro"])
        cells = "".join(f"  {_cell(value):>9}" for value in figures)
        out.line(f"{out.printable(row['name']):<{width}}  {row['state']:<9}{cells}")


def _cell(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
