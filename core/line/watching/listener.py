"""Who is told how a watch goes: of results, of what is in trouble, and now and then of how it stands."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from core.line.watching.courier import Delivery
from core.line.watching.results import Outcome, Result


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """How a watch stands.

    Attributes:
        counts: Results of this run, by outcome.
        waiting: Images that are there and not inspected yet.
        to_sort: Images that are still to be moved or copied.
        deliveries: How each target stands.
        trouble: Why the folder cannot be looked at; empty: all is well.
        seconds: Since the watch began.
    """

    counts: Mapping[Outcome, int]
    waiting: int
    to_sort: int
    deliveries: tuple[Delivery, ...]
    trouble: str
    seconds: float


class Listener(Protocol):
    """Is told what happens, on the watch's thread."""

    def inspected(self, result: Result) -> None:
        """An image was inspected, or cannot be read; the result is on the disk."""

    def noted(self, sentence: str) -> None:
        """Something that a person should know: trouble begins or ends."""

    def heartbeat(self, heartbeat: Heartbeat) -> None:
        """Now and then, and at the end."""


@dataclass(slots=True)
class Troubles:
    """What was said last of each thing that may be in trouble, so that it is said once."""

    listener: Listener
    _said: dict[str, str] = field(default_factory=dict)

    def say(self, about: str, trouble: str) -> None:
        """Say what is wrong, or that it is right again, where that has changed."""
        before = self._said.get(about, "")
        self._said[about] = trouble
        if trouble and trouble != before:
            self.listener.noted(trouble)
        elif before and not trouble:
            self.listener.noted(f"{about}: all is well again.")

    def of(self, about: str) -> str:
        """What was said last."""
        return self._said.get(about, "")
