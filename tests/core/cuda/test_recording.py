"""How a computation is recorded and played back, on a device where there is one, and on a stand-in for torch.cuda."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor

from core.cuda.recording import Recording
from tests.core.cuda.devices import needs_cuda


class Stream:
    """Notes what waits for what."""

    def __init__(self, name: str = "beside") -> None:
        self.name = name

    def wait_stream(self, other: "Stream") -> None:
        told.append(f"{self.name} waits for {other.name}")


class Graph:
    def replay(self) -> None:
        told.append("replay")


@contextmanager
def on_stream(stream: Stream) -> Iterator[None]:
    told.append(f"on {stream.name}")
    yield
    told.append("off")


@contextmanager
def graph(recorded: Graph, *, stream: Stream, capture_error_mode: str) -> Iterator[None]:
    assert isinstance(recorded, Graph)
    assert capture_error_mode == "thread_local"
    told.append(f"record on {stream.name}")
    yield
    told.append("recorded")


told: list[str] = []


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    told.clear()
    for name, value in {"Stream": Stream, "CUDAGraph": Graph, "stream": on_stream, "graph": graph}.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: Stream("here"))


def twice(inputs: Sequence[Tensor]) -> list[Tensor]:
    told.append("compute")
    return [2 * inputs[0]]


@pytest.mark.usefixtures("stand_in")
def test_that_it_computes_twice_before_it_records_on_the_same_stream_and_plays_what_was_copied() -> None:
    recording = Recording(twice, [torch.ones(3)])
    before = ["beside waits for here", "on beside", "compute", "compute", "off", "here waits for beside"]
    assert told == [*before, "record on beside", "compute", "recorded"]
    (first,) = recording([torch.full((3,), 5.0)])
    (second,) = recording([torch.full((3,), 7.0)])
    assert told[-2:] == ["replay", "replay"]
    assert first is second
    assert recording._inputs[0].tolist() == [7.0, 7.0, 7.0]


@pytest.mark.usefixtures("stand_in")
def test_that_other_inputs_than_those_recorded_are_refused() -> None:
    recording = Recording(twice, [torch.ones(3)])
    with pytest.raises(ValueError, match="longer"):
        recording([torch.ones(3), torch.ones(3)])
    assert "replay" not in told


@needs_cuda
def test_that_it_gives_what_the_computation_gives() -> None:
    inputs = [torch.zeros(shape, device="cuda") for shape in ((5, 7), (7, 3))]
    recording = Recording(lambda given: [given[0] @ given[1]], inputs)
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        one, other = torch.randn(5, 7, generator=generator), torch.randn(7, 3, generator=generator)
        (found,) = recording([one.pin_memory(), other.cuda()])
        torch.testing.assert_close(found.cpu(), one @ other)
