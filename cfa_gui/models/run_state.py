"""What the program is doing, which changes of that are possible, and what may be pressed meanwhile."""

from dataclasses import dataclass
from enum import StrEnum


class RunState(StrEnum):
    """The one long task of the moment."""

    IDLE = "idle"
    OPENING = "opening"
    SAVING = "saving"
    TRAINING = "training"
    INSPECTING = "inspecting"
    EXPORTING = "exporting"
    LIVE = "inspecting live"
    CANCELLING = "cancelling"


_WORKING = (
    RunState.OPENING,
    RunState.SAVING,
    RunState.TRAINING,
    RunState.INSPECTING,
    RunState.EXPORTING,
    RunState.LIVE,
)

_NEXT: dict[RunState, frozenset[RunState]] = {
    RunState.IDLE: frozenset(_WORKING),
    RunState.OPENING: frozenset({RunState.IDLE, RunState.CANCELLING}),
    RunState.SAVING: frozenset({RunState.IDLE, RunState.CANCELLING}),
    RunState.TRAINING: frozenset({RunState.IDLE, RunState.CANCELLING}),
    RunState.INSPECTING: frozenset({RunState.IDLE, RunState.CANCELLING}),
    RunState.EXPORTING: frozenset({RunState.IDLE, RunState.CANCELLING}),
    RunState.LIVE: frozenset({RunState.IDLE, RunState.CANCELLING}),
    RunState.CANCELLING: frozenset({RunState.IDLE}),
}


class ImpossibleTransitionError(RuntimeError):
    """A controller asked for a change of state that cannot be: a bug, not the user's fault."""


def require_transition(now: RunState, then: RunState) -> None:
    """Check one change of state.

    Raises:
        ImpossibleTransitionError: `then` cannot follow `now`.
    """
    if then not in _NEXT[now]:
        raise ImpossibleTransitionError(f"{now} cannot become {then}")


@dataclass(frozen=True, slots=True)
class Facts:
    """All that enabled-ness depends on.

    Attributes:
        state: The long task of the moment.
        samples: Number of good parts to train from.
        has_model: A model is there.
        images: Number of images in the review list.
        scored: Number of them with a score.
        held_out: Number of good images that were held out from the model, with their scores.
        selected: Number of images selected in the list.
        can_undo: A label can be taken back.
        read_only: Another window has the review: what is changed here would not be kept.
    """

    state: RunState = RunState.IDLE
    samples: int = 0
    has_model: bool = False
    images: int = 0
    scored: int = 0
    held_out: int = 0
    selected: int = 0
    can_undo: bool = False
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Allowed:
    """What may be pressed now; actions and panels read nothing else."""

    open: bool
    train: bool
    cancel: bool
    inspect: bool
    save: bool
    export: bool
    review: bool
    label: bool
    undo: bool
    threshold: bool
    draw: bool
    add_good: bool
    clear: bool
    live: bool


def allowed(facts: Facts) -> Allowed:
    """What follows from the facts; the only place that decides it."""
    idle = facts.state is RunState.IDLE
    labels = facts.state is not RunState.OPENING and not facts.read_only
    return Allowed(
        open=idle,
        train=idle and facts.samples > 0,
        cancel=facts.state in _WORKING,
        inspect=idle and facts.has_model,
        save=idle and facts.has_model,
        export=idle and facts.has_model and facts.scored > 0,
        review=facts.images > 0,
        label=labels and facts.selected > 0 and facts.images > 0,
        undo=labels and facts.can_undo,
        threshold=facts.has_model and facts.scored + facts.held_out > 0,
        draw=idle and facts.samples > 0,
        add_good=idle and facts.images > 0 and facts.selected > 0,
        clear=idle and facts.images > 0,
        live=idle,
    )
