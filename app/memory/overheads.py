"""What a card must hold beyond what PyTorch has allocated, and how sure that is.

From traced, simulated and published runs; each says where it is from. ``required`` is not validated: device-level
figures exist for one card and one source only, and every estimate says so.
"""

from collections.abc import Mapping
from enum import Enum

from app.memory.device import Device
from app.memory.result import Interval, Outside
from app.units import MIB

CUBLAS_WORKSPACE_BYTES = {8: 8_519_680, 9: 32 * MIB, 10: 32 * MIB}
"""By compute-capability major: 4096 KiB × 2 + 16 KiB × 8 before Hopper, 32 MiB from Hopper on
(``aten/src/ATen/cuda/CublasHandlePool.cpp``, parseChosenWorkspaceSize)."""

DEFAULT_WORKSPACE_BYTES = CUBLAS_WORKSPACE_BYTES[8]


CUDA_CONTEXT = Outside(300 * MIB, 480 * MIB, 800 * MIB)
"""Where nothing is known of such a card: about what is reported of PyTorch 2 processes on Ampere to Hopper."""

CUDA_CONTEXTS: Mapping[tuple[int, int], Outside] = {
    (7, 5): Outside(101 * MIB, 127 * MIB, 203 * MIB),
    (8, 0): Outside(347 * MIB, 455 * MIB, 752 * MIB),
    (8, 6): Outside(179 * MIB, 217 * MIB, 336 * MIB),
    (8, 9): Outside(354 * MIB, 491 * MIB, 781 * MIB),
    (9, 0): Outside(574 * MIB, 717 * MIB, 1137 * MIB),
    (12, 0): Outside(506 * MIB, 607 * MIB, 928 * MIB),
}
"""By compute capability, from 18 processes on cards of known kind: median, and from 0.85 of the least to 1.5 times the
most (``python -m benchmarks.accuracy.contexts``). Larger chips set aside more, and newer ones load larger kernels."""

CUDA_CONTEXT_LOW_BYTES = min(outside.low_bytes for outside in (CUDA_CONTEXT, *CUDA_CONTEXTS.values()))
"""No process on any card holds less."""

COLLECTIVES = Outside(192 * MIB, 384 * MIB, 768 * MIB)
"""NCCL's communicator, outside PyTorch's allocator. Not measured: buffers of 4 MiB (``NCCL_BUFFSIZE``) over an assumed
96 of channel and direction; the interval takes half and twice as much."""

SLACK_LOW = (6, 1000)
SLACK_MEDIAN = (68, 1000)
SLACK_HIGH = (187, 1000)
"""What the allocator cannot do without, as a share of the allocated peak: median and 90th percentile of 39 simulated
runs. Of 14 measured runs that nearly fill their card it is 0.006 to 0.124, median 0.050; the low end is theirs."""

RESERVED_EQUAL_LENGTHS = ((1007, 1000), (1411, 1000))
RESERVED_VARYING_LENGTHS = ((1020, 1000), (2800, 1000))
"""What the allocator keeps where the card has room, as a multiple of the allocated peak. Of 47 measured runs whose
sequences are all of one length (device-level use less the context), and of 34 whose samples differ in length, so that
blocks cut for one fit no other. Conformal 90 % intervals (``python -m benchmarks.accuracy.measured_intervals``)."""


class Evidence(Enum):
    """What the allocated peak of a kind of run was checked against, as the low and high end of its interval.

    Each end is a fraction of the peak (``python -m benchmarks.accuracy.measured_intervals``). Those of sharded runs are
    the 5th and 95th percentile of measured over estimated, never narrower than one GPU's.
    """

    ONE_GPU = ((973, 1000), (1002, 1000))
    """Conformal 90 % interval of 47 measured runs: -3.1 % to +0.4 %. Of 1,102 traced runs 96 % lie within."""
    FULL_SHARDED = ((95, 100), (103, 100))
    """16 published FSDP runs of full fine-tuning: -4.1 % to +0.4 %."""
    ADAPTERS_SHARDED = ((96, 100), (103, 100))
    """50 published FSDP runs of LoRA and QLoRA, of one project: -3.2 % to +0.1 %. The low ones ran with fused norms and
    rotary embeddings, which are not derived here."""
    UNCHECKED = ((95, 100), (120, 100))
    """No published run reports what was allocated. With this end the reserved interval holds what was reserved in every
    tier A run of other strategies (``benchmarks/accuracy/strategies.py``)."""
    UNRECOGNISED = ((70, 100), (150, 100))
    """An unknown family read as a Llama-like decoder. Not measured: a judgement of how far fused or extra projections
    can shift activations."""


COVERAGE = 0.9


def workspace_bytes(device: Device | None) -> int:
    """cuBLAS's workspace on this device, in bytes; Ampere's where none is given."""
    if device is None or device.compute_capability is None:
        return DEFAULT_WORKSPACE_BYTES
    return CUBLAS_WORKSPACE_BYTES.get(device.compute_capability[0], DEFAULT_WORKSPACE_BYTES)


def context_of(device: Device | None) -> Outside:
    """The CUDA context of a process on this device; a common one where none is given or nothing is known of it."""
    if device is None or device.compute_capability is None:
        return CUDA_CONTEXT
    return CUDA_CONTEXTS.get(device.compute_capability, CUDA_CONTEXT)


def share(bytes_: int, fraction: tuple[int, int]) -> int:
    """``bytes_ × numerator ÷ denominator``, in whole bytes."""
    return bytes_ * fraction[0] // fraction[1]


def allocated_interval(peak_bytes: int, evidence: Evidence) -> Interval:
    """The interval of the allocated peak."""
    low, high = evidence.value
    return Interval(share(peak_bytes, low), share(peak_bytes, high))


def reserved_interval(peak_bytes: int, evidence: Evidence, *, lengths_vary: bool) -> Interval:
    """The interval of the reserved peak on a card with room.

    Measured on one GPU; wider by as much as the allocated peak's is wider where that rests on less.
    """
    (low, low_of), (high, high_of) = RESERVED_VARYING_LENGTHS if lengths_vary else RESERVED_EQUAL_LENGTHS
    known, this = (allocated_interval(10**6, kind) for kind in (Evidence.ONE_GPU, evidence))
    return Interval(
        peak_bytes * low * this.low_bytes // (low_of * known.low_bytes),
        peak_bytes * high * this.high_bytes // (high_of * known.high_bytes),
    )


def held_interval(allocated: Interval) -> Interval:
    """The interval of what PyTorch must hold: under pressure the allocator gives back what it can do without.

    A card must hold that ``beside`` the context.
    """
    low, high = allocated.low_bytes, allocated.high_bytes
    return Interval(low + share(low, SLACK_LOW), high + share(high, SLACK_HIGH))
