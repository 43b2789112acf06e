"""Results in folders, tables and databases: all of them, each once, also after a kill."""

import json
import sqlite3
from pathlib import Path

import pytest

from core.errors import CfaError, ConfigError, TargetError
from core.line.watching.results import COLUMNS, Result
from core.line.watching.targets.addresses import target_of
from core.line.watching.targets.database import SqliteTarget
from core.line.watching.targets.files import CsvTarget, FolderTarget
from core.line.watching.targets.mqtt import MqttTarget
from core.line.watching.targets.webhook import WebhookTarget
from tests.core.line.watched import read_table, result_of


def results(first: int, last: int) -> list[Result]:
    return [result_of(f"sub/{n}.png", number=n, ledger="0a1b") for n in range(first, last + 1)]


def ids(path: Path) -> list[str]:
    return [row["id"] for row in read_table(path)]


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("results", FolderTarget),
        ("a/b.csv", CsvTarget),
        ("b.CSV", CsvTarget),
        ("b.sqlite", SqliteTarget),
        ("b.db", SqliteTarget),
        ("http://host/x", WebhookTarget),
        ("HTTPS://host:8443/x?key=secret", WebhookTarget),
        ("mqtt://host/line/1", MqttTarget),
        ("mqtts://host:8884/line", MqttTarget),
    ],
)
def test_that_an_address_says_its_kind_and_shows_no_secret(address: str, kind: type) -> None:
    target = target_of(address)
    assert isinstance(target, kind)
    assert "secret" not in target.address


@pytest.mark.parametrize(
    "address",
    [
        "ftp://host/x",
        "results.xlsx",
        "http://name:password@host/x",
        "http:///x",
        "mqtt://host",
        "mqtt://name:password@host/line",
        "mqtt://host/line/#",
        "mqtt://host:99999/line",
        "mqtt:///line",
    ],
)
def test_that_a_wrong_address_is_refused_in_one_sentence_that_keeps_the_password(address: str) -> None:
    with pytest.raises(ConfigError) as told:
        target_of(address)
    assert "\n" not in str(told.value)
    assert ":password" not in str(told.value)


def test_that_a_folder_gets_one_file_for_each_result(tmp_path: Path) -> None:
    target = FolderTarget(tmp_path / "out")
    target.prepare()
    assert list(target.deliver(results(1, 2))) == results(1, 2)
    list(target.deliver(results(2, 2)))
    files = sorted((tmp_path / "out").rglob("*.json"))
    assert [file.name for file in files] == ["1-1.json", "2-2.json"]
    content = json.loads(files[0].read_text(encoding="utf-8"))
    assert tuple(content) == COLUMNS
    assert content["id"] == "0a1b-1"
    assert content["regions"] == [{"top": 1, "left": 2, "height": 3, "width": 4, "area": 12, "peak": 1.25}]


def test_that_a_table_grows_with_one_header(tmp_path: Path) -> None:
    target = CsvTarget(tmp_path / "r.csv")
    target.prepare()
    list(target.deliver(results(1, 2)))
    list(target.deliver(results(3, 3)))
    again = CsvTarget(tmp_path / "r.csv")
    again.prepare()
    list(again.deliver(results(4, 4)))
    assert ids(tmp_path / "r.csv") == [f"0a1b-{n}" for n in (1, 2, 3, 4)]
    assert read_table(tmp_path / "r.csv")[0]["regions"] == "1"


@pytest.mark.parametrize("cut", [0, 1, 40, 200])
def test_that_after_a_kill_a_table_has_each_result_once_and_no_half_line(tmp_path: Path, cut: int) -> None:
    """Rows were written, in part, but not noted as delivered: they come again."""
    list(CsvTarget(tmp_path / "r.csv").deliver(results(1, 3)))
    content = (tmp_path / "r.csv").read_bytes()
    (tmp_path / "r.csv").write_bytes(content[: len(content) - cut])
    list(CsvTarget(tmp_path / "r.csv").deliver(results(2, 5)))
    assert ids(tmp_path / "r.csv") == [f"0a1b-{n}" for n in range(1, 6)]


def test_that_results_of_another_ledger_in_the_same_table_do_not_count(tmp_path: Path) -> None:
    list(CsvTarget(tmp_path / "r.csv").deliver(results(1, 3)))
    list(CsvTarget(tmp_path / "r.csv").deliver([result_of("a.png", number=1, ledger="ffff")]))
    assert ids(tmp_path / "r.csv") == ["0a1b-1", "0a1b-2", "0a1b-3", "ffff-1"]


def test_that_a_table_that_was_moved_away_is_begun_anew(tmp_path: Path) -> None:
    target = CsvTarget(tmp_path / "r.csv")
    list(target.deliver(results(1, 1)))
    (tmp_path / "r.csv").rename(tmp_path / "monday.csv")
    list(target.deliver(results(2, 2)))
    assert ids(tmp_path / "r.csv") == ["0a1b-2"]


def test_that_names_cannot_break_a_table(tmp_path: Path) -> None:
    result = result_of('=1+1\n",x.png', number=1, ledger="0a1b")
    list(CsvTarget(tmp_path / "r.csv").deliver([result, *results(2, 2)]))
    list(CsvTarget(tmp_path / "r.csv").deliver(results(2, 3)))
    rows = read_table(tmp_path / "r.csv")
    assert [row["id"] for row in rows] == ["0a1b-1", "0a1b-2", "0a1b-3"]
    assert rows[0]["path"] == './=1+1\\n",x.png'


def test_that_a_table_with_other_columns_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("name,score\r\n")
    with pytest.raises(ConfigError, match="other columns"):
        CsvTarget(tmp_path / "r.csv").prepare()
    assert (tmp_path / "r.csv").read_text() == "name,score\n"


def test_that_a_table_that_cannot_be_written_now_is_tried_again(tmp_path: Path) -> None:
    target = CsvTarget(tmp_path / "out/r.csv")
    with pytest.raises(TargetError):
        list(target.deliver(results(1, 1)))
    (tmp_path / "out").mkdir()
    assert list(target.deliver(results(1, 1))) == results(1, 1)


def test_that_a_database_has_each_result_once_with_numbers_as_numbers(tmp_path: Path) -> None:
    target = SqliteTarget(tmp_path / "r.sqlite")
    target.prepare()
    list(target.deliver(results(1, 2)))
    target.close()
    list(target.deliver([*results(2, 3), result_of("a\udcff.png", number=4, ledger="0a1b", score=None)]))
    target.close()
    connection = sqlite3.connect(tmp_path / "r.sqlite")
    connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
    rows = connection.execute("SELECT id, path, score, regions FROM results ORDER BY id").fetchall()
    connection.close()
    assert rows[1] == ("0a1b-2", "sub/2.png", 1.25, 1)
    assert rows[3] == ("0a1b-4", "a\udcff.png", None, 1)
    assert len(rows) == 4


def test_that_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "r.sqlite")
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    with pytest.raises(CfaError, match="file of results"):
        SqliteTarget(tmp_path / "r.sqlite").prepare()
