"""A watch under fire: thousands of images written by four processes at once, and two kills.

    python benchmarks/watching.py [--images 5000] [--seed 0] [--out JSON]

Of the images some are written in one go, some slowly, some by a writer that stalls for longer than a file takes to
count as complete, some under another name and renamed into place, some damaged; pauses and bursts are random. `cfa
watch` runs as its own process, is ended with SIGKILL when a third is written and when two thirds are, is started again,
and brings its results to a CSV file, an SQLite file, a folder, a web hook that is out of order for a while and loses
answers, and, where mosquitto is installed, to an MQTT broker; the images are sorted.
At the end each image must have exactly one result, with the score that a bare `Inspector` gives, and every target all
results. POSIX alone.
"""

import argparse
import collections
import hashlib
import io
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from PIL import Image

from tests.core.line.watched import read_table
from tests.core.parts import TINY, picture, with_defect, write_parts

ROOT = Path(__file__).resolve().parents[1]
WRITERS = 4
SETTLE, PATIENCE = 0.5, 6.0
STALL = 2.0
LONGEST_PAUSE = 3.0
MOST_SECONDS = 3600
LEAST = 20
"""Results of each run before it is killed."""
KINDS = {"at once": 50, "renamed": 25, "slowly": 17, "damaged": 7, "stalled": 1}
"""How an image is written → share in percent."""
TOKEN = "line-token"


# --- what is written --------------------------------------------------------------------------------------------------


def kind_of(number: int, seed: int) -> str:
    return random.Random(f"{seed} {number}").choices(list(KINDS), list(KINDS.values()))[0]


def name_of(number: int) -> str:
    return f"station {number % 3}/{number // 1000}/{number:05}.png"


def content_of(number: int, seed: int) -> bytes:
    """The bytes of an image; a third of the damaged ones cut off, a third text, a third empty."""
    pixels = picture(1_000_000 * seed + number)
    if number % 5 == 0:
        pixels = with_defect(pixels, 8, 8, 10)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    if kind_of(number, seed) != "damaged":
        return file.getvalue()
    return (file.getvalue()[: file.tell() // 2], f"no picture {number}".encode(), b"")[number % 3]


def write(folder: Path, number: int, seed: int) -> None:
    path, content, kind = folder / name_of(number), content_of(number, seed), kind_of(number, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "renamed":
        hidden = path.with_name(f"{path.name}.part")
        hidden.write_bytes(content)
        hidden.rename(path)
    elif kind in ("slowly", "stalled"):
        pauses, pause = (20, 0.02) if kind == "slowly" else (2, STALL)
        with path.open("wb", buffering=0) as file:
            step = len(content) // pauses + 1
            for start in range(0, len(content), step):
                file.write(content[start : start + step])
                time.sleep(pause)
    else:
        path.write_bytes(content)


def write_all(folder: Path, which: int, images: int, seed: int) -> None:
    """Every fourth image, in bursts with pauses of up to `LONGEST_PAUSE`; a byte in a file of its own for each."""
    pauses = random.Random(f"{seed} {which}")
    with (folder.parent / f"written-{which}").open("wb", buffering=0) as progress:
        for number in range(which, images, WRITERS):
            write(folder, number, seed)
            progress.write(b".")
            if pauses.random() < 0.1:
                time.sleep(pauses.uniform(0, LONGEST_PAUSE))


def written(work: Path) -> int:
    return sum(path.stat().st_size for path in work.glob("written-*"))


# --- who receives -----------------------------------------------------------------------------------------------------


class Hook(ThreadingHTTPServer):
    """Keeps the ids it was sent. Says 503 to six requests in a row; takes every 97th and loses its own answer."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _HookHandler)
        self.requests = self.wrong = 0
        self.ids: collections.Counter[str] = collections.Counter()

    def handle_error(self, *_: object) -> None:
        """Whoever asked was killed meanwhile."""


class _HookHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hook

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        hook = self.server
        hook.requests += 1
        hook.wrong += body["id"] != self.headers["Idempotency-Key"]
        hook.wrong += self.headers["Authorization"] != f"Bearer {TOKEN}"
        if 500 <= hook.requests < 506:
            self.send_response(503)
        else:
            hook.ids[body["id"]] += 1
            if hook.requests % 97 == 0:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.send_response(204)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def hook() -> Iterator[Hook]:
    server = Hook()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def broker(work: Path) -> Iterator[tuple[int, collections.Counter[str]] | None]:
    """A mosquitto and what a subscriber to all of `line/1` gets; None where mosquitto is not installed."""
    found = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        yield None
        return
    from paho.mqtt.client import Client, MQTTMessage
    from paho.mqtt.enums import CallbackAPIVersion

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (work / "mosquitto.conf").write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\n"
    )
    process = subprocess.Popen([found, "-c", str(work / "mosquitto.conf")], stderr=subprocess.DEVNULL)
    ids: collections.Counter[str] = collections.Counter()

    def heard(_client: Client, _data: object, message: MQTTMessage) -> None:
        ids[json.loads(message.payload)["id"]] += 1

    client = Client(CallbackAPIVersion.VERSION2, client_id="reader", clean_session=False)
    client.on_message = heard
    for _ in range(100):
        try:
            client.connect("127.0.0.1", port)
            break
        except OSError:
            time.sleep(0.1)
    client.subscribe("line/1", qos=1)
    client.loop_start()
    try:
        yield port, ids
    finally:
        client.disconnect()
        client.loop_stop()
        process.terminate()
        process.wait()


# --- the run ----------------------------------------------------------------------------------------------------------


def results_in(ledger: Path) -> int:
    if not ledger.exists():
        return 0
    connection = sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)
    try:
        return int(connection.execute("SELECT count(*) FROM result").fetchone()[0])
    except sqlite3.OperationalError:  # being made
        return 0
    finally:
        connection.close()


def waiting_in(ledger: Path) -> int:
    connection = sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)
    try:
        return int(connection.execute("SELECT count(*) FROM queue").fetchone()[0])
    finally:
        connection.close()


def watch_through(
    command: list[str], work: Path, images: int, writers: list[subprocess.Popen[bytes]]
) -> dict[str, Any]:
    """Start, kill, start, kill, start, and end once all is done; returns what was seen."""
    ledger, kills = work / "ledger.sqlite", []
    began = time.monotonic()
    environment = os.environ | {"CFA_WEBHOOK_TOKEN": TOKEN}
    for turn in range(3):
        with (work / "said.jsonl").open("ab") as said:
            process = subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=said, env=environment)
        if turn == 2:
            break
        goal, before = images * (turn + 1) // 3, results_in(ledger)
        while (written(work) < goal or results_in(ledger) < before + LEAST) and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills.append({"written": written(work), "results": results_in(ledger)})
    while results_in(ledger) < images and process.poll() is None and time.monotonic() - began < MOST_SECONDS:
        time.sleep(0.2)
    for writer in writers:
        writer.wait()
    deadline = time.monotonic() + MOST_SECONDS
    while waiting_in(ledger) and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(3)  # were anything inspected twice, it would be by now
    process.send_signal(signal.SIGTERM)
    return {"kills": kills, "exit status": process.wait(60)}


def main() -> None:
    arguments = _arguments()
    if arguments.write is not None:
        write_all(Path(arguments.folder), arguments.write, arguments.images, arguments.seed)
        return
    with tempfile.TemporaryDirectory() as made:
        figures = run(Path(made), arguments.images, arguments.seed)
    print(json.dumps(figures, indent=1))
    if arguments.out:
        Path(arguments.out).write_text(json.dumps(figures, indent=1) + "\n")
    if not figures["as it must be"]:
        sys.exit(1)


def run(work: Path, images: int, seed: int) -> dict[str, Any]:
    from core.model_file import save_model
    from core.training import train

    folder, model = work / "in", work / "part.cfa"
    folder.mkdir()
    save_model(train(write_parts(work / "parts", [(32, 32)] * 24), TINY, device="cpu"), model)
    began = time.monotonic()
    with hook() as server, broker(work) as mqtt:
        command = [sys.executable, "-m", "core.cli", "watch", str(model), str(folder), "--json", "--device", "cpu"]
        command += ["--to", str(work / "r.csv"), "--to", str(work / "r.sqlite"), "--to", str(work / "json")]
        command += ["--to", f"http://127.0.0.1:{server.server_port}/parts", "--sort", str(work / "sorted")]
        command += ["--ledger", str(work / "ledger.sqlite"), "--settle", str(SETTLE), "--patience", str(PATIENCE)]
        command += [] if mqtt is None else ["--to", f"mqtt://127.0.0.1:{mqtt[0]}/line/1"]
        own = [sys.executable, __file__, "--images", str(images), "--seed", str(seed), "--folder", str(folder)]
        writers = [subprocess.Popen([*own, "--write", str(which)]) for which in range(WRITERS)]
        seen = watch_through(command, work, images, writers)
        seconds = time.monotonic() - began
        return {
            "images": images,
            "seed": seed,
            "kinds": dict(collections.Counter(kind_of(n, seed) for n in range(images))),
            "seconds": round(seconds, 1),
            **seen,
            **check(work, model, images, seed, server, None if mqtt is None else mqtt[1]),
        }


def check(
    work: Path, model: Path, images: int, seed: int, server: Hook, mqtt: collections.Counter[str] | None
) -> dict[str, Any]:
    """Compare what is in the ledger and in every target with what was written."""
    from core.errors import ImageError
    from core.images import decode_image
    from core.inspection import Inspector
    from core.line.watching.ledger import Ledger
    from core.model_file import load_model

    with Ledger(work / "ledger.sqlite", work / "in") as ledger:
        results = ledger.results()
        left = len(ledger.to_sort())
    times = collections.Counter(result.path for result in results)
    names = {name_of(number): number for number in range(images)}
    inspector = Inspector(load_model(model), device="cpu")
    other_bytes = other_scores = 0
    for result in results:
        content = content_of(names[result.path], seed)
        other_bytes += hashlib.sha256(content).hexdigest() != result.sha256
        try:
            score = inspector.inspect(decode_image(content, result.path)).score
        except ImageError:
            score = None
        other_scores += score != result.score
    ids = sorted(result.id for result in results)
    connection = sqlite3.connect(work / "r.sqlite")
    in_database = sorted(row[0] for row in connection.execute("SELECT id FROM results"))
    connection.close()
    sorted_files = [path for path in (work / "sorted").rglob("*") if path.is_file()]
    digests = collections.Counter(hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted_files)
    wanted = collections.Counter(hashlib.sha256(content_of(n, seed)).hexdigest() for n in range(images))
    found: dict[str, Any] = {
        "missed": len(names.keys() - times.keys()),
        "inspected more than once": sum(count > 1 for count in times.values()),
        "read before complete": other_bytes,
        "scores unlike the bare inspector's": other_scores,
        "called unreadable": sum(result.score is None for result in results),
        "rows missing or double in the CSV file": _unlike(ids, [row["id"] for row in read_table(work / "r.csv")]),
        "rows missing or double in the SQLite file": _unlike(ids, in_database),
        "files missing in the folder": _unlike(
            ids, [json.loads(path.read_bytes())["id"] for path in (work / "json").rglob("*.json")]
        ),
        "results missing at the web hook": len(set(ids) - set(server.ids)),
        "requests with a wrong id or token": server.wrong,
        "images lost or double after sorting": sum(((digests - wanted) + (wanted - digests)).values()),
        "images left unsorted": left + sum(path.is_file() for path in (work / "in").rglob("*")),
        "results missing at the MQTT broker": None if mqtt is None else len(set(ids) - set(mqtt)),
    }
    sound = not any(value for name, value in found.items() if name != "called unreadable")
    damaged = sum(kind_of(number, seed) == "damaged" for number in range(images))
    found["web hook: results that came more than once"] = sum(count > 1 for count in server.ids.values())
    found["MQTT: results that came more than once"] = None if mqtt is None else sum(c > 1 for c in mqtt.values())
    found["milliseconds to decode and inspect, median"] = statistics.median(r.milliseconds for r in results if r.score)
    first, last = (datetime.fromisoformat(results[i].inspected) for i in (0, -1))
    found["seconds from first to last result"] = round((last - first).total_seconds(), 1)
    found["as it must be"] = sound and found["called unreadable"] == damaged and len(results) == images
    return found


def _unlike(expected: list[str], found: list[str]) -> int:
    one, two = collections.Counter(expected), collections.Counter(found)
    return sum(((one - two) + (two - one)).values())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", help="write the figures there, as JSON")
    parser.add_argument("--write", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
