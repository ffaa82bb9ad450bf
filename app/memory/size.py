"""Sizes that are not yet numbers: bytes as a polynomial in micro-batch, sequence length and adapter rank.

A layer's memory is derived once for a model and a policy, and then evaluated for any batch, sequence and
rank. With ``B`` the micro-batch, ``S`` the sequence length and ``r`` the rank a size is

    fixed + rank·r + position·S + position_pair·S² + B·S·(token + token_rank·r + token_position·S)
"""

from collections.abc import Iterable
from typing import NamedTuple

_tuple = tuple.__new__
"""Sums are made by the hundred thousand; this spares them the call of a constructor."""


class Size(NamedTuple):
    """Bytes, one coefficient a monomial."""

    fixed: int = 0
    rank: int = 0
    position: int = 0
    position_pair: int = 0
    token: int = 0
    token_rank: int = 0
    token_position: int = 0

    def __add__(self, other: "Size") -> "Size":  # type: ignore[override]
        a, b, c, d, e, f, g = self
        h, i, j, k, m, n, o = other
        return _tuple(Size, (a + h, b + i, c + j, d + k, e + m, f + n, g + o))

    def __sub__(self, other: "Size") -> "Size":
        a, b, c, d, e, f, g = self
        h, i, j, k, m, n, o = other
        return _tuple(Size, (a - h, b - i, c - j, d - k, e - m, f - n, g - o))

    def times(self, factor: int) -> "Size":
        """The size of ``factor`` such things."""
        return Size(*(factor * coefficient for coefficient in self))

    def share(self, numerator: int, denominator: int) -> "Size":
        """``numerator ÷ denominator`` of it, rounded up."""
        return Size(*(-(-coefficient * numerator // denominator) for coefficient in self))

    def split_over(self, ranks: int) -> "Size":
        """Of a layer's or the head's size, what one of ``ranks`` has under tensor and sequence parallelism.

        It is evaluated at this rank's share of the tokens. Matrices are split; heads attend over the whole sequence,
        of which positions and masks are whole (Megatron-LM, arXiv 2205.05198, section 4.2).
        """
        fixed, rank, position, position_pair, token, token_rank, token_position = self
        return Size(
            -(-fixed // ranks),
            rank,
            position * ranks,
            position_pair * ranks**2,
            token,
            token_rank,
            token_position * ranks,
        )

    def line(self, sequence_length: int, rank: int = 0) -> tuple[int, int]:
        """Bytes that do not grow with the micro-batch, and what one more sequence of it adds."""
        a, b, c, d, e, f, g = self
        return (
            a + b * rank + sequence_length * (c + d * sequence_length),
            sequence_length * (e + f * rank + g * sequence_length),
        )

    def at(self, micro_batch_size: int, sequence_length: int, rank: int = 0) -> int:
        """Bytes, as a number."""
        a, b, c, d, e, f, g = self
        of_a_position = c + d * sequence_length + micro_batch_size * (e + f * rank + g * sequence_length)
        return a + b * rank + sequence_length * of_a_position

    def at_rank(self, rank: int) -> "Size":
        """The same size with the rank put in; itself where it has none, since many are kept."""
        a, b, c, d, e, f, g = self
        if not (b or f):
            return self
        return Size(a + b * rank, 0, c, d, e + f * rank, 0, g)

    def dominates(self, other: "Size") -> bool:
        """At least as large as ``other`` whatever the batch, sequence and rank."""
        a, b, c, d, e, f, g = self
        h, i, j, k, m, n, o = other
        return e >= m and a >= h and f >= n and b >= i and c >= j and d >= k and g >= o

    @property
    def corners(self) -> tuple[int, int, int, int, int]:
        """A size with its rank put in is at least as large as another at every batch and sequence of at least one
        where none of its corners is smaller.

        The difference of two is a + c·S + d·S² + B·S·(e + g·S). Where e + g·S is never negative it is least at B = 1,
        and there (d + g)·(S² − S) + (d + g + c + e)·(S − 1) + (d + g + c + e + a), of which no term is negative.
        """
        a, _, c, d, e, _, g = self
        of_a_position = d + g + c + e
        return of_a_position + a, of_a_position, d + g, e + g, g

    def outweighs(self, other: "Size") -> bool:
        """At least as large as ``other`` at every batch and sequence, as their ``corners`` tell."""
        return not_less(self.corners, other.corners)


def not_less(one: tuple[int, int, int, int, int], other: tuple[int, int, int, int, int]) -> bool:
    """Whether no number of ``one`` is below its place in ``other``."""
    a, b, c, d, e = one
    h, i, j, k, m = other
    return a >= h and b >= i and c >= j and d >= k and e >= m


ZERO = Size()


def per_token(bytes_: int) -> Size:
    """A tensor with a row a token."""
    return Size(token=bytes_)


def per_token_rank(bytes_: int) -> Size:
    """A tensor of ``rank`` columns with a row a token."""
    return Size(token_rank=bytes_)


def scores(bytes_: int) -> Size:
    """A tensor with an entry for each pair of positions of each sequence."""
    return Size(token_position=bytes_)


def constant(bytes_: int) -> Size:
    """A tensor that depends on the model alone."""
    return Size(fixed=bytes_)


def sum_of(sizes: Iterable[Size]) -> Size:
    """All of them together."""
    total = ZERO
    for size in sizes:
        total = total + size
    return total
