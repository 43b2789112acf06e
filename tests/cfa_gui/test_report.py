"""What a report says, as HTML and as PDF; without a window."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PySide6.QtWidgets import QApplication

from cfa_gui.models.engine import Facilities
from cfa_gui.models.results import COLUMNS, Results
from cfa_gui.models.review import Group, Review
from cfa_gui.reports import figures
from cfa_gui.reports.build import MOST_WORST, Subject, build_report
from cfa_gui.reports.html import html_report
from cfa_gui.reports.pages import Block, paginate
from cfa_gui.reports.pdf import pdf_report
from cfa_gui.reports.report import HELD_OUT, Report, moment_words
from core.dataset import Label, Sample
from core.errors import CancelledByUser
from core.placement import place
from core.progress import CancelToken, Progress, silent
from core.threshold import BestF1, Threshold, false_alarm_threshold, manual_threshold
from tests.cfa_gui.fake_engine import CALIBRATION, fake_model, write_picture

THRESHOLD = false_alarm_threshold(CALIBRATION, 0.05)
FACILITIES = Facilities((("cpu", "CPU, 2 threads"), ("cuda:0", "CUDA:0, NVIDIA L4")), (("torch", "2.9"),))
MADE = datetime(2026, 3, 1, 9, 5, tzinfo=UTC)
MapOf = Callable[[int], NDArray[np.float32] | None]


class Found:
    """Images under review with maps; the map of an image peaks at its score."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.review = Review()
        self.maps: dict[int, NDArray[np.float32]] = {}

    def add(self, name: str, score: float, label: Label | None = None, *, file: str = "") -> int:
        """One image with a score."""
        number = len(self.review)
        path = write_picture(self.folder / (file or f"{number}.png"), 120)
        (index,) = self.review.add([Sample(path, name, label, "", None)])
        where = place((24, 32), fake_model().config.preprocessing, 32)
        values = np.zeros(where.crop[2:], np.float32)
        values[40:80, 60:120] = score
        self.review.record(int(index), score, where)
        self.maps[int(index)] = values
        return int(index)

    def fail(self, name: str, message: str) -> None:
        """One image that cannot be read."""
        (index,) = self.review.add([Sample(self.folder / name, name, None, "", None)])
        self.review.record_failure(int(index), message)

    def report(self, threshold: Threshold = THRESHOLD, *, name: str = "part.cfa", device: str = "auto") -> Report:
        """The report of all this."""
        subject = Subject(
            Results.of(self.review, threshold), fake_model(threshold=threshold), name, FACILITIES, device, MADE
        )
        return build_report(subject, self.maps.get, silent, CancelToken())


@pytest.fixture
def found(tmp_path: Path) -> Found:
    """Ten good parts of which one is flagged, five defects of which one is missed, two without a label."""
    made = Found(tmp_path)
    for number in range(10):
        made.add(f"good/{number}.png", 3.5 if number == 0 else 1 + number / 10, Label.GOOD)
    for number in range(5):
        made.add(f"crack/{number}.png", 0.5 if number == 0 else 5 + number, Label.DEFECT)
    made.add("new/a.png", 2.0)
    made.add("new/b.png", 9.5)
    return made


def text_of(report: Report) -> str:
    """The page's source."""
    return html_report(report).decode("utf-8")


def test_that_names_and_messages_are_escaped_and_nothing_runs_or_is_fetched(found: Found) -> None:
    found.add("<script>alert(1)</script>&.png", 20.0, Label.DEFECT)
    found.fail('"><img src=x onerror=alert(2)>', "<b>broken</b>")
    page = text_of(found.report(name="<i>model</i>.cfa"))
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&amp;.png" in page
    assert "&lt;i&gt;model&lt;/i&gt;.cfa" in page
    assert "&lt;b&gt;broken&lt;/b&gt;" in page
    for sign in ("<script", "<img src=x", "<b>broken", "<i>model"):
        assert sign not in page
    urls = re.findall(r"""(?:src|href)\s*=\s*["']?([^"'\s>]{5})""", page)
    assert urls
    assert set(urls) == {"data:"}
    assert not re.search(r"url\((?!#)", page)
    assert not re.search(r"@import|<link|<iframe", page)


def test_that_names_that_are_no_text_are_written_all_the_same(found: Found) -> None:
    found.add("raw\udcff\n\x1b[31m.png", 20.0)
    page = text_of(found.report())
    assert "raw" in page
    assert "\x1b" not in page


def test_that_the_threshold_is_told_with_the_sentence_of_how_it_was_chosen(found: Found) -> None:
    page = text_of(found.report())
    assert f"{THRESHOLD.value:.4f}" in page
    assert THRESHOLD.sentence() in page
    assert "at most 5 %" in page


@pytest.mark.parametrize(
    ("threshold", "words"),
    [
        (manual_threshold(3.0), "No false-alarm rate is promised"),
        (Threshold(3.0, BestF1(15, 0.9)), "somewhat better than what new parts will give"),
        (THRESHOLD, "made and photographed like the good ones"),
    ],
)
def test_that_a_threshold_says_what_it_does_not_promise(threshold: Threshold, words: str, found: Found) -> None:
    assert words in found.report(threshold).threshold.caution


def test_that_counts_matrix_and_rates_agree_with_the_scores(found: Found) -> None:
    report = found.report(manual_threshold(3.0, 1.85))
    assert [(tile.number, tile.words) for tile in report.tiles] == [
        (17, "images inspected"),
        (6, "flagged as defect"),
        (2, "uncertain"),
        (9, "passed as good"),
    ]
    assert report.matrix is not None
    matrix = report.matrix
    assert (matrix.true_good, matrix.false_alarm, matrix.missed, matrix.true_defect) == (9, 1, 1, 4)
    values = {rate.term: (rate.value, rate.of_what) for rate in report.rates}
    assert values["recall"] == ("80.0 %", "4 of 5 defects")
    assert values["miss rate"] == ("20.0 %", "1 of 5 defects")
    assert values["false-alarm rate"] == ("10.0 %", "1 of 10 good parts")
    assert values["precision"] == ("80.0 %", "4 of 5 flagged")
    assert values["image AUROC"][0] == f"{(4 * 10) / 50:.3f}"
    assert "uncertain above 1.8500" in text_of(report)


def test_that_without_labels_there_is_no_matrix_and_no_rate(found: Found) -> None:
    found.review.label(range(len(found.review)), Group.UNLABELLED)
    report = found.report()
    assert report.matrix is None
    assert report.rates == ()
    assert "Compared with the labels" not in text_of(report)


def test_that_one_class_alone_gives_the_rates_that_exist(found: Found) -> None:
    found.review.label(range(10, 15), Group.UNLABELLED)
    values = {rate.term: rate.value for rate in found.report().rates}
    assert values["recall"] == "–"
    assert values["false-alarm rate"] == "10.0 %"
    assert "image AUROC" not in values


def test_that_held_out_images_count_where_no_good_folder_was_inspected(found: Found) -> None:
    found.review.set_calibration(fake_model().calibration)
    assert found.report().good_words == "labelled good"
    found.review.label(range(10), Group.UNLABELLED)
    report = found.report(manual_threshold(2.05))
    above = sum(score > 2.05 for score in CALIBRATION)
    assert report.good_words == "known good"
    assert report.matrix is not None
    assert (report.matrix.true_good, report.matrix.false_alarm) == (len(CALIBRATION) - above, above)
    values = {rate.term: rate.of_what for rate in report.rates}
    assert values["false-alarm rate"] == f"{above} of {len(CALIBRATION)} good parts"
    assert "image AUROC" in values
    assert "known<br>good" in text_of(report)
    assert f"Known to be good are also {len(CALIBRATION)} images held out from the training." in text_of(report)


def test_that_images_that_the_model_has_learned_from_do_not_count(found: Found) -> None:
    assert "learned from do not count" not in text_of(found.report())
    found.review.set_learned(frozenset({found.review.samples[0].path}))
    report = found.report(manual_threshold(3.0))
    assert report.matrix is not None
    assert (report.matrix.true_good, report.matrix.false_alarm) == (9, 0)
    assert "Images that the model has learned from do not count." in text_of(report)


def test_that_the_strangest_images_come_first_and_missed_defects_have_their_own_heading(found: Found) -> None:
    report = found.report()
    worst, missed = report.galleries
    assert len(worst.exhibits) == MOST_WORST
    assert [image.name for image in worst.exhibits[:2]] == ["new/b.png", "crack/4.png"]
    assert missed.title == "Missed defects"
    assert [image.name for image in missed.exhibits] == ["crack/0.png"]
    assert missed.exhibits[0].verdict == "good"
    assert missed.exhibits[0].label == "defect"


def test_that_false_alarms_beyond_the_worst_are_shown_too(found: Found) -> None:
    for number in range(MOST_WORST):
        found.add(f"more/{number}.png", 50.0 + number, Label.DEFECT)
    titles = {gallery.title: [image.name for image in gallery.exhibits] for gallery in found.report().galleries}
    assert titles["More false alarms"] == ["good/0.png"]


def test_that_a_flagged_region_lies_where_the_map_is_above_the_threshold(found: Found) -> None:
    exhibit = found.report().galleries[0].exhibits[0]
    (spot,) = exhibit.spots
    crop_height, crop_width = found.maps[16].shape
    assert spot.left == pytest.approx(60 / crop_width, abs=0.01)
    assert spot.top == pytest.approx(40 / crop_height, abs=0.01)
    assert spot.width == pytest.approx(60 / crop_width, abs=0.01)
    assert "highest score 9.5000" in spot.words
    assert exhibit.plain is not None
    assert exhibit.heat is not None
    assert exhibit.plain.startswith(b"\xff\xd8")
    assert exhibit.plain != exhibit.heat


def test_that_a_picture_or_map_that_is_gone_leaves_a_remark_and_the_rest(found: Found) -> None:
    (found.folder / "16.png").unlink()
    del found.maps[14]
    first, second = found.report().galleries[0].exhibits[:2]
    assert "cannot be shown" in first.remark
    assert first.plain is first.heat is None
    assert "no longer held" in second.remark
    assert second.plain is not None
    assert second.heat is None
    page = text_of(found.report())
    assert "cannot be shown" in page


def test_that_settings_versions_and_device_are_told_in_words(found: Found) -> None:
    report = found.report()
    settings = {fact.name: fact.words for fact in report.settings}
    assert settings["Preset"].startswith("Standard")
    assert settings["Image size"] == "whole picture, area of 256 × 256 pixels"
    assert "784 centres of 176 channels" in settings["Memory bank"]
    assert settings["Inspected area"] == "the whole picture"
    assert settings["What may vary"] == "only what the good images show"
    assert settings["Model made"].startswith("1 January 2026")
    versions = {fact.name: fact.words for fact in report.versions}
    assert "torch 2.9" in versions["Versions"]
    assert versions["Device"] == "CUDA:0, NVIDIA L4"
    assert {f.name: f.words for f in found.report(device="cpu").versions}["Device"] == "CPU, 2 threads"
    assert report.date == "1 March 2026, 09:05 UTC"


def test_that_images_that_could_not_be_read_are_listed_up_to_a_limit(found: Found) -> None:
    for number in range(25):
        found.fail(f"broken{number}.png", "It is empty.")
    report = found.report()
    assert len(report.failures) == 20
    assert report.more_failures == 5
    assert "And 5 more" in text_of(report)


def test_that_the_histogram_shows_every_group_and_the_line_where_it_is() -> None:
    scores = np.array([0.0, 1.0, 2.0, 10.0])
    groups = np.array([1, 1, 0, 2], np.int8)
    svg = figures.histogram(scores, groups, 5.0, None, "5.0")
    assert svg.count("<rect") == 4
    low = float(re.findall(r'<line x1="([\d.]+)"[^>]*stroke-width="1.8"', svg)[0])
    ticks = {words: float(x) for x, words in re.findall(r'<text x="([\d.]+)"[^>]*middle[^>]*>([\d.]+)</text>', svg)}
    assert low == pytest.approx((ticks["4"] + ticks["6"]) / 2, abs=0.2)
    assert "threshold 5.0" in svg
    assert svg.count('stroke-width="1.8"') == 1
    assert figures.histogram(scores, groups, 5.0, 4.0, "5").count('stroke-width="1.8"') == 2


def test_that_the_histogram_outlines_what_was_held_out_where_it_lies() -> None:
    scores, groups = np.array([0.0, 10.0]), np.array([1, 2], np.int8)
    svg = figures.histogram(scores, groups, 5.0, None, "5.0", held_out=(4.0, 4.0, 12.0))
    (path,) = re.findall(r'<path d="([^"]+)"', svg)
    pieces = [re.findall(r"([\d.]+),([\d.]+)", piece) for piece in path.split("M")[1:]]
    assert len(pieces) == 2
    ticks = {words: float(x) for x, words in re.findall(r'<text x="([\d.]+)"[^>]*middle[^>]*>([\d.]+)</text>', svg)}
    assert float(pieces[0][0][0]) <= ticks["4"] <= float(pieces[0][-1][0])
    assert float(pieces[1][0][0]) > ticks["10"]
    base, two = float(pieces[0][0][1]), min(float(y) for _, y in pieces[0])
    one = min(float(y) for _, y in pieces[1])
    assert base - two == pytest.approx(2 * (base - one), abs=0.02)
    assert "<path" not in figures.histogram(scores, groups, 5.0, None, "5.0")


def test_that_a_report_tells_what_was_held_out(found: Found) -> None:
    report = found.report(manual_threshold(3.0))
    assert dict(report.histogram_groups)[HELD_OUT] == len(CALIBRATION)
    assert f"good, held out from training ({len(CALIBRATION)})" in text_of(report)
    assert report.threshold.sentence.startswith("Set by hand. It flags")


@pytest.mark.parametrize("score", [0.0, 1e-9, 1e12])
def test_that_a_single_score_of_any_size_can_be_drawn(score: float) -> None:
    svg = figures.histogram(np.array([score]), np.array([0], np.int8), score, None, "x")
    assert "nan" not in svg
    assert "inf" not in svg


def test_that_results_are_a_copy_and_carry_the_words_of_the_command_line(found: Found) -> None:
    found.fail("broken.png", "It is empty.")
    found.review.add([Sample(found.folder / "later.png", "later.png", None, "", None)])
    results = Results.of(found.review, manual_threshold(3.0, 1.85))
    found.review.forget_results()
    rows = results.rows()
    assert tuple(rows[0]) == COLUMNS
    verdicts = [rows[place]["verdict"] for place in (0, 9, 1, 17, 18)]
    assert verdicts == ["defect", "uncertain", "good", "error", None]
    assert [rows[place]["message"] for place in (0, 17, 18)] == ["", "It is empty.", "Not inspected yet."]
    assert [rows[place]["label"] for place in (0, 10, 15)] == ["good", "defect", None]


def test_that_a_pdf_has_the_pages_that_it_says(qapp: QApplication, found: Found) -> None:
    told: list[Progress] = []
    data = pdf_report(found.report(), told.append, CancelToken())
    assert data.startswith(b"%PDF")
    assert data.rstrip().endswith(b"%%EOF")
    pages = len(re.findall(rb"/Type\s*/Page\b", data))
    assert pages == told[0].total >= 3
    assert [progress.done for progress in told] == list(range(pages))


def test_that_a_cancel_between_two_pages_ends_a_pdf(qapp: QApplication, found: Found) -> None:
    token = CancelToken()
    with pytest.raises(CancelledByUser):
        pdf_report(found.report(), lambda _progress: token.cancel(), token)


def test_that_a_cancel_between_two_images_ends_a_report(found: Found) -> None:
    token = CancelToken()
    read: list[int] = []

    def map_of(place: int) -> NDArray[np.float32] | None:
        read.append(place)
        token.cancel()
        return found.maps[place]

    subject = Subject(Results.of(found.review, THRESHOLD), fake_model(), "a", None, "cpu", MADE)
    with pytest.raises(CancelledByUser):
        build_report(subject, map_of, silent, token)
    assert len(read) == 1


def test_that_blocks_that_belong_together_are_never_parted() -> None:
    heading = Block(20, lambda _pen, _y: None, gap=10, stays_with_next=True)
    body = Block(60, lambda _pen, _y: None)
    pages = paginate([body, heading, body, heading, body], 100)
    assert pages == [[body], [heading, body], [heading, body]]
    assert paginate([replace(body, height=500)], 100) == [[replace(body, height=500)]]


def test_that_a_date_is_in_english_whatever_the_locale() -> None:
    assert moment_words(datetime(2026, 12, 24, 18, 0, tzinfo=UTC)) == "24 December 2026, 18:00 UTC"


def test_that_a_very_wide_picture_stands_above_its_heat_map(found: Found) -> None:
    (index,) = found.review.add([Sample(write_picture(found.folder / "w.png", 90, (20, 200)), "w", None, "", None)])
    where = place((20, 200), fake_model().config.preprocessing, 32)
    found.review.record(int(index), 99.0, where)
    found.maps[int(index)] = np.zeros(where.crop[2:], np.float32)
    report = found.report()
    assert [image.wide for image in report.galleries[0].exhibits[:2]] == [True, False]
    assert text_of(report).count('<article class="wide">') == 1
