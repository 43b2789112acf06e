"""The bars of a score histogram: counts, and words for them; and those of good images that were held out."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cfa_gui.widgets.axes import Span, round_up

UNLABELLED, GOOD, DEFECT = 0, 1, 2
ORDER = (GOOD, UNLABELLED, DEFECT)
"""From the base upwards."""
MARK_OF = {UNLABELLED: "unlabelled", GOOD: "good", DEFECT: "defect"}
"""Keys of theme.MARKS."""
WORD_OF = {UNLABELLED: "not labelled", GOOD: "good", DEFECT: "defect"}
HELD_OUT_WORD = "held-out good"
"""What the threshold was set from: scored by a model that had not seen them, beside the bars and not among them."""
Line = Literal["threshold", "lower"]


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """How many scores of each group lie in each bin.

    Attributes:
        edges: (count + 1,) of the bins.
        counts: (3, count), a row for each group.
        held_out: (count,), of the good images that were held out.
    """

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    held_out: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        scores: NDArray[np.float64],
        groups: NDArray[np.int8],
        span: Span,
        count: int,
        held_out: NDArray[np.float64] | None = None,
    ) -> "Bars":
        """Count scores, (n,), of groups, (n,), and of held-out good images, (m,), in bins over a span."""
        edges = np.linspace(span.low, span.high, count + 1)
        rows = [np.histogram(scores[groups == group], edges)[0] for group in range(3)]
        return cls(edges, np.stack(rows), np.histogram([] if held_out is None else held_out, edges)[0])

    @property
    def count(self) -> int:
        """How many bins there are."""
        return int(self.counts.shape[1])

    def top(self) -> float:
        """The end of the vertical axis: a round number not below the highest bar."""
        return round_up(float(max(self.counts.sum(axis=0).max(), self.held_out.max(), 4)))

    def words_at(self, value: float) -> str:
        """What the bin at a score holds."""
        bin_index = int(np.clip(np.searchsorted(self.edges, value, "right") - 1, 0, self.count - 1))
        held = [f"{self.counts[group, bin_index]} {WORD_OF[group]}" for group in ORDER if self.counts[group, bin_index]]
        if self.held_out[bin_index]:
            held.append(f"{self.held_out[bin_index]} {HELD_OUT_WORD}")
        where = f"Scores {self.edges[bin_index]:.3g} to {self.edges[bin_index + 1]:.3g}"
        return f"{where}: {', '.join(held) or 'no parts'}"

    def outline(self, least: float) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        """The outline of the held-out images' bars, from left to right.

        Args:
            least: As for `stacked`.

        Returns:
            (2 * count + 2,) points, across and up, and whether each is joined to the next: nothing runs along the base.
        """
        heights = np.where(self.held_out > 0, np.maximum(self.held_out, least), 0.0)
        up = np.repeat(np.concatenate(([0.0], heights, [0.0])), 2)[1:-1]
        joined = np.append((up[:-1] > 0) | (up[1:] > 0), False)
        return np.repeat(self.edges, 2), up, joined

    def stacked(self, least: float) -> dict[int, tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Where the parts of the bars begin and end, group upon group.

        Args:
            least: What holds any score at all is at least this high: one defect among thousands must be seen.

        Returns:
            For each group bottoms and tops, (count,) each; equal where a bin holds none of it.
        """
        heights = np.where(self.counts > 0, np.maximum(self.counts, least), 0.0)
        tops = np.cumsum(heights[list(ORDER)], axis=0)
        return {group: (top - heights[group], top) for group, top in zip(ORDER, tops, strict=True)}
