"""What the lengths of examples do to batches: the longest one, the padding, and what packing saves.

An epoch takes every example once, in random order, so a micro-batch is a draw without replacement.
"""

from bisect import bisect_left, insort
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import Final

_PACKED_POINTS: Final = 10_000
"""Packing is tried on at most this many lengths, spread evenly over the sorted ones."""
_NEGLIGIBLE: Final = 1e-15


@dataclass(frozen=True)
class Lengths:
    """Token lengths of examples in ascending order, at least one, each at least 1."""

    tokens: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.tokens or self.tokens[0] < 1:
            raise ValueError("lengths are whole numbers from 1, at least one")

    @staticmethod
    def of(tokens: "list[int] | tuple[int, ...]") -> "Lengths":
        """Lengths in any order. Raises ``ValueError`` for none, and for one below 1."""
        return Lengths(tuple(sorted(tokens)))

    @property
    def examples(self) -> int:
        """How many there are."""
        return len(self.tokens)

    @cached_property
    def total(self) -> int:
        """Tokens of all together."""
        return sum(self.tokens)

    @property
    def mean(self) -> float:
        """Tokens of an example on average."""
        return self.total / len(self.tokens)

    @property
    def longest(self) -> int:
        """Tokens of the longest."""
        return self.tokens[-1]

    def quantile(self, share: float) -> int:
        """The smallest length that ``share`` of the examples do not exceed."""
        return self.tokens[max(0, ceil(share * len(self.tokens)) - 1)]

    def cut(self, limit: int | None) -> "Lengths":
        """Every example cut at ``limit`` tokens, as trainers do; None cuts nothing."""
        if limit is None or self.longest <= limit:
            return self
        kept = bisect_left(self.tokens, limit)
        return Lengths(self.tokens[:kept] + (limit,) * (len(self.tokens) - kept))

    def share_above(self, limit: int) -> float:
        """The share of examples longer than ``limit``."""
        return 1 - bisect_left(self.tokens, limit + 1) / len(self.tokens)

    @property
    def share_at_longest(self) -> float:
        """The share of examples as long as the longest."""
        return 1 - bisect_left(self.tokens, self.longest) / len(self.tokens)

    def longest_of(self, count: int) -> float:
        """The expected longest of ``count`` examples drawn without replacement.

        The i-th smallest of n is the longest of k with probability C(i − 1, k − 1) / C(n, k): k / n for the largest,
        and (i − k) / (i − 1) times that of its successor for each before it.
        """
        size = len(self.tokens)
        drawn = min(count, size)
        probability = drawn / size
        expected = left = 0.0
        for place in range(size, drawn - 1, -1):
            expected += probability * self.tokens[place - 1]
            left += probability
            if 1 - left < _NEGLIGIBLE or place == drawn:
                break
            probability *= (place - drawn) / (place - 1)
        return min(float(self.longest), max(expected / left, self.mean))


@dataclass(frozen=True, kw_only=True, slots=True)
class Packing:
    """Examples put together into sequences of one length."""

    sequence_tokens: int
    sequences_per_example: float
    """Below one where several share a sequence."""
    fill_share: float
    """Of the sequences' places, the share that holds tokens."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """What a data set's lengths do at a micro-batch size."""

    lengths: Lengths
    """After cutting."""
    micro_batch_size: int
    cut_share: float
    """Of the examples, the share that is cut."""
    lost_share: float
    """Of the tokens, the share that is cut off."""
    longest_tokens: int
    """Of any batch: the sequence length to plan for."""
    expected_longest_tokens: float
    """Of an average batch."""
    padding_share: float
    """Of the tokens computed in padded batches over an epoch, those that are padding."""
    packing: Packing

    @property
    def longest_batch_tokens(self) -> int:
        """Tokens of the batch that decides, padding included."""
        return self.longest_tokens * self.micro_batch_size


def shape_of(lengths: Lengths, micro_batch_size: int, limit: int | None) -> Shape:
    """The shape of ``lengths`` cut at ``limit`` tokens (None: not at all) in batches padded to their longest."""
    cut = lengths.cut(limit)
    expected = cut.longest_of(micro_batch_size)
    return Shape(
        lengths=cut,
        micro_batch_size=micro_batch_size,
        cut_share=lengths.share_above(limit) if limit is not None else 0.0,
        lost_share=1 - cut.total / lengths.total,
        longest_tokens=cut.longest,
        expected_longest_tokens=expected,
        padding_share=max(0.0, 1 - cut.mean / expected),
        packing=pack(cut, limit or cut.longest),
    )


def pack(lengths: Lengths, sequence_tokens: int) -> Packing:
    """Best-fit decreasing, as TRL packs (``trl/data_utils.py``, ``packing_strategy="bfd"``): each example, longest
    first, goes into the fullest sequence that still has room. No example may exceed ``sequence_tokens``."""
    tried = _spread(lengths.tokens, _PACKED_POINTS)
    room: list[int] = []
    for tokens in reversed(tried):
        place = bisect_left(room, tokens)
        left = room.pop(place) - tokens if place < len(room) else sequence_tokens - tokens
        if left < 0:
            raise ValueError("an example is longer than the sequence")
        insort(room, left)
    return Packing(
        sequence_tokens=sequence_tokens,
        sequences_per_example=len(room) / len(tried),
        fill_share=sum(tried) / (len(room) * sequence_tokens),
    )


def _spread(values: tuple[int, ...], most: int) -> tuple[int, ...]:
    """At most ``most`` of sorted values, evenly by rank."""
    if len(values) <= most:
        return values
    return tuple(values[(2 * index + 1) * len(values) // (2 * most)] for index in range(most))


def first_longest_batch(examples: int, share_at_longest: float, micro_batch_size: int) -> float:
    """The micro-batch of an epoch in which the longest example is met first, on average.

    Of m such examples among n in random order the first stands at (n + 1) / (m + 1).
    """
    longest = max(1, round(share_at_longest * examples))
    return max(1.0, (examples + 1) / (longest + 1) / micro_batch_size)
