"""One self-contained model file: safetensors (no pickle) with versioned JSON in its header.

The file carries the truncated backbone, so it needs neither a network nor a weights package. A digest of every byte is
checked before anything is scored with it.
"""

import dataclasses
import hashlib
import json
import math
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn, cast

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from core.atomic_file import write_bytes
from core.backbone import Backbone, require_state, restore_backbone
from core.config import Calibrating, Config
from core.digests import state_digest
from core.errors import CfaError, ModelFileError
from core.images import shown
from core.model import CfaModel
from core.model_header import LENGTH_BYTES, MAX_HEADER, parse, require_layout, require_shallow
from core.threshold import Threshold
from core.trained_model import Calibration, Companion, TrainedModel, TrainingSummary
from core.version import VERSION

FORMAT_VERSION = 7
"""2: with the radii of the centres. 3: with their axes, in half precision, which is all that they have. 4: with how a
whole picture meets the stride. 5: with the second member of an ensemble, whose backbone is the first one's.
6: with how images are held out. 7: with how much focus, place and angle of a part may vary."""
SUFFIX = ".cfa"
_KEY = "cfa"
_FIELDS = frozenset(
    {"format_version", "app_version", "config", "threshold", "calibration", "summary", "created", "digest", "units"}
)
"""Of the JSON in the header. Another field is another format version."""
_BACKBONE = "backbone."
_SECOND = "second."
"""Before the names of the second member's tensors."""
ADDED_SETTINGS: dict[tuple[str, str], object] = {
    ("preprocessing", "second_scale"): 0.0,
    ("training", "calibration"): Calibrating.SPLIT,
    ("training", "blur_variation"): 0.0,
    ("training", "position_variation"): 0.0,
    ("training", "angle_variation"): 0.0,
}
"""Settings that came later, and what models from before had: they are to stay the same ones."""
_NO_DIGEST = "0" * 64
_BEFORE_DIGEST = rb"\"digest\": \""
"""As the digest's key stands in the header: the settings are JSON in a string of JSON. A quotation mark within a string
of theirs (a file's name) has three backslashes or more, so nothing else looks like this."""
_MISFITS = (CfaError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError)
"""What content of the wrong shape raises while a model is built from it."""
_REMEDY = "Open a copy that is whole, or train the model again."


def save_model(trained: TrainedModel, path: Path) -> None:
    """Write the model to one file; what stood there before is replaced only when all is written.

    Raises:
        OutputError: The place cannot be written.
        ModelFileError: A figure of the training is not finite, and such a model would not work; or it names too many
            images.
    """
    tensors = {
        name: (tensor.half() if name.endswith("centre_axes") else tensor).detach().cpu().contiguous()
        for name, tensor in _state(trained).items()
    }
    threshold, companion = trained.threshold, trained.companion
    content: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "app_version": VERSION,
        "config": trained.config.to_json(),
        "threshold": None if threshold is None else threshold.to_json(),
        "calibration": {field: list(values) for field, values in dataclasses.asdict(trained.calibration).items()},
        "summary": trained.summary.to_json(),
        "created": trained.created,
        "digest": _NO_DIGEST,
        "units": None if companion is None else list(companion.units),
    }
    try:
        text = json.dumps(content, allow_nan=False, sort_keys=True)
    except ValueError as error:
        raise ModelFileError(
            "The training went astray: a figure of it is not finite. Nothing was saved. "
            "Look for odd images among the good ones, or use another backbone."
        ) from error
    data = bytearray(safetensors.torch.save(tensors, metadata={_KEY: text}))
    if int.from_bytes(data[:LENGTH_BYTES], "little") > MAX_HEADER:
        raise ModelFileError(
            "There are more held-out images than a model file can name. Nothing was saved. Hold out a smaller share."
        )
    place = _place_of_digest(data)
    data[place] = _digest(data, place).encode()
    write_bytes(path, data)


def identity(trained: TrainedModel) -> str:
    """SHA-256 of all that a score depends on, weights and settings: the same for a model and the file it is read from.

    Threshold, date and the record of the training take no part.
    """
    content = trained.config.to_json()
    for (group, name), before in ADDED_SETTINGS.items():
        if content[group][name] == before:
            del content[group][name]
    settings = json.dumps(content, sort_keys=True)
    units = "" if trained.companion is None else str(trained.companion.units)
    return hashlib.sha256(f"{settings}{units}{state_digest(_state(trained))}".encode()).hexdigest()


def _state(trained: TrainedModel) -> dict[str, Tensor]:
    """All tensors by name; the backbone once."""
    state = dict(trained.network.state_dict())
    if trained.companion is not None:
        second = trained.companion.network.state_dict()
        state |= {f"{_SECOND}{name}": t for name, t in second.items() if not name.startswith(_BACKBONE)}
    return state


def load_model(path: Path) -> TrainedModel:
    """Read a model file.

    Returns:
        The model on the CPU; its scores equal, bit for bit, those of the model that was saved on the same device.

    Raises:
        ModelFileError: It is missing, damaged, of a newer version, or no model file.
    """
    path = Path(path)
    content, data = _read(path)
    if content.get("digest") != _digest(data, _place_of_digest(data)):
        _refuse(path, "it is damaged (its digest does not match)")
    try:
        tensors = safetensors.torch.load(data)
        _bring_up_to_date(tensors, content["format_version"])
        return _build(content, tensors)
    except (safetensors.SafetensorError, *_MISFITS) as error:
        why = f": {error}" if isinstance(error, CfaError) else ""
        raise ModelFileError(f"{path} cannot be used: its parts do not fit together{why}. {_REMEDY}") from error


def _bring_up_to_date(tensors: dict[str, Tensor], version: int) -> None:
    """Add what a format before this one did not have, such that the model scores as it did."""
    bank = tensors["bank"]
    if version < 2:
        tensors["centre_radii"] = bank.new_zeros(len(bank))
    if version < 3:
        tensors["centre_axes"] = bank.new_zeros(len(bank), 0, 0, dtype=torch.float16)
        tensors["axis_basis"] = bank.new_zeros(0, bank.shape[1])


def _build(content: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> TrainedModel:
    config = Config.from_json(content["config"])
    _require_fit(all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values()))
    second, first = _parted(tensors, _SECOND)
    state, _ = _parted(first, _BACKBONE)
    require_state(config.backbone, state)  # a name may stand for a network of any size
    backbone = restore_backbone(config.backbone, state)
    network = _network(config, backbone, first)
    _require_fit(bool(second) == (len(config.members) > 1))
    companion = None
    if second:
        one, two = map(float, content["units"])
        _require_fit(min(one, two) > 0)
        shared = {f"{_BACKBONE}{name}": tensor for name, tensor in state.items()}
        companion = Companion(_network(config, backbone, second | shared), (one, two))
    names, scores = content["calibration"]["names"], content["calibration"]["scores"]
    parts = tuple(map(int, content["calibration"].get("parts", ())))  # older files have none
    _require_fit(len(names) == len(scores) and len(parts) in (0, len(names)))
    threshold = content["threshold"]
    return TrainedModel(
        config=config,
        network=network,
        calibration=Calibration(tuple(map(str, names)), tuple(map(float, scores)), parts),
        threshold=None if threshold is None else Threshold.from_json(threshold),
        summary=TrainingSummary.from_json(content["summary"]),
        created=str(content["created"]),
        companion=companion,
    )


def _parted(tensors: Mapping[str, Tensor], prefix: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Those whose names begin so, without it, and the others."""
    those = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    return those, {name: tensor for name, tensor in tensors.items() if not name.startswith(prefix)}


def _network(config: Config, backbone: Backbone, tensors: Mapping[str, Tensor]) -> CfaModel:
    """A member on its backbone, from all of its tensors."""
    network = CfaModel(
        backbone, descriptor_ratio=config.method.descriptor_ratio, initial_radius=config.method.initial_radius
    )
    bank = tensors["bank"]
    centres, width = bank.shape
    _require_fit(width == network.bank.shape[1] and centres >= config.method.neighbours)
    network.set_bank(bank)
    axes, directions = tensors["centre_axes"], len(tensors["axis_basis"])
    network.centre_axes = bank.new_zeros(centres, axes.shape[1], directions, dtype=torch.float16)
    network.axis_basis = bank.new_zeros(directions, width)
    _require_fit(all(tensors[name].dtype == mine.dtype for name, mine in network.state_dict().items()))
    network.load_state_dict(dict(tensors), strict=True)
    network.centre_axes = axes.float()
    return network.requires_grad_(requires_grad=False).eval()


def _require_fit(ok: bool) -> None:
    if not ok:
        raise ValueError("parts of different shapes")


def _read(path: Path) -> tuple[dict[str, Any], bytes]:
    """The JSON in the header, of a version that is known, and the whole file."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise ModelFileError(f"{path} is a folder. Name a model file ({SUFFIX}).")
        if not stat.S_ISREG(status.st_mode):
            raise ModelFileError(f"{path} is not an ordinary file. Name a model file ({SUFFIX}).")
        with path.open("rb") as file:
            start = file.read(LENGTH_BYTES)
            length = int.from_bytes(start, "little")
            room = status.st_size - LENGTH_BYTES - length
            if len(start) < LENGTH_BYTES or not 0 < length <= MAX_HEADER or room < 0:
                _refuse(path, "it is no model file, or cut short")
            content = _content(file.read(length), room, path)  # before the rest: an arbitrary file may be huge
            file.seek(0)
            return content, file.read(status.st_size)
    except FileNotFoundError as error:
        raise ModelFileError(f"There is no model file {path}. Check the name, or train a model first.") from error
    except OSError as error:
        raise ModelFileError(
            f"{path} cannot be read: {error.strerror or error}. Check the drive and your rights."
        ) from error
    except MemoryError as error:
        raise ModelFileError(f"{path} does not fit into memory. Close other programs, and try again.") from error


def _content(header: bytes, room: int, path: Path) -> dict[str, Any]:
    """The JSON of ours in a header behind which there are `room` bytes of tensors."""
    try:
        tensors = parse(header)
        text = tensors.pop("__metadata__")[_KEY]
        require_shallow(text.encode())
        content = json.loads(text, parse_constant=_not_finite, parse_float=_finite)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        _refuse(path, "it is no model file, or its header is damaged")
    version = content.get("format_version") if isinstance(content, dict) else None
    if type(version) is not int or version < 1:
        _refuse(path, "its version is missing")
    if version > FORMAT_VERSION:
        raise ModelFileError(
            f"{path} was written by a newer program (format {version}; this one reads up to {FORMAT_VERSION}). "
            "Install the newer version to open it."
        )
    if unknown := set(content) - _FIELDS:
        _refuse(path, f"it has a field that no model has ({shown(min(unknown))[:40]})")
    try:
        require_layout(tensors, room)
    except (ValueError, LookupError, TypeError, AttributeError):
        _refuse(path, "it is damaged (its tensors do not fill it)")
    return cast("dict[str, Any]", content)


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _not_finite(text)


def _not_finite(text: str) -> NoReturn:
    raise ValueError(f"{text} is not finite")


def _refuse(path: Path, why: str) -> NoReturn:
    raise ModelFileError(f"{path} cannot be used: {why}. {_REMEDY}")


def _place_of_digest(data: bytes | bytearray) -> slice:
    start = data.find(_BEFORE_DIGEST) + len(_BEFORE_DIGEST)
    return slice(start, start + len(_NO_DIGEST))


def _digest(data: bytes | bytearray, place: slice) -> str:
    """SHA-256 of the whole file, the digits of the digest itself taken as zeros."""
    digest = hashlib.sha256(data[: place.start])
    digest.update(_NO_DIGEST.encode())
    digest.update(memoryview(data)[place.stop :])
    return digest.hexdigest()
