"""Mutated model files and images: only a `CfaError` may come of them, soon, and in bounded memory.

    python benchmarks/fuzz.py [--examples 20000] [--kinds model image] [--out JSON]

Hypothesis makes the mutations, each block of 2,000 from a seed of its own that the result names. A block runs in a
process of its own, so that a crash of a decoder is seen as what it is, and is ended after 20 minutes, so that a hang is
too. Half of the model files get a right digest again after the mutation, and half of the PNG files right check sums, so
that what lies behind these checks is reached too.
"""

import argparse
import io
import json
import re
import resource
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import strategies as st
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core.errors import CfaError
from tests.core.parts import picture

ROOT = Path(__file__).resolve().parents[1]
BLOCK = 2000
LIMIT_S = 2.0
"""Of computing; on a busy machine the clock on the wall tells of others."""
HANGS_S = 1200.0
"""Seconds after which a block of 2,000 counts as hung."""
MEMORY = 8 << 30
"""Bytes of address space a block may have; most of it is libraries."""
REASON = re.compile(r"[0-9].*|\(.*|: .*")
"""What in a sentence differs from file to file."""
INTERESTING = [b"", b"\0", b"\xff", b"\x00" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x80" * 8]
Mutation = tuple[str, float, int, bytes]

MUTATIONS = st.lists(
    st.tuples(
        st.sampled_from(["flip", "put", "insert", "delete", "cut", "repeat"]),
        st.floats(0, 1, exclude_max=True),
        st.integers(0, 255),
        st.one_of(st.sampled_from(INTERESTING), st.binary(max_size=16)),
    ),
    min_size=1,
    max_size=8,
)


def mutated(data: bytes, mutations: list[Mutation], first: int, last: int) -> bytes:
    """The bytes after some mutations, each at its share of the way from `first` to `last`."""
    changed = bytearray(data)
    for kind, where, number, text in mutations:
        end = min(last, len(changed))
        place = min(first, end) + int(where * max(1, end - first))
        if kind == "flip" and place < len(changed):
            changed[place] ^= 1 << number % 8
        elif kind == "put":
            changed[place : place + len(text)] = text
        elif kind == "insert":
            changed[place:place] = text
        elif kind == "delete":
            del changed[place : place + number]
        elif kind == "cut":
            del changed[place:]
        elif kind == "repeat":
            changed[place:place] = changed[place : place + number] * 3
    return bytes(changed)


def image_seeds() -> list[bytes]:
    """A small picture in every format and kind that is read."""
    from tests.core.test_image_errors import SEEDS

    part = Image.fromarray(picture(0, 30, 40))
    more = [
        ("png", part.convert("P"), {}),
        ("png", part.convert("RGBA"), {}),
        ("png", part.convert("1"), {}),
        ("jpeg", part.convert("CMYK"), {}),
        ("jpeg", part.convert("L"), {}),
        ("tiff", part.convert("CMYK"), {"compression": "tiff_adobe_deflate"}),
        ("tiff", part.convert("L"), {"compression": "packbits"}),
        ("tiff", part.convert("1"), {"compression": "group4"}),
        ("tiff", part, {"compression": "jpeg"}),
        ("tiff", part.convert("I;16"), {}),
        ("webp", part.convert("RGBA"), {"quality": 80}),
        ("bmp", part.convert("P"), {}),
    ]
    return [*SEEDS.values(), *(_encoded(*case) for case in more)]


def with_check_sums(data: bytes) -> bytes:
    """A PNG whose chunks have the check sums that belong to them, as far as there are whole chunks; else as it is."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    changed, place = bytearray(data), 8
    while place + 12 <= len(changed):
        end = place + 8 + struct.unpack_from(">I", changed, place)[0]
        if end + 4 > len(changed):
            break
        struct.pack_into(">I", changed, end, zlib.crc32(changed[place + 4 : end]))
        place = end + 4
    return bytes(changed)


def _encoded(kind: str, image: Image.Image, options: dict[str, Any]) -> bytes:
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


class Watch:
    """Runs what is fuzzed, and counts what comes of it."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.slowest = self.longest = 0.0
        self.reasons: Counter[str] = Counter()
        self.bad: list[str] = []

    def __call__(self, work: Callable[[], object]) -> None:
        """One example."""
        started, clock = time.process_time(), time.monotonic()
        try:
            work()
            self.outcomes["accepted"] += 1
        except CfaError as error:
            self.outcomes[type(error).__name__] += 1
            self.reasons[REASON.sub("", str(error).split("part.", 1)[-1])[:60]] += 1
        except BaseException as error:
            self.bad.append(repr(error))
            raise
        self.slowest = max(self.slowest, time.process_time() - started)
        self.longest = max(self.longest, time.monotonic() - clock)


def fuzz_images(folder: Path, watch: Watch, example: Callable[[Any], Any]) -> None:
    """Every reader on mutated pictures."""
    from core.images import read_image, read_mask, read_size, read_thumbnail

    seeds, path = image_seeds(), folder / "part.img"
    readers: list[Callable[[Path], Any]] = [read_image, read_size, read_mask, lambda p: read_thumbnail(p, 64)]

    @example
    @given(st.integers(0, len(seeds) - 1), MUTATIONS, st.integers(0, len(readers) - 1), st.booleans(), st.booleans())
    def one(seed: int, mutations: list[Mutation], reader: int, header_alone: bool, mend: bool) -> None:
        last = 100 if header_alone else len(seeds[seed])
        changed = mutated(seeds[seed], mutations, 0, last)
        path.write_bytes(with_check_sums(changed) if mend else changed)
        watch(lambda: readers[reader](path))

    one()


def fuzz_models(folder: Path, watch: Watch, example: Callable[[Any], Any]) -> None:
    """The reader of model files; what is accepted must inspect, too."""
    import torch

    from core import model_file
    from core.inspection import Inspector
    from core.model import CfaModel
    from core.training import train
    from tests.core.parts import TINY, write_parts

    torch.set_num_threads(1)
    CfaModel.compile_all = lambda *_: None  # type: ignore[method-assign]  # 0.6 s for each that is accepted
    model_file.save_model(train(write_parts(folder, [(32, 32)] * 8), TINY, device="cpu"), folder / "good.cfa")
    data = (folder / "good.cfa").read_bytes()
    header = 8 + int.from_bytes(data[:8], "little")
    path = folder / "part.cfa"

    def mended(changed: bytes) -> bytes:
        """With the digest that belongs to it, where there is still a place for one."""
        place = model_file._place_of_digest(changed)
        if place.stop > len(changed) or place.start < 64:
            return changed
        digest = model_file._digest(changed, place).encode()
        return changed[: place.start] + digest + changed[place.stop :]

    @example
    @given(MUTATIONS, st.booleans(), st.booleans(), st.booleans())
    def one(mutations: list[Mutation], in_header: bool, keep_length: bool, mend: bool) -> None:
        changed = mutated(data, mutations, 8 if keep_length else 0, header if in_header else len(data))
        if in_header and keep_length:  # the header's length follows
            grown = header - 8 + len(changed) - len(data)
            changed = max(0, grown).to_bytes(8, "little") + changed[8:]
        path.write_bytes(mended(changed) if mend else changed)

        def work() -> None:
            loaded = model_file.load_model(path)
            Inspector(loaded, device="cpu").inspect(picture(1))

        watch(work)

    one()


KINDS = {"model": fuzz_models, "image": fuzz_images}


def block(kind: str, seed: int, examples: int) -> dict[str, Any]:
    """One block, in this process."""
    watch = Watch()
    example = hypothesis.settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    with tempfile.TemporaryDirectory() as folder:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        try:
            KINDS[kind](Path(folder), watch, lambda function: hypothesis.seed(seed)(example(function)))
        except BaseException as error:  # noqa: BLE001  what a mutation caused; told with the rest
            watch.bad.append(repr(error)[:300])
    return {
        "seed": seed,
        "examples": sum(watch.outcomes.values()),
        "outcomes": dict(watch.outcomes),
        "slowest_s": round(watch.slowest, 2),
        "longest_on_the_wall_s": round(watch.longest, 2),
        "reasons": dict(watch.reasons.most_common(8)),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "bad": watch.bad[:5],
    }


def _run(command: list[str], seed: int) -> dict[str, Any]:
    """What a block found; where its process crashed or hung, that."""
    nothing: dict[str, Any] = {
        "seed": seed,
        "examples": 0,
        "outcomes": {},
        "slowest_s": 0,
        "longest_on_the_wall_s": 0,
        "peak_mb": 0,
    }
    nothing["reasons"] = {}
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=HANGS_S)
    except subprocess.TimeoutExpired:
        return nothing | {"bad": ["hung"]}
    if done.returncode != 0:
        return nothing | {"bad": [f"exit status {done.returncode}: {done.stderr[-500:]}"]}
    return dict(json.loads(done.stdout))


def main() -> None:
    """Run blocks until there are examples enough; exit status 1 where anything but a `CfaError` came."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=20_000)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "fuzz.json")
    parser.add_argument("--block", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.block:
        sys.stdout.write(json.dumps(block(asked.block[0], int(asked.block[1]), int(asked.block[2]))))
        return
    results: dict[str, Any] = {}
    for kind in asked.kinds:
        blocks = []
        for seed in range(-(-asked.examples // BLOCK)):
            size = min(BLOCK, asked.examples - seed * BLOCK)
            command = [sys.executable, __file__, "--block", kind, str(seed), str(size)]
            blocks.append(_run(command, seed))
            found = blocks[-1]
            print(kind, found, flush=True)
        results[kind] = {
            "examples": sum(found["examples"] for found in blocks),
            "seeds": f"0 to {len(blocks) - 1}",
            "outcomes": dict(sum((Counter(found["outcomes"]) for found in blocks), Counter())),
            "reasons": dict(sum((Counter(found["reasons"]) for found in blocks), Counter()).most_common(8)),
            "slowest_s": max(found["slowest_s"] for found in blocks),
            "longest_on_the_wall_s": max(found["longest_on_the_wall_s"] for found in blocks),
            "over_limit": sum(found["slowest_s"] > LIMIT_S for found in blocks),
            "peak_mb": max(found["peak_mb"] for found in blocks),
            "bad": [text for found in blocks for text in found["bad"]],
        }
    asked.out.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))
    sys.exit(any(found["bad"] or found["over_limit"] for found in results.values()))


if __name__ == "__main__":
    main()
