"""What every target can do."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from core.line.watching.results import Result


class Target(Protocol):
    """Where results go. Made on one thread, then used by one other alone."""

    @property
    def address(self) -> str:
        """What tells it from others and is shown; holds no secret."""
        ...

    def prepare(self) -> None:
        """See early, before any work, that it can be used; what may be repaired meanwhile (a network) is not asked.

        Raises:
            CfaError: It cannot.
        """
        ...

    def deliver(self, results: Sequence[Result]) -> Iterator[Result]:
        """Deliver in order; gives each result once the receiver has it safely. May stop after some of them.

        What was delivered before, but not noted (a kill in between), comes again.

        Raises:
            TargetError: Not now; what was not given yet should be tried again.
            RefusedError: The first that was not given yet is not taken.
        """
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...
