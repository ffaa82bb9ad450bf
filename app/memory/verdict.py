"""Whether a card can run something at all, and whether it holds it."""

from app.memory.device import Device, Verdict
from app.memory.inputs import AttentionImplementation, Batch, Method, Precision, PrecisionPolicy
from app.memory.result import Interval, MemoryEstimate
from app.messages import mark, message

NEEDS_BF16 = frozenset({PrecisionPolicy.BF16, PrecisionPolicy.BF16_MIXED})
BITSANDBYTES_OPTIMIZERS = ("8bit", "paged", "lion")


def unsupported_reason(device: Device, method: Method, precision: Precision, batch: Batch) -> str | None:
    """Why the card cannot run this whatever its memory, or None."""
    if precision.policy in NEEDS_BF16 and not device.supports_bf16:
        return message("{card} has no bfloat16 arithmetic; precision fp16-mixed runs on it", card=device.name)
    if batch.attention is AttentionImplementation.FLASH_ATTENTION_2 and not device.supports_flash_attention_2:
        return message("FlashAttention-2 does not run on {card}; attention sdpa does", card=device.name)
    if not device.supports_bitsandbytes:
        if method.quantization is not None:
            return message(
                "bitsandbytes, which quantises to {format}, does not run on {card}",
                format=method.quantization.format.value,
                card=device.name,
            )
        if any(name in method.optimizer for name in BITSANDBYTES_OPTIMIZERS):
            return message(
                "bitsandbytes, which {optimizer} needs, does not run on {card}",
                optimizer=method.optimizer,
                card=device.name,
            )
    return None


def verdict_of(required: Interval, device: Device) -> Verdict:
    """``fits`` when even the high end of what is required is usable, ``does_not_fit`` when even the low end is not,
    ``tight`` between. What the card can run at all is :func:`unsupported_reason`'s to say."""
    if required.high_bytes <= device.usable_bytes:
        return Verdict.FITS
    return Verdict.DOES_NOT_FIT if required.low_bytes > device.usable_bytes else Verdict.TIGHT


_REASONS = {
    Verdict.FITS: mark("even the high end of the estimate fits"),
    Verdict.DOES_NOT_FIT: mark("even the low end of the estimate does not fit"),
    Verdict.TIGHT: mark("the estimate's range reaches beyond what the card gives"),
}


def judge(
    estimate: MemoryEstimate, device: Device, method: Method, precision: Precision, batch: Batch
) -> tuple[Verdict, str]:
    """The verdict and, in a few words, its reason."""
    reason = unsupported_reason(device, method, precision, batch)
    if reason is not None:
        return Verdict.UNSUPPORTED, reason
    verdict = verdict_of(estimate.required, device)
    return verdict, _REASONS[verdict]
