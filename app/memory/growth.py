"""How a run's peak grows with its micro-batch: the largest that fits is a few divisions, not a search."""

from dataclasses import dataclass
from functools import cached_property

from app.memory.size import Size


@dataclass(frozen=True, kw_only=True)
class Line:
    """Bytes as a function of the micro-batch: ``fixed_bytes + micro_batch_size × bytes_per_sample``."""

    fixed_bytes: int
    bytes_per_sample: int

    def largest_within(self, bytes_: int) -> int | None:
        """The largest micro-batch, perhaps negative, that stays within ``bytes_``; None where any does."""
        room = bytes_ - self.fixed_bytes
        if self.bytes_per_sample:
            return room // self.bytes_per_sample
        return None if room >= 0 else 0


@dataclass(frozen=True, kw_only=True)
class Growth:
    """The allocated peak of a run at any micro-batch.

    ``bounds`` are sets of sizes beside what lives throughout; the peak is at most the largest of each set, and
    exactly that of one of them, except under Liger's loss, whose tile grows in steps.
    """

    bounds: tuple[tuple[Size, ...], ...]
    sequence_length: int
    throughout_bytes: int
    """What lives through the whole step."""
    update_bytes: int
    """The peak of the phases that do not depend on the batch: clipping and the update."""

    @cached_property
    def lines(self) -> tuple[tuple[Line, ...], ...]:
        """Each set as lines in the micro-batch, those left out that no micro-batch makes the largest."""
        return tuple(self._lines(sizes) for sizes in self.bounds)

    def _lines(self, sizes: tuple[Size, ...]) -> tuple[Line, ...]:
        lines = [(self.update_bytes, 0)]
        for size in sizes:
            fixed_bytes, bytes_per_sample = size.line(self.sequence_length)
            lines.append((self.throughout_bytes + fixed_bytes, bytes_per_sample))
        steepest = -1
        kept = []
        for fixed_bytes, bytes_per_sample in sorted(lines, reverse=True):
            if bytes_per_sample > steepest:
                steepest = bytes_per_sample
                kept.append(Line(fixed_bytes=fixed_bytes, bytes_per_sample=bytes_per_sample))
        return tuple(kept)

    def peak_bytes(self, micro_batch_size: int) -> int:
        """The least of the bounds at a micro-batch."""
        return min(
            max(line.fixed_bytes + micro_batch_size * line.bytes_per_sample for line in lines) for lines in self.lines
        )

    def largest_within(self, allocated_bytes: int) -> int:
        """The largest micro-batch whose peak stays within ``allocated_bytes``; 0 where none does."""
        found = 0
        for lines in self.lines:
            limits = [line.largest_within(allocated_bytes) for line in lines]
            found = max(found, min((limit for limit in limits if limit is not None), default=0))
        return found
