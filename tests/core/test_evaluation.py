from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score  # type: ignore[import-untyped]

from core.config import Config, Preprocessing, Region
from core.dataset import Label, Sample, find_samples
from core.errors import CancelledByUser, DatasetError
from core.evaluation import evaluate
from core.inspection import Failure, Inspection, Inspector
from core.model_file import load_model
from core.placement import place
from core.progress import CancelToken, Progress
from core.threshold import Threshold, manual_threshold
from tests.core.cli_runs import model_in, write, write_dataset

SIZE = 32


class FakeInspector:
    """Gives each sample a random map; its score is the map's highest value."""

    def __init__(self, threshold: Threshold | None = None, regions: tuple[Region, ...] = ()) -> None:
        self.preprocessing = Preprocessing(image_size=SIZE, regions=regions)
        self.trained = SimpleNamespace(threshold=threshold, config=Config(preprocessing=self.preprocessing))
        self.broken: set[str] = set()
        self.maps: dict[str, NDArray[np.float32]] = {}

    def inspect_many(self, samples: Sequence[Sample], **_: object) -> Iterator[Inspection | Failure]:
        placement = place((SIZE, SIZE), self.preprocessing, 16)
        for sample in samples:
            if sample.name in self.broken:
                yield Failure(sample, f"{sample.name} is damaged.")
                continue
            seed = sum(map(ord, sample.name))
            values = np.random.default_rng(seed).random((SIZE, SIZE), dtype=np.float32)
            if sample.label is Label.DEFECT:
                values[4:9, 4:9] += 0.3
            self.maps[sample.name] = values
            yield Inspection(sample, float(values.max()), values, placement)


def measured(fake: FakeInspector, samples: Sequence[Sample]) -> dict[str, Any]:
    return evaluate(cast("Inspector", fake), samples).to_json()


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    """Four good ones and four defects with a mask of their marked square."""
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[4:9, 4:9] = 255
    path = write(tmp_path / "mask.png", mask)
    good = [Sample(Path(f"g{i}"), f"g{i}", Label.GOOD, "good", None) for i in range(4)]
    return good + [Sample(Path(f"d{i}"), f"d{i}", Label.DEFECT, "dot", path) for i in range(4)]


def test_that_figures_are_those_of_scikit_learn(samples: list[Sample]) -> None:
    fake = FakeInspector(manual_threshold(1.1))
    figures = measured(fake, samples)
    labels = [sample.label is Label.DEFECT for sample in samples]
    scores = [float(fake.maps[sample.name].max()) for sample in samples]
    pixel_labels = np.zeros((8, SIZE, SIZE), bool)
    pixel_labels[4:, 4:9, 4:9] = True
    pixels = np.stack([fake.maps[sample.name] for sample in samples])
    assert figures["image_auroc"] == pytest.approx(roc_auc_score(labels, scores))
    assert figures["average_precision"] == pytest.approx(average_precision_score(labels, scores))
    assert figures["pixel_auroc"] == pytest.approx(roc_auc_score(pixel_labels.ravel(), pixels.ravel()))
    assert figures["pixel_average_precision"] == pytest.approx(
        average_precision_score(pixel_labels.ravel(), pixels.ravel())
    )
    flagged = [score > 1.1 for score in scores]
    assert figures["recall"] == sum(flagged[4:]) / 4
    assert figures["false_alarm_rate"] == sum(flagged[:4]) / 4
    assert figures["threshold"] == 1.1
    assert (figures["good"], figures["defects"], figures["masks"], figures["failed"]) == (4, 4, 4, 0)


def test_that_every_share_lies_between_0_and_1(samples: list[Sample]) -> None:
    figures = measured(FakeInspector(manual_threshold(1.1)), samples)
    shares = {"image_auroc", "average_precision", "f1_max", "pixel_auroc", "pixel_average_precision", "aupro"}
    shares |= {"precision", "recall", "f1", "false_alarm_rate", "miss_rate"}
    assert all(0 <= figures[name] <= 1 for name in shares)


def test_that_what_the_images_do_not_define_is_none(samples: list[Sample]) -> None:
    only_good = measured(FakeInspector(manual_threshold(0.5)), samples[:4])
    assert [only_good[k] for k in ("image_auroc", "average_precision", "f1_max", "pixel_auroc", "aupro")] == [None] * 5
    assert only_good["recall"] is None
    assert only_good["miss_rate"] is None
    assert only_good["false_alarm_rate"] == 1.0
    only_defects = measured(FakeInspector(), samples[4:])
    assert only_defects["image_auroc"] is None
    assert only_defects["pixel_auroc"] is not None
    assert [only_defects[k] for k in ("threshold", "precision", "recall", "f1", "miss_rate")] == [None] * 5


def test_that_masks_that_cover_everything_leave_the_pixel_figures_undefined(
    samples: list[Sample], tmp_path: Path
) -> None:
    mask = write(tmp_path / "full.png", np.full((SIZE, SIZE), 255, np.uint8))
    figures = measured(FakeInspector(), [replace(sample, mask=mask) for sample in samples[4:]])
    assert [figures[name] for name in ("pixel_auroc", "pixel_average_precision", "aupro")] == [None] * 3


def test_that_a_defect_without_a_mask_counts_for_the_image_figures_only(samples: list[Sample], tmp_path: Path) -> None:
    empty = write(tmp_path / "empty.png", np.zeros((SIZE, SIZE), np.uint8))
    whole = measured(FakeInspector(), samples[:6])
    for mask in (None, empty):
        without = [*samples[:6], *(replace(sample, mask=mask) for sample in samples[6:])]
        figures = measured(FakeInspector(), without)
        assert figures["defects"] == 4
        assert figures["masks"] == 2
        assert figures["pixel_auroc"] == whole["pixel_auroc"]


def test_that_images_that_cannot_be_read_are_named_and_counted(samples: list[Sample]) -> None:
    fake = FakeInspector()
    fake.broken = {"g1", "d2"}
    figures = measured(fake, samples)
    assert figures["failed"] == 2
    assert (figures["good"], figures["defects"]) == (3, 3)
    assert figures["skipped"] == (
        {"name": "g1", "message": "g1 is damaged."},
        {"name": "d2", "message": "d2 is damaged."},
    )


def test_that_masks_that_cannot_be_used_are_named_and_the_rest_goes_on(samples: list[Sample], tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    small = write(tmp_path / "small.png", np.full((10, 20), 255, np.uint8))
    spoiled = [*samples[:6], replace(samples[6], mask=tmp_path / "text.png"), replace(samples[7], mask=small)]
    figures = measured(FakeInspector(), spoiled)
    assert figures["masks"] == 2
    assert figures["failed"] == 0
    text, size = figures["skipped"]
    assert text["name"] == "the mask of d2"
    assert "text.png is no picture" in text["message"]
    assert size["name"] == "the mask of d3"
    assert "It is 20 × 10 pixels, the image is 32 × 32." in size["message"]


def test_that_pixels_that_a_region_leaves_out_take_part_in_nothing(samples: list[Sample]) -> None:
    right_half = Region(((0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0)), ignored=True)
    fake = FakeInspector(regions=(right_half,))
    figures = measured(fake, samples)
    labels = np.zeros((8, SIZE, SIZE // 2), bool)
    labels[4:, 4:9, 4:9] = True
    pixels = np.stack([fake.maps[sample.name][:, : SIZE // 2] for sample in samples])
    assert figures["pixel_auroc"] == pytest.approx(roc_auc_score(labels.ravel(), pixels.ravel()))
    left_half = Region(((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)), ignored=True)
    assert measured(FakeInspector(regions=(left_half,)), samples)["masks"] == 0


def test_that_nothing_labelled_or_nothing_readable_is_an_error(samples: list[Sample]) -> None:
    with pytest.raises(DatasetError, match="No image here is labelled"):
        measured(FakeInspector(), [replace(sample, label=None) for sample in samples])
    fake = FakeInspector()
    fake.broken = {sample.name for sample in samples}
    with pytest.raises(DatasetError, match=r"None of the 8 labelled images can be read\. The first: g0 is damaged"):
        measured(fake, samples)


def test_that_images_without_a_label_are_passed_over(samples: list[Sample]) -> None:
    stray = replace(samples[0], name="stray", label=None)
    assert measured(FakeInspector(), [stray, *samples]) == measured(FakeInspector(), samples)


def test_that_the_order_of_the_images_does_not_matter(samples: list[Sample]) -> None:
    forward, backward = measured(FakeInspector(), samples), measured(FakeInspector(), samples[::-1])
    assert forward == {key: pytest.approx(value) for key, value in backward.items()}


def test_that_a_real_model_tells_real_defects_and_can_be_cancelled(tmp_path: Path) -> None:
    inspector = Inspector(load_model(model_in(tmp_path)), device="cpu")
    found = find_samples([write_dataset(tmp_path / "parts", good=1)])
    seen: list[Progress] = []
    figures = evaluate(inspector, found, report=seen.append)
    assert figures.image_auroc == 1.0
    assert figures.pixel_auroc is not None
    assert figures.pixel_auroc > 0.9
    assert seen[-1].done == seen[-1].total == 10
    token = CancelToken()
    token.cancel()
    with pytest.raises(CancelledByUser):
        evaluate(inspector, found, cancel=token)
