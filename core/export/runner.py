"""Inspect pictures with the model beside this file. Needs nothing of the program that the model was trained with.

    pip install numpy pillow onnxruntime     (or openvino, or torch, as "runtime" in model.json says)
    python run.py PICTURE... [--maps DIR]

Prints a line of CSV for each picture. To use it from Python:

    from run import Model, read_picture
    model = Model()
    anomaly_map, score, verdict = model.inspect(read_picture("part.png"))
"""

import argparse
import csv
import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

Run = Callable[[NDArray[np.uint8]], list[Any]]


def _onnxruntime(file: Path, _settings: dict[str, str]) -> Run:
    import onnxruntime  # type: ignore[import-untyped]

    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return lambda picture: list(session.run(["anomaly_map", "score", "verdict"], {"image": picture}))


def _openvino(file: Path, settings: dict[str, str]) -> Run:
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # it would report its use to its makers
    import openvino  # type: ignore[import-untyped]

    compiled = openvino.Core().compile_model(str(file), "CPU", settings)  # float32 is one of the settings
    return lambda picture: list(compiled([picture]).to_tuple())


def _torch(file: Path, _settings: dict[str, str]) -> Run:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is kept, but no longer developed
        module = torch.jit.load(str(file), map_location="cpu").eval()  # type: ignore[no-untyped-call]

    def run(picture: NDArray[np.uint8]) -> list[Any]:
        with torch.inference_mode():
            return [output.numpy() for output in module(torch.from_numpy(picture))]

    return run


_RUNTIMES = {"onnxruntime": _onnxruntime, "openvino": _openvino, "torch": _torch}


class Model:
    """An exported model, loaded once."""

    def __init__(self, folder: str | Path = Path(__file__).parent) -> None:
        """Load the model in a folder."""
        folder = Path(folder)
        self.about: dict[str, Any] = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        runtime = self.about["runtime"]
        self._run = _RUNTIMES[runtime["package"]](folder / self.about["file"], runtime["settings"])

    def inspect(self, picture: NDArray[np.uint8]) -> tuple[NDArray[np.float32], float, str]:
        """Inspect a picture.

        Args:
            picture: (H, W, 3) uint8 RGB, of any size.

        Returns:
            The anomaly map, (rows, columns) float32; the score; "good", "uncertain" or "defect", or "none" where the
            picture cannot be judged.
        """
        if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or 0 in picture.shape:
            raise ValueError(f"a picture is (H, W, 3) uint8 RGB; this one is {picture.shape} {picture.dtype}")
        anomaly_map, score, verdict = self._run(np.ascontiguousarray(picture))
        return np.array(anomaly_map), float(score), self.about["verdicts"][int(verdict)]


def read_picture(file: str | Path) -> NDArray[np.uint8]:
    """A picture of 8 bits as (H, W, 3) uint8 RGB, upright; what is transparent is black."""
    with Image.open(file) as opened:
        if opened.mode.startswith(("I", "F")):
            raise ValueError(f"{file} has more than 8 bits a channel; convert it first")
        picture = ImageOps.exif_transpose(opened)
        if "A" in picture.getbands() or "transparency" in picture.info:
            seen = picture.convert("RGBA")
            picture = Image.alpha_composite(Image.new("RGBA", seen.size, (0, 0, 0, 255)), seen)
        return np.array(picture.convert("RGB"))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Inspect pictures with the model beside this file.")
    parser.add_argument("pictures", nargs="+", type=Path, metavar="PICTURE")
    parser.add_argument("--maps", type=Path, metavar="DIR", help="write the anomaly maps there, as float32 TIFF")
    arguments = parser.parse_args()
    model = Model()
    if arguments.maps:
        arguments.maps.mkdir(parents=True, exist_ok=True)
    table = csv.writer(sys.stdout)
    table.writerow(("path", "score", "verdict"))
    for path in arguments.pictures:
        anomaly_map, score, verdict = model.inspect(read_picture(path))
        table.writerow((path, repr(score), verdict))
        if arguments.maps:
            Image.fromarray(anomaly_map).save(arguments.maps / f"{path.stem}.tiff")


if __name__ == "__main__":
    main()
