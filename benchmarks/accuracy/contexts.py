"""What processes held outside PyTorch's allocator, by their own words: ``python -m benchmarks.accuracy.contexts``.

``torch.OutOfMemoryError`` says how much the process has in use on the device, how much of it PyTorch has allocated and
how much it has reserved besides; the rest is the CUDA context, loaded kernels and libraries. Each row is such a message
from a public issue that names its card. Sizes are rounded there to a hundredth of a GiB: a context is known to some
15 MiB.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from app.memory.result import Outside
from app.units import GIB, MIB

DATA = Path(__file__).parent / "data" / "cuda_contexts.jsonl"

BELOW_THE_LEAST = 0.85
ABOVE_THE_MOST = 1.5
"""The interval's ends over what was seen. Eight processes on Ada cards lie 15 % below to 6 % above their median; few
cards have as many, and kernels are loaded as they are first used: by training more of them than by most of these."""


@dataclass(frozen=True, kw_only=True)
class ReportedContext:
    """One message. ``excluded`` says why it is no measure of a context."""

    gpu: str
    compute_capability: str
    in_use_gib: float
    allocated_gib: float
    unallocated_mib: float
    trains: bool
    source: str
    excluded: str | None

    @property
    def context_bytes(self) -> int:
        """In use on the device and neither allocated nor reserved by PyTorch."""
        return round((self.in_use_gib - self.allocated_gib) * GIB - self.unallocated_mib * MIB)

    @property
    def capability(self) -> tuple[int, int]:
        """As the driver numbers it."""
        major, _, minor = self.compute_capability.partition(".")
        return int(major), int(minor)


def load_contexts() -> tuple[ReportedContext, ...]:
    """Every message of the file."""
    return tuple(ReportedContext(**json.loads(line)) for line in DATA.read_text(encoding="utf-8").splitlines())


def contexts_by_capability() -> Mapping[tuple[int, int], Outside]:
    """What ``app/memory/overheads.py`` has, in whole MiB."""
    found: dict[tuple[int, int], list[int]] = {}
    for item in load_contexts():
        if item.excluded is None:
            found.setdefault(item.capability, []).append(item.context_bytes)
    return {
        capability: Outside(
            _whole(BELOW_THE_LEAST * min(sizes)), _whole(median(sizes)), _whole(ABOVE_THE_MOST * max(sizes))
        )
        for capability, sizes in sorted(found.items())
    }


def contexts_table() -> Iterator[str]:
    """The same as Markdown."""
    yield "| compute capability | cards | processes | least | median | most | interval used |"
    yield "| --- | --- | --: | --: | --: | --: | --: |"
    for capability, outside in contexts_by_capability().items():
        items = [item for item in load_contexts() if item.excluded is None and item.capability == capability]
        sizes = sorted(round(item.context_bytes / MIB) for item in items)
        cards = ", ".join(dict.fromkeys(item.gpu for item in items))
        yield (
            f"| {capability[0]}.{capability[1]} | {cards} | {len(items)} | {sizes[0]} MiB | {median(sizes):.0f} MiB | "
            f"{sizes[-1]} MiB | {outside.low_bytes // MIB} to {outside.high_bytes // MIB} MiB |"
        )


def _whole(size: float) -> int:
    return round(size / MIB) * MIB


if __name__ == "__main__":
    print("\n".join(contexts_table()))
