"""One self-contained model file: safetensors (no pickle) with versioned JSON in its header.

The file carries the truncated backbone, so it needs neither a network nor a weights package. A digest of the whole content
is checked before anything is scored with it.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from core.atomic_file import write_bytes
from core.backbone import restore_backbone
from core.config import Config
from core.errors import ConfigError, ModelFileError, ThresholdError
from core.model import CfaModel
from core.threshold import Threshold
from core.trained_model import Calibration, TrainedModel, TrainingSummary
from core.version import VERSION

FORMAT_VERSION = 1
SUFFIX = ".cfa"
_MAX_BYTES = 2 * 1024**3
_MAX_HEADER = 16 * 1024**2
_KEY = "cfa"


def save_model(trained: TrainedModel, path: Path) -> None:
    """Write the model to one file; what stood there before is replaced only when all is written.

    Raises:
        OutputError: The place cannot be written.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in trained.network.state_dict().items()}
    threshold = trained.threshold
    content: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "app_version": VERSION,
        "config": trained.config.to_json(),
        "threshold": None if threshold is None else threshold.to_json(),
        "calibration": {"names": list(trained.calibration.names), "scores": list(trained.calibration.scores)},
        "summary": trained.summary.to_json(),
        "created": trained.created,
    }
    content["digest"] = _digest(content, tensors)
    text = json.dumps(content, ensure_ascii=True, allow_nan=False, sort_keys=True)
    write_bytes(path, safetensors.torch.save(tensors, metadata={_KEY: text}))


def load_model(path: Path) -> TrainedModel:
    """Read a model file.

    Returns:
        The model on the CPU; its scores equal, bit for bit, those of the model that was saved on the same device.

    Raises:
        ModelFileError: It is missing, damaged, of a newer version, or no model file.
    """
    path = Path(path)
    data = _read(path)
    content = _content(data, path)
    version = content.get("format_version")
    if not isinstance(version, int) or version < 1:
        raise _damaged(path, "its version is missing")
    if version > FORMAT_VERSION:
        raise ModelFileError(
            f"{path} was written by a newer program (format {version}; this one reads up to {FORMAT_VERSION}). "
            "Install the newer version to open it."
        )
    try:
        tensors = safetensors.torch.load(data)
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise _damaged(path, "its tensors cannot be read") from error
    if content.get("digest") != _digest({k: v for k, v in content.items() if k != "digest"}, tensors):
        raise _damaged(path, "its digest does not match its content")
    try:
        return _build(content, tensors)
    except (ConfigError, ThresholdError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise _damaged(path, f"its content does not fit together ({error})") from error


def _build(content: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> TrainedModel:
    config = Config.from_json(content["config"])
    prefix = "backbone."
    backbone = restore_backbone(
        config.backbone, {name[len(prefix) :]: t for name, t in tensors.items() if name.startswith(prefix)}
    )
    network = CfaModel(
        backbone, descriptor_ratio=config.method.descriptor_ratio, initial_radius=config.method.initial_radius
    )
    network.bank = torch.empty_like(tensors["bank"])
    network.load_state_dict(dict(tensors), strict=True)
    network.requires_grad_(requires_grad=False)
    calibration = content["calibration"]
    threshold = content["threshold"]
    return TrainedModel(
        config=config,
        network=network.eval(),
        calibration=Calibration(
            tuple(str(name) for name in calibration["names"]), tuple(float(s) for s in calibration["scores"])
        ),
        threshold=None if threshold is None else Threshold.from_json(threshold),
        summary=TrainingSummary.from_json(content["summary"]),
        created=str(content["created"]),
    )


def _read(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise ModelFileError(f"{path} is a folder. Name a model file ({SUFFIX}).")
        if size > _MAX_BYTES:
            raise ModelFileError(f"{path} is too large for a model file ({size / 1024**3:.1f} GiB).")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ModelFileError(f"There is no model file {path}. Check the name, or train a model first.") from error
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror}. Check its permissions.") from error


def _content(data: bytes, path: Path) -> dict[str, Any]:
    """The JSON in the header, before any tensor is touched."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or not 2 <= length <= min(_MAX_HEADER, len(data) - 8):  # noqa: PLR2004  the length's own size
        raise _damaged(path, "it is no model file, or cut short")
    try:
        header = json.loads(data[8 : 8 + length])
        content = json.loads(header["__metadata__"][_KEY])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(path, "it is no model file, or its header is broken") from error
    if not isinstance(content, dict):
        raise _damaged(path, "its header is broken")
    return cast("dict[str, Any]", content)


def _damaged(path: Path, why: str) -> ModelFileError:
    return ModelFileError(f"{path} cannot be used: {why}. Open a copy that is whole, or train the model again.")


def _digest(content: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over the settings and every tensor's name, type, shape and bytes."""
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        if math.prod(tensor.shape):
            digest.update(memoryview(np.ascontiguousarray(tensor.numpy())).cast("B"))
        else:
            digest.update(b"empty")
    return digest.hexdigest()
