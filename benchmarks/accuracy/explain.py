"""Why an estimate differs from its trace: which phase and which part of memory."""

from collections.abc import Iterator, Sequence

from app.units import GB, MIB
from benchmarks.accuracy.comparison import Comparison

PLAIN_WORDS = {
    "packing": {False: "padded"},
    "gradient_checkpointing": {"full": "checkpointed", "none": "not checkpointed"},
    "attention": {"eager": "eager attention", "flash_attention_2": "FlashAttention-2"},
    "keep_logits": {True: "logits kept"},
    "use_dora": {True: "DoRA"},
    "upcast_non_quantized": {True: "k-bit preparation"},
}

SMALLEST_DIFFERENCE_BYTES = MIB // 8
"""Smaller differences of a part are not worth a word."""


def worst(comparisons: Sequence[Comparison], count: int) -> list[Comparison]:
    """The ``count`` with the largest errors, the largest first."""
    return sorted(comparisons, key=lambda item: -abs(item.error))[:count]


def title(item: Comparison) -> str:
    """The run in a line."""
    request = item.case.request
    words = [str(request["method"]), str(request["precision"]), str(request["optimizer"])]
    if "lora_rank" in request:
        targets = request["lora_target_modules"]
        words.append(f"rank {request['lora_rank']} on {targets if isinstance(targets, str) else ', '.join(targets)}")
    words.append(f"{request['micro_batch_size']} × {request['sequence_length']:,} tokens")
    if request["gradient_accumulation_steps"] > 1:
        words.append(f"{request['gradient_accumulation_steps']} micro-batches")
    for field, meanings in PLAIN_WORDS.items():
        meaning = meanings.get(request.get(field))  # type: ignore[attr-defined]
        if meaning:
            words.append(meaning)
    if request.get("modules_to_save"):
        words.append(f"saves {', '.join(request['modules_to_save'])}")
    return f"{item.case.name} ({item.case.source} {item.case.case_id}): {', '.join(words)}"


def explain(item: Comparison) -> Iterator[str]:
    """Peak, parts and phases, one line each."""
    estimate, case = item.estimate, item.case
    yield (
        f"peak {estimate.peak_allocated_bytes / GB:.3f} GB in {estimate.peak_phase}, "
        f"traced {case.peak_bytes / GB:.3f} GB in {case.peak_phase}: {percent(item.error)}"
    )
    differences = sorted(item.part_differences.items(), key=lambda pair: -abs(pair[1]))
    parts = [
        f"{part} {difference / MIB:+,.1f} MiB"
        for part, difference in differences
        if abs(difference) >= SMALLEST_DIFFERENCE_BYTES
    ]
    if parts:
        yield f"at the peak, ours less traced: {', '.join(parts)}"
    phases = [f"{phase} {percent(error)}" for phase, error in item.phase_errors.items()]
    yield f"by phase: {', '.join(phases)}"


def percent(error: float) -> str:
    """A signed error in per cent."""
    return f"{100 * error:+.3f} %"
