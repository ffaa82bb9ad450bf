"""Families beyond the plain dense decoder: experts, latent attention, windows, hybrids, older and parallel blocks.

Real widths with few layers. Half of the cases have a small vocabulary, so that it is the layers and not the logits that
make the peak; the others have the real one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.accuracy.tracing.case import TraceCase
from benchmarks.accuracy.tracing.suites.shapes import shape

# Not the width of any layer, or the layer would be taken for logits.
_SMALL_VOCABULARY = 8000
_TINY_VOCABULARY = 1543
# Configurations whose default padding token lies far in their vocabulary.
_PADDED_BY_DEFAULT = frozenset({"glm", "glm4", "phi3", "smollm3"})
_FEW_TOKENS = {"micro_batch_size": 2, "sequence_length": 1024}


@dataclass(frozen=True, kw_only=True)
class _Family:
    """How one model is traced: `layers` are kept, and what its code or PEFT cannot do is left out.

    `pattern` is how many layers hold one of each kind, or `None` where layers cannot simply be repeated.
    """

    slug: str
    layers: int | None = 4
    changes: Mapping[str, Any] = field(default_factory=dict)
    attention: str = "sdpa"
    all_linear: str | tuple[str, ...] = "all-linear"
    sequence_length: int = 1024
    pattern: int | None = 1


_ATTENTION_LINEARS = ("q_proj", "k_proj", "v_proj", "o_proj")
_GATED_LINEARS = (*_ATTENTION_LINEARS, "gate_proj", "up_proj", "down_proj")
_FAMILIES = (
    # Mixtures of experts.
    _Family(slug="mixtral-8x7b-v0.1", layers=2),
    _Family(slug="qwen1.5-moe-a2.7b"),
    _Family(slug="qwen3-30b-a3b"),
    _Family(slug="olmoe-1b-7b-0924"),
    _Family(slug="granite-3.1-1b-a400m-instruct"),
    _Family(slug="gpt-oss-20b", pattern=2, attention="eager"),
    _Family(slug="phi-3.5-moe", layers=2, all_linear=_ATTENTION_LINEARS),
    _Family(slug="ernie-4.5-21b-a3b"),
    _Family(slug="glm-4.5-air-106b-a12b", layers=3),
    _Family(slug="dots.llm1", layers=3),
    _Family(slug="minimax-m2", layers=2),
    # PEFT cannot adapt the router of Llama 4, nor that of Phi-3.5 above: a linear layer that returns two tensors.
    _Family(slug="llama-4-scout-17b-16e", pattern=4, all_linear=_GATED_LINEARS),
    _Family(slug="gemma-4-26b-a4b", layers=6, pattern=None),
    _Family(slug="gemma-4-31b-it", layers=6, pattern=None),
    # Latent attention.
    _Family(slug="deepseek-v2-lite", layers=3),
    _Family(slug="deepseek-v3-671b", layers=4, changes={"n_routed_experts": 32}),
    # Older and other blocks.
    _Family(slug="gpt-2-124m", layers=None),
    _Family(slug="pythia-410m", layers=8),
    _Family(slug="gpt-j-6b", attention="eager"),
    _Family(slug="gpt-neo-1.3b", pattern=None, layers=None, attention="eager", sequence_length=512),
    _Family(slug="codegen-350m", attention="eager"),
    _Family(slug="opt-350m", layers=8),
    _Family(slug="opt-1.3b"),
    _Family(slug="bloom-560m", layers=6, attention="eager"),
    _Family(slug="falcon-7b"),
    _Family(slug="falcon-40b"),
    _Family(slug="mpt-7b", attention="eager"),
    _Family(slug="starcoder-15.5b"),
    _Family(slug="starcoder2-3b"),
    _Family(slug="stablelm-3b-4e1t"),
    _Family(slug="stablelm-2-12b"),
    _Family(slug="phi-2"),
    _Family(slug="aya-23-8b"),
    _Family(slug="command-r7b-12-2024", pattern=4),
    _Family(slug="command-r-104b", layers=2),
    _Family(slug="olmo-1b"),
    _Family(slug="olmo-2-1b"),
    _Family(slug="olmo-3-7b", pattern=4),
    _Family(slug="granite-3.1-2b-instruct"),
    _Family(slug="glm-4-9b"),
    _Family(slug="glm-4-32b-0414"),
    _Family(slug="minitron-4b"),
    _Family(slug="exaone-4.0-1.2b"),
    _Family(slug="apertus-70b-2509", layers=2),
    _Family(slug="smollm3-3b"),
    _Family(slug="internlm3-8b-instruct"),
    _Family(slug="ernie-4.5-0.3b"),
    _Family(slug="helium-1-2b"),
    _Family(slug="seed-oss-36b", layers=2),
    _Family(slug="hunyuan-7b"),
    _Family(slug="arcee-4.5b"),
    # Hybrids, on their pure PyTorch path.
    _Family(slug="qwen3-next-80b-a3b-instruct", pattern=4, changes={"num_experts": 64}),
    _Family(slug="qwen3.5-27b", pattern=4),
    _Family(slug="qwen3.5-35b-a3b", pattern=4, changes={"num_experts": 64}),
    _Family(slug="lfm2-1.2b", pattern=None, layers=6, changes={"full_attn_idxs": [2, 5]}),
    # PEFT refuses to adapt the projections of a Mamba block.
    _Family(slug="nemotron-3-nano-30b-a3b", pattern=None, layers=None, all_linear=_ATTENTION_LINEARS,
            changes={"hybrid_override_pattern": "MEM*E", "n_routed_experts": 32}),
)  # fmt: skip


def architecture_cases() -> Sequence[TraceCase]:
    """Four cases for every family, then what is particular to some."""
    cases = [case for family in _FAMILIES for case in _four_of(family)]
    return [*cases, *_windows(), *_options()]


def _config(family: _Family, *, small_vocabulary: bool) -> dict[str, Any]:
    config = shape(family.slug, layers=family.layers, **family.changes)
    return _with_vocabulary(config, _SMALL_VOCABULARY) if small_vocabulary else config


def _with_vocabulary(config: dict[str, Any], size: int) -> dict[str, Any]:
    """The configuration with another vocabulary, and the padding token inside it."""
    if config.get("pad_token_id") is not None or config["model_type"] in _PADDED_BY_DEFAULT:
        config["pad_token_id"] = 0
    return {**config, "vocab_size": size}


def _four_of(family: _Family) -> Iterator[TraceCase]:
    everything = family.all_linear if isinstance(family.all_linear, str) else list(family.all_linear)
    common = {"micro_batch_size": 2, "sequence_length": family.sequence_length, "attention": family.attention}
    variants: tuple[tuple[bool, dict[str, Any]], ...] = (
        (True, {"method": "full"}),
        (False, {"method": "lora", "precision": "bf16-mixed", "lora_target_modules": "attention"}),
        (True, {"method": "lora", "lora_target_modules": everything, "gradient_checkpointing": "full"}),
        (False, {"method": "qlora", "precision": "bf16-mixed", "lora_target_modules": everything,
                 "gradient_checkpointing": "full"}),
    )  # fmt: skip
    for small_vocabulary, fields in variants:
        config = _config(family, small_vocabulary=small_vocabulary)
        yield TraceCase(config=config, fields={**common, **fields}, name=family.slug, tag=config["model_type"])


def _windows() -> Iterator[TraceCase]:
    """Sliding windows and chunks, reached and not reached."""
    windows = (
        ("command-r7b-12-2024", "sliding_window", "sdpa"),
        ("olmo-3-7b", "sliding_window", "sdpa"),
        ("gpt-oss-20b", "sliding_window", "eager"),
        ("starcoder2-3b", "sliding_window", "sdpa"),
        ("llama-4-scout-17b-16e", "attention_chunk_size", "sdpa"),
    )
    for slug, key, attention in windows:
        for tokens in (512, 2048):
            config = _with_vocabulary(shape(slug, layers=4, **{key: 1024}), _SMALL_VOCABULARY)
            yield TraceCase(
                config=config, name=slug, tag="window",
                fields={"method": "lora", "attention": attention, "micro_batch_size": 1, "sequence_length": tokens},
            )  # fmt: skip


def _options() -> Iterator[TraceCase]:
    """Mixed precision, k-bit preparation, padding, dropout and long batches on unlike blocks."""
    for slug in ("qwen3-30b-a3b", "deepseek-v2-lite", "pythia-410m", "gpt-2-124m", "olmo-2-1b", "qwen3.5-27b"):
        config = _with_vocabulary(shape(slug, layers=4), _SMALL_VOCABULARY)
        options: tuple[dict[str, Any], ...] = (
            {"method": "full", "precision": "bf16-mixed"},
            {"method": "full", "precision": "bf16-mixed", "gradient_checkpointing": "full"},
            {"method": "qlora", "precision": "bf16-mixed", "upcast_non_quantized": True},
            {"method": "qlora", "precision": "bf16-mixed", "upcast_non_quantized": True,
             "gradient_checkpointing": "full"},
            {"method": "lora", "packing": False, "lora_dropout": 0.05},
        )  # fmt: skip
        for fields in options:
            yield TraceCase(config=config, fields={**_FEW_TOKENS, **fields}, name=slug, tag="options")


# The dense families of the other set: slug, layers in a pattern, attention.
_DENSE_BLOCKS = (
    ("llama-3.2-1b", 1, "sdpa"), ("qwen2.5-0.5b", 1, "sdpa"), ("qwen3-0.6b", 1, "sdpa"), ("gemma-2b", 1, "sdpa"),
    ("gemma-2-2b", 2, "eager"), ("gemma-3-1b", 6, "sdpa"), ("phi-3-mini-4k", 1, "sdpa"),
)  # fmt: skip
_DENSE_RUNS: tuple[Mapping[str, Any], ...] = (
    {"method": "full"},
    {"method": "full", "precision": "bf16-mixed"},
    {"method": "lora", "precision": "bf16-mixed"},
    {"method": "lora", "precision": "bf16-mixed", "lora_target_modules": "all-linear"},
    {"method": "qlora", "precision": "bf16-mixed", "lora_target_modules": "all-linear"},
    {"method": "qlora", "precision": "bf16-mixed", "lora_target_modules": "all-linear", "upcast_non_quantized": True},
)
_OTHER_RUNS: tuple[Mapping[str, Any], ...] = ({"method": "full"}, {"method": "lora"})


def layer_cases() -> Sequence[TraceCase]:
    """For every family one whole pattern of layers, trained and frozen under adapters, for the `layers` report."""
    dense = (_Family(slug=slug, pattern=layers, attention=attention) for slug, layers, attention in _DENSE_BLOCKS)
    cases = [case for family in dense for case in _pattern_of(family, _DENSE_RUNS)]
    return [*cases, *(case for family in _FAMILIES for case in _pattern_of(family, _OTHER_RUNS))]


def _pattern_of(family: _Family, runs: Sequence[Mapping[str, Any]]) -> Iterator[TraceCase]:
    if family.pattern is None:
        return
    config = _with_vocabulary(shape(family.slug, layers=family.pattern, **family.changes), _TINY_VOCABULARY)
    if "first_k_dense_replace" in config:  # every layer has experts
        config["first_k_dense_replace"] = 0
    common = {"attention": family.attention, "micro_batch_size": 1, "sequence_length": 1024}
    for fields in runs:
        yield TraceCase(config=config, fields={**common, **fields}, name=family.slug, tag=config["model_type"])
