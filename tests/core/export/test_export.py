"""Exported models beside the original, through the script that is given out with them."""

import csv
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core import training
from core.backbone import Backbone
from core.config import Bank, Config, Region, Resizing, Score, StrideFit
from core.errors import CancelledByUser, DatasetError, ExportError, OutputError, ThresholdError
from core.export import export as exporting
from core.export import formats, parity
from core.export.export import export_model
from core.export.graph import InspectionGraph, shifted
from core.export.parity import load_runner
from core.export.words import Exported, Format, Target
from core.inspection import Inspection, Inspector
from core.progress import CancelToken, Phase, Progress
from core.samples import Sample
from core.threshold import FalseAlarmRate, Threshold, judge, manual_threshold
from core.trained_model import TrainedModel
from core.training import train
from tests.core.parts import TINY, WHOLE_64, Picture, picture, with_defect, write_text_file

CENTRE = Region(((0.1, 0.15), (0.93, 0.1), (0.8, 0.9), (0.12, 0.85)))
HOLE = Region(((0.3, 0.3), (0.52, 0.33), (0.41, 0.6)), ignored=True)
SIZES = ((32, 32), (64, 64), (56, 73), (200, 90), (33, 401), (120, 121))
CONFIGS: dict[str, Config] = {
    "whole": WHOLE_64.with_changes(
        stride_fit=StrideFit.ROUNDED, score=Score.TANGENT, bank=Bank.GLOBAL, epochs=1, smoothing=2.0
    ),
    "whole, padded, regions": WHOLE_64.with_changes(score=Score.EXCESS, regions=(CENTRE, HOLE)),
    "R": TINY,
    "R, not smoothed": TINY.with_changes(score=Score.NEAREST, centre_axes=0, smoothing=0.0),
    "whole, two scales": WHOLE_64.with_changes(stride_fit=StrideFit.ROUNDED, second_scale=1.5),
    "whole, padded, regions, two scales": WHOLE_64.with_changes(regions=(CENTRE, HOLE), second_scale=1.5),
    "R, two scales": TINY.with_changes(second_scale=1.4),
    "R+C": TINY.with_changes(resizing=Resizing.CROP, image_size=64, crop_size=56),
    "R+C, ignored": TINY.with_changes(resizing=Resizing.CROP, image_size=64, crop_size=33, regions=(HOLE,)),
}
PAGE = Path(__file__).parents[3] / "docs" / "deploy.md"
NETWORK_OF = {"whole, padded, regions": "whole", "R+C, ignored": "R+C"}
"""What is trained as another one, and inspects by its own settings: a network knows nothing of canvas and regions."""
WITH_EVERYTHING = ("whole, padded, regions, two scales", "R+C")
"""Between them they hold every operation of the graph."""


@pytest.fixture(scope="module")
def models(parts: Sequence[Sample], backbone: Backbone) -> Callable[[str], TrainedModel]:
    """Each configuration's model, trained once if at all, all on one backbone: it is compiled once."""
    made: dict[str, TrainedModel] = {}

    def learned(name: str) -> TrainedModel:
        if name in NETWORK_OF:
            return replace(model(NETWORK_OF[name]), config=CONFIGS[name])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(training, "build_backbone", lambda *_: backbone)
            return train(parts, CONFIGS[name], device="cpu")

    def model(name: str) -> TrainedModel:
        if name not in made:
            trained = learned(name)
            inspector = Inspector(trained, device="cpu")
            low, high = (inspector.inspect(image).score for image in (picture(0), with_defect(picture(1), 8, 8, 12)))
            made[name] = trained.with_threshold(manual_threshold((low + high) / 2, low * 1.05))
        return made[name]

    return model


def _pictures() -> list[Picture]:
    """Good and bad parts of several sizes, one of them grey and one a single colour."""
    images = [picture(seed, *size) for seed, size in enumerate(SIZES)]
    bad = [with_defect(image, 12, 10, 12) for image in images]
    grey = np.repeat(images[2][..., :1], 3, axis=2)
    return [*images, *bad, grey, np.full((40, 50, 3), 7, np.uint8)]


Inspect = Callable[[Picture], tuple[Any, float, str]]


@pytest.fixture(scope="module")
def assert_same(models: Callable[[str], TrainedModel]) -> Callable[[str, Inspect], None]:
    """See that something gives a model's results on all pictures; the model itself inspects them once."""
    made: dict[str, list[Inspection]] = {}

    def check(name: str, inspect: Inspect) -> None:
        trained = models(name)
        assert trained.threshold is not None
        if name not in made:
            inspector = Inspector(trained, device="cpu")
            made[name] = [inspector.inspect(image) for image in _pictures()]
        verdicts = set()
        for image, original in zip(_pictures(), made[name], strict=True):
            values, score, verdict = inspect(image)
            assert values.shape == original.anomaly_map.shape
            assert score == pytest.approx(original.score, rel=1e-4)
            assert np.median(np.abs(values - original.anomaly_map)) < 1e-5
            assert verdict == judge(original.score, trained.threshold).value
            verdicts.add(verdict)
        assert "defect" in verdicts  # the pictures tell something

    return check


@pytest.fixture(scope="module")
def part_and_score(models: Callable[[str], TrainedModel], parts: Sequence[Sample]) -> tuple[Sample, float]:
    """A good part, and its score by the model "R"."""
    return parts[0], Inspector(models("R"), device="cpu").inspect(np.array(Image.open(parts[0].path))).score


@pytest.fixture
def few_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of the pictures that an export draws, where the test is not of what they show."""
    monkeypatch.setattr(parity, "_DRAWN", parity._DRAWN[:2])


@pytest.mark.parametrize("name", CONFIGS)
def test_that_the_graph_gives_the_originals_results(
    name: str, models: Callable[[str], TrainedModel], assert_same: Callable[[str, Inspect], None]
) -> None:
    import torch

    trained = models(name)
    assert trained.threshold is not None and trained.threshold.lower is not None
    lines = (trained.threshold.lower, trained.threshold.value)
    graph = InspectionGraph(trained, lines, torch.float64).eval()

    def inspect(image: Picture) -> tuple[Any, float, str]:
        with torch.inference_mode():
            values, score, verdict = graph(torch.from_numpy(image))
        return values.numpy(), float(score), ("good", "uncertain", "defect", "none")[int(verdict)]

    assert_same(name, inspect)


@pytest.fixture(scope="module")
def exports(
    models: Callable[[str], TrainedModel], parts: Sequence[Sample], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Format, str], Exported]:
    made: dict[tuple[Format, str], Exported] = {}

    def exported(kind: Format, name: str) -> Exported:
        pytest.importorskip(formats.PACKAGES[kind], reason="the extra for this format is not installed")
        if (kind, name) not in made:
            folder = tmp_path_factory.mktemp("exports") / "new" / kind
            made[kind, name] = export_model(models(name), Target(kind, folder), parts[:3], device="cpu")
        return made[kind, name]

    return exported


@pytest.mark.parametrize("name", WITH_EVERYTHING)
@pytest.mark.parametrize("kind", Format)
def test_that_an_exported_model_gives_the_originals_results(
    kind: Format,
    name: str,
    exports: Callable[[Format, str], Exported],
    assert_same: Callable[[str, Inspect], None],
) -> None:
    exported = exports(kind, name)
    assert exported.parity.holds and exported.parity.images == 3 and exported.parity.largest.relative < 1e-3
    assert_same(name, load_runner(exported.folder).inspect)


@pytest.mark.parametrize("kind", Format)
def test_that_the_script_runs_without_the_program(
    kind: Format, exports: Callable[[Format, str], Exported], models: Callable[[str], TrainedModel], tmp_path: Path
) -> None:
    exported = exports(kind, WITH_EVERYTHING[0])
    images = {"a.png": picture(3, 48, 60), "b.png": with_defect(picture(4, 70, 50), 20, 20, 12)}
    for name, image in images.items():
        Image.fromarray(image).save(tmp_path / name)
    trap = tmp_path / "trap" / "core"
    trap.mkdir(parents=True)
    (trap / "__init__.py").write_text("raise ImportError('the script must not need the program')")

    run = subprocess.run(
        [sys.executable, exported.folder / "run.py", "--maps", "maps", *images],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(trap.parent)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (run.returncode, run.stderr) == (0, "")
    inspector = Inspector(models(WITH_EVERYTHING[0]), device="cpu")
    rows = list(csv.DictReader(run.stdout.splitlines()))
    assert [row["path"] for row in rows] == list(images)
    for row, image in zip(rows, images.values(), strict=True):
        original = inspector.inspect(image)
        assert float(row["score"]) == pytest.approx(original.score, rel=1e-4)
        with Image.open(tmp_path / "maps" / f"{Path(row['path']).stem}.tiff") as saved:
            assert np.array(saved).shape == original.anomaly_map.shape


def test_that_the_python_of_the_page_runs_as_it_stands_there(
    exports: Callable[[Format, str], Exported],
    models: Callable[[str], TrainedModel],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    for kind in Format:
        shutil.copytree(exports(kind, WITH_EVERYTHING[0]).folder, tmp_path / f"part-{kind}")
    image = with_defect(picture(4, 70, 50), 20, 20, 12)
    Image.fromarray(image).save(tmp_path / "part.png")
    original = Inspector(models(WITH_EVERYTHING[0]), device="cpu").inspect(image)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path / f"part-{Format.ONNX}")
    monkeypatch.delitem(sys.modules, "run", raising=False)
    pieces = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert [needed in piece for needed, piece in zip(("run", "onnx", "openvino", "torch"), pieces, strict=True)] == [
        True
    ] * 4
    found: dict[str, Any] = {}  # one after another, as a reader would paste them
    for piece in pieces:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that TorchScript is no longer developed
            exec(piece, found)
        assert found["anomaly_map"].shape == original.anomaly_map.shape
        assert float(found["score"]) == pytest.approx(original.score, rel=1e-4)
        assert found["verdict"] in ("defect", 2)


def test_that_the_description_tells_all_that_a_user_of_the_model_needs(
    exports: Callable[[Format, str], Exported], models: Callable[[str], TrainedModel]
) -> None:
    exported = exports(Format.OPENVINO, WITH_EVERYTHING[0])
    about = json.loads((exported.folder / "model.json").read_text())
    trained = models(WITH_EVERYTHING[0])
    assert trained.threshold is not None
    assert sorted(path.name for path in exported.folder.iterdir()) == sorted(exported.files)
    assert about["runtime"]["settings"]["INFERENCE_PRECISION_HINT"] == "f32"
    assert about["threshold"]["value"] == trained.threshold.value
    assert about["verdicts"] == ["good", "uncertain", "defect", "none"]
    assert set(about["outputs"]) == {"anomaly_map", "score", "verdict"}
    assert about["parity"]["holds"] and about["parity"]["images"] == 3 and about["parity"]["flips"] == []
    assert set(about["sha256"]) == {"model.xml", "model.bin"}


def test_that_a_picture_too_long_for_a_crop_is_not_judged(exports: Callable[[Format, str], Exported]) -> None:
    model = load_runner(exports(Format.TORCHSCRIPT, "R+C").folder)
    _, score, verdict = model.inspect(np.zeros((2, 400, 3), np.uint8))
    assert verdict == "none" and np.isnan(score)


def _spoil(monkeypatch: pytest.MonkeyPatch, change: Callable[[TrainedModel], TrainedModel]) -> None:
    """Let another model be written than the one that it is compared with."""
    write = formats.write_model
    monkeypatch.setattr(
        exporting, "write_model", lambda trained, target, folder: write(change(trained), target, folder)
    )


@pytest.mark.usefixtures("few_drawn")
def test_that_other_scores_are_refused_with_figures_and_nothing_is_left(
    models: Callable[[str], TrainedModel], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _spoil(monkeypatch, lambda trained: replace(trained, config=trained.config.with_changes(smoothing=3.9)))
    with pytest.raises(
        ExportError, match=r"relative score difference \d.*allowed 0\.001.*exported.*Nothing was written"
    ):
        export_model(models("R"), Target(Format.TORCHSCRIPT, tmp_path / "a" / "b"), device="cpu")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("few_drawn")
def test_that_another_verdict_is_refused_with_figures(
    models: Callable[[str], TrainedModel],
    part_and_score: tuple[Sample, float],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    part, score = part_and_score
    _spoil(monkeypatch, lambda trained: trained.with_threshold(manual_threshold(score * 0.9)))
    trained = models("R").with_threshold(manual_threshold(score * 1.1))
    with pytest.raises(ExportError, match=r"verdicts? differs?, first on part 00\.png \(good, exported defect\)"):
        export_model(trained, Target(Format.TORCHSCRIPT, tmp_path / "x"), [part], device="cpu")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("few_drawn")
def test_that_the_image_whose_score_is_the_threshold_keeps_its_verdict(
    models: Callable[[str], TrainedModel], part_and_score: tuple[Sample, float], tmp_path: Path
) -> None:
    part, score = part_and_score
    trained = models("R").with_threshold(Threshold(score, FalseAlarmRate(0.2, 4)))
    exported = export_model(trained, Target(Format.TORCHSCRIPT, tmp_path / "x"), [part], device="cpu")
    assert exported.parity.flips == ()


def test_that_a_promised_threshold_is_drawn_a_hair_higher_but_below_the_next_score() -> None:
    line = Threshold(2.0, FalseAlarmRate(0.2, 4))
    assert shifted(line, (1.0, 2.0, 3.0)) == pytest.approx(2.00002)
    assert shifted(line, (2.0, 2.000001)) == pytest.approx(2.0000005, abs=1e-9)
    assert shifted(manual_threshold(2.0), (2.0,)) == 2.0


def test_that_a_cancelled_export_leaves_nothing(models: Callable[[str], TrainedModel], tmp_path: Path) -> None:
    token = CancelToken()

    def report(progress: Progress, /) -> None:
        if progress.phase is Phase.CHECKING and progress.done == 2:
            token.cancel()

    with pytest.raises(CancelledByUser):
        target = Target(Format.TORCHSCRIPT, tmp_path / "x")
        export_model(models("R"), target, device="cpu", report=report, cancel=token)
    assert list(tmp_path.iterdir()) == []


def test_that_a_folder_with_other_things_is_left_alone(
    exports: Callable[[Format, str], Exported], models: Callable[[str], TrainedModel], tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="holds other things"):
        export_model(models("R"), Target(Format.TORCHSCRIPT, tmp_path), device="cpu")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    with pytest.raises(OutputError, match="holds other things"):
        folder = exports(Format.TORCHSCRIPT, "R+C").folder
        export_model(models("R"), Target(Format.OPENVINO, folder), device="cpu")


@pytest.mark.usefixtures("few_drawn")
def test_that_an_earlier_export_is_replaced_and_stays_where_the_new_one_is_refused(
    models: Callable[[str], TrainedModel], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    target = Target(Format.TORCHSCRIPT, tmp_path / "x")
    export_model(models("R"), target, device="cpu")
    first = json.loads((target.folder / "model.json").read_text())
    other = models("R").with_threshold(manual_threshold(9.0))
    export_model(other, target, device="cpu")
    second = (target.folder / "model.json").read_text()
    assert json.loads(second)["threshold"]["value"] == 9.0 != first["threshold"]["value"]
    _spoil(monkeypatch, lambda trained: replace(trained, config=trained.config.with_changes(smoothing=3.9)))
    with pytest.raises(ExportError):
        export_model(models("R"), target, device="cpu")
    assert (target.folder / "model.json").read_text() == second
    assert len(list(target.folder.iterdir())) == 3


@pytest.mark.usefixtures("few_drawn")
def test_that_the_disk_has_every_file_before_it_takes_its_place(
    models: Callable[[str], TrainedModel], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = ("model.pt", "run.py", "model.json")
    in_place: list[list[bool]] = []
    monkeypatch.setattr(os, "fsync", lambda _: in_place.append([(tmp_path / name).exists() for name in names]))
    export_model(models("R"), Target(Format.TORCHSCRIPT, tmp_path), device="cpu")
    assert in_place == [[False, False, False], [True, False, False], [True, True, False]]


def test_that_a_model_without_a_threshold_is_refused(models: Callable[[str], TrainedModel], tmp_path: Path) -> None:
    with pytest.raises(ThresholdError, match="no threshold"):
        export_model(models("R").with_threshold(None), Target(Format.TORCHSCRIPT, tmp_path / "x"))


def test_that_a_missing_runtime_is_named(
    models: Callable[[str], TrainedModel], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(
        ExportError, match=r'needs onnx and onnxruntime\. Install it with: pip install "cfa-gui\[onnx\]"'
    ):
        export_model(models("R"), Target(Format.ONNX, tmp_path / "x"))


@pytest.mark.usefixtures("few_drawn")
def test_that_images_that_cannot_be_read_are_told(
    models: Callable[[str], TrainedModel], parts: Sequence[Sample], tmp_path: Path
) -> None:
    broken = write_text_file(tmp_path, "broken.png")
    exported = export_model(models("R"), Target(Format.TORCHSCRIPT, tmp_path / "x"), (broken, parts[0]), device="cpu")
    assert exported.parity.images == 1 and "broken.png" in exported.parity.skipped[0]
    with pytest.raises(DatasetError, match="None of the 1 images"):
        export_model(models("R"), Target(Format.TORCHSCRIPT, tmp_path / "y"), (broken,), device="cpu")
    assert not (tmp_path / "y").exists()
