"""The model families: which parts each is made of, as data.

Each row states what the family's modelling code does, read from transformers 5.23 (``models/<type>/``):
its norm, its block arrangement, which projections carry a bias, and the values its configuration class
assumes for keys that published configurations leave out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.memory.architecture import ActivationKind, BlockKind, NormKind
from app.memory.config import ConfigReader

Bias = bool | str
"""A constant, or the key that decides."""

Windows = Callable[[ConfigReader, int], tuple[int | None, ...]]
"""The attention window of each layer."""


def no_windows(reader: ConfigReader, layers: int) -> tuple[int | None, ...]:
    """Every layer sees everything."""
    return (None,) * layers


def uniform_window(reader: ConfigReader, layers: int) -> tuple[int | None, ...]:
    """``sliding_window`` applies to all layers (Mistral, Phi-3, StarCoder 2)."""
    return (reader.optional_integer("sliding_window"),) * layers


def window_by_layer_type(
    default: Callable[[ConfigReader, int], str],
) -> Windows:
    """``layer_types`` says which layers slide; ``default`` says it where the configuration does not."""

    def windows(reader: ConfigReader, layers: int) -> tuple[int | None, ...]:
        kinds = reader.strings("layer_types", layers) or tuple(default(reader, index) for index in range(layers))
        window = reader.optional_integer("sliding_window")
        return tuple(window if kind == "sliding_attention" else None for kind in kinds)

    return windows


def _qwen2_layer_type(reader: ConfigReader, index: int) -> str:
    if not reader.boolean("use_sliding_window") or not reader.has("sliding_window"):
        return "full_attention"
    return "sliding_attention" if index >= reader.integer("max_window_layers", 28, minimum=0) else "full_attention"


def every_nth_is_full(key: str, default: int) -> Callable[[ConfigReader, int], str]:
    """Of each ``key`` layers the last is full, the others slide."""

    def layer_type(reader: ConfigReader, index: int) -> str:
        pattern = reader.integer(key, default)
        return "full_attention" if (index + 1) % pattern == 0 else "sliding_attention"

    return layer_type


def _gemma2_layer_type(reader: ConfigReader, index: int) -> str:
    return "sliding_attention" if (index + 1) % 2 else "full_attention"


@dataclass(frozen=True, kw_only=True)
class Family:
    """What a family's modelling code does, as far as memory goes."""

    norm: NormKind = NormKind.RMS
    norm_bias: Bias = False
    block: BlockKind = BlockKind.PRE_NORM
    parallel_norms: int = 1
    """Norms of a parallel block."""
    query_key_value_bias: Bias = False
    output_bias: Bias = False
    mlp_bias: Bias = False
    head_bias: Bias = False
    query_key_norm: str | None = None
    """``head`` (over each head), ``all`` (over the whole projection) or none."""
    fused_query_key_value: str | None = None
    """The name of the fused projection."""
    output_name: str = "o_proj"
    gated: bool = True
    fused_gate_up: str | None = None
    up_name: str = "up_proj"
    down_name: str = "down_proj"
    activation: ActivationKind = ActivationKind.FUSED
    rotary: bool = True
    rotary_fraction: float = 1.0
    rotary_concatenates: bool = False
    rotary_embeddings: int = 1
    windows: Windows = no_windows
    embedding_multiplier: bool = False
    residual_multiplier: bool = False
    logits_multiplier: bool = False
    sdpa: bool = True
    head_dim: int | None = None
    """The configuration class's default; None is hidden size ÷ heads."""
    defaults: Mapping[str, Any] = field(default_factory=dict)


LLAMA = Family(query_key_value_bias="attention_bias", output_bias="attention_bias", mlp_bias="mlp_bias")

FAMILIES: Mapping[str, Family] = {
    "llama": LLAMA,
    "mistral": Family(
        windows=uniform_window,
        defaults={"num_key_value_heads": 8, "sliding_window": 4096},
    ),
    "qwen2": Family(query_key_value_bias=True, windows=window_by_layer_type(_qwen2_layer_type)),
    "qwen3": Family(
        query_key_value_bias="attention_bias",
        output_bias="attention_bias",
        query_key_norm="head",
        windows=window_by_layer_type(_qwen2_layer_type),
        head_dim=128,
    ),
    "gemma": Family(
        norm=NormKind.GEMMA_RMS,
        query_key_value_bias="attention_bias",
        output_bias="attention_bias",
        embedding_multiplier=True,
        head_dim=256,
        defaults={"tie_word_embeddings": True},
    ),
    "gemma2": Family(
        norm=NormKind.GEMMA_RMS,
        block=BlockKind.SANDWICH,
        query_key_value_bias="attention_bias",
        output_bias="attention_bias",
        embedding_multiplier=True,
        sdpa=False,
        windows=window_by_layer_type(_gemma2_layer_type),
        head_dim=256,
        defaults={
            "tie_word_embeddings": True,
            "sliding_window": 4096,
            "num_key_value_heads": 4,
            "attn_logit_softcapping": 50.0,
            "final_logit_softcapping": 30.0,
        },
    ),
    "gemma3_text": Family(
        norm=NormKind.GEMMA_RMS,
        block=BlockKind.SANDWICH,
        query_key_value_bias="attention_bias",
        output_bias="attention_bias",
        query_key_norm="head",
        embedding_multiplier=True,
        rotary_embeddings=2,
        windows=window_by_layer_type(every_nth_is_full("sliding_window_pattern", 6)),
        head_dim=256,
        # google/gemma-3-4b-it's text_config leaves these to the configuration class
        defaults={
            "tie_word_embeddings": True,
            "sliding_window": 4096,
            "num_attention_heads": 8,
            "num_key_value_heads": 4,
            "vocab_size": 262208,
        },
    ),
    "phi3": Family(
        fused_query_key_value="qkv_proj",
        fused_gate_up="gate_up_proj",
        rotary_concatenates=True,
        windows=uniform_window,
    ),
}
