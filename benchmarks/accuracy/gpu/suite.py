"""The designed set of runs: methods × sizes × lengths × batches × options, some of which must run out of memory."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Final

TINY: Final[Mapping[str, Any]] = {
    "model_type": "llama",
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
}
"""For the check on a CPU."""

SHAPES: Final[Mapping[str, Mapping[str, Any]]] = {
    "Qwen/Qwen2.5-0.5B": {"model_type": "qwen2", "vocab_size": 151936, "hidden_size": 896, "intermediate_size": 4864}
    | {"num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2, "tie_word_embeddings": True},
    "meta-llama/Llama-3.2-1B": {"model_type": "llama", "vocab_size": 128256, "hidden_size": 2048}
    | {"intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32, "num_key_value_heads": 8}
    | {"tie_word_embeddings": True, "max_position_embeddings": 131072},
    "meta-llama/Llama-3.2-3B": {"model_type": "llama", "vocab_size": 128256, "hidden_size": 3072}
    | {"intermediate_size": 8192, "num_hidden_layers": 28, "num_attention_heads": 24, "num_key_value_heads": 8}
    | {"head_dim": 128, "tie_word_embeddings": True, "max_position_embeddings": 131072},
    "meta-llama/Meta-Llama-3-8B": {"model_type": "llama", "vocab_size": 128256, "hidden_size": 4096}
    | {"intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8}
    | {"tie_word_embeddings": False, "max_position_embeddings": 8192},
}

METHODS: Final = ("full", "lora", "qlora")
BATCHES: Final = ((1, 512), (4, 1024), (2, 4096))

OPTIONS: Final[tuple[Mapping[str, Any], ...]] = (
    {"gradient_checkpointing": "full"},
    {"optimizer": "adamw_torch"},
    {"optimizer": "adamw_bnb_8bit"},
    {"packing": False},
    {"precision": "bf16-mixed"},
    {"gradient_accumulation_steps": 4},
    {"lora_target_modules": "all-linear"},
    {"attention": "eager"},
)
"""Varied one at a time on the second smallest model."""

BEYOND: Final = ({"micro_batch_size": 64, "sequence_length": 8192}, {"micro_batch_size": 256, "sequence_length": 4096})
"""No card holds these."""


@dataclass(frozen=True, kw_only=True)
class GpuRun:
    """A model's shape and what differs from the ``plain`` stack."""

    model: str
    config: Mapping[str, Any]
    request: Mapping[str, Any] = field(default_factory=dict)


def suite() -> Iterator[GpuRun]:
    """Every run, the small ones first."""
    for (model, config), method, (batch, length) in product(SHAPES.items(), METHODS, BATCHES):
        for checkpointing in ("none", "full"):
            request = {"method": method, "micro_batch_size": batch, "sequence_length": length}
            yield GpuRun(model=model, config=config, request={**request, "gradient_checkpointing": checkpointing})
    model = "meta-llama/Llama-3.2-1B"
    for method, option in product(METHODS, OPTIONS):
        if method == "full" and "lora_target_modules" in option:
            continue
        request = {"method": method, "micro_batch_size": 4, "sequence_length": 1024, **option}
        yield GpuRun(model=model, config=SHAPES[model], request=request)
    for method, excess in product(METHODS, BEYOND):
        yield GpuRun(model=model, config=SHAPES[model], request={"method": method, **excess})


def tiny() -> Iterator[GpuRun]:
    """A handful for a machine without a card."""
    for method, checkpointing in product(METHODS, ("none", "full")):
        request = {"method": method, "micro_batch_size": 2, "sequence_length": 32}
        yield GpuRun(model="tiny", config=TINY, request={**request, "gradient_checkpointing": checkpointing})
