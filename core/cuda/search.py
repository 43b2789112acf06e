"""Nearest centres by products in half precision, with the few best looked at again in float32.

A product of two half-precision matrices is summed in float32. It ranks the centres of a query by ``|c|^2 - 2 q.c``,
wrong by some 1e-5 of ``|q| |c|``; the candidates that it names are then measured exactly, by subtraction.
"""

import torch
from torch import Tensor

from core.cuda.kernels import squared_distances

_GROUP = 32
"""Centres of which first the smallest rank alone is looked at."""
_MORE = 1
"""Candidates beyond those asked for."""
_ONE_BY_ONE = 4
"""Candidates up to which each is found by a pass of its own. An estimate."""
_RANKS = 1 << 25
"""Numbers that one tile of queries may rank at once: no matrix of all queries and all centres ever exists."""
_LARGEST = 16.0
"""Length that the longest centre is scaled to: its square fits, and so does what lies a thousand times as far."""


class HalfSearch:
    """A bank made ready to be searched again and again."""

    def __init__(self, bank: Tensor, count: int, *, centred: bool = False) -> None:
        """Prepare.

        Args:
            bank: (M, D') float32 centres, M >= count; fixed.
            count: How many centres for each query.
            centred: Whether the centres lie around the origin already.

        Raises:
            ValueError: The bank is too small.
        """
        if len(bank) < count:
            raise ValueError(f"the bank holds {len(bank)} centres, fewer than the {count} asked for")
        self._bank, self._count = bank, count
        self._middle = None if centred else bank.mean(dim=0)
        around = bank if self._middle is None else bank - self._middle
        longest = around.square().sum(dim=1).amax().sqrt().clamp(min=1e-30)
        self._scale = _LARGEST / longest
        self._groups = -(-len(bank) // _GROUP)
        self._columns = _columns(around * self._scale, self._groups * _GROUP)  # (columns, M padded)

    def __call__(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        """The nearest centres of every query, without gradient and without a wait for the device.

        Args:
            queries: (n, D') float32.

        Returns:
            Squared Euclidean distances (n, count), ascending, and the centres' rows (n, count) int64.
        """
        with torch.no_grad():
            height = max(1, _RANKS // self._columns.shape[1])
            found = [self._tile(tile) for tile in torch.split(queries, height)]
        distances, rows = zip(*found, strict=True)
        return torch.cat(distances), torch.cat(rows)

    def _tile(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        width, height = queries.shape[1], self._columns.shape[0]
        halves = queries.new_ones(len(queries), height, dtype=torch.half)
        around = queries if self._middle is None else queries - self._middle
        torch.mul(around, self._scale, out=halves[:, :width])
        ranks = _product(halves, self._columns)
        rows = self._candidates(ranks)
        apart = squared_distances(queries, self._bank, rows)
        if self._count == 1:
            distances, order = apart.min(dim=1, keepdim=True)
            return distances, rows.gather(1, order)
        distances, order = apart.sort(dim=1, stable=True)
        return distances[:, : self._count], rows.gather(1, order)[:, : self._count]

    def _candidates(self, ranks: Tensor) -> Tensor:
        """Rows of the centres with the smallest ranks, (n, more than count).

        Centre r belongs to group r % groups. The smallest ranks lie in the groups with the smallest minima.
        """
        wanted = min(self._count + _MORE, len(self._bank))
        minima = ranks.view(len(ranks), _GROUP, self._groups).amin(dim=1)  # (n, groups)
        groups = _smallest(minima, min(wanted, self._groups))
        rows = torch.arange(_GROUP, device=ranks.device)[:, None] * self._groups + groups[:, None]
        rows = rows.flatten(1)  # (n, GROUP * groups looked at)
        found = rows.gather(1, _smallest(ranks.gather(1, rows), wanted))
        return found.clamp_(max=len(self._bank) - 1)  # a query beyond half precision may have named one that is none


def _smallest(values: Tensor, count: int) -> Tensor:
    """(n, count) places of the smallest of (n, m) values, which are spoiled: few are found faster one by one."""
    if count > _ONE_BY_ONE:
        return values.topk(count, dim=1, largest=False).indices
    places = []
    for _ in range(count):
        place = values.argmin(dim=1, keepdim=True)
        values.scatter_(1, place, torch.inf)
        places.append(place)
    return torch.cat(places, dim=1)


def _columns(centres: Tensor, padded: int) -> Tensor:
    """``-2 c``, and below it ``|c|^2`` as two numbers, as the columns of a matrix in half precision.

    Its height is a multiple of 8, as the tensor cores ask for. The centres are those rounded to half precision, so that
    the ranks order as distances between rounded points do; what is added to the width ranks behind every centre.
    """
    count, width = centres.shape
    norms = centres.half().float().square().sum(dim=1)
    high = norms.half()
    columns = centres.new_zeros(-(-(width + 2) // 8) * 8, padded, dtype=torch.half)
    columns[:width, :count] = -2.0 * centres.T
    columns[width, :count] = high
    columns[width + 1, :count] = norms - high.float()
    columns[width, count:] = torch.inf
    return columns


def _product(queries: Tensor, columns: Tensor) -> Tensor:
    """The product of two matrices in half precision, summed and given in float32."""
    if queries.is_cuda and _GIVES_SINGLE:
        return torch.mm(queries, columns, out_dtype=torch.float32)
    return queries.float() @ columns.float()


_GIVES_SINGLE = tuple(int(part) for part in torch.__version__.split(".")[:2]) >= (2, 8)
"""Whether torch can give a product of halves in float32; without it the product takes longer and is the same."""
