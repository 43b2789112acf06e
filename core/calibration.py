"""Score good images by networks that have not learned from them, and set the first threshold from the scores."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from core.dataset import Sample
from core.ensemble import unit_of
from core.hold_out import HoldOut
from core.inspection import Failure, Inspection, Inspector
from core.member_training import Member
from core.model import CfaModel
from core.progress import CancelToken, Phase, Progress, Report, told_of_part
from core.trained_model import Calibration, Companion, Skipped, TrainedModel

_UNIT_IMAGES = 20
"""Of the training images, where none is held out to take a member's unit from."""


class _Turn(NamedTuple):
    """Good images that were held out together.

    Attributes:
        samples: The images.
        parts: The number of the part that each of them shows.
        networks: Of each member one that has not learned from them.
    """

    samples: list[Sample]
    parts: tuple[int, ...]
    networks: tuple[CfaModel, ...]


def calibrated(
    plain: TrainedModel,
    members: Sequence[Member],
    plan: HoldOut,
    device: str,
    report: Report,
    cancel: CancelToken,
) -> TrainedModel:
    """The model with its calibration and first threshold, and as an ensemble with the second member and the units.

    Args:
        plain: With the first member's network, and the settings of all.
        members: As trained.
        plan: Which images are held out.
        device: Where images are inspected: auto, cpu, cuda or cuda:N.
        report: Told of progress.
        cancel: Checked for each image.

    Raises:
        CancelledByUser: The token was set.
    """
    scored = partial(_scored, device=device, cancel=cancel)
    networks, turns = tuple(member.network for member in members), _turns(plan, members)
    units: list[float] = []
    if len(members) > 1:
        seen = turns or [_Turn(plan.images[:_UNIT_IMAGES], (), networks)]
        for number, of_member in enumerate(plain.config.members):
            singles = [replace(plain, config=of_member, network=turn.networks[number]) for turn in seen]
            units.append(_unit(scored(singles, seen, report=told_of_part(report, number, len(members)))))
    found = scored([_of_networks(plain, turn.networks, units) for turn in turns], turns, report=report)
    return _with_scores(_of_networks(plain, networks, units), found, [part for turn in turns for part in turn.parts])


def _turns(plan: HoldOut, members: Sequence[Member]) -> list[_Turn]:
    """The images of each turn with the networks that have not seen them, where there was anything to learn from."""
    turns = []
    for turn, of_members in zip(plan.turns, zip(*(member.of_turns for member in members), strict=True), strict=True):
        networks = tuple(network for network in of_members if network is not None)
        if len(networks) == len(members):
            parts = tuple(plan.parts[index] for index in turn)
            turns.append(_Turn([plan.images[index] for index in turn], parts, networks))
    return turns


def _of_networks(trained: TrainedModel, networks: Sequence[CfaModel], units: Sequence[float]) -> TrainedModel:
    """The model with other networks, one for each member."""
    companion = Companion(networks[1], (units[0], units[1])) if len(networks) > 1 else None
    return replace(trained, network=networks[0], companion=companion)


def _unit(results: Sequence[Inspection | Failure]) -> float:
    """Of a member, from its results for good images."""
    return unit_of([result.score for result in results if isinstance(result, Inspection)])


def _scored(
    models: Sequence[TrainedModel], turns: Sequence[_Turn], *, device: str, report: Report, cancel: CancelToken
) -> list[Inspection | Failure]:
    """Of the images of each turn by a model of its own, by the path that every later inspection takes."""
    found: list[Inspection | Failure] = []
    total = sum(len(turn.samples) for turn in turns)
    report(Progress(Phase.CALIBRATING, 0, total))
    for model, turn in zip(models, turns, strict=True):
        before = len(found)

        def tell(progress: Progress, before: int = before) -> None:
            report(Progress(Phase.CALIBRATING, before + progress.done, total))

        inspector = Inspector(model, device=device, cancel=cancel)
        found += inspector.inspect_many(turn.samples, report=tell, cancel=cancel)
    return found


def _with_scores(trained: TrainedModel, held_out: Sequence[Inspection | Failure], parts: Sequence[int]) -> TrainedModel:
    """The model with the scores of its held-out images, and its first threshold."""
    known = {skipped.name for skipped in trained.summary.skipped}
    failures = [
        Skipped(result.sample.name, result.message)
        for result in held_out
        if isinstance(result, Failure) and result.sample.name not in known
    ]
    found = [(result, part) for result, part in zip(held_out, parts, strict=True) if isinstance(result, Inspection)]
    names, scores = tuple(result.sample.name for result, _ in found), tuple(result.score for result, _ in found)
    shown = tuple(part for _, part in found)
    calibration = Calibration(names, scores, shown if len(set(shown)) < len(shown) else ())
    skipped = (*trained.summary.skipped, *failures)
    summary = replace(trained.summary, held_out=len(found), skipped=skipped)
    return replace(trained, calibration=calibration, threshold=calibration.first_threshold(), summary=summary)
