"""Lengths that are known only when the graph runs, as int64 scalars: a Python number would be a constant there."""

import torch
from torch import Tensor


def lengths(tensor: Tensor) -> tuple[Tensor, ...]:
    """The shape of a tensor."""
    shape: Tensor = torch._shape_as_tensor(tensor)  # noqa: SLF001  `.shape` gives plain numbers
    return tuple(shape[axis] for axis in range(tensor.dim()))


def count_to(length: Tensor) -> Tensor:
    """0, 1, ... length - 1; int64."""
    return torch.arange(length)  # type: ignore[call-overload,no-any-return]


def divide(dividend: Tensor, divisor: Tensor | int) -> tuple[Tensor, Tensor]:
    """Whole quotient and remainder of numbers >= 0; right even where a runtime divides by way of float32."""
    quotient = torch.div(dividend, divisor, rounding_mode="floor")
    quotient = quotient - (quotient * divisor > dividend).long()
    quotient = quotient + ((quotient + 1) * divisor <= dividend).long()
    return quotient, dividend - quotient * divisor
