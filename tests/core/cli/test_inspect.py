import csv
import errno
import os
import unicodedata
from dataclasses import replace
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core import result_files
from core.cli import inspecting
from core.dataset import find_samples
from core.images import read_image
from core.inspection import Failure, Inspection, Inspector
from core.model_file import load_model, save_model
from core.result_files import csv_table, file_stems
from core.threshold import Threshold
from tests.core.cli_runs import Command, files, picture, write


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """Two good ones, two defects, one file that is no picture."""
    for i in range(2):
        write(tmp_path / f"shots/good {i}.png", picture(600 + i))
        write(tmp_path / f"shots/deep/er/defect.v{i}.png", picture(700 + i, defect=True))
    (tmp_path / "shots/text.png").write_text("a text file")
    return tmp_path / "shots"


def rows_of(path: Path) -> list[dict[str, Any]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, strict=True))


NAMES = ["good 0.png", "good 1.png", "text.png", "deep/er/defect.v0.png", "deep/er/defect.v1.png"]


def test_that_flagged_images_come_worst_first_and_the_unreadable_are_named_and_counted(
    cfa: Command, model: Path, shots: Path
) -> None:
    done = cfa("inspect", model, shots, "--threshold", "3")
    assert done.status == 0
    *lines, error, total = done.out.splitlines()
    assert [line.split()[0] for line in lines] == ["defect", "defect"]
    assert float(lines[0].split()[1]) >= float(lines[1].split()[1])
    assert error.startswith("error")
    assert "text.png: " in error
    assert total == "5 images: 2 flagged, 2 good, 1 not readable (threshold 3.0000)."
    assert "Inspecting" in done.err
    assert "Inspecting" not in done.out


def test_that_one_json_object_tells_of_every_image(cfa: Command, model: Path, shots: Path) -> None:
    done = cfa("inspect", model, shots, "--threshold", "3", "--json")
    assert done.status == 0
    assert done.json["threshold"] == 3.0
    assert done.json["counts"] == {"defect": 2, "uncertain": 0, "good": 2, "error": 1}
    results = done.json["results"]
    assert [row["path"] for row in results] == NAMES
    assert [row["verdict"] for row in results] == ["good", "good", "error", "defect", "defect"]
    assert results[2]["score"] is None
    assert "text.png is no picture" in results[2]["message"]
    assert all(row["score"] > 0 and row["message"] == "" for row in results if row["verdict"] != "error")


def test_that_the_csv_has_the_promised_columns_and_exact_scores(cfa: Command, model: Path, shots: Path) -> None:
    results = cfa("inspect", model, shots, "--csv", shots.parent / "a.csv", "--json").json["results"]
    rows = rows_of(shots.parent / "a.csv")
    assert list(rows[0]) == ["path", "score", "threshold", "verdict", "message"]
    assert [row["path"] for row in rows] == NAMES
    assert [row["verdict"] for row in rows] == [row["verdict"] for row in results]
    assert [row["score"] for row in rows] == ["" if r["score"] is None else repr(r["score"]) for r in results]
    assert {float(row["threshold"]) for row in rows} == {load_model(model).threshold.value}  # type: ignore[union-attr]
    assert not (shots.parent / "a.csv").read_bytes().startswith(b"\xef\xbb\xbf")


def test_that_a_score_is_that_of_the_engine_alone_or_among_others(cfa: Command, model: Path, shots: Path) -> None:
    inspector = Inspector(load_model(model), device="cpu")
    (alone,) = inspector.inspect_many(find_samples([shots / "good 1.png"]))
    assert isinstance(alone, Inspection)
    among = cfa("inspect", model, shots, "--device", "cpu", "--json").json["results"][1]
    single = cfa("inspect", model, shots / "good 1.png", "--device", "cpu", "--json").json["results"]
    assert [row["path"] for row in single] == ["good 1.png"]
    assert alone.score == among["score"] == single[0]["score"]


def test_that_a_threshold_given_overrides_the_models_and_does_not_change_it(
    cfa: Command, model: Path, shots: Path
) -> None:
    before = model.read_bytes()
    for threshold, flagged in (("1e9", 0), ("0", 4), ("-1", 4)):
        counts = cfa("inspect", model, shots, "--threshold", threshold, "--json").json["counts"]
        assert counts["defect"] == flagged
    assert model.read_bytes() == before


def test_that_a_second_line_makes_uncertain_verdicts(cfa: Command, model: Path, shots: Path) -> None:
    trained = load_model(model)
    assert trained.threshold is not None
    save_model(trained.with_threshold(Threshold(1e6, trained.threshold.policy, lower=3.0)), model)
    done = cfa("inspect", model, shots)
    assert done.out.count("uncertain  ") == 2
    assert "0 flagged, 2 uncertain, 2 good, 1 not readable" in done.out


@pytest.mark.parametrize("as_json", [False, True])
def test_that_a_model_without_threshold_says_what_to_do(as_json: bool, cfa: Command, model: Path, shots: Path) -> None:
    save_model(load_model(model).with_threshold(None), model)
    done = cfa("inspect", model, shots, *(["--json"] if as_json else []))
    assert done.status == 1
    done.assert_one_sentence("has no threshold yet", f"`cfa threshold {model} --f1 DATASET`", "--threshold X")
    assert cfa("inspect", model, shots, "--threshold", "3").status == 0


def test_that_maps_are_float_tiffs_of_the_size_of_the_source(cfa: Command, model: Path, shots: Path) -> None:
    turned = Image.fromarray(picture(800))
    exif = turned.getexif()
    exif[0x0112] = 6  # a quarter turn
    turned.save(shots / "turned.jpg", exif=exif)
    write(shots / "tall.png", np.vstack([picture(801), picture(802)]))
    out = shots.parent / "maps"
    results = cfa("inspect", model, shots, "--maps", out, "--json").json["results"]
    scores = {row["path"]: row["score"] for row in results}
    assert set(files(out)) == {
        "good 0.tiff", "good 1.tiff", "tall.tiff", "turned.tiff", "deep/er/defect.v0.tiff", "deep/er/defect.v1.tiff",
    }  # fmt: skip
    for name in ("good 0.png", "turned.jpg", "tall.png", "deep/er/defect.v1.png"):
        with Image.open(out / Path(name).with_suffix(".tiff")) as image:
            assert image.mode == "F"
            assert image.tag_v2[258] == (32,)  # type: ignore[attr-defined]
            assert image.tag_v2[339] == (3,)  # type: ignore[attr-defined]
            values = np.asarray(image)
        assert values.shape == read_image(shots / name).shape[:2]
        assert float(values.max()) == pytest.approx(scores[name], rel=0.1)
    assert read_image(shots / "turned.jpg").shape == (48, 40, 3)


def test_that_overlays_are_pictures_of_the_size_of_the_source(cfa: Command, model: Path, shots: Path) -> None:
    out = shots.parent / "deep" / "overlays"
    assert cfa("inspect", model, shots, "--overlays", out, "--threshold", "3").status == 0
    assert set(files(out)) == {"good 0.png", "good 1.png", "deep/er/defect.v0.png", "deep/er/defect.v1.png"}
    for name in files(out):
        assert read_image(out / name).shape == read_image(shots / name).shape
    assert (read_image(out / "deep/er/defect.v0.png") != read_image(shots / "deep/er/defect.v0.png")).any()


def test_that_images_that_differ_in_suffix_or_capitals_keep_their_own_files(
    cfa: Command, model: Path, tmp_path: Path
) -> None:
    for name in ("a.png", "a.bmp", "A.tif", "a.bmp.png"):
        write(tmp_path / "shots" / name, picture(len(name)))
    out = tmp_path / "out"
    assert cfa("inspect", model, tmp_path / "shots", "--maps", out, "--overlays", out).status == 0
    written = files(out)
    assert len([name for name in written if name.endswith(".tiff")]) == 4
    assert len([name for name in written if name.endswith(".png")]) == 4
    assert len({name.casefold() for name in written}) == 8
    assert "a.bmp.tiff" in written


def test_that_every_name_has_its_own_stem_without_suffix_where_it_can() -> None:
    assert file_stems(["x/a.png", "x/b.v2.png"]) == {"x/a.png": "x/a", "x/b.v2.png": "x/b.v2"}
    stems = file_stems(
        ["a.png", "a.jpg", "A.PNG", "a.jpg.png", "a", "straße.png", "STRASSE.png", "é.png", "e\u0301.png"]
    )
    assert stems["a.png"] == "a"
    assert stems["a.jpg.png"] == "a.jpg"
    assert len({unicodedata.normalize("NFC", stem).casefold() for stem in stems.values()}) == len(stems) == 9
    assert file_stems([".hidden", "..png"]).keys() == {".hidden", "..png"}


@pytest.mark.parametrize(
    "name", ["/etc/passwd.png", "../../up.png", "a/../../up.png", "//host/share/a.png", "/", "..", "/.."]
)
def test_that_no_name_leads_out_of_the_folder(name: str, tmp_path: Path) -> None:
    stem = file_stems([name])[name]
    place = Path(os.path.normpath(tmp_path / f"{stem}.tiff"))
    assert place.is_relative_to(tmp_path)
    assert ".." not in Path(stem).parts


def test_that_names_of_several_windows_drives_stay_inside_and_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(result_files, "PurePath", PureWindowsPath)
    stems = file_stems(["C:/p/a.png", "D:/p/a.png", "//host/share/p/a.png", "C:a.png", "C:/", "../a.png"])
    assert list(stems.values()) == ["C\\p\\a", "D\\p\\a", "host_share\\p\\a", "C\\a", "C", "a"]
    for stem in stems.values():
        assert PureWindowsPath("E:/out", f"{stem}.tiff").is_relative_to("E:/out")


@pytest.mark.parametrize("option", ["--overlays", "--maps"])
def test_that_no_inspected_image_is_overwritten(option: str, cfa: Command, model: Path, tmp_path: Path) -> None:
    for suffix in ("png", "tiff"):
        write(tmp_path / f"shots/a.{suffix}", picture(1))
        (tmp_path / "link").mkdir(exist_ok=True)
    (tmp_path / "link/shots").symlink_to(tmp_path / "shots")
    before = files(tmp_path)
    for folder in (tmp_path / "shots", tmp_path / "link/shots", tmp_path / "shots/none/.."):
        done = cfa("inspect", model, tmp_path / "shots", option, folder)
        assert done.status == 1
        done.assert_one_sentence("would be overwritten")
        assert files(tmp_path) == before


@pytest.mark.parametrize("target", ["shots/good 0.png", "model/part.cfa"])
def test_that_the_csv_overwrites_neither_image_nor_model(target: str, cfa: Command, model: Path, shots: Path) -> None:
    before = files(shots.parent)
    done = cfa("inspect", model, shots, "--csv", shots.parent / target)
    assert done.status == 1
    done.assert_one_sentence("would be overwritten")
    assert files(shots.parent) == before


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("option", ["--csv", "--maps", "--overlays"])
@pytest.mark.parametrize("place", ["file/out", "/proc/out"])
def test_that_a_place_that_cannot_be_written_is_told_before_the_work(
    place: str, option: str, as_json: bool, cfa: Command, model: Path, shots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shots.parent / "file").touch()
    monkeypatch.setattr(Inspector, "inspect_many", None)
    done = cfa("inspect", model, shots, option, shots.parent / place, *(["--json"] if as_json else []))
    assert done.status == 1
    done.assert_one_sentence("cannot be written")
    assert (list(done.json) == ["error"]) if as_json else done.out == ""


def test_that_pictures_written_among_the_images_are_warned_of(cfa: Command, model: Path, shots: Path) -> None:
    done = cfa("inspect", model, shots, "--maps", shots / "maps")
    assert done.status == 0
    assert "the next inspection of" in done.err
    assert "the next inspection" not in cfa("inspect", model, shots, "--maps", shots.parent / "maps").err


def test_that_a_csv_that_is_a_folder_is_refused(cfa: Command, model: Path, shots: Path) -> None:
    done = cfa("inspect", model, shots, "--csv", shots)
    assert done.status == 1
    done.assert_one_sentence("is a folder; name a file in it")


def test_that_a_full_disk_leaves_whole_files_only(
    cfa: Command, model: Path, shots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = shots.parent / "out"
    really_replace, calls = os.replace, []

    def full(source: str, target: str) -> None:
        calls.append(target)
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        really_replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    done = cfa("inspect", model, shots, "--maps", out, "--csv", shots.parent / "a.csv")
    assert done.status == 1
    done.assert_one_sentence("good 1.tiff cannot be written: No space left on device")
    assert list(files(out)) == ["good 0.tiff"]
    assert not (shots.parent / "a.csv").exists()


@pytest.mark.parametrize("as_json", [False, True])
def test_that_nothing_readable_at_all_has_failed(as_json: bool, cfa: Command, model: Path, tmp_path: Path) -> None:
    for i in range(100):
        (tmp_path / f"shots/{i}.png").parent.mkdir(exist_ok=True)
        (tmp_path / f"shots/{i}.png").write_text("a text file")
    done = cfa("inspect", model, tmp_path / "shots", *(["--json"] if as_json else []))
    assert done.status == 1
    done.assert_one_sentence("None of the 100 images can be read")
    if as_json:
        assert len(done.json["results"]) == done.json["counts"]["error"] == 100
        assert done.json["error"] == "None of the 100 images can be read."
    else:
        assert len(done.out.splitlines()) == 22
        assert "and 80 more, see --csv or --json" in done.out


@pytest.mark.parametrize("as_json", [False, True])
def test_that_nothing_to_inspect_has_failed(as_json: bool, cfa: Command, model: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name, sentence in (("empty", "no pictures to inspect"), ("missing", "There is no file or folder")):
        done = cfa("inspect", model, tmp_path / name, "--maps", tmp_path / "out", *(["--json"] if as_json else []))
        assert done.status == 1
        done.assert_one_sentence(sentence)
        assert (list(done.json) == ["error"]) if as_json else done.out == ""
    assert not (tmp_path / "out").exists()


def test_that_an_image_gone_since_it_was_inspected_is_one_failure(
    cfa: Command, model: Path, shots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = Inspector.inspect_many

    def vanishing(self: Inspector, *args: Any, **options: Any) -> Any:
        for result in really(self, *args, **options):
            if isinstance(result, Inspection) and result.sample.name == "good 1.png":
                result.sample.path.unlink()
            yield result

    monkeypatch.setattr(Inspector, "inspect_many", vanishing)
    done = cfa("inspect", model, shots, "--overlays", shots.parent / "out", "--json")
    assert done.status == 0
    assert done.json["counts"]["error"] == 2
    assert "is not there (any more)" in done.json["results"][1]["message"]


ODD = [
    "line\nbreak.png",
    "return\r.png",
    "=1+1.png",
    "-dash.png",
    "@at.png",
    "[red]markup.png",
    ":smile:.png",
    "emoji 🙂.png",
    "größe.png",
    'quote".png',
    "comma,semi;colon.png",
    "escape\x1b[31m.png",
    "turn\u202egnp.png",
    os.fsdecode(b"raw\xff.png"),
]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_that_odd_names_break_neither_terminal_nor_csv_nor_json(cfa: Command, model: Path, tmp_path: Path) -> None:
    (tmp_path / "shots").mkdir()
    for i, name in enumerate(ODD):
        write(tmp_path / "plain.png", picture(900 + i, defect=True)).rename(tmp_path / "shots" / name)
    (tmp_path / "shots/[bold]bad\n.png").write_text("a text file")
    out = tmp_path / "out"
    arguments = ("inspect", model, tmp_path / "shots", "--threshold", "0", "--csv", tmp_path / "a.csv")
    done = cfa(*arguments, "--maps", out, "--overlays", out)
    assert done.status == 0
    assert len(done.out.splitlines()) == len(ODD) + 2
    assert "\x1b" not in done.out
    for said in (
        "line\\nbreak.png",
        "  =1+1.png",
        "[red]markup.png",
        ":smile:.png",
        "emoji 🙂.png",
        "raw\\udcff.png",
    ):
        assert said in done.out
    rows = rows_of(tmp_path / "a.csv")
    names = [name.replace("\udcff", "\\udcff") for name in [*ODD, "[bold]bad\n.png"]]
    assert sorted(os.path.normpath(row["path"]) for row in rows) == sorted(names)
    assert not any(row["path"].startswith(("=", "+", "-", "@")) for row in rows)
    assert sorted(row["path"] for row in cfa(*arguments, "--json").json["results"]) == sorted(names)
    assert len(files(out)) == 2 * len(ODD)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_that_names_as_long_as_the_disk_allows_get_their_maps(cfa: Command, model: Path, tmp_path: Path) -> None:
    """The map's suffix is longer than the picture's, and two names may differ at their end alone."""
    names = [f"{'a' * 250}{end}.png" for end in "xy"] + [f"{'🙂' * 62}b.jpg", f"<script>{'=' * 243}.png"]
    (tmp_path / "shots").mkdir()
    for i, name in enumerate(names):
        assert len(os.fsencode(name)) >= 253
        write(tmp_path / "plain.png", picture(900 + i)).rename(tmp_path / "shots" / name)
    out = tmp_path / "out"
    done = cfa("inspect", model, tmp_path / "shots", "--csv", tmp_path / "a.csv", "--maps", out, "--overlays", out)
    assert done.status == 0
    assert sorted(row["path"] for row in rows_of(tmp_path / "a.csv")) == sorted(names)
    assert len(files(out)) == 2 * len(names)


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be changed there")
def test_that_a_file_that_is_cut_short_while_it_is_read_is_one_failure(
    cfa: Command, model: Path, shots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3), np.uint8)
    write(shots / "good 0.png", noise)  # longer than what the opened file reads ahead
    really = Image.open

    def cut(file: Any, **options: Any) -> Any:
        image = really(file, **options)
        if file.name.endswith("good 0.png"):
            os.truncate(file.name, 60)
        return image

    monkeypatch.setattr(Image, "open", cut)
    results = {row["path"]: row for row in cfa("inspect", model, shots, "--json").json["results"]}
    assert results["good 0.png"]["verdict"] == "error"
    assert "damaged or incomplete" in results["good 0.png"]["message"]
    assert results["good 1.png"]["verdict"] != "error"


def test_that_a_failure_with_an_odd_message_stays_on_one_line(
    cfa: Command, model: Path, shots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Inspector, samples: Any, **_: object) -> Any:
        for sample in samples:
            yield Failure(replace(sample, name="a\nb"), "two\nlines\x07")

    monkeypatch.setattr(Inspector, "inspect_many", fail)
    monkeypatch.setattr(inspecting, "file_stems", lambda names: dict.fromkeys([*names, "a\nb"], "x"))
    done = cfa("inspect", model, shots / "good 0.png")
    assert done.out.splitlines()[0].endswith("a\\nb: two\\nlines\\x07")


def test_that_no_text_of_a_csv_is_a_formula_and_numbers_stay_numbers() -> None:
    row = {"path": "@a.png", "score": -0.5, "message": "=cmd()"}
    table = csv_table(("path", "score", "message"), [row])
    assert table == b"path,score,message\r\n./@a.png,-0.5,'=cmd()\r\n"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
def test_that_whatever_a_spreadsheet_takes_for_a_formula_is_harmless(start: str) -> None:
    (row,) = csv.DictReader(csv_table(("path",), [{"path": f"{start}1+1.png"}]).decode().splitlines(keepends=True))
    assert row["path"] == f"./{start}1+1.png"
