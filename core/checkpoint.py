"""An unfinished training in a file: written after each epoch, so that a crash or a power cut costs one epoch at most.

safetensors with JSON in its header, like the model file: no pickle. It holds what training has changed, not the
features, which are computed again. A training that goes on gives the same model as one that was never interrupted.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from core.atomic_file import write_bytes
from core.config import Config
from core.errors import CheckpointError, ImageError
from core.model import CfaModel
from core.progress import StepRecord
from core.samples import Sample

_KEY = "cfa-checkpoint"
_VERSION = 1
_DIGEST = hashlib.sha256().digest_size
_ENDS = "Train without resuming to begin anew."
_MISFITS = (safetensors.SafetensorError, LookupError, TypeError, ValueError, RuntimeError, AttributeError)


@dataclass(frozen=True, slots=True, eq=False)
class Progressed:
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


class Checkpoint:
    """The file of one training.

    Args:
        path: Where it is, or will be.
        strict: One that is missing or of another training is an error; otherwise the training begins anew.
    """

    def __init__(self, path: Path, *, strict: bool = False) -> None:
        self.path = path
        self._strict = strict

    def save(self, fingerprint: str, progressed: Progressed) -> None:
        """Write it, wholly or not at all.

        Raises:
            OutputError: The place cannot be written.
        """
        tensors = {f"network.{name}": tensor for name, tensor in progressed.network.items()}
        for number, figures in enumerate(progressed.optimiser):
            tensors |= {f"optimiser.{number}.{name}": tensor for name, tensor in figures.items()}
        tensors["generator"] = progressed.generator
        content = {
            "version": _VERSION,
            "fingerprint": fingerprint,
            "epochs": progressed.epochs,
            "history": [asdict(record) for record in progressed.history],
        }
        whole = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
        data = safetensors.torch.save(whole, metadata={_KEY: json.dumps(content)})
        write_bytes(self.path, data + hashlib.sha256(data).digest())

    def load(self, fingerprint: str) -> Progressed | None:
        """The training as it was left; None where it has to begin anew.

        Raises:
            CheckpointError: Where that is not wanted (`strict`), or the file is damaged.
        """
        try:
            return self._read(fingerprint)
        except CheckpointError:
            if self._strict:
                raise
            return None

    def _read(self, fingerprint: str) -> Progressed:
        name = f"The unfinished training {self.path}"
        try:
            data = self.path.read_bytes()
        except FileNotFoundError as error:
            raise CheckpointError(f"There is no unfinished training {self.path} to go on with. {_ENDS}") from error
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
                return _progressed(content, safetensors.torch.load(data))
        except _MISFITS as error:
            raise CheckpointError(f"{name} is damaged. {_ENDS}") from error
        raise CheckpointError(f"{name} has other images, settings or another device. {_ENDS}")

    def remove(self) -> None:
        """The training is finished, or given up."""
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise CheckpointError(
                f"{self.path} cannot be removed: {error.strerror or error}. Remove it yourself."
            ) from error


def fingerprint_of(samples: Sequence[Sample], config: Config, network: CfaModel, device: torch.device) -> str:
    """What tells a training from every other one: images by content, settings, weights of the backbone, device."""
    digest = hashlib.sha256(json.dumps([config.to_json(), str(device), torch.__version__], sort_keys=True).encode())
    for sample in samples:
        digest.update(sample.name.encode("utf-8", "surrogateescape"))
        try:
            with sample.path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError:
            digest.update(ImageError.__name__.encode())
    for name, tensor in sorted(network.backbone.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def progressed_of(
    network: CfaModel,
    optimiser: torch.optim.Optimizer,
    generator: torch.Generator,
    epochs: int,
    history: Sequence[StepRecord],
) -> Progressed:
    """The present state of a training."""
    states = optimiser.state_dict()["state"]
    return Progressed(
        epochs,
        {name: tensor for name, tensor in network.state_dict().items() if not name.startswith("backbone.")},
        [dict(states[number]) for number in sorted(states)],
        generator.get_state(),
        tuple(history),
    )


def restore(progressed: Progressed, optimiser: torch.optim.Optimizer, generator: torch.Generator) -> None:
    """Put optimiser and random numbers where they were; `restore_network` comes first."""
    groups: list[dict[str, Any]] = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": dict(enumerate(progressed.optimiser)), "param_groups": groups})
    generator.set_state(progressed.generator)


def restore_network(progressed: Progressed, network: CfaModel) -> None:
    """Put scale, bank, descriptor and radius where they were.

    Raises:
        CheckpointError: They are of another network.
    """
    try:
        network.set_bank(progressed.network["bank"])
        whole = network.state_dict() | progressed.network
        network.load_state_dict(whole)
    except _MISFITS as error:
        raise CheckpointError(f"The unfinished training does not fit this network. {_ENDS}") from error


def _progressed(content: dict[str, Any], tensors: dict[str, Tensor]) -> Progressed:
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
    return Progressed(int(content["epochs"]), network, optimiser, tensors["generator"], history)
