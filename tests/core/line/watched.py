"""What the tests of a watch share: a judge without a network, a listener that remembers, a watch as its own program.

python -m tests.core.line.watched FOLDER WORK
"""

import csv
import dataclasses
import hashlib
import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from core.errors import ImageError
from core.images import decode_image
from core.line.watching.arrivals import Stamp
from core.line.watching.ledger import Ledger
from core.line.watching.listener import Heartbeat
from core.line.watching.results import Outcome, Region, Result
from core.line.watching.targets.database import SqliteTarget
from core.line.watching.targets.files import CsvTarget
from core.line.watching.targets.target import Target
from core.line.watching.watch import Options, Watch
from core.progress import CancelToken

QUICK = Options(settle=0.02, patience=0.05, once=True)


def result_of(name: str, data: bytes = b"", **changes: object) -> Result:
    """A result as a judge gives it."""
    made = Result(
        path=name,
        sha256=hashlib.sha256(data).hexdigest(),
        verdict=Outcome.DEFECT,
        score=1.25,
        threshold=0.5,
        message="",
        regions=(Region(1, 2, 3, 4, 12, 1.25),),
        inspected="2026-01-01T00:00:00.000+00:00",
        milliseconds=1.5,
        identity="identity",
    )
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


@dataclass
class Brightness:
    """Judges by the mean of the pixels: above 127 is a defect. Counts how often it was asked."""

    overlays: Path | None = None
    asked: list[str] = field(default_factory=list)

    def result(self, name: str, data: bytes) -> Result:
        self.asked.append(name)
        try:
            score = float(decode_image(data, name).mean())
        except ImageError as error:
            return self.unreadable(name, str(error), hashlib.sha256(data).hexdigest())
        verdict = Outcome.DEFECT if score > 127 else Outcome.GOOD
        return result_of(name, data, verdict=verdict, score=score, threshold=127.0, regions=())

    def unreadable(self, name: str, message: str, digest: str) -> Result:
        return result_of(
            name, verdict=Outcome.UNREADABLE, score=None, message=message, sha256=digest, regions=(), threshold=127.0
        )


@dataclass
class Remembered:
    """Keeps what it is told; ends the watch after so many results."""

    cancel: CancelToken = field(default_factory=CancelToken)
    end_after: int | None = None
    results: list[Result] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    beats: list[Heartbeat] = field(default_factory=list)

    def inspected(self, result: Result) -> None:
        self.results.append(result)
        if self.end_after is not None and len(self.results) >= self.end_after:
            self.cancel.cancel()

    def noted(self, sentence: str) -> None:
        self.notes.append(sentence)

    def heartbeat(self, heartbeat: Heartbeat) -> None:
        self.beats.append(heartbeat)

    @property
    def names(self) -> list[str]:
        return [result.path for result in self.results]


def run_watch(
    folder: Path,
    ledger: Path,
    targets: Sequence[Target] = (),
    options: Options = QUICK,
    judge: Brightness | None = None,
    listener: Remembered | None = None,
) -> Remembered:
    """One watch, from its start to its end."""
    told = listener or Remembered()
    with Ledger(ledger, folder) as opened:
        Watch(folder, judge or Brightness(), opened, targets, options, told).run(told.cancel)
    return told


def kept(ledger: Path, folder: Path) -> list[Result]:
    """All results in a ledger."""
    with Ledger(ledger, folder) as opened:
        return opened.results()


def stamp_of(path: Path) -> Stamp:
    status = path.stat()
    return Stamp(status.st_size, status.st_mtime_ns)


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV table, as texts."""
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))


def main() -> None:
    """Watch until killed; a line for each result."""
    folder, work = Path(sys.argv[1]), Path(sys.argv[2])
    targets: list[Target] = [CsvTarget(work / "results.csv"), SqliteTarget(work / "results.sqlite")]

    class Printed(Remembered):
        def inspected(self, result: Result) -> None:
            sys.stdout.write(f"{result.path}\n")
            sys.stdout.flush()

    options = Options(settle=0.3, patience=0.6, sort=work / "sorted")
    run_watch(folder, work / "ledger.sqlite", targets, options, listener=Printed())


if __name__ == "__main__":
    main()
