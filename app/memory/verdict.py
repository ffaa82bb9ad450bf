"""Whether a card can run something at all, and whether it holds it."""

from app.memory.device import Device, Verdict
from app.memory.inputs import AttentionImplementation, Batch, Method, Precision, PrecisionPolicy
from app.memory.result import MemoryEstimate

NEEDS_BF16 = frozenset({PrecisionPolicy.BF16, PrecisionPolicy.BF16_MIXED})
BITSANDBYTES_OPTIMIZERS = ("8bit", "paged", "lion")


def unsupported_reason(device: Device, method: Method, precision: Precision, batch: Batch) -> str | None:
    """Why the card cannot run this whatever its memory, or None."""
    if precision.policy in NEEDS_BF16 and not device.supports_bf16:
        return f"{device.name} has no bfloat16 arithmetic; precision fp16-mixed runs on it"
    if batch.attention is AttentionImplementation.FLASH_ATTENTION_2 and not device.supports_flash_attention_2:
        return f"FlashAttention-2 does not run on {device.name}; attention sdpa does"
    if not device.supports_bitsandbytes:
        if method.quantization is not None:
            return f"bitsandbytes, which quantises to {method.quantization.format}, does not run on {device.name}"
        if any(mark in method.optimizer for mark in BITSANDBYTES_OPTIMIZERS):
            return f"bitsandbytes, which {method.optimizer} needs, does not run on {device.name}"
    return None


def judge(
    estimate: MemoryEstimate, device: Device, method: Method, precision: Precision, batch: Batch
) -> tuple[Verdict, str]:
    """The verdict and, in a few words, its reason.

    ``fits`` when even the high end of what is required is usable, ``does_not_fit`` when even the low end is
    not, ``tight`` between.
    """
    reason = unsupported_reason(device, method, precision, batch)
    if reason is not None:
        return Verdict.UNSUPPORTED, reason
    if estimate.required.high_bytes <= device.usable_bytes:
        return Verdict.FITS, "even the high end of the estimate fits"
    if estimate.required.low_bytes > device.usable_bytes:
        return Verdict.DOES_NOT_FIT, "even the low end of the estimate does not fit"
    return Verdict.TIGHT, "the estimate's range reaches beyond what the card gives"
