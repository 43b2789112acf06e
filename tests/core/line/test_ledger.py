"""What a watch has done, on the disk."""

from pathlib import Path

import pytest

from core.errors import StoreError
from core.line.watching.arrivals import Stamp
from core.line.watching.ledger import Ledger
from core.line.watching.results import Outcome
from tests.core.line.watched import result_of

STAMP = Stamp(3, 7)


def test_that_a_result_comes_back_as_it_was_with_its_number(tmp_path: Path) -> None:
    result = result_of("sub/ü\udcff.png", b"abc", verdict=Outcome.UNREADABLE, score=None, message="dämaged")
    with Ledger(tmp_path / "l.sqlite", tmp_path) as ledger:
        kept = ledger.add(result, STAMP, [])
    with Ledger(tmp_path / "l.sqlite", tmp_path) as ledger:
        assert ledger.results() == [kept]
        assert ledger.known("sub/ü\udcff.png") == STAMP
        assert ledger.known("other.png") is None
    assert kept.number == 1
    assert kept.id == f"{kept.ledger}-1"


def test_that_the_same_content_is_seen_again_and_other_content_is_not(tmp_path: Path) -> None:
    with Ledger(tmp_path / "l.sqlite", tmp_path) as ledger:
        first = ledger.add(result_of("a.png", b"one"), STAMP, [])
        later = Stamp(3, 8)
        assert ledger.seen_again("a.png", later, first.sha256)
        assert ledger.known("a.png") == later
        assert not ledger.seen_again("a.png", Stamp(3, 9), result_of("a.png", b"two").sha256)
        assert not ledger.seen_again("b.png", later, first.sha256)


def test_that_a_moved_image_may_come_again_and_a_copied_one_is_known(tmp_path: Path) -> None:
    with Ledger(tmp_path / "l.sqlite", tmp_path) as ledger:
        ledger.add(result_of("moved.png", sorted="x"), STAMP, [], moved=True)
        ledger.add(result_of("copied.png", sorted="y"), STAMP, [], copied=True)
        waiting = ledger.to_sort()
        assert [(sorting.result.path, sorting.copied, sorting.stamp) for sorting in waiting] == [
            ("moved.png", False, STAMP),
            ("copied.png", True, STAMP),
        ]
        for sorting in waiting:
            ledger.is_sorted(sorting)
        assert ledger.to_sort() == []
        assert ledger.known("moved.png") is None
        assert ledger.known("copied.png") == STAMP


def test_that_each_target_has_a_queue_of_its_own_that_survives(tmp_path: Path) -> None:
    with Ledger(tmp_path / "l.sqlite", tmp_path) as ledger:
        one, two = ledger.target("one"), ledger.target("two")
        results = [ledger.add(result_of(f"{i}.png"), STAMP, [one, two]) for i in range(3)]
        with ledger.outbox(one) as outbox:
            assert outbox.waiting(2) == results[:2]
            outbox.delivered(results[:2])
    with Ledger(tmp_path / "l.sqlite", tmp_path) as ledger:
        assert ledger.target("one") == one
        with ledger.outbox(one) as outbox:
            assert outbox.waiting(10) == results[2:]
            assert outbox.counts() == (1, 2, 0)
        with ledger.outbox(two) as outbox:
            assert outbox.waiting(10) == results


def test_that_a_queue_that_is_too_long_loses_those_that_wait_longest_and_counts_them(tmp_path: Path) -> None:
    with Ledger(tmp_path / "l.sqlite", tmp_path) as ledger:
        target = ledger.target("one")
        results = [ledger.add(result_of(f"{i}.png"), STAMP, [target]) for i in range(5)]
        with ledger.outbox(target) as outbox:
            assert outbox.shorten(2) == 3
            assert outbox.shorten(2) == 0
            assert outbox.waiting(10) == results[3:]
            assert outbox.counts() == (2, 0, 3)
        assert ledger.results() == results


def test_that_a_second_watch_on_the_same_ledger_is_refused(tmp_path: Path) -> None:
    with Ledger(tmp_path / "l.sqlite", tmp_path), pytest.raises(StoreError, match="Another `cfa watch`"):
        Ledger(tmp_path / "l.sqlite", tmp_path)
    Ledger(tmp_path / "l.sqlite", tmp_path).close()


def test_that_the_ledger_of_another_folder_is_refused(tmp_path: Path) -> None:
    Ledger(tmp_path / "l.sqlite", tmp_path / "a").close()
    with pytest.raises(StoreError, match="another folder"):
        Ledger(tmp_path / "l.sqlite", tmp_path / "b")
    Ledger(tmp_path / "l.sqlite", tmp_path / "a").close()


def test_that_a_file_of_another_kind_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    path.write_bytes(b"no database at all, but long enough to be looked at")
    with pytest.raises(StoreError, match="watch ledger"):
        Ledger(path, tmp_path)
    assert path.read_bytes().startswith(b"no database")
