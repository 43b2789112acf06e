"""`cfa inspect --cluster`: what it finds, writes and goes on with. With Ray: the same scores as one inspector."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from pyarrow import parquet

from core.errors import ClusterError, DatasetError, OutputError
from core.line.cluster import places
from core.line.cluster.parts import Parts, Row
from core.line.cluster.places import Place, below, find_places, read, without_secrets
from core.line.cluster.pool import batch_size, inspect_places, size_pool
from tests.core.cli_runs import Command, model_in, picture, write, write_dataset

ROOT = Path(__file__).parents[3]
needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason='Ray is not installed: pip install "cfa-gui[cluster]"'
)


def row(path: str, score: float | None = 0.25, threshold: float = 0.5, model: str = "m") -> Row:
    return Row(path, score, "good" if score is not None else "error", threshold, None, model, None)


# --- what is found ----------------------------------------------------------------------------------------------------


def test_that_a_store_is_listed_like_a_folder() -> None:
    keys = ["b/p/train/good/1.png", "b/p/test/dot/2.PNG", "b/p/test/good/.x.png", "b/p/.h/3.png", "b/p/test/a.txt"]
    assert list(below("b/p", keys)) == ["b/p/test/dot/2.PNG"]
    assert list(below("b/p/test", keys[1:2])) == ["b/p/test/dot/2.PNG"]
    assert list(below("b/p/test/dot/2.PNG", keys[1:2])) == []
    assert list(below("b", ["b/test/1.png", "b/2.png"])) == ["b/test/1.png", "b/2.png"]


def test_that_folders_file_addresses_and_a_store_are_read_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "in/a 10.png", picture(1))
    write(tmp_path / "in/a 9.png", picture(2))
    found = find_places([str(tmp_path / "in"), (tmp_path / "in").as_uri()])
    assert [place.path for place in found] == [str(tmp_path / "in/a 9.png"), str(tmp_path / "in/a 10.png")]
    monkeypatch.setattr(places, "_is_file_address", lambda source: False)
    stored = find_places([(tmp_path / "in").as_uri().replace(" ", "%20")])
    assert [place.path for place in stored] == [f"file://{tmp_path}/in/a 9.png", f"file://{tmp_path}/in/a 10.png"]
    assert read(stored[0].source, stored[0].key) == read("", found[0].key) == (tmp_path / "in/a 9.png").read_bytes()


@pytest.mark.parametrize("source", ["nonsense://user:secret@host/x", "file:///no/such/folder", "s3:///"])
def test_that_an_address_that_cannot_be_listed_gives_a_sentence_without_its_password(
    source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "_is_file_address", lambda source: False)
    with pytest.raises(DatasetError) as error:
        find_places([source])
    assert "secret" not in str(error.value)
    assert "Check the address" in str(error.value) or "Check address" in str(error.value)
    assert without_secrets("s3://key:secret@b/p?endpoint_override=x") == "s3://b/p"


# --- what is written --------------------------------------------------------------------------------------------------


def test_that_what_was_added_is_done_at_the_next_run_and_stays_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    with Parts(folder, "m", 0.5) as parts:
        parts.add([row("a"), row("b", None)])
        assert list(folder.glob("*.parquet")) == []
        parts.flush()
    first = (folder / "part-000001.parquet").read_bytes()
    with Parts(folder, "m", 0.5) as parts:
        assert parts.done == {"a", "b"}
        parts.add([row("c")])
    assert (folder / "part-000001.parquet").read_bytes() == first
    table = parquet.read_table(folder)
    assert table.column_names == ["path", "score", "verdict", "threshold", "lower", "model", "error"]
    assert table["path"].to_pylist() == ["a", "b", "c"]
    assert table["score"].to_pylist() == [0.25, None, 0.25]
    assert parts.counts == {"good": 2, "error": 1}


def test_that_rows_are_written_after_a_while_and_when_they_are_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    with Parts(tmp_path, "m", 0.5, clock=lambda: now[0]) as parts:
        parts.add([row("a")])
        now[0] = 19.0
        parts.add([row("b")])
        assert parts.done == set()
        now[0] = 21.0
        parts.add([row("c")])
        assert parts.done == {"a", "b", "c"}
        monkeypatch.setattr("core.line.cluster.parts.ROWS", 2)
        parts.add([row("d"), row("e")])
        assert "e" in parts.done


def test_that_an_error_keeps_what_was_added(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), Parts(tmp_path, "m", 0.5) as parts:
        parts.add([row("a")])
        raise RuntimeError
    assert Parts(tmp_path, "m", 0.5).__enter__().done == {"a"}


@pytest.mark.parametrize(
    ("model", "threshold", "said"), [("n", 0.5, "another model"), ("m", 0.75, "the threshold 0.5")]
)
def test_that_results_of_something_else_are_refused(tmp_path: Path, model: str, threshold: float, said: str) -> None:
    with Parts(tmp_path, "m", 0.5) as parts:
        parts.add([row("a")])
    with pytest.raises(OutputError, match=said), Parts(tmp_path, model, threshold):
        pass
    with Parts(tmp_path, "m", 0.5) as parts:  # its lock was given back
        assert parts.done == {"a"}


@pytest.mark.parametrize("content", [b"", b"PAR1 no", None])
def test_that_a_foreign_or_damaged_file_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "part-000007.parquet"
    if content is None:
        parquet.write_table(pa.table({"x": [1]}), path)
    else:
        path.write_bytes(content)
    with pytest.raises(OutputError, match="part-000007"), Parts(tmp_path, "m", 0.5):
        pass


def test_that_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    with (
        Parts(tmp_path, "m", 0.5),
        pytest.raises(OutputError, match="Another run"),
        Parts(tmp_path, "m", 0.5),
    ):
        pass


# --- the pool ---------------------------------------------------------------------------------------------------------


def test_that_a_pool_fills_the_cluster_or_is_as_large_as_asked_for() -> None:
    eight = {"CPU": 8.0}
    assert size_pool(eight, workers=None, threads=2, gpus=None).workers == 4
    assert size_pool(eight, workers=9, threads=2, gpus=None).workers == 9
    with_cards = size_pool(eight | {"GPU": 2.0}, workers=None, threads=1, gpus=None)
    assert (with_cards.workers, with_cards.gpus) == (2, 1.0)
    assert size_pool(eight | {"GPU": 2.0}, workers=None, threads=1, gpus=0.5).workers == 4
    assert size_pool(eight | {"GPU": 2.0}, workers=None, threads=1, gpus=0.0).workers == 8
    for gpus, threads in ((1.0, 1), (None, 9)):
        with pytest.raises(ClusterError, match="no room"):
            size_pool(eight, workers=None, threads=threads, gpus=gpus)
    assert [batch_size(images, 4) for images in (1, 64, 10**6)] == [1, 2, 256]


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
    """`cfa` as a process of its own: Ray leaves threads and settings behind that are no business of other tests."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", "core.cli", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=ROOT,
    )


@needs_ray
@pytest.mark.timeout(400)
def test_that_a_cluster_gives_the_scores_of_one_inspector_and_does_nothing_twice(tmp_path: Path) -> None:
    import torch

    from core.images import read_image
    from core.inspection import Inspector
    from core.model_file import load_model

    model, images, folder = model_in(tmp_path), write_dataset(tmp_path / "parts", good=1) / "test", tmp_path / "out"
    (images / "good/broken.png").write_text("no picture")
    for i in range(30):
        write(images / f"good/more {i}.png", picture(3000 + i))
    command = ("inspect", model, images, "--cluster", "local", "--out", folder, "--workers", "1", "--json")
    first = run(*command)
    out, err = first.communicate()
    assert first.returncode == 0, err
    told = json.loads(out)
    assert (told["before"], told["inspected"], told["counts"]["error"]) == (0, 41, 1)

    table = parquet.read_table(folder).to_pylist()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        inspector = Inspector(load_model(model), device="cpu")
        for found in table:
            if found["error"] is None:
                assert found["score"] == inspector.inspect(read_image(Path(found["path"]))).score
    finally:
        torch.set_num_threads(threads)
    assert len({found["path"] for found in table}) == 41

    again = run(*command)
    out, err = again.communicate()
    assert again.returncode == 0, err
    assert json.loads(out) | {"seconds": 0} == told | {"before": 41, "inspected": 0, "workers": 0, "seconds": 0}
