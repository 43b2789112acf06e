"""Trained models compared bit for bit."""

import torch
from torch import Tensor

from core.trained_model import TrainedModel


def state(trained: TrainedModel) -> dict[str, Tensor]:
    """What training makes: the network but for its frozen backbone."""
    return {name: t for name, t in trained.network.state_dict().items() if not name.startswith("backbone.")}


def same(one: TrainedModel, other: TrainedModel) -> bool:
    """The same weights, bank, radius, scores and threshold."""
    first, second = state(one), state(other)
    equal = first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
    return equal and one.calibration == other.calibration and one.threshold == other.threshold
