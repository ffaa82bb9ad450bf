"""Questions asked the other way round: of candidates from the easiest to hold to the hardest, the furthest that fits.

Memory grows with the batch, the sequence and the rank, but not everywhere (8-bit state of small tensors shrinks as they
grow), and a limit on what a job costs need not be passed only once. So nothing here rests on "once too large, always
too large": whatever the test does, the answer passes it and the candidate right after the answer does not.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Final, Generic, TypeVar

from app.memory.growth import Growth
from app.memory.overheads import SLACK_HIGH, SLACK_LOW, share
from app.memory.result import MemoryEstimate
from app.memory.size import Size

Candidate = TypeVar("Candidate")

FIRST_STEP: Final = 1
"""How far from a guess the second look is; it doubles with every further one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found(Generic[Candidate]):
    """The furthest candidate that fits, and the one right after it, which does not.

    Without an ``answer``, ``refused`` is the first candidate; without a ``refused``, the last one fits.
    """

    answer: Candidate | None
    refused: Candidate | None


def furthest(fits: Callable[[Candidate], bool], candidates: Sequence[Candidate], *, guess: int = 0) -> Found[Candidate]:
    """Look from the place ``guess`` on in doubling steps, then halve what is left between.

    With ``n`` candidates and a guess ``d`` places off it takes at most 2 × log₂ d + 3 tests; where the first candidate
    does not fit, up to log₂ n more, since a later one may. Raises ``ValueError`` where there is no candidate.
    """
    if not candidates:
        raise ValueError("there is nothing to choose from")
    last = len(candidates) - 1
    known: dict[int, bool] = {}

    def fits_at(place: int) -> bool:
        if place not in known:
            known[place] = fits(candidates[place])
        return known[place]

    good, bad = _bracket(fits_at, min(max(guess, 0), last), last)
    if good is None:
        return Found(answer=None, refused=candidates[0])
    if bad is None:
        return Found(answer=candidates[good], refused=None)
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if fits_at(middle) else (good, middle)
    return Found(answer=candidates[good], refused=candidates[bad])


def _bracket(fits_at: Callable[[int], bool], start: int, last: int) -> tuple[int | None, int | None]:
    """A place that fits with a later one that does not; None for the one that there is not."""
    step, near = FIRST_STEP, start
    if fits_at(start):
        while near < last:
            further = min(near + step, last)
            if not fits_at(further):
                return near, further
            near, step = further, 2 * step
        return last, None
    while near > 0:
        nearer = max(near - step, 0)
        if fits_at(nearer):
            return nearer, near
        near, step = nearer, 2 * step
    return _rescue(fits_at, last)


def _rescue(fits_at: Callable[[int], bool], last: int) -> tuple[int | None, int | None]:
    """Where the first does not fit: the last of every second, fourth, eighth… place that does, if any."""
    rungs = [*((1 << power) - 1 for power in range(1, (last + 1).bit_length())), last]
    fitting = [index for index, rung in enumerate(rungs) if fits_at(rung)]
    if not fitting:
        return None, 0
    best = fitting[-1]
    return rungs[best], rungs[best + 1] if best + 1 < len(rungs) else None


def first_of(
    fits: Callable[[Candidate], bool], candidates: Sequence[Candidate], rungs: Sequence[int]
) -> Found[Candidate]:
    """The first candidate that fits, where nothing says how others stand to it: ``rungs`` are the places to look at.

    Between the rung that fits and the one before it the difference is halved. ``refused`` is the candidate right before
    the answer; without an answer, the last one.
    """
    bad = -1
    for rung in rungs:
        if fits(candidates[rung]):
            good = rung
            while good - bad > 1:
                middle = (good + bad) // 2
                good, bad = (middle, bad) if fits(candidates[middle]) else (good, middle)
            return Found(answer=candidates[good], refused=candidates[bad] if bad >= 0 else None)
        bad = rung
    return Found(answer=None, refused=candidates[-1])


def allocated_within(estimate: MemoryEstimate, usable_bytes: int, *, allow_tight: bool = False) -> int:
    """The allocated peak up to which runs like this one fit a card, within a few bytes: what guesses start from."""
    interval = estimate.peak_allocated
    if allow_tight:
        allocated, slack, required = interval.low_bytes, SLACK_LOW, estimate.required.low_bytes
    else:
        allocated, slack, required = interval.high_bytes, SLACK_HIGH, estimate.required.high_bytes
    at_bound = allocated + share(allocated, slack)
    room = usable_bytes - (required - at_bound)
    return max(0, room) * estimate.peak_allocated_bytes // max(1, at_bound)


def longest_sequence(growth: Growth, micro_batch_size: int, allocated_bytes: int) -> int:
    """About the longest sequence whose peak stays within ``allocated_bytes``; 0 for none.

    Exact where neither a sliding window nor a loss's tile changes on the way there.
    """
    if growth.update_bytes > allocated_bytes:
        return 0
    room = allocated_bytes - growth.throughout_bytes
    return max(min((_longest(size, micro_batch_size, room) for size in sizes), default=0) for sizes in growth.bounds)


def _longest(size: Size, micro_batch_size: int, room: int) -> int:
    """The largest S with a + b·S + c·S² ≤ room."""
    spare = room - size.fixed
    linear = size.position + micro_batch_size * size.token
    square = size.position_pair + micro_batch_size * size.token_position
    if spare < 0:
        return 0
    if square <= 0:
        return spare // linear if linear > 0 else spare
    return max(0, (isqrt(linear * linear + 4 * square * spare) - linear) // (2 * square))


def along_line(first: tuple[int, int], second: tuple[int, int], limit: int) -> int:
    """Where the line through two points (place, bytes) reaches ``limit`` bytes; the second place where it is level."""
    (start, low), (end, high) = first, second
    if high <= low:
        return end
    return max(0, start + (limit - low) * (end - start) // (high - low))


def least_count(few: tuple[int, int], many: tuple[int, int], limit: int) -> int:
    """The least number of cards that brings each to ``limit`` bytes, where part of what it holds is shared out evenly.

    Through two points (cards, bytes of one card): bytes are taken as a + b ÷ cards.
    """
    (fewer, high), (more, low) = few, many
    shared = (high - low) * fewer * more // (more - fewer)
    left = limit - (low - shared // more)
    return more if left <= 0 else -(-shared // left)


class SharedOut:
    """Bytes on one of n cards, which never grow with n, asked for as seldom as possible.

    They fall in steps, not smoothly: a layer of eight experts is held by twos on four cards and on seven. But a count
    that holds a run says so of every larger one, and one that does not of every smaller.
    """

    def __init__(self, bytes_on: Callable[[int], int]) -> None:
        self._bytes_on = bytes_on
        self._known: dict[int, int] = {}

    def at(self, count: int) -> int:
        """Bytes on one of so many cards."""
        if count not in self._known:
            self._known[count] = self._bytes_on(count)
        return self._known[count]

    def fits(self, count: int, limit: int) -> bool:
        """Whether they are at most ``limit``; the count is asked for only where the others do not tell."""
        known = tuple(self._known.items())
        if any(size <= limit for other, size in known if other <= count):
            return True
        if any(size > limit for other, size in known if other >= count):
            return False
        return self.at(count) <= limit

    def guess(self, limit: int) -> int | None:
        """About the least count that fits, between the two known ones that are nearest to it; None without such two."""
        known = dict(self._known)
        too_few = max((count for count, size in known.items() if size > limit), default=None)
        enough = min((count for count, size in known.items() if size <= limit), default=None)
        if too_few is None or enough is None:
            return enough
        return least_count((too_few, known[too_few]), (enough, known[enough]), limit)
