"""A card as the models see it, and whether a run fits on it."""

from dataclasses import dataclass
from enum import StrEnum

from app.messages import mark


class Verdict(StrEnum):
    """Whether a card holds a run."""

    FITS = "fits"
    TIGHT = "tight"
    DOES_NOT_FIT = "does_not_fit"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True, kw_only=True, slots=True)
class DenseRates:
    """Peak dense (no sparsity) rates in TFLOP/s; None where unknown or absent."""

    bf16_fp32_accumulate: float | None
    fp16_fp32_accumulate: float | None
    tf32: float | None
    fp32: float | None


SEGMENTS = (mark("consumer"), mark("workstation"), mark("datacenter"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """One device as a training process sees it (a board with two dies is two devices, of which this is one)."""

    slug: str
    name: str
    vendor: str
    architecture: str
    compute_capability: tuple[int, int] | None
    segment: str
    """One of :data:`SEGMENTS`."""
    memory_bytes: int
    memory_is_estimated: bool
    """True where the driver's figure is not known and a stated allowance was taken off the sales label."""
    usable_bytes: int
    """What a training process can get of ``memory_bytes``."""
    memory_bandwidth_bytes_per_second: float
    rates: DenseRates
    supports_bf16: bool
    supports_flash_attention_2: bool
    supports_bitsandbytes: bool
    unified_memory: bool
    pcie_bytes_per_second: float
    nvlink_bytes_per_second: float
    """Bidirectional aggregate, 0 where there is none."""
    max_nvlink_gpus: int
