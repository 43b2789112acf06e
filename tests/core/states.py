"""Trained models compared bit for bit."""

import torch
from torch import Tensor

from core.trained_model import TrainedModel


def state(trained: TrainedModel) -> dict[str, Tensor]:
    """What training makes: the networks but for their frozen backbone."""
    return {
        f"{which}{name}": tensor
        for which, network in zip(("", "second "), trained.networks, strict=False)
        for name, tensor in network.state_dict().items()
        if not name.startswith("backbone.")
    }


def same_weights(one: TrainedModel, other: TrainedModel) -> bool:
    """The same weights, bank and radius of each member."""
    first, second = state(one), state(other)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def same(one: TrainedModel, other: TrainedModel) -> bool:
    """The same weights, bank, radius, units, scores and threshold."""
    equal = same_weights(one, other) and one.units == other.units
    return equal and one.calibration == other.calibration and one.threshold == other.threshold
