"""What ``/dataset-shape`` answers, in response shapes."""

from dataclasses import dataclass
from enum import StrEnum

from app.memory.device import Verdict
from app.memory.result import Notice
from app.request import Run
from app.services.results import Links


class LengthSource(StrEnum):
    """Where the lengths come from."""

    FIGURES = "figures"
    LENGTHS = "lengths"
    TEXT = "text"


@dataclass(frozen=True, kw_only=True, slots=True)
class LengthFigures:
    """A data set's lengths, in tokens, before anything is cut."""

    mean: float
    p95: int
    longest: int


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchMemory:
    """What a card must have for a batch of one length."""

    sequence_length: int
    required_bytes: int
    required_low_bytes: int
    required_high_bytes: int
    verdict: Verdict | None
    """On the chosen card; None without one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryByBatch:
    """The run at the lengths that matter."""

    longest: BatchMemory
    """Padded, every example as long as the longest of all."""
    expected: BatchMemory
    """Padded, at an average batch's longest."""
    mean: BatchMemory
    """Padded, if every example were of mean length."""
    packed: BatchMemory
    """Packed sequences of the longest length."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PackingReport:
    """What packing makes of the examples."""

    sequence_length: int
    examples_per_sequence: float
    sequences: int
    """For all ``num_examples``."""
    fill_share: float
    tokens_saved_share: float
    """Of the tokens that padded batches compute."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetShapeResult:
    """The lengths, the batch that decides, the padding, packing, and the memory that goes with them."""

    source: LengthSource
    examples: int
    """Lengths listed or measured; of three figures, the run's ``num_examples``."""
    lengths: LengthFigures
    lengths_low: LengthFigures | None
    """Of text: at the fewest tokens a character; ``lengths`` is at the most."""
    fitted_sigma: float | None
    """Of three figures: the standard deviation of the logarithm of the lognormal through them."""
    run: Run
    micro_batch_size: int
    longest_tokens: int
    longest_batch_tokens: int
    mean_after_cut: float
    expected_longest_tokens: float
    padding_share: float
    cut_share: float
    lost_share: float
    first_longest_batch: float
    """The micro-batch of an epoch that meets the longest example first, on average."""
    batches_per_epoch: int
    packing: PackingReport
    memory: MemoryByBatch | None
    """None without a model."""
    assumptions: tuple[str, ...]
    warnings: tuple[Notice, ...]
    links: Links
    padded_url: str
    """The calculator with these lengths in padded batches."""
    packed_url: str
    """The same, packed."""
