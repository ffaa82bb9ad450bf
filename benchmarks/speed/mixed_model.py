"""Take votes on cards apart into what is the card's and what is the source's: a robust mixed model.

    y = everything + segment + class + source + rest

Each effect is drawn to nothing by its own spread (penalised least squares, the best linear unbiased prediction), so
that a class with few sources leans on its segment, and a source that is slow everywhere does not make a card slow. A
source far from the others keeps its whole deviation to itself, and a vote far from what its effects explain counts the
less, the farther it lies (Huber's weights).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

CLASS_DEVIATION: Final = 0.2
"""How far classes of one segment lie apart (log): A100, H100 and L40S, which several sources measured, show 0.1-0.2."""
SEGMENT_DEVIATION: Final = 0.2
OUTLYING: Final = 3.0
"""Standard deviations of a source's effect beyond which it is an outlier."""
SMALLEST_DEVIATION: Final = 0.05
"""No two labs' runs agree better than this, whatever a handful of votes says."""
HUBER: Final = 1.5
"""Standard deviations beyond which a vote counts less."""
ROUNDS: Final = 300
NORMAL_SCALE: Final = 1.4826
"""Median absolute deviation to standard deviation, for a normal distribution."""

GpuClass = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Vote:
    """What one source says of one class of cards by one method."""

    source: str
    gpu_class: GpuClass
    method: str
    log_fraction: float
    runs: int
    deviation: float
    """Of its runs about their median (log)."""


@dataclass(kw_only=True)
class Effects:
    """The terms of the model."""

    everything: float
    segment: dict[str, float]
    gpu_class: dict[GpuClass, float]
    source: dict[str, float]

    def value(self, gpu_class: GpuClass) -> float:
        """What a class reaches, whoever measures it."""
        return self.everything + self.segment.get(gpu_class[1], 0.0) + self.gpu_class.get(gpu_class, 0.0)

    def rest(self, vote: Vote) -> float:
        """What the effects do not explain."""
        return vote.log_fraction - self.value(vote.gpu_class) - self.source[vote.source]


@dataclass(frozen=True, kw_only=True)
class Solution:
    """The effects, and the standard deviations between sources and within one (log)."""

    effects: Effects
    between: float
    within: float
    outliers: frozenset[str]


def solve(votes: Sequence[Vote]) -> Solution:
    """Fit the model, estimating its spreads and outliers on the way."""
    within = _scale(vote.deviation / NORMAL_SCALE for vote in votes if vote.runs > 2)
    between, rest = SMALLEST_DEVIATION, within
    outliers: frozenset[str] = frozenset()
    effects = _effects(votes, between, rest, outliers)
    for _ in range(5):
        between = _scale(abs(effect) for name, effect in effects.source.items() if name not in outliers)
        rest = _scale(abs(effects.rest(vote)) for vote in votes)
        outliers = frozenset(name for name, effect in effects.source.items() if abs(effect) > OUTLYING * between)
        effects = _effects(votes, between, rest, outliers)
    return Solution(effects=effects, between=between, within=max(within, rest), outliers=outliers)


def _scale(deviations: Iterable[float]) -> float:
    return max(SMALLEST_DEVIATION, NORMAL_SCALE * median(list(deviations) or [0.0]))


def _effects(votes: Sequence[Vote], between: float, rest: float, outliers: frozenset[str]) -> Effects:
    """Penalised, robust least squares, one effect after another until they stand still."""
    effects = Effects(
        everything=median([vote.log_fraction for vote in votes]),
        segment={vote.gpu_class[1]: 0.0 for vote in votes},
        gpu_class={vote.gpu_class: 0.0 for vote in votes},
        source={vote.source: 0.0 for vote in votes},
    )

    def drawn(own: Sequence[Vote], effect: float, penalty: float) -> float:
        """The effect that explains its votes, drawn to nothing by the penalty."""
        weights = [_weight(effects.rest(vote), rest) for vote in own]
        explained = sum(weight * (effects.rest(vote) + effect) for vote, weight in zip(own, weights, strict=True))
        return explained / (sum(weights) + penalty)

    for _ in range(ROUNDS):
        for name, effect in effects.source.items():
            penalty = 0.0 if name in outliers and _compared(votes, name) else 1 / between**2
            effects.source[name] = drawn([vote for vote in votes if vote.source == name], effect, penalty)
        for key, effect in effects.gpu_class.items():
            own = [vote for vote in votes if vote.gpu_class == key]
            effects.gpu_class[key] = drawn(own, effect, 1 / CLASS_DEVIATION**2)
        for name, effect in effects.segment.items():
            own = [vote for vote in votes if vote.gpu_class[1] == name]
            effects.segment[name] = drawn(own, effect, 1 / SEGMENT_DEVIATION**2)
        effects.everything = drawn(votes, effects.everything, 0.0)
    return effects


def _weight(deviation: float, rest: float) -> float:
    return 1 / rest**2 * min(1.0, HUBER * rest / abs(deviation) if deviation else 1.0)


def _compared(votes: Sequence[Vote], source: str) -> bool:
    """Whether others measured a class that the source did, so that its deviation can be told from the card's."""
    classes = {vote.gpu_class for vote in votes if vote.source == source}
    return any(vote.source != source and vote.gpu_class in classes for vote in votes)
