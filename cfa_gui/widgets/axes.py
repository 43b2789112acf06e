"""What an axis covers, and round values on it."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """One axis: what it covers.

    Attributes:
        low: The value at the left or bottom.
        high: The value at the right or top, above `low`.
    """

    low: float
    high: float

    def share(self, value: float) -> float:
        """Where a value lies: 0 at `low`, 1 at `high`."""
        return (value - self.low) / (self.high - self.low)

    def clamp(self, value: float) -> float:
        """The nearest value inside."""
        return min(max(value, self.low), self.high)


@dataclass(frozen=True, slots=True)
class RatioSpan(Span):
    """An axis on which equal ratios are equally far apart; `low` is above 0, and so is every value."""

    def share(self, value: float) -> float:
        """Where a value lies: 0 at `low`, 1 at `high`."""
        return math.log(value / self.low) / math.log(self.high / self.low)

    def doublings(self) -> tuple[float, ...]:
        """`low`, twice that, and so on."""
        return tuple(self.low * 2**step for step in range(math.floor(math.log2(self.high / self.low) + 1e-9) + 1))


def padded(low: float, high: float, share: float = 0.05) -> Span:
    """A span with room at both ends; one of width above zero whatever is given."""
    room = (high - low) * share
    if room <= 0:
        room = max(abs(high) * 0.05, 0.5)
    return Span(low - room, high + room)


def round_up(value: float) -> float:
    """The next round number (1, 2, 2.5 or 5 times a power of ten) that is not below."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1.0, 2.0, 2.5, 5.0, 10.0) if step * power >= value * (1 - 1e-9))


def ticks(span: Span, most: int, *, whole: bool = False) -> tuple[float, ...]:
    """Round values inside a span.

    Args:
        span: What the axis covers.
        most: At most about this many, 1 or more.
        whole: Counts only: no fractions.
    """
    step = round_up((span.high - span.low) / max(most, 1))
    if whole:
        step = max(1.0, math.ceil(step))
    first = math.ceil(span.low / step - 1e-9)
    last = math.floor(span.high / step + 1e-9)
    return tuple(index * step for index in range(first, last + 1))


def tick_text(value: float, step: float) -> str:
    """A tick's label, with no more digits than the step between ticks needs."""
    if value != 0 and (abs(value) >= 1e5 or step < 1e-4):
        return f"{value:.3g}"
    digits = max(0, -math.floor(math.log10(step) + 1e-9)) if step > 0 else 2
    if step > 0 and not math.isclose(round(step, digits), step, rel_tol=1e-6):
        digits += 1
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text


def tick_texts(values: tuple[float, ...]) -> tuple[str, ...]:
    """The labels of a row of ticks."""
    step = values[1] - values[0] if len(values) > 1 else abs(values[0]) if values else 1.0
    return tuple(tick_text(value, step) for value in values)
