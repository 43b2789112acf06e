"""Accuracy on data sets in MVTec AD layout, several seeds, last epoch, nothing fitted on test data.

    python benchmarks/accuracy.py DATASET... [--preset standard] [--seeds 0 1 2] [--protocol whole R R+C RD]
        [--peers PaDiM "PatchCore 1 %"] [--loss none att att+rep] [--set NAME=VALUE] [--best-epoch] [--out FILE.csv]
    python benchmarks/accuracy.py DATASET... --table 2      the rows of a table of the paper, 2 to 7

One row a run, then mean ± standard deviation over the seeds. A row that the CSV holds already is not computed again,
so a run that was cut off goes on. `--set name=value` changes one setting, for ablations (`--set backbone=resnet18`,
`--set bank=mean`, `--set bank_ratio=4`, `--set score=certainty`). `--best-epoch` adds the columns
*_best_epoch_on_test, which choose the epoch by the test images as the paper's program does; they are for comparison
with the paper alone.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.accuracy_rows import OURS, Rows, table
from benchmarks.accuracy_runs import PROTOCOLS, Job, run, under_protocol
from benchmarks.accuracy_tables import LOSS_TERMS, TABLES, Line
from benchmarks.peers import PEERS
from core.cli.output import ProgressBars
from core.errors import CfaError
from core.presets import PRESETS, preset

CONSOLE = Console(width=200)


def parsed(text: str) -> tuple[str, Any]:
    """A setting from the command line: a number, or the word of a choice."""
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def lines(arguments: argparse.Namespace) -> list[Line]:
    """What to compute for each data set."""
    if arguments.table:
        return list(TABLES[arguments.table])
    chosen = [Line(peer, peer, protocol) for protocol in arguments.protocol for peer in arguments.peers]
    if not arguments.only_peers:
        for protocol in arguments.protocol:
            chosen += [Line(loss, OURS, protocol, LOSS_TERMS[loss]) for loss in arguments.loss]
    return chosen


def jobs(arguments: argparse.Namespace) -> list[tuple[Line, Job]]:
    """Every row wanted, in the order of the table."""
    base = preset(arguments.preset or ("paper" if arguments.table else "standard"))
    found = []
    for folder in arguments.datasets:
        for line in lines(arguments):
            for seed in arguments.seeds:
                config = base.with_changes(**line.changes, **dict(arguments.changes), seed=seed)
                protocol = under_protocol(config, line.protocol)
                best = arguments.best_epoch and line.method == OURS
                found.append((line, Job(folder, line.method, line.protocol, protocol, best)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="+", type=Path)
    parser.add_argument("--table", type=int, choices=sorted(TABLES))
    parser.add_argument("--preset", choices=sorted(PRESETS), help="standard, or paper with --table")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--protocol", nargs="+", choices=PROTOCOLS, default=["whole"])
    parser.add_argument("--peers", nargs="*", choices=list(PEERS), default=[])
    parser.add_argument("--only-peers", action="store_true")
    parser.add_argument("--loss", nargs="+", choices=list(LOSS_TERMS), default=["att+rep"])
    parser.add_argument("--set", action="append", default=[], type=parsed, metavar="NAME=VALUE", dest="changes")
    parser.add_argument("--best-epoch", action="store_true")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/accuracy.csv"))
    arguments = parser.parse_args()
    try:
        measured = compute(jobs(arguments), Rows(arguments.out), arguments.device)
    except CfaError as error:
        sys.exit(str(error))
    by = (
        ("dataset", "label", "protocol")
        if arguments.table or len(arguments.loss) > 1
        else ("dataset", "method", "protocol")
    )
    text = table(measured, by)
    arguments.out.with_suffix(".md").write_text(f"{text}\n", encoding="utf-8")
    print(text)
    for name in dict.fromkeys(line.method for line, _ in jobs(arguments) if line.method != OURS):
        print(f"\n{name}: {PEERS[name].differs}.")


def compute(wanted: list[tuple[Line, Job]], rows: Rows, device: str) -> list[dict[str, Any]]:
    """The rows wanted, from the file or anew."""
    measured = []
    for number, (line, job) in enumerate(wanted, start=1):
        what = f"{job.folder.name}, {line.label}, {job.protocol}, seed {job.config.training.seed}"
        CONSOLE.print(f"{number} of {len(wanted)}: {what}", style="dim")
        row = rows.find(job.key())
        if row is None:
            with ProgressBars() as bars:
                row = run(job, device, bars)
            rows.add(row)
        measured.append({**row, "label": line.label})
    return measured


if __name__ == "__main__":
    main()
