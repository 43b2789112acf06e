"""An unfinished training in a file: written after each epoch, so that a crash or a power cut costs one epoch at most.

safetensors with JSON in its header, like the model file: no pickle. It holds what training has changed, not the
features, which are computed again. A training that goes on gives the same model as one that was never interrupted.
"""

import contextlib
import hashlib
import json
import logging
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from core.atomic_file import write_bytes
from core.config import Config
from core.errors import CheckpointError, OutputError
from core.model import CfaModel
from core.progress import StepRecord
from core.version import VERSION

_KEY = "cfa-checkpoint"
_VERSION = 1
_LOG = logging.getLogger(__name__)
_DIGEST = hashlib.sha256().digest_size
_ENDS = "Train without resuming to begin anew."
_MISFITS = (safetensors.SafetensorError, LookupError, TypeError, ValueError, RuntimeError, AttributeError)


@dataclass(frozen=True, slots=True, eq=False)
class TrainingState:
    """A training after some epochs.

    Attributes:
        epochs: How many are done.
        network: What training changes: state without the frozen backbone.
        optimiser: Its figures for each parameter, in order.
        generator: State of the random numbers, uint8.
        history: Of the steps so far.
    """

    epochs: int
    network: dict[str, Tensor]
    optimiser: list[dict[str, Tensor]]
    generator: Tensor
    history: tuple[StepRecord, ...]


class Resume(Enum):
    """Whether a training goes on with what is in the file."""

    NO = auto()
    IF_IT_FITS = auto()
    REQUIRED = auto()


class Checkpoint:
    """The file of one training.

    Args:
        path: Where it is, or will be; None: nowhere, nothing is kept. Each network of a training has its file.
        resume: What to do with one that is there. It is replaced after the first epoch at the soonest.
    """

    def __init__(self, path: Path | None, resume: Resume = Resume.IF_IT_FITS) -> None:
        self._path = path
        self._resume = resume

    @property
    def exists(self) -> bool:
        """Whether there is an unfinished training."""
        return self._path is not None and self._path.exists()

    def of_network(self, number: int) -> "Checkpoint":
        """That of one of the networks that a training makes, from 0. Each has a file of its own.

        The first one's has the name of all. What there is of a later one is gone on with where it fits, even if an
        unfinished training is required.
        """
        if self._path is None or number == 0:
            return self
        resume = Resume.IF_IT_FITS if self._resume is Resume.REQUIRED else self._resume
        return Checkpoint(self._path.with_name(f"{self._path.name}-{number + 1}"), resume)

    def require(self) -> None:
        """See early, before the features are computed, that there is something to go on with where that is asked for.

        Raises:
            CheckpointError: There is nothing.
        """
        if self._resume is Resume.REQUIRED and not self.exists:
            raise CheckpointError(f"There is no unfinished training {self._path} to go on with. {_ENDS}")

    def save(self, fingerprint: str, state: TrainingState) -> None:
        """Write it, wholly or not at all. Where that is not possible the log says so, and the training goes on."""
        if self._path is None:
            return
        tensors = {f"network.{name}": tensor for name, tensor in state.network.items()}
        for number, figures in enumerate(state.optimiser):
            tensors |= {f"optimiser.{number}.{name}": tensor for name, tensor in figures.items()}
        tensors["generator"] = state.generator
        content = {
            "version": _VERSION,
            "fingerprint": fingerprint,
            "epochs": state.epochs,
            "history": [asdict(record) for record in state.history],
        }
        whole = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
        data = safetensors.torch.save(whole, metadata={_KEY: json.dumps(content)})
        try:
            write_bytes(self._path, data + hashlib.sha256(data).digest())
        except OutputError as error:
            _LOG.warning("an epoch is not kept: %s", error)

    def load(self, fingerprint: str) -> TrainingState | None:
        """The training as it was left; None where it has to begin anew.

        Raises:
            CheckpointError: It is required, and missing, damaged or of another training.
        """
        if self._path is None or self._resume is Resume.NO:
            return None
        try:
            return _read(self._path, fingerprint)
        except CheckpointError:
            if self._resume is Resume.REQUIRED:
                raise
            return None

    def remove(self) -> None:
        """The training is finished. What cannot be removed stays, and is replaced by the next one."""
        if self._path is not None:
            ours = re.compile(re.escape(self._path.name) + r"(-[1-9]\d*)?")
            with contextlib.suppress(OSError):
                for path in self._path.parent.iterdir():
                    if ours.fullmatch(path.name):
                        with contextlib.suppress(OSError):
                            path.unlink(missing_ok=True)


def _read(path: Path, fingerprint: str) -> TrainingState:
    name = f"The unfinished training {path}"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{name} cannot be read: {error.strerror or error}. {_ENDS}") from error
    data, digest = data[:-_DIGEST], data[-_DIGEST:]
    if hashlib.sha256(data).digest() != digest:
        raise CheckpointError(f"{name} is damaged. {_ENDS}")
    try:
        header = int.from_bytes(data[:8], "little")
        content = json.loads(json.loads(data[8 : 8 + header])["__metadata__"][_KEY])
        known = content["version"] == _VERSION and content["fingerprint"] == fingerprint
        if known:
            return _state(content, safetensors.torch.load(data))
    except _MISFITS as error:
        raise CheckpointError(f"{name} is damaged. {_ENDS}") from error
    raise CheckpointError(f"{name} has other images, settings or another device. {_ENDS}")


def fingerprint_of(contents: Sequence[str], config: Config, network: CfaModel, device: torch.device) -> str:
    """What tells a training from every other one.

    Args:
        contents: Digest of each image that is learned from, in order, and what else is given from outside.
        config: All settings.
        network: Whose backbone counts.
        device: In words of torch.
    """
    what = [VERSION, torch.__version__, str(device), config.to_json(), network.backbone.digest, list(contents)]
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def state_of(
    network: CfaModel,
    optimiser: torch.optim.Optimizer,
    generator: torch.Generator,
    epochs: int,
    history: Sequence[StepRecord],
) -> TrainingState:
    """The present state of a training."""
    states = optimiser.state_dict()["state"]
    return TrainingState(
        epochs,
        {name: tensor for name, tensor in network.state_dict().items() if not name.startswith("backbone.")},
        [dict(states[number]) for number in sorted(states)],
        generator.get_state(),
        tuple(history),
    )


def restore(state: TrainingState, optimiser: torch.optim.Optimizer, generator: torch.Generator) -> None:
    """Put optimiser and random numbers where they were; `restore_network` comes first."""
    groups: list[dict[str, Any]] = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": dict(enumerate(state.optimiser)), "param_groups": groups})
    generator.set_state(state.generator)


def restore_network(state: TrainingState, network: CfaModel) -> None:
    """Put scale, bank, descriptor and radius where they were.

    Raises:
        CheckpointError: They are of another network.
    """
    try:
        network.set_bank(state.network["bank"])
        whole = network.state_dict() | state.network
        network.load_state_dict(whole)
    except _MISFITS as error:
        raise CheckpointError(f"The unfinished training does not fit this network. {_ENDS}") from error


def _state(content: dict[str, Any], tensors: dict[str, Tensor]) -> TrainingState:
    figures: dict[int, dict[str, Tensor]] = {}
    network: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        kind, _, rest = name.partition(".")
        if kind == "network":
            network[rest] = tensor
        elif kind == "optimiser":
            number, _, figure = rest.partition(".")
            figures.setdefault(int(number), {})[figure] = tensor
    history = tuple(StepRecord(**record) for record in content["history"])
    optimiser = [figures[number] for number in sorted(figures)]
    return TrainingState(int(content["epochs"]), network, optimiser, tensors["generator"], history)
