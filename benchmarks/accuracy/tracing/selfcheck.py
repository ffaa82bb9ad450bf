"""Check the tracker against real memory: fake and real CPU tensors, and PyTorch's own record of allocations."""

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.accuracy.tracing import step
from benchmarks.accuracy.tracing.case import TraceCase
from benchmarks.accuracy.tracing.fake_cuda import torch

_LLAMA = {
    "model_type": "llama", "vocab_size": 1000, "hidden_size": 64, "intermediate_size": 176, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": False,
}  # fmt: skip
_MIXTRAL = {**_LLAMA, "model_type": "mixtral", "num_local_experts": 4, "num_experts_per_tok": 2}
_GPT2 = {"model_type": "gpt2", "vocab_size": 1000, "n_embd": 64, "n_layer": 2, "n_head": 4}
_CHECKED: tuple[tuple[Mapping[str, Any], Mapping[str, Any]], ...] = (
    (_LLAMA, {"method": "full", "precision": "fp32"}),
    (_LLAMA, {"method": "full", "gradient_checkpointing": "full", "optimizer": "adafactor", "attention": "eager"}),
    (_LLAMA, {"method": "full", "precision": "bf16-mixed", "optimizer": "adamw_torch"}),
    (_LLAMA, {"method": "full", "gradient_accumulation_steps": 2, "max_grad_norm": 0.0}),
    (_LLAMA, {"method": "lora", "precision": "fp32", "lora_dropout": 0.05}),
    (_LLAMA, {"method": "lora", "precision": "bf16-mixed", "gradient_checkpointing": "full", "keep_logits": True}),
    (_LLAMA, {"method": "lora", "use_dora": True, "lora_target_modules": "all-linear"}),
    (_LLAMA, {"method": "lora", "packing": False}),
    (_MIXTRAL, {"method": "full"}),
    (_MIXTRAL, {"method": "full", "precision": "bf16-mixed"}),
    (_MIXTRAL, {"method": "lora", "lora_target_modules": "all-linear", "gradient_checkpointing": "full"}),
    (_GPT2, {"method": "full", "gradient_checkpointing": "full"}),
)


def agreements() -> Iterator[tuple[TraceCase, int, int, int]]:
    """For each small case: the peak bytes of fake tensors, of real ones, and by the profiler's allocator events."""
    for config, fields in _CHECKED:
        case = TraceCase(config=config, fields={"sequence_length": 256, **fields})
        fake = step.trace_on_cpu(case, fake=True)
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profiler:
            real = step.trace_on_cpu(case, fake=False)
        yield case, fake.tracker.peak.size_bytes, real.tracker.peak.size_bytes, _profiled_peak(profiler)


def _profiled_peak(profiler: Any) -> int:
    kind = torch._C._profiler._EventType.Allocation
    pending = list(profiler.profiler.kineto_results.experimental_event_tree())
    changes: list[tuple[int, int]] = []
    while pending:
        event = pending.pop()
        if event.tag == kind:
            changes.append((event.start_time_ns, event.extra_fields.alloc_size))
        pending.extend(event.children)
    live = peak = 0
    for _, change in sorted(changes, key=lambda change: change[0]):
        live += change
        peak = max(peak, live)
    return peak
