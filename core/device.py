"""Where the engine computes."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from core.counting import counted
from core.errors import DeviceError, OutOfMemoryError


def choose_device(name: str) -> torch.device:
    """The device of that name: auto (CUDA where there is one), cpu, cuda or cuda:N.

    Raises:
        DeviceError: It is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"There is no device {name!r}. Use auto, cpu or cuda.") from error
    if device.type not in {"cpu", "cuda"}:
        raise DeviceError(f"The device {name!r} is not supported. Use auto, cpu or cuda.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceError(f"This machine has no usable CUDA device {name!r}. Use --device cpu, or install its driver.")
    return device


def current(device: torch.device) -> AbstractContextManager[object]:
    """Inside, what is made or started on CUDA without naming a card belongs to this one."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def describe_device(device: torch.device) -> str:
    """The device in words: "CPU, 8 threads" or "CUDA:0, NVIDIA L4"."""
    if device.type == "cuda":
        return f"CUDA:{device.index or 0}, {torch.cuda.get_device_name(device)}"
    threads = torch.get_num_threads()
    return f"CPU, {counted(threads, 'thread')}"


def room_on(device: torch.device, wanted: int) -> int:
    """Bytes of memory that may be filled for long: what is wanted; on a card, at most half of what is free."""
    if device.type != "cuda":
        return wanted
    free, _ = torch.cuda.mem_get_info(device)
    return min(wanted, free // 2)


@contextmanager
def memory_told() -> Iterator[None]:
    """Inside, too little memory becomes an OutOfMemoryError; every other error stays what it is."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not _is_out_of_memory(error):
            raise
        where = "graphics card" if isinstance(error, torch.OutOfMemoryError) else "computer"
        raise OutOfMemoryError(
            f"The {where} has too little free memory for these settings. Use a smaller image size or batch, "
            "a higher bank or descriptor ratio, or another device."
        ) from error


def _is_out_of_memory(error: Exception) -> bool:
    """On the CPU torch raises a plain RuntimeError, which only its text tells from others."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)
