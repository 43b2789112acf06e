"""The CFA engine: visual inspection from good parts only. Imports no Qt.

The main job in five names::

    from core import Inspector, good_samples, preset, read_image, save_model, train

    trained = train(good_samples(Path("parts/train/good")), preset("standard"))
    save_model(trained, Path("part.cfa"))
    result = Inspector(trained).inspect(read_image(Path("new.png")))
    print(result.score, judge(result.score, trained.threshold), result.anomaly_map.shape)

Names are imported when they are first used: `import core` alone is quick and loads no torch.
"""

import importlib
import os
from typing import TYPE_CHECKING

os.environ.setdefault("GOMP_SPINCOUNT", "20000")
"""After a piece of work, torch's threads on Linux spin for 0.3 ms instead of 4 and leave the cores to OpenVINO's."""

if TYPE_CHECKING:
    from core.config import Config as Config
    from core.dataset import find_samples as find_samples
    from core.dataset import good_samples as good_samples
    from core.dataset import open_dataset as open_dataset
    from core.errors import CfaError as CfaError
    from core.evaluation import evaluate as evaluate
    from core.images import read_image as read_image
    from core.inspection import Inspection as Inspection
    from core.inspection import Inspector as Inspector
    from core.model_file import load_model as load_model
    from core.model_file import save_model as save_model
    from core.presets import preset as preset
    from core.regions import flagged_regions as flagged_regions
    from core.threshold import best_f1_threshold as best_f1_threshold
    from core.threshold import false_alarm_threshold as false_alarm_threshold
    from core.threshold import judge as judge
    from core.threshold import manual_threshold as manual_threshold
    from core.training import train as train

_HOME = {
    "CfaError": "errors",
    "Config": "config",
    "Inspection": "inspection",
    "Inspector": "inspection",
    "best_f1_threshold": "threshold",
    "evaluate": "evaluation",
    "false_alarm_threshold": "threshold",
    "find_samples": "dataset",
    "flagged_regions": "regions",
    "good_samples": "dataset",
    "judge": "threshold",
    "load_model": "model_file",
    "manual_threshold": "threshold",
    "open_dataset": "dataset",
    "preset": "presets",
    "read_image": "images",
    "save_model": "model_file",
    "train": "training",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f"core.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
