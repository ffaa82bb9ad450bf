"""Runs under other versions of Transformers: the same step, whose loss and checkpoints have changed over the years.

Which version is traced is that of the environment; the loss kernel of a case is our name of that version's loss.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.accuracy.tracing.case import TraceCase
from benchmarks.accuracy.tracing.suites.shapes import shape

SANTACODER: Mapping[str, Any] = {
    "model_type": "gpt_bigcode",
    "vocab_size": 49280,
    "n_embd": 2048,
    "n_layer": 24,
    "n_head": 16,
    "n_inner": 8192,
    "n_positions": 2048,
    "multi_query": True,
}

_SMALL: Sequence[tuple[str, Mapping[str, Any]]] = (
    ("llama-3.2-1b", {}),
    ("tinyllama-1.1b-chat-v1.0", {}),
    ("qwen2.5-0.5b", {}),
    ("gemma-2-2b", {"attention": "eager"}),
    ("phi-3-mini-4k", {}),
    ("mistral-7b-v0.3", {}),
)
_LAYERS = 6
"""Enough to tell the first and the last from those between."""

_RUNS: Sequence[Mapping[str, Any]] = (
    {"method": "full", "precision": "bf16", "gradient_checkpointing": "none"},
    {"method": "full", "precision": "bf16-mixed", "gradient_checkpointing": "reentrant"},
    {"method": "lora", "precision": "bf16", "gradient_checkpointing": "reentrant", "adapter_dtype": "float32"},
    {"method": "lora", "precision": "bf16-mixed", "gradient_checkpointing": "none"},
    {"method": "qlora", "precision": "bf16-mixed", "gradient_checkpointing": "reentrant", "upcast_non_quantized": True},
    {"method": "qlora", "precision": "bf16-mixed", "gradient_checkpointing": "full"},
)


def transformers_4_cases() -> Sequence[TraceCase]:
    """For Transformers 4.49 to 4.57, whose loss is today's."""
    return list(_cases("standard"))


def transformers_4_48_cases() -> Sequence[TraceCase]:
    """For Transformers 4.46 to 4.48: a float32 copy and a shifted, contiguous one inside the loss function."""
    return [*_cases("shifted"), *_with_a_cache("shifted")]


def transformers_4_45_cases() -> Sequence[TraceCase]:
    """For Transformers 4.45: the model upcasts its logits and copies the shifted ones."""
    return [*_cases("upcast"), *_with_a_cache("upcast")]


def _cases(loss_kernel: str) -> Iterator[TraceCase]:
    for number, (slug, fixed) in enumerate(_SMALL):
        for offset in range(4):
            run = _RUNS[(number + offset) % len(_RUNS)]
            fields = {
                "loss_kernel": loss_kernel,
                "micro_batch_size": 1 if offset == 3 else 2,
                "sequence_length": 1024,
                "lora_target_modules": "all-linear" if offset % 2 else "attention",
                **run,
                **fixed,
            }
            yield TraceCase(config=shape(slug, layers=_LAYERS), fields=fields, name=slug, tag="stack")


def trl_cases() -> Sequence[TraceCase]:
    """For TRL's trainer: padded batches, and its loss over tiles of logits."""
    return list(_fused_cases("chunked", packing=False))


def liger_cases() -> Sequence[TraceCase]:
    """For Liger's fused head and loss alone, its other kernels left out."""
    return list(_fused_cases("liger", packing=True))


def _fused_cases(loss_kernel: str, *, packing: bool) -> Iterator[TraceCase]:
    runs = (
        {"method": "full", "precision": "bf16-mixed", "gradient_checkpointing": "full"},
        {"method": "full", "precision": "bf16", "gradient_checkpointing": "none"},
        {"method": "lora", "precision": "bf16-mixed", "gradient_checkpointing": "full"},
        {"method": "qlora", "precision": "bf16-mixed", "gradient_checkpointing": "full", "adapter_dtype": "bfloat16"},
    )
    for number, (slug, fixed) in enumerate(_SMALL):
        for offset, run in enumerate(runs):
            fields = {
                "loss_kernel": loss_kernel,
                "packing": packing,
                "micro_batch_size": 2 if (number + offset) % 2 else 4,
                "sequence_length": 2048 if (number + offset) % 3 else 512,
                "lora_target_modules": "all-linear" if offset % 2 else "attention",
                **run,
                **fixed,
            }
            yield TraceCase(config=shape(slug, layers=_LAYERS), fields=fields, name=slug, tag=loss_kernel)


def _with_a_cache(loss_kernel: str) -> Iterator[TraceCase]:
    """GPT-BigCode, whose own forward fills a key-value cache under checkpointing too."""
    for method, precision in (("full", "bf16"), ("qlora", "bf16-mixed")):
        fields = {
            "method": method,
            "precision": precision,
            "loss_kernel": loss_kernel,
            "micro_batch_size": 2,
            "sequence_length": 1024,
            "gradient_checkpointing": "reentrant",
            "lora_target_modules": ["c_attn"],
        }
        config = {**SANTACODER, "n_layer": _LAYERS, "use_cache": True}
        yield TraceCase(config=config, fields=fields, name="gpt_bigcode-santacoder", tag="cache")
