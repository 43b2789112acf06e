"""A step of training: from cached features to gradients."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from core.config import Method
from core.cuda.recording import Recording
from core.cuda.training import DeviceSearch, chosen_patches
from core.feature_cache import CachedRows
from core.loss import cfa_loss
from core.memory_bank import Described
from core.model import CfaModel
from core.training_search import TrainingSearch


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """The cached features and what they become under the descriptor as it stands; the masks are on the CPU."""

    cache: CachedRows
    network: CfaModel
    masks: list[Tensor]

    def __len__(self) -> int:
        return len(self.masks)

    def alike(self) -> bool:
        """Whether all images have the same grid and the same valid patches."""
        return all(torch.equal(mask, self.masks[0]) for mask in self.masks)

    def pyramid(self, indices: Sequence[int]) -> list[Tensor]:
        """The pooled and scaled pyramids of images of one grid shape."""
        levels = self.cache.batch(indices)
        return [level * scale for level, scale in zip(levels, self.network.level_scale, strict=True)]

    def pictures(self, report: Callable[[int], None]) -> Iterator[tuple[list[Tensor], Tensor]]:
        """Of each image its pyramid and its mask, one by one; how many are done is told after each."""
        for index, mask in enumerate(self.masks):
            yield self.pyramid([index]), mask
            report(index + 1)

    def distances(self, indices: Sequence[int], search: TrainingSearch) -> Tensor:
        """(n, count) squared distances of all valid patches of some images, with gradient to the descriptor."""
        groups: dict[tuple[int, int], list[int]] = defaultdict(list)
        for index in indices:
            groups[self.cache.shape(index)].append(index)
        rows = []
        for group in groups.values():
            valid = torch.stack([self.masks[index] for index in group])
            rows.append(search(self.pyramid(group), self.network.descriptor, valid))
        return torch.cat(rows)

    def described(self, report: Callable[[int], None]) -> Iterator[Described]:
        """The images one by one, without gradient."""
        for pyramid, mask in self.pictures(report):
            with torch.no_grad():
                phi = self.network.describe(pyramid)[0]
            yield Described(phi, mask.to(phi.device))


def gradients_of(
    network: CfaModel, features: Features, search: TrainingSearch, method: Method, batch_size: int
) -> Callable[[Sequence[int]], Tensor]:
    """What computes the gradients of a batch of images, and returns the figures of `gradients`.

    On a CUDA device, where all images look alike to it, full batches run from a recording.
    """

    def plainly(batch: Sequence[int]) -> Tensor:
        return gradients(network, features.distances(batch, search), method)

    if not isinstance(search, DeviceSearch) or len(features) < batch_size or not features.alike():
        return plainly
    parameters = [*network.descriptor.parameters(), network.radius]
    first = range(batch_size)
    chosen = chosen_patches(torch.stack([features.masks[index] for index in first]), network.bank.device)

    def compute(pyramid: Sequence[Tensor]) -> list[Tensor]:
        figures = gradients(network, search.of_chosen(pyramid, network.descriptor, chosen), method)
        return [figures, *(parameter.grad for parameter in parameters if parameter.grad is not None)]

    try:
        recording = Recording(compute, features.pyramid(first), reads=chosen)
    except torch.OutOfMemoryError:  # it holds a second set of what a step makes
        return plainly

    def recorded(batch: Sequence[int]) -> Tensor:
        if len(batch) < batch_size:
            return plainly(batch)
        figures, *found = recording(features.pyramid(batch))
        for parameter, gradient in zip(parameters, found, strict=True):
            parameter.grad = gradient
        return figures.clone()

    return recorded


def gradients(network: CfaModel, distances: Tensor, method: Method) -> Tensor:
    """The gradients of one step, left at the parameters; returns the six figures of a `StepRecord`, on the device."""
    terms = cfa_loss(distances, network.radius, neighbours=method.neighbours, alpha=method.alpha, nu=method.nu)
    for parameter in (*network.descriptor.parameters(), network.radius):
        parameter.grad = None
    terms.total.backward()  # type: ignore[no-untyped-call]
    return torch.stack(
        (
            terms.total,
            terms.attraction,
            terms.repulsion,
            network.radius.square(),
            distances[:, 0].mean(),
            terms.repulsion_active,
        )
    ).detach()
