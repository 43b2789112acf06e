from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.accuracy_rows import OURS
from benchmarks.accuracy_runs import Job, run, under_protocol
from benchmarks.accuracy_tables import LOSS_TERMS, TABLES
from benchmarks.peers import PEERS
from core.config import Config, Resizing
from core.presets import preset
from core.progress import silent
from tests.core.parts import TINY, picture, with_defect, write_parts


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sets") / "parts"
    write_parts(root / "train/good", [(32, 32)] * 6)
    write_parts(root / "test/good", [(32, 32)] * 3, first_seed=10)
    for folder in ("test/spot", "ground_truth/spot"):
        (root / folder).mkdir(parents=True)
    for number in range(3):
        image = with_defect(picture(20 + number), 4 + 6 * number, 8, 8)
        Image.fromarray(image).save(root / f"test/spot/{number}.png")
        mask = with_defect(np.zeros((32, 32, 3), np.uint8), 4 + 6 * number, 8, 8)[..., 0]
        Image.fromarray(mask).save(root / f"ground_truth/spot/{number}_mask.png")
    return root


def test_that_every_line_of_every_table_is_a_job_that_can_be_run() -> None:
    for lines in TABLES.values():
        for line in lines:
            assert line.method == OURS or line.method in PEERS
            config = under_protocol(preset("paper").with_changes(**line.changes), line.protocol)
            assert config.training.epochs in {0, 30}


def test_that_without_repulsion_no_term_of_it_is_active(parts: Path) -> None:
    config = TINY.with_changes(epochs=2, initial_radius=2.0)
    both = run(Job(parts, OURS, "R", config), "cpu", silent)
    attraction = run(Job(parts, OURS, "R", config.with_changes(**LOSS_TERMS["att"])), "cpu", silent)
    assert both["repulsion_active"] > 0
    assert attraction["repulsion_active"] == 0


def test_that_the_best_epoch_on_test_is_never_below_the_last(parts: Path) -> None:
    row = run(Job(parts, OURS, "R", TINY.with_changes(epochs=3), best_epoch=True), "cpu", silent)
    assert 1 <= row["best_epoch_on_test"] <= 3
    assert row["image_auroc_best_epoch_on_test"] >= row["image_auroc"]
    assert row["pixel_auroc_best_epoch_on_test"] >= row["pixel_auroc"]


def test_that_the_rotated_protocol_takes_its_images_as_they_are_written() -> None:
    config = under_protocol(Config(), "RD")
    assert (config.preprocessing.resizing, config.preprocessing.image_size) == (Resizing.SQUARE, 224)


@pytest.mark.parametrize("name", ["PaDiM 100", "PatchCore 1 %", "DFM"])
def test_that_a_peer_is_measured_on_the_same_images(parts: Path, name: str) -> None:
    pytest.importorskip("anomalib", reason="the optional extra peers")
    row = run(Job(parts, name, "R", TINY), "cpu", silent)
    assert row["images"] == 4
    assert 0 <= row["image_auroc"] <= 1
