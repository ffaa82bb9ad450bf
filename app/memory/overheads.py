"""What a card must hold beyond what PyTorch has allocated, and how sure that is.

From traced, simulated and published runs; each says where it is from. ``required`` is not validated: device-level
figures exist for one card and one source only, and every estimate says so.
"""

from enum import Enum

from app.memory.device import Device
from app.memory.result import Interval
from app.units import MIB

CUBLAS_WORKSPACE_BYTES = {8: 8_519_680, 9: 32 * MIB, 10: 32 * MIB}
"""By compute-capability major: 4096 KiB × 2 + 16 KiB × 8 before Hopper, 32 MiB from Hopper on
(``aten/src/ATen/cuda/CublasHandlePool.cpp``, parseChosenWorkspaceSize)."""

DEFAULT_WORKSPACE_BYTES = CUBLAS_WORKSPACE_BYTES[8]

CUDA_CONTEXT_BYTES = 480 * MIB
"""Typical context of a PyTorch 2 process with cuBLAS and bitsandbytes loaded on Ampere to Hopper. Reported
figures run from about 300 to 800 MiB by architecture and by how many kernels are loaded; the interval has both."""
CUDA_CONTEXT_LOW_BYTES = 300 * MIB
CUDA_CONTEXT_HIGH_BYTES = 800 * MIB

COLLECTIVES_BYTES = 384 * MIB
"""NCCL's communicator, outside PyTorch's allocator. Not measured: buffers of 4 MiB (``NCCL_BUFFSIZE``) over an assumed
96 of channel and direction; the interval takes half and twice as much."""

SLACK_LOW = (6, 1000)
SLACK_MEDIAN = (68, 1000)
SLACK_HIGH = (187, 1000)
"""What the allocator cannot do without, as a share of the allocated peak: median and 90th percentile of 39 simulated
runs. Of 14 measured runs that nearly fill their card it is 0.006 to 0.124, median 0.050; the low end is theirs."""

RESERVED_LOW = (8, 1000)
RESERVED_HIGH = (406, 1000)
"""What the allocator keeps where the card has room, as a share of the allocated peak: 5th and 95th percentile of 47
measured runs, device-level use less the context. Blocks of logits that fit nothing else stay until the card is full:
0.04 to 0.08 where a fused loss or the optimizer step decides the peak, 0.14 to 0.43 where all logits are held.
Both: ``python -m benchmarks.accuracy.measured_intervals``."""


class Evidence(Enum):
    """What the allocated peak of a kind of run was checked against, as the low and high end of its interval.

    Each end is a fraction of the peak. Those of sharded runs are the 5th and 95th percentile of measured over
    estimated, never narrower than one GPU's (``python -m benchmarks.accuracy.measured_intervals``).
    """

    ONE_GPU = ((98, 100), (103, 100))
    """Traced runs lie within 1 %; library versions and kernels differ by a little more. Set before any measured run was
    looked at; 39 of 47 lie within, and 37 of the 39 that are not GPT-BigCode's."""
    FULL_SHARDED = ((95, 100), (103, 100))
    """16 published FSDP runs of full fine-tuning: -4.1 % to +0.4 %."""
    ADAPTERS_SHARDED = ((96, 100), (103, 100))
    """50 published FSDP runs of LoRA and QLoRA, of one project: -3.2 % to +0.1 %. The low ones ran with fused norms and
    rotary embeddings, which are not derived here."""
    UNCHECKED = ((95, 100), (141, 100))
    """No published run at hand: wider than any of the others."""
    UNRECOGNISED = ((70, 100), (150, 100))
    """An unknown family read as a Llama-like decoder. Not measured: a judgement of how far fused or extra projections
    can shift activations."""


COVERAGE = 0.9


def workspace_bytes(device: Device | None) -> int:
    """cuBLAS's workspace on this device, in bytes; Ampere's where none is given."""
    if device is None or device.compute_capability is None:
        return DEFAULT_WORKSPACE_BYTES
    return CUBLAS_WORKSPACE_BYTES.get(device.compute_capability[0], DEFAULT_WORKSPACE_BYTES)


def share(bytes_: int, fraction: tuple[int, int]) -> int:
    """``bytes_ × numerator ÷ denominator``, in whole bytes."""
    return bytes_ * fraction[0] // fraction[1]


def allocated_interval(peak_bytes: int, evidence: Evidence) -> Interval:
    """The interval of the allocated peak."""
    low, high = evidence.value
    return Interval(share(peak_bytes, low), share(peak_bytes, high))


def reserved_interval(allocated: Interval) -> Interval:
    """The interval of the reserved peak on a card with room: the allocated one with what the allocator keeps."""
    low, high = allocated.low_bytes, allocated.high_bytes
    return Interval(low + share(low, RESERVED_LOW), high + share(high, RESERVED_HIGH))


def required_interval(allocated: Interval, *, extra: int = 0) -> Interval:
    """The interval of what a card must hold: under pressure the allocator gives back what it can do without.

    ``extra`` bytes are held outside the allocator beside the context.
    """
    low, high = allocated.low_bytes, allocated.high_bytes
    return Interval(
        low + share(low, SLACK_LOW) + CUDA_CONTEXT_LOW_BYTES + extra // 2,
        high + share(high, SLACK_HIGH) + CUDA_CONTEXT_HIGH_BYTES + extra * 2,
    )
