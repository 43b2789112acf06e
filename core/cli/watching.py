"""The work behind `cfa watch`: put a watch together, and say what happens."""

import hashlib
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import platformdirs

from core.atomic_file import require_writable_folder
from core.cli import output as out
from core.cli.inspecting import threshold_of
from core.counting import counted
from core.errors import ConfigError, OutputError
from core.inspection import Inspector
from core.line.watching.judging import Judge
from core.line.watching.ledger import Ledger
from core.line.watching.listener import Heartbeat
from core.line.watching.results import Outcome, Result
from core.line.watching.targets.addresses import target_of
from core.line.watching.targets.target import Target
from core.line.watching.watch import Options, Watch
from core.model_file import identity, load_model
from core.progress import CancelToken
from core.version import VERSION

_WORDS = {
    Outcome.DEFECT: "flagged",
    Outcome.UNCERTAIN: "uncertain",
    Outcome.GOOD: "good",
    Outcome.UNREADABLE: "unreadable",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What to watch with what.

    Attributes:
        model: The model file.
        folder: The watched folder.
        targets: Their addresses.
        overlays: Where overlays go.
        threshold: Instead of the model's.
        ledger: Its file; None: one in the user's data folder.
        device: auto, cpu, cuda or cuda:N.
    """

    model: Path
    folder: Path
    targets: tuple[str, ...]
    overlays: Path | None
    threshold: float | None
    ledger: Path | None
    device: str


def default_ledger(folder: Path) -> Path:
    """The ledger of a folder in the user's data folder."""
    absolute = os.path.abspath(folder)  # noqa: PTH100
    mark = hashlib.sha256(os.fsencode(absolute)).hexdigest()[:8]
    name = f"{Path(absolute).name or 'drive'}-{mark}.sqlite"
    return Path(platformdirs.user_data_dir("cfa-gui", appauthor=False)) / "watch" / name


def watch(plan: Plan, options: Options, *, as_json: bool, cancel: CancelToken) -> None:
    """`cfa watch`."""
    cancel.check()
    trained = load_model(plan.model)
    line = threshold_of(trained, plan.model, plan.threshold)
    targets = _targets(plan)
    for folder in (plan.overlays, options.sort):
        if folder is not None:
            require_writable_folder(folder)
    judge = Judge(Inspector(trained, device=plan.device), line, identity(trained), plan.overlays)
    place = plan.ledger or default_ledger(plan.folder)
    said = _Lines(as_json=as_json)
    absolute = Path(os.path.abspath(plan.folder))  # noqa: PTH100
    with Ledger(place, absolute) as ledger:
        work = Watch(absolute, judge, ledger, targets, options, said)
        said.started(plan, judge, ledger, targets)
        end = work.run(cancel)
    said.ended()
    if options.once and not cancel.cancelled:
        _require_done(end)


def _targets(plan: Plan) -> list[Target]:
    targets = [target_of(address) for address in plan.targets]
    addresses = [target.address for target in targets]
    for address in addresses:
        if addresses.count(address) > 1:
            raise ConfigError(f"{address} is named twice.")
    for target in targets:
        target.prepare()
    return targets


def _require_done(end: Heartbeat) -> None:
    late = [delivery for delivery in end.deliveries if delivery.waiting]
    if late:
        waiting = ", ".join(f"{counted(delivery.waiting, 'result')} for {delivery.address}" for delivery in late)
        raise OutputError(f"Not delivered yet: {waiting}. They are kept; the next `cfa watch` tries again.")
    if end.to_sort:
        raise OutputError(f"{counted(end.to_sort, 'image')} could not be sorted; the next `cfa watch` tries again.")


class _Lines:
    """What happens, as lines: for machines one JSON object each, else what a person wants to see."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json

    def started(self, plan: Plan, judge: Judge, ledger: Ledger, targets: list[Target]) -> None:
        """Before the first image."""
        addresses = [target.address for target in targets]
        if self._as_json:
            self._event(
                "started",
                version=VERSION,
                folder=str(plan.folder),
                identity=judge.identity,
                threshold=judge.threshold.value,
                ledger=str(ledger.path),
                targets=addresses,
            )
            return
        out.note(f"Watching {plan.folder} with {plan.model} (threshold {judge.threshold.value:.4f}). Ctrl-C ends.")
        out.note(f"What was inspected is kept in {ledger.path}.")

    def inspected(self, result: Result) -> None:
        """See `core.line.watching.listener.Listener`."""
        if self._as_json:
            self._event("result", **result.to_json())
        elif result.verdict is Outcome.UNREADABLE:
            out.line(f"{result.verdict:<10}  {'-':>8}  {result.path}: {result.message}")
        elif result.verdict is not Outcome.GOOD:
            out.line(f"{result.verdict:<10}  {result.score:>8.4f}  {result.path}")

    def noted(self, sentence: str) -> None:
        """See `core.line.watching.listener.Listener`."""
        if self._as_json:
            self._event("note", message=sentence)
        out.note(sentence)

    def heartbeat(self, heartbeat: Heartbeat) -> None:
        """See `core.line.watching.listener.Listener`."""
        if self._as_json:
            counts = {outcome.value: number for outcome, number in heartbeat.counts.items()}
            self._event(
                "heartbeat",
                counts=counts,
                waiting=heartbeat.waiting,
                to_sort=heartbeat.to_sort,
                targets=[asdict(delivery) for delivery in heartbeat.deliveries],
                trouble=heartbeat.trouble,
                seconds=heartbeat.seconds,
            )
            return
        said = [f"{number:,} {_WORDS[outcome]}" for outcome, number in heartbeat.counts.items()]
        if heartbeat.waiting:
            said.append(f"{counted(heartbeat.waiting, 'image')} waiting")
        said += [
            f"{counted(delivery.waiting, 'result')} waiting for {delivery.address}"
            for delivery in heartbeat.deliveries
            if delivery.waiting
        ]
        out.note(f"{counted(sum(heartbeat.counts.values()), 'image')}: {', '.join(said)}.")

    def ended(self) -> None:
        """After the last image."""
        if self._as_json:
            self._event("ended")

    def _event(self, event: str, **content: Any) -> None:
        out.json_object({"event": event} | content)
