"""What a configuration of a family that nobody described here says of itself, by the keys that most families share.

The layers are a Llama's; experts, which layers have them, and latent attention are read where their keys stand. How far
that goes is checked on described families under a made-up name (``tests/memory/test_unknown_family.py``).
"""

from collections.abc import Sequence
from typing import Final

from app.memory.architecture import RouterKind
from app.memory.config import ConfigReader, check_integer
from app.memory.families.attention import PER_HEAD, AttentionStyle, LatentStyle
from app.memory.families.family import Family, MixerStyle, MlpStyle
from app.memory.families.llama_like import BIASED_GATED, LLAMA
from app.memory.families.mlp import ExpertStyle, PlainStyle, SharedStyle
from app.memory.families.plans import by_layer_type

EXPERT_WIDTHS: Final = ("moe_intermediate_size", "expert_ffn_hidden_size", "moe_ffn_hidden_size", "intermediate_size")
SHARED_WIDTHS: Final = (
    "shared_expert_intermediate_size",
    "moe_shared_expert_intermediate_size",
    "shared_intermediate_size",
)
SHARED_COUNTS: Final = ("n_shared_experts", "num_shared_experts", "moe_num_shared_experts", "num_shared_expert")
DENSE_FIRST: Final = ("first_k_dense_replace", "num_dense_layers", "n_dense_layers", "moe_layer_start_index")
EVERY: Final = ("decoder_sparse_step", "interleave_moe_layer_step", "moe_layer_interval", "expert_layer_period")
UNGATED: Final = frozenset({"relu", "relu2", "xielu", "gelu_new", "gelu_fast"})
"""Activations that every described family has between two projections; the others also multiply by a gate."""
EXPERT_LAYERS: Final = frozenset({"sparse", "moe"})
"""How lists with an entry a layer name those with experts."""

COMMON_EXPERTS_PER_TOKEN: Final = 8
"""Where nothing is said: what most published configurations with many experts have. No parameter depends on it."""


def _named(reader: ConfigReader, keys: Sequence[str]) -> str | None:
    """The first of these keys that the configuration has."""
    return next((key for key in keys if reader.has(key)), None)


def expert_width(reader: ConfigReader) -> int:
    """One expert's width, by whichever name it goes."""
    return reader.integer(_named(reader, EXPERT_WIDTHS) or EXPERT_WIDTHS[0])


def shared_width(reader: ConfigReader) -> int:
    """The width of all that every token passes beside its experts; 0 where nothing is said of it."""
    width = _named(reader, SHARED_WIDTHS)
    if width is not None:
        return reader.integer(width, minimum=0)
    count = _named(reader, SHARED_COUNTS)
    return reader.integer(count, minimum=0) * expert_width(reader) if count is not None else 0


def has_experts(reader: ConfigReader, index: int) -> bool:
    """Whether a layer has experts: as a list with an entry a layer says, else by where they begin and how often they
    come; in every layer where neither is said."""
    listed = reader.raw("mlp_layer_types") or reader.raw("moe_layer_freq")
    if isinstance(listed, list | tuple):
        return index < len(listed) and listed[index] in {*EXPERT_LAYERS, 1}
    if index in reader.integers("mlp_only_layers"):
        return False
    first, every = _named(reader, DENSE_FIRST), _named(reader, EVERY)
    step = reader.integer(every) if every else check_integer("moe_layer_freq", listed or 1)
    start = reader.integer(first, minimum=0) if first else 0
    if reader.has("expert_layer_offset"):
        return index % step == reader.integer("expert_layer_offset", minimum=0)
    return index >= start and (step == 1 or (index + 1) % step == 0)


EXPERTS: Final = ExpertStyle(
    router=RouterKind.SOFTMAX, width=expert_width, shared=SharedStyle(width=shared_width), normalises=False
)
NORMED: Final = AttentionStyle(bias="attention_bias", output_bias="attention_bias", norm=PER_HEAD)


def unknown_family(reader: ConfigReader) -> Family:
    """The family that a configuration's keys describe."""
    attention: MixerStyle = LLAMA.mixers["full_attention"]
    if reader.has("kv_lora_rank"):
        attention = LatentStyle()
    elif any(reader.raw(key) is True for key in ("use_qk_norm", "qk_norm", "qk_layernorm")):
        attention = NORMED
    ungated = reader.text("hidden_act", "silu") in UNGATED
    dense: MlpStyle = PlainStyle(bias="mlp_bias") if ungated else BIASED_GATED
    if not reader.has("num_experts") or reader.integer("num_experts", minimum=0) < 2:
        return Family(mixers={"full_attention": attention}, mlps={"dense": dense}, plan=by_layer_type())
    return Family(
        mixers={"full_attention": attention},
        mlps={"dense": dense, "sparse": EXPERTS},
        plan=by_layer_type(sparse=has_experts),
        defaults={"num_experts_per_tok": min(reader.integer("num_experts"), COMMON_EXPERTS_PER_TOKEN)},
    )
