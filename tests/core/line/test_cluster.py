"""`cfa inspect --cluster`: its pool and its command. With Ray: the same scores as one inspector, also after losses."""

import importlib.util
import json
import os
import queue
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from pyarrow import parquet

from core.cli.options import cards
from core.errors import CancelledByUser, ClusterError, ConfigError, ImageError
from core.line.cluster import pool as pool_module
from core.line.cluster.connection import RemoteBugError, connected, told
from core.line.cluster.inspecting import _kept
from core.line.cluster.parts import Parts
from core.line.cluster.places import Place
from core.line.cluster.pool import Pool, Scored, batch_size, inspect_places, scores, size_pool
from core.line.cluster.tasks import Share, share_of
from core.progress import CancelToken
from core.threshold import Manual, Threshold
from tests.core.cli_runs import Command, model_in, picture, write, write_dataset

ROOT = Path(__file__).parents[3]
needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason='Ray is not installed: pip install "cfa-gui[cluster]"'
)


# --- the pool ---------------------------------------------------------------------------------------------------------


def machine(cpus: float, cards: float = 0.0, *, alive: bool = True) -> dict[str, Any]:
    return {"Alive": alive, "Resources": {"CPU": cpus} | ({"GPU": cards} if cards else {})}


def test_that_a_pool_fills_the_cluster_or_is_as_large_as_asked_for() -> None:
    plain, mixed = [machine(5), machine(3), machine(64, alive=False)], [machine(8, 2), machine(16)]
    assert size_pool(plain, workers=None, threads=2, gpus=None).workers == 3  # no inspector stands on two machines
    assert size_pool(plain, workers=9, threads=2, gpus=None).workers == 9
    with_cards = size_pool(mixed, workers=None, threads=1, gpus=None)
    assert (with_cards.workers, with_cards.gpus) == (2, 1.0)
    assert size_pool(mixed, workers=None, threads=1, gpus=1 / 3).workers == 6
    assert size_pool(mixed, workers=None, threads=1, gpus=0.0).workers == 24
    for gpus, threads in ((1.0, 1), (None, 6)):
        with pytest.raises(ClusterError, match="No machine of the cluster has room"):
            size_pool(plain, workers=None, threads=threads, gpus=gpus)
    assert [batch_size(images, 4) for images in (1, 64, 10**6)] == [1, 2, 256]


def test_that_each_training_has_its_share_of_the_smallest_machine() -> None:
    assert share_of([machine(8), machine(4, alive=False), machine(6)], jobs=2, gpus=None) == Share(3, 0.0)
    assert share_of([machine(2, 1)], jobs=4, gpus=None) == Share(1, 0.25)
    assert share_of([machine(2, 1)], jobs=1, gpus=0.0) == Share(2, 0.0)
    with pytest.raises(ClusterError, match="has a CPU to give"):
        share_of([machine(0)], jobs=1, gpus=None)


@pytest.mark.parametrize(
    ("device", "gpus", "share"),
    [("auto", None, None), ("cpu", None, 0.0), ("cuda", None, 1.0), ("cuda", 0.5, 0.5), ("auto", 0.0, 0.0)],
)
def test_that_device_and_gpus_give_the_share_of_a_card(device: str, gpus: float | None, share: float | None) -> None:
    assert cards(device, gpus) == share


@pytest.mark.parametrize(
    ("device", "gpus"), [("cpu", 1.0), ("cuda", 0.0), ("cuda:1", None), ("auto", 1.5), ("auto", float("nan"))]
)
def test_that_a_share_of_a_card_that_cannot_be_had_is_refused(device: str, gpus: float | None) -> None:
    with pytest.raises(ConfigError):
        cards(device, gpus)


def test_that_each_image_gets_one_row_and_a_lost_one_is_named(tmp_path: Path) -> None:
    here = [Place("", f"/{name}.png", f"/{name}.png") for name in "abcde"]
    first = [Scored("/a.png", score=0.25), Scored("/b.png", error="no picture")]
    batches = [
        first,
        first,
        [Scored("/c.png", missed="/c.png cannot be fetched (gone).")],
        [Scored("/d.png", score=0.75)],
    ]
    told: list[tuple[float, float]] = []
    with Parts(tmp_path, "m", 0.5) as parts:
        line = Threshold(0.5, Manual())
        missed = _kept(batches, here, parts, line, lambda progress: told.append((progress.done, progress.total)))
    assert missed[0] == "/c.png cannot be fetched (gone)."
    assert missed[1].startswith("/e.png was not inspected")
    assert len(missed) == 2
    assert parts.counts == {"good": 1, "error": 1, "defect": 1}
    assert parts.done == {"/a.png", "/b.png", "/d.png"}
    assert parquet.read_table(tmp_path).num_rows == 3
    assert told == [(2, 5), (2, 5), (3, 5), (4, 5)]


def handing_out(*items: Any) -> Callable[..., None]:
    """In the place of the thread that runs Ray Data."""

    def work(ray: Any, places: Any, model: Any, pool: Any, found: "queue.Queue[Any]") -> None:
        for item in items:
            found.put(item)

    return work


def test_that_what_stops_an_inspector_stops_the_run_with_its_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    one = [Scored("a", score=1.0)]
    cases: list[tuple[Any, type[Exception], str]] = [
        ([Scored("", stop="Too little memory.")], ClusterError, "Too little memory."),
        ([Scored("", bug="Traceback: KeyError")], RemoteBugError, "KeyError"),
        (OSError("lost"), OSError, "lost"),
    ]
    for item, kind, said in cases:
        monkeypatch.setattr(pool_module, "_work", handing_out(one, item))
        batches = scores(None, [], b"", Pool(1, 1, 0.0), CancelToken())
        assert next(batches) == one
        with pytest.raises(kind, match=said):
            next(batches)


def test_that_a_cancel_ends_the_wait_for_a_cluster_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "_work", handing_out())
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(CancelledByUser):
        next(scores(None, [], b"", Pool(1, 1, 0.0), cancel))


def test_that_a_machine_with_another_version_says_so_and_a_bug_keeps_its_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from core.line.cluster.pool import Inspecting

    place = pa.table({"source": [""], "key": [b"/a.png"], "path": ["/a.png"]})
    (row,) = Inspecting(None, "0.0.1", Pool(1, 1, 0.0))(place).to_pylist()
    assert "Install the same on all" in row["stop"]
    broken = Inspecting(None, "0.0.1", Pool(1, 1, 0.0))
    monkeypatch.setattr(broken, "_loaded", lambda: dict[str, Any]()["no"])
    (row,) = broken(place).to_pylist()
    assert "KeyError" in row["bug"]


def test_that_a_complaint_of_ray_becomes_one_sentence() -> None:
    lost = type("RaySystemError", (Exception,), {"__module__": "ray.exceptions"})
    assert "cannot load the program" in str(told(lost("Trace\nModuleNotFoundError: No module named 'core'")))
    sentence = told(lost("The actor died.\n\n  Its machine is gone.\n"))
    assert isinstance(sentence, ClusterError)
    assert str(sentence).startswith("The cluster gave up (Its machine is gone.).")
    bug = KeyError("x")
    assert told(bug) is bug


def test_that_the_address_of_a_ray_client_is_refused() -> None:
    with pytest.raises(ClusterError, match="--cluster auto"), connected("ray://host:10001"):
        pass


def test_that_what_ray_prints_leaves_standard_output_to_the_results(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chatty = types.SimpleNamespace(
        init=lambda **options: None,
        shutdown=lambda: print("(raylet) A worker died, and another, as told when it ends"),  # noqa: T201
        exceptions=types.SimpleNamespace(RayError=RuntimeError),
    )
    monkeypatch.setitem(sys.modules, "ray", chatty)
    with connected("auto"):
        print("(raylet) A worker died")  # noqa: T201
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("A worker died") == 2


def test_that_an_inspector_of_the_pool_tells_a_damaged_image_from_one_that_is_gone(tmp_path: Path) -> None:
    from core.inspection import Inspector
    from core.model_file import load_model

    inspector = Inspector(load_model(model_in(tmp_path)), device="cpu")
    write(tmp_path / "a.png", picture(1))
    (tmp_path / "b.png").write_text("no picture")
    found = list(inspect_places(inspector, [Place("", str(tmp_path / f"{name}.png"), name) for name in "abc"]))
    assert found[0].score == inspector.inspect(picture(1)).score
    assert (found[1].score, found[1].missed) == (None, None)
    assert "no picture" in (found[1].error or "")
    assert (found[2].score, found[2].error) == (None, None)
    assert "cannot be fetched" in (found[2].missed or "")


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def cfa(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--cluster", "local"], "--cluster needs --out"),
        (["--cluster", "local", "--out", "o", "--csv", "x.csv"], "--csv goes with no --cluster"),
        (["--out", "o"], "--out goes with --cluster"),
        (["--workers", "2"], "--workers goes with --cluster"),
        (["--cluster", "local", "--out", "o", "--device", "cuda:1"], "cuda"),
    ],
)
def test_that_options_that_do_not_go_together_are_refused(cfa: Command, options: list[str], said: str) -> None:
    end = cfa("inspect", "part.cfa", "s3://bucket/x", *options)
    assert end.status == 2
    end.assert_one_sentence(said)


def test_that_an_address_without_cluster_is_told_how(cfa: Command) -> None:
    end = cfa("inspect", "part.cfa", "s3://bucket/x")
    assert end.status == 2
    end.assert_one_sentence("s3://bucket/x needs --cluster")


def test_that_without_ray_one_sentence_says_what_to_install(
    cfa: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    write(tmp_path / "in/a.png", picture(1))
    end = cfa("inspect", model_in(tmp_path), tmp_path / "in", "--cluster", "local", "--out", tmp_path / "out")
    assert end.status == 1
    end.assert_one_sentence('pip install "cfa-gui[cluster]"')
    assert not (tmp_path / "out").exists()


def run(*arguments: object) -> "subprocess.Popen[str]":
    """Python as a process of its own: Ray leaves threads and settings behind that are no business of other tests."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(os.cpu_count())}
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=ROOT,
    )


def ended(process: "subprocess.Popen[str]") -> tuple[int, dict[str, Any], str]:
    """Its exit status, the object on standard output, and standard error."""
    out, err = process.communicate()
    return process.returncode, json.loads(out or "{}"), err


DYING = """
import os, sys
from pathlib import Path
import core.line.cluster.pool as pool
from core.cli.main import main

once = Path(sys.argv.pop(1))

class Dying(pool.Inspecting):
    def __call__(self, batch):
        paths = batch["path"].to_pylist()
        if any("deadly" in path for path in paths):
            os._exit(9)
        if not once.exists():
            once.touch()
            os._exit(9)
        return super().__call__(batch)

pool.Inspecting = Dying
main()
"""
"""`cfa` whose inspectors die: once with some batch, and whenever they are given a certain image."""


@needs_ray
@pytest.mark.timeout(400)
def test_that_a_cluster_that_loses_processes_gives_the_scores_of_one_inspector_and_goes_on_with_the_rest(
    tmp_path: Path,
) -> None:
    import torch

    from core.images import read_image
    from core.inspection import Inspector
    from core.model_file import load_model

    model, images, folder = model_in(tmp_path), write_dataset(tmp_path / "parts", good=1) / "test", tmp_path / "out"
    broken = images / "good/broken.png"
    broken.write_text("no picture")
    write(images / "good/deadly.png", picture(4000))
    for i in range(24):
        write(images / f"good/more {i}.png", picture(3000 + i))
    command = ("inspect", model, images, "--cluster", "local", "--out", folder, "--workers", "1", "--json")
    status, first, err = ended(run("-c", DYING, tmp_path / "once", *command))
    assert status == 1, err
    rows = parquet.read_table(folder).to_pylist()
    assert first["before"] == 0
    assert first["inspected"] == len(rows) == 36 - len(first["missed"])
    assert any("deadly.png" in text for text in first["missed"])
    assert 1 <= len(first["missed"]) <= batch_size(36, 1)
    assert "could not be inspected" in first["error"]

    status, second, err = ended(run("-m", "core.cli", *command))
    assert status == 0, err
    assert (second["before"], second["inspected"], second["missed"]) == (len(rows), 36 - len(rows), [])
    rows = parquet.read_table(folder).to_pylist()
    assert sorted(found["path"] for found in rows) == sorted(map(str, images.rglob("*.png")))

    status, third, err = ended(run("-m", "core.cli", *command))  # nothing is left: without Ray
    assert (status, third["before"], third["inspected"], third["workers"]) == (0, 36, 0, 0), err
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        inspector = Inspector(load_model(model), device="cpu")
        for found in rows:
            if found["path"] == str(broken):
                with pytest.raises(ImageError) as error:
                    read_image(broken)
                assert (found["score"], found["verdict"], found["error"]) == (None, "error", str(error.value))
            else:
                assert found["score"] == inspector.inspect(read_image(Path(found["path"]))).score
    finally:
        torch.set_num_threads(threads)


@needs_ray
@pytest.mark.timeout(400)
def test_that_trainings_on_a_cluster_give_the_model_of_cfa_train(tmp_path: Path) -> None:
    from core.model_file import identity, load_model

    options = ("--preset", "fast", "--image-size", "64", "--epochs", "1", "--device", "cpu", "--json")
    bottle = write_dataset(tmp_path / "plant/bottle", good=6)
    (tmp_path / "plant/broken/train/good").mkdir(parents=True)
    (tmp_path / "plant/broken/train/good/a.png").write_text("no picture")
    many = ("train-many", tmp_path / "plant", "--out", tmp_path / "models", "--cluster", "local", "--jobs", "1")
    status, told, err = ended(run("-m", "core.cli", *many, *options))
    assert status == 1, err
    assert {model["name"]: model["state"] for model in told["models"]} == {"bottle": "trained", "broken": "failed"}
    assert "can be read" in told["models"][1]["message"]
    alone = run("-m", "core.cli", "train", bottle, "--out", tmp_path / "alone.cfa", *options)
    status, _, err = ended(alone)
    assert status == 0, err
    assert identity(load_model(tmp_path / "models/bottle.cfa")) == identity(load_model(tmp_path / "alone.cfa"))
