"""Devices that are not there: torch follows shapes, types and devices, and refuses what would have to wait for them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

CUDA = torch.device("cuda:0")
META = torch.device("meta")
"""Where gradients can be followed, too."""


class StaysThere(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Nothing that is computed inside may come to lie elsewhere."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._device = device

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        for value in tree_leaves(found):
            assert not isinstance(value, Tensor) or value.device == self._device, (
                f"{func} gives a tensor on {value.device}"
            )
        return found


def fake() -> FakeTensorMode:
    """Inside, `CUDA` is there: reading a number, or mixing devices, is an error."""
    return FakeTensorMode()


def moved(value: Any, device: torch.device) -> Any:
    """Tensors, modules, objects of `core.cuda` without numbers on a device; the latter two are changed in place."""
    if isinstance(value, Tensor):
        there = torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device=device)
        return nn.Parameter(there, value.requires_grad) if isinstance(value, nn.Parameter) else there
    if isinstance(value, (list, tuple)):
        parts = [moved(part, device) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if isinstance(value, dict):
        return type(value)((name, moved(part, device)) for name, part in value.items())
    if isinstance(value, nn.Module) or type(value).__module__.startswith("core.cuda"):
        for name, part in vars(value).items():
            value.__dict__[name] = moved(part, device)
    return value
