"""Lengths from three figures: a lognormal through the mean and the 95th percentile that ends at the maximum.

Lengths of texts are roughly lognormal, but many data sets are not: two kinds of examples mixed, or a hump at a limit.
Three figures cannot tell; the fit says what such a data set would do, and a list of lengths is always better.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import erfc, exp, log, sqrt
from statistics import NormalDist
from typing import Final

from app.planning.lengths import Lengths

POINTS: Final = 2_000
"""Equally likely lengths that stand for the distribution."""
_PERCENTILE: Final = 0.95
_NARROWEST: Final = 1e-3
_WIDEST: Final = 6.0
"""Standard deviations of the logarithm; real data sets lie between about 0.3 and 1.5."""
_CLOSE: Final = 0.02
"""A mean within this share of the one asked for counts as met."""
_STEPS: Final = 60


class FitError(ValueError):
    """Three figures that no distribution of lengths has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FittedLengths:
    """The fit, and what it could meet of the figures."""

    lengths: Lengths
    sigma: float
    """Standard deviation of the logarithm; 0 where all lengths are alike."""
    meets_mean: bool


def fit_lengths(mean: float, percentile_95: int, maximum: int) -> FittedLengths:
    """Fit lengths to their mean, 95th percentile and maximum, in tokens.

    Raises :class:`FitError` unless 1 ≤ mean ≤ 95th percentile ≤ maximum: with a mean above the 95th percentile a few
    examples would hold most of the tokens, and three figures say nothing about them.
    """
    if not 1 <= mean <= percentile_95 <= maximum:
        raise FitError("the mean may not exceed the 95th percentile, nor that the maximum")
    if mean == maximum:
        return FittedLengths(lengths=Lengths((maximum,) * POINTS), sigma=0.0, meets_mean=True)
    law = _Ended(percentile_95, maximum, piles_up=percentile_95 == maximum)
    if law.mean(_WIDEST) > mean:
        law = _Ended(percentile_95, maximum, piles_up=True)
    # The wider, the more of the lengths lie far below the 95th percentile, which stays: the mean falls.
    sigma = _bisect(lambda width: law.mean(width) - mean, _NARROWEST, _WIDEST)
    lengths = law.lengths(sigma)
    return FittedLengths(lengths=lengths, sigma=sigma, meets_mean=abs(lengths.mean - mean) <= _CLOSE * mean + 1)


def _below(deviations: float) -> float:
    """The share of a normal distribution below so many standard deviations."""
    return 0.5 * erfc(-deviations / sqrt(2))


def _bisect(falling: Callable[[float], float], low: float, high: float) -> float:
    for _step in range(_STEPS):
        middle = (low + high) / 2
        if falling(middle) > 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2


@dataclass(frozen=True)
class _Ended:
    """Lognormals with one 95th percentile that end at a maximum, by their width.

    They end there (no longer example exists) or pile up there, as truncated examples do: where the 95th percentile is
    the maximum, or so near it that no lognormal which ends there has the mean.
    """

    percentile: int
    maximum: int
    piles_up: bool

    def _centre(self, sigma: float) -> float:
        """The mean of the logarithm that puts the percentile where it is."""
        at, end = log(self.percentile), log(self.maximum)
        if self.piles_up:
            return at - sigma * NormalDist().inv_cdf(_PERCENTILE)

        def excess(centre: float) -> float:
            return _below((at - centre) / sigma) - _PERCENTILE * _below((end - centre) / sigma)

        return _bisect(excess, at - 40 * sigma, end + 30 * sigma)

    def mean(self, sigma: float) -> float:
        centre, end = self._centre(sigma), log(self.maximum)
        reached = (end - centre) / sigma
        below = exp(centre + sigma**2 / 2) * _below(reached - sigma)
        if self.piles_up:
            return below + self.maximum * (1 - _below(reached))
        return below / _below(reached)

    def lengths(self, sigma: float) -> Lengths:
        centre, end = self._centre(sigma), log(self.maximum)
        scale = 1.0 if self.piles_up else _below((end - centre) / sigma)
        normal = NormalDist()
        logs = (centre + sigma * normal.inv_cdf(scale * (index + 0.5) / POINTS) for index in range(POINTS))
        tokens = [max(1, round(exp(min(end, value)))) for value in logs]
        # The longest example exists, however rare it is.
        tokens[-1] = self.maximum
        return Lengths.of(tokens)
