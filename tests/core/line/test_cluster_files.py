"""What a run on a cluster finds (folders, addresses, stores) and writes (Parquet, each image once)."""

import os
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from pyarrow import parquet

from core.errors import DatasetError, OutputError
from core.line.cluster import places
from core.line.cluster.parts import Parts, Row
from core.line.cluster.places import below, find_places, read, without_secrets
from tests.core.cli_runs import picture, write


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


def test_that_two_images_that_would_have_one_name_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a\\xff.png", picture(1))
    try:
        (tmp_path / "a.png").write_bytes(b"")
        (tmp_path / "a.png").rename(os.fsdecode(os.fsencode(tmp_path) + b"/a\xff.png"))
    except OSError:
        pytest.skip("this file system takes text alone")
    with pytest.raises(DatasetError, match="Two images"):
        find_places([str(tmp_path)])


def test_that_an_image_named_twice_is_found_once(tmp_path: Path) -> None:
    image = write(tmp_path / "a.png", picture(1))
    assert len(find_places([str(tmp_path), str(image), image.as_uri()])) == 1


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
    ("model", "threshold", "lower", "said"),
    [
        ("n", 0.5, None, "another model"),
        ("m", 0.75, None, "by the threshold 0.5, and this run has the threshold 0.75"),
        ("m", 0.5, 0.25, "uncertain above 0.25"),
    ],
)
def test_that_results_of_something_else_are_refused(
    tmp_path: Path, model: str, threshold: float, lower: float | None, said: str
) -> None:
    with Parts(tmp_path, "m", 0.5) as parts:
        parts.add([row("a")])
    with pytest.raises(OutputError, match=said), Parts(tmp_path, model, threshold, lower):
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
