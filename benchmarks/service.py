"""The service under load, beside the bare inspection in the same run; and what harms it while it works.

    python benchmarks/service.py MODEL IMAGES [--only batching load abuse] [--seconds 60] [--clients 16] [--out JSON]

First images are decoded and inspected in this process, one after the other. `batching` tries several images in the
network at once. `load` starts `cfa serve` as a process and lets clients on loopback ask without a pause; each answer's
score must be the bare one, bit for bit. `abuse` does the same while others send bad images, bodies of 100 MB, wrong
tokens, heads and bodies that never end, half-closed connections and garbage. Clients and service share the machine's
cores. Linux alone.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

ROOT = Path(__file__).resolve().parents[1]
TOKEN = "a-token-for-the-benchmark"
Found = dict[str, Any]
Address = tuple[str, int]


def quantiles(seconds: Sequence[float]) -> Found:
    return {
        "images": len(seconds),
        "p50_ms": round(1000 * float(np.percentile(seconds, 50)), 1),
        "p99_ms": round(1000 * float(np.percentile(seconds, 99)), 1),
        "worst_ms": round(1000 * max(seconds), 1),
    }


# --- bare and batching ------------------------------------------------------------------------------------------------


def bare(model: Path, files: Sequence[bytes]) -> tuple[Found, list[float]]:
    """Decode and inspect one image after the other; the time of each, and its score."""
    from core.images import decode_image
    from core.inspection import Inspector
    from core.model_file import load_model

    inspector = Inspector(load_model(model), device="cpu")
    scores = [inspector.inspect(decode_image(data, "image")).score for data in files]  # warms, too
    decoding, both = [], []
    for data in files:
        began = time.perf_counter()
        image = decode_image(data, "image")
        decoded = time.perf_counter()
        inspector.inspect(image)
        decoding.append(decoded - began)
        both.append(time.perf_counter() - began)
    found = quantiles(both) | {"decode_p50_ms": quantiles(decoding)["p50_ms"]}
    return found | {"per_second": round(len(both) / sum(both), 2)}, scores


def batching(model: Path, files: Sequence[bytes], sizes: Sequence[int] = (1, 2, 4, 8)) -> list[Found]:
    """The network on several images at once: time for each image, and whether its patch scores stay the same bits."""
    import torch

    from core.geometry import geometry
    from core.images import decode_image
    from core.inspection import Inspector
    from core.model_file import load_model
    from core.placement import apply

    inspector = Inspector(load_model(model), device="cpu")
    config, network = inspector.trained.config, inspector.trained.network
    images = [decode_image(data, "image") for data in files[:16]]
    place_of = geometry(images[0].shape[:2], config, network.stride, network.cell)
    canvases = torch.from_numpy(np.stack([apply(image, place_of.placement) for image in images]))

    def run(size: int) -> list[torch.Tensor]:
        parts = canvases.split(size)
        return [network(part, config.method.score, config.method.neighbours).clone() for part in parts]

    found = []
    with torch.inference_mode():
        alone = torch.cat(run(1))
        for size in sizes:
            grids = torch.cat(run(size))
            began = time.perf_counter()
            run(size)
            seconds = time.perf_counter() - began
            same = sum(bool((ours == theirs).all()) for ours, theirs in zip(grids, alone, strict=True))
            found.append(
                {
                    "batch": size,
                    "ms_per_image": round(1000 * seconds / len(images), 2),
                    "same_bits": f"{same}/{len(images)}",
                }
            )
    return found


# --- the service ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def served(model: Path, log: Path) -> Iterator[Address]:
    command = [sys.executable, "-m", "core.cli", "serve", f"part={model}", "--port", "0", "--device", "cpu"]
    environment = os.environ | {"CFA_TOKEN": TOKEN}
    with (
        log.open("wb") as errors,
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=errors) as process,
    ):
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline().rsplit(b":", 1)[1])
            assert process.stdout.readline() == b"Ready: part\n"
            yield "127.0.0.1", port
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
    assert process.returncode == 0


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str, body: bytes) -> tuple[int, bytes]:
    """One request on an open connection: status and content."""
    writer.write(f"{head}\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    await writer.drain()
    answer = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", answer)
    assert length is not None
    return int(answer.split(b" ", 2)[1]), await reader.readexactly(int(length[1]))


async def once(address: Address, head: str, body: bytes = b"") -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection(*address)
    try:
        return await ask(reader, writer, head, body)
    finally:
        writer.close()


def head_of(path: str, method: str = "POST", token: str = TOKEN) -> str:
    return f"{method} {path} HTTP/1.1\r\nAuthorization: Bearer {token}"


async def figures(address: Address) -> Found:
    """Memory and open files of the service, and what it holds."""
    _, text = await once(address, head_of("/metrics", "GET"))
    of = dict(re.findall(r"^(\w+) ([\d.e+]+)$", text.decode(), re.MULTILINE))
    return {
        "resident_mb": round(float(of["process_resident_memory_bytes"]) / 2**20),
        "open_files": int(float(of["process_open_fds"])),
        "held_bytes": int(float(of["cfa_held_bytes"])),
        "waiting": int(float(of["cfa_queue_length"])),
    }


class Clients:
    """Clients that ask one after the other on one connection each, and what they saw."""

    def __init__(self, address: Address, files: Sequence[bytes], scores: Sequence[float]) -> None:
        self._address, self._pairs = address, list(zip(files, scores, strict=True))
        self.seconds: list[float] = []
        self.service_ms: list[float] = []
        self.errors: Counter[str] = Counter()
        self.wrong = 0

    async def run(self, until: float, first: int) -> None:
        reader, writer = await asyncio.open_connection(*self._address)
        turns = itertools.cycle(self._pairs[first:] + self._pairs[:first])
        while time.perf_counter() < until:
            data, score = next(turns)
            began = time.perf_counter()
            try:
                status, content = await ask(reader, writer, head_of("/inspect"), data)
            except (OSError, asyncio.IncompleteReadError) as error:
                self.errors[type(error).__name__] += 1
                reader, writer = await asyncio.open_connection(*self._address)
                continue
            self.seconds.append(time.perf_counter() - began)
            if status != 200:
                self.errors[str(status)] += 1
                continue
            found = json.loads(content)
            self.wrong += found["score"] != score
            self.service_ms.append(found["milliseconds"]["total"])
        writer.close()


async def load(
    address: Address, files: Sequence[bytes], scores: Sequence[float], seconds: float, clients: int
) -> Found:
    before = await figures(address)
    crowd = Clients(address, files, scores)
    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number in range(clients):
            tasks.create_task(crowd.run(began + seconds, number % len(files)))
    took = time.perf_counter() - began
    return quantiles(crowd.seconds) | {
        "clients": clients,
        "seconds": round(took, 1),
        "per_second": round(len(crowd.seconds) / took, 2),
        "errors": dict(crowd.errors),
        "scores_that_differ": crowd.wrong,
        "before": before,
        "after": await figures(address),
    }


# --- abuse ------------------------------------------------------------------------------------------------------------


async def _bad_image(address: Address) -> str:
    return str((await once(address, head_of("/inspect"), os.urandom(50_000)))[0])


async def _wrong_token(address: Address) -> str:
    return str((await once(address, head_of("/inspect", token="wrong"), bytes(200_000)))[0])


async def _announced_100_mb(address: Address) -> str:
    return str((await once(address, head_of("/inspect"), bytes(100_000_000)))[0])


async def _chunked_100_mb(address: Address) -> str:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(f"{head_of('/inspect')}\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
    chunk = b"100000\r\n" + bytes(0x100000) + b"\r\n"
    with contextlib.suppress(ConnectionError):
        for _ in range(100):
            writer.write(chunk)
            await writer.drain()
        writer.write(b"0\r\n\r\n")
    status = (await reader.readline()).split(b" ")[1].decode()
    writer.close()
    return status


async def _half_closed(address: Address) -> str:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(f"{head_of('/inspect')}\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n".encode() + bytes(1000))
    writer.write_eof()
    got = await reader.read()
    writer.close()
    return "closed" if not got else got.split(b" ")[1].decode()


async def _cut_off(address: Address) -> str:
    _, writer = await asyncio.open_connection(*address)
    writer.write(f"{head_of('/inspect')}\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n".encode() + bytes(1000))
    await writer.drain()
    writer.transport.abort()
    return "cut off"


async def _slow_head(address: Address) -> str:
    """A byte now and then, for longer than the service waits."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        for byte in b"POST /inspect HTTP/1.1\r\nX-Slow: " + b"x" * 1000:
            writer.write(bytes([byte]))
            await writer.drain()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    if not await reader.read(1):
                        break
    except ConnectionError:
        pass
    finally:
        writer.close()
    return "closed"


async def _garbage(address: Address) -> str:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(os.urandom(200) + b"\r\n\r\n")
    try:
        got = await reader.read()
    except ConnectionError:
        return "closed"
    finally:
        writer.close()
    return "closed" if not got else got.split(b" ")[1].decode()


ABUSES: tuple[Callable[[Address], Awaitable[str]], ...] = (
    _bad_image,
    _wrong_token,
    _announced_100_mb,
    _chunked_100_mb,
    _half_closed,
    _cut_off,
    _slow_head,
    _garbage,
)


async def _again_and_again(abuse: Callable[[Address], Awaitable[str]], address: Address, said: Counter[str]) -> None:
    name = abuse.__name__.strip("_")
    while True:
        try:
            said[f"{name}: {await abuse(address)}"] += 1
        except (OSError, asyncio.IncompleteReadError) as error:
            said[f"{name}: {type(error).__name__}"] += 1
        await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def abused(address: Address) -> AsyncIterator[Counter[str]]:
    said: Counter[str] = Counter()
    tasks = [asyncio.create_task(_again_and_again(abuse, address, said)) for abuse in ABUSES for _ in range(2)]
    try:
        yield said
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def load_with_abuse(address: Address, *arguments: Any) -> Found:
    async with abused(address) as said:
        found = await load(address, *arguments)
    await asyncio.sleep(3)  # what was cut off is seen by then
    return found | {"abuse": dict(sorted(said.items())), "at rest": await figures(address)}


# --- all of it --------------------------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--only", nargs="+", default=["batching", "load", "abuse"])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--count", type=int, default=32, help="Images, taken evenly from the folder.")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    paths = sorted(options.images.rglob("*.png"))
    files = [path.read_bytes() for path in paths[:: max(1, len(paths) // options.count)][: options.count]]
    found: Found = {"model": options.model.name, "images": len(files), "mean_bytes": sum(map(len, files)) // len(files)}
    found["bare"], scores = bare(options.model, files)
    print(json.dumps(found), flush=True)
    if "batching" in options.only:
        found["batching"] = batching(options.model, files)
        print(json.dumps(found["batching"]), flush=True)
    for name, work in (("load", load), ("abuse", load_with_abuse)):
        if name in options.only:
            with served(options.model, Path(tempfile.gettempdir()) / "service-benchmark.log") as address:
                found[name] = asyncio.run(work(address, files, scores, options.seconds, options.clients))
            print(json.dumps({name: found[name]}), flush=True)
    if options.out is not None:
        options.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
