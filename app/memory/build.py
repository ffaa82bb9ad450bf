"""Put an architecture together from a configuration and its family's row."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from app.memory.architecture import (
    Architecture,
    Attention,
    BlockKind,
    GatedMlp,
    Layer,
    Mlp,
    Norm,
    PlainMlp,
    Projection,
)
from app.memory.config import MAXIMUM_LAYERS, ConfigError, ConfigReader
from app.memory.families import FAMILIES, LLAMA, Bias, Family

NORMS_PER_BLOCK: Mapping[BlockKind, int] = {
    BlockKind.PRE_NORM: 2,
    BlockKind.SANDWICH: 4,
    BlockKind.POST_NORM: 2,
}


def parse_config(config: Mapping[str, Any]) -> Architecture:
    """The architecture that a ``config.json`` describes.

    Raises :class:`ConfigError` naming the key that is missing, malformed or contradicts another. An unknown
    ``model_type`` is read as a Llama-like decoder and marked ``recognised=False``.
    """
    if not isinstance(config, Mapping):
        raise ConfigError("config", "must be a JSON object", "the content of a config.json")
    text = config.get("text_config")
    if isinstance(text, Mapping):
        config = {**text, "model_type": text.get("model_type") or config.get("model_type")}
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or not model_type:
        raise ConfigError("model_type", "is missing", "a Hugging Face model type such as llama")
    family = FAMILIES.get(model_type)
    reader = ConfigReader(config, (family or LLAMA).defaults)
    return _build(model_type, family or LLAMA, reader, recognised=family is not None)


def _build(model_type: str, family: Family, reader: ConfigReader, *, recognised: bool) -> Architecture:
    hidden_size = reader.integer("hidden_size")
    num_layers = reader.integer("num_hidden_layers", maximum=MAXIMUM_LAYERS)
    vocab_size = reader.integer("vocab_size")
    mlp = _mlp(family, reader, hidden_size)
    norm = Norm(family.norm, hidden_size, hidden_size, _flag(family.norm_bias, reader))
    norms = (norm,) * NORMS_PER_BLOCK.get(family.block, family.parallel_norms)
    by_window: dict[int | None, Layer] = {}
    layers = []
    for window in family.windows(reader, num_layers):
        if window not in by_window:
            by_window[window] = Layer(
                block=family.block,
                norms=norms,
                mixer=_attention(family, reader, hidden_size, window),
                mlp=mlp,
                residual_multiplier=family.residual_multiplier,
            )
        layers.append(by_window[window])
    notes = () if recognised else (f"model_type “{model_type}” is not known; read as a Llama-like decoder",)
    mixer = layers[0].mixer
    return Architecture(
        model_type=model_type,
        vocab_size=vocab_size,
        hidden_size=hidden_size,
        max_position_embeddings=reader.optional_integer("max_position_embeddings"),
        tie_word_embeddings=reader.boolean("tie_word_embeddings"),
        layers=tuple(layers),
        final_norm=norm,
        embedding_multiplier=family.embedding_multiplier,
        head_bias=_flag(family.head_bias, reader),
        logits_softcap=reader.has("final_logit_softcapping"),
        logits_multiplier=family.logits_multiplier,
        rotary_embeddings=family.rotary_embeddings if family.rotary else 0,
        rotary_dim=mixer.rotary_dim if isinstance(mixer, Attention) else 0,
        recognised=recognised,
        notes=notes,
    )


def _flag(bias: Bias, reader: ConfigReader) -> bool:
    return reader.boolean(bias) if isinstance(bias, str) else bias


def _attention(family: Family, reader: ConfigReader, hidden_size: int, window: int | None) -> Attention:
    num_heads = reader.integer("num_attention_heads")
    num_key_value_heads = reader.integer("num_key_value_heads", num_heads)
    if num_heads % num_key_value_heads:
        raise ConfigError(
            "num_key_value_heads",
            f"{num_key_value_heads} does not divide num_attention_heads {num_heads}",
            f"a divisor of {num_heads}",
        )
    head_dim = reader.optional_integer("head_dim") or family.head_dim
    if head_dim is None:
        if hidden_size % num_heads:
            raise ConfigError(
                "num_attention_heads",
                f"{num_heads} does not divide hidden_size {hidden_size}, and there is no head_dim",
                f"a divisor of {hidden_size}",
            )
        head_dim = hidden_size // num_heads
    query, key_value = num_heads * head_dim, num_key_value_heads * head_dim
    bias = _flag(family.query_key_value_bias, reader)
    fused = family.fused_query_key_value
    norm_widths = {"head": (head_dim, head_dim), "all": (query, key_value)}.get(family.query_key_norm or "")
    return Attention(
        num_heads=num_heads,
        num_key_value_heads=num_key_value_heads,
        head_dim=head_dim,
        query=None if fused else Projection("q_proj", hidden_size, query, bias),
        key=None if fused else Projection("k_proj", hidden_size, key_value, bias),
        value=None if fused else Projection("v_proj", hidden_size, key_value, bias),
        fused=Projection(fused, hidden_size, query + 2 * key_value, bias) if fused else None,
        output=Projection(family.output_name, query, hidden_size, _flag(family.output_bias, reader)),
        query_norm=Norm(family.norm, norm_widths[0], norm_widths[0]) if norm_widths else None,
        key_norm=Norm(family.norm, norm_widths[1], norm_widths[1]) if norm_widths else None,
        rotary_dim=int(head_dim * family.rotary_fraction) if family.rotary else 0,
        window=window,
        scores_softcap=reader.has("attn_logit_softcapping"),
        sdpa=family.sdpa,
    )


def _mlp(family: Family, reader: ConfigReader, hidden_size: int) -> Mlp:
    intermediate_size = reader.integer("intermediate_size")
    bias = _flag(family.mlp_bias, reader)
    down = Projection(family.down_name, intermediate_size, hidden_size, bias)
    up = Projection(family.up_name, hidden_size, intermediate_size, bias)
    if not family.gated:
        return PlainMlp(intermediate_size=intermediate_size, up=up, down=down, activation=family.activation)
    if family.fused_gate_up:
        fused = Projection(family.fused_gate_up, hidden_size, 2 * intermediate_size, bias)
        return GatedMlp(intermediate_size=intermediate_size, gate_up=fused, down=down)
    gate = Projection("gate_proj", hidden_size, intermediate_size, bias)
    return GatedMlp(intermediate_size=intermediate_size, gate=gate, up=up, down=down)


@lru_cache(maxsize=1)
def supported_model_types() -> tuple[str, ...]:
    """The model types with a family row, sorted."""
    return tuple(sorted(FAMILIES))
