"""Made-up shapes of real families, for parameter counts: no two dimensions alike, options switched at random."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.accuracy.tracing.case import TraceCase

_SHAPES_PER_FAMILY = 3
_GATED = ("llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "phi3", "granite", "olmo", "olmo2",
          "olmo3", "cohere", "cohere2", "glm", "glm4", "smollm3", "stablelm", "helium", "exaone4", "ernie4_5", "arcee",
          "starcoder2", "nemotron", "seed_oss", "hunyuan_v1_dense")  # fmt: skip
_WITH_EXPERTS: Mapping[str, Mapping[str, Any]] = {
    "mixtral": {"num_local_experts": 5, "num_experts_per_tok": 2},
    "qwen2_moe": {"num_experts": 7, "num_experts_per_tok": 2, "moe_intermediate_size": 88,
                  "shared_expert_intermediate_size": 136},
    "qwen3_moe": {"num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 104},
    "olmoe": {"num_experts": 9, "num_experts_per_tok": 3},
    "granitemoe": {"num_local_experts": 5, "num_experts_per_tok": 2},
    "phimoe": {"num_local_experts": 6, "num_experts_per_tok": 2, "pad_token_id": 0},
    "gpt_oss": {"num_local_experts": 5, "num_experts_per_tok": 2},
    "glm4_moe": {"n_routed_experts": 6, "n_shared_experts": 1, "num_experts_per_tok": 2, "moe_intermediate_size": 72,
                 "first_k_dense_replace": 1, "n_group": 1, "topk_group": 1},
    "deepseek_v3": {"n_routed_experts": 8, "n_shared_experts": 1, "num_experts_per_tok": 2,
                    "moe_intermediate_size": 72, "first_k_dense_replace": 1, "n_group": 1, "topk_group": 1,
                    "q_lora_rank": 56, "kv_lora_rank": 40, "qk_rope_head_dim": 8, "qk_nope_head_dim": 24,
                    "v_head_dim": 40},
    "deepseek_v2": {"n_routed_experts": 6, "n_shared_experts": 2, "num_experts_per_tok": 2,
                    "moe_intermediate_size": 88, "first_k_dense_replace": 1, "q_lora_rank": None, "kv_lora_rank": 48,
                    "qk_rope_head_dim": 8, "qk_nope_head_dim": 16, "v_head_dim": 24},
}  # fmt: skip
# Families whose heads must divide the hidden size.
_NO_HEAD_DIM = frozenset({"phi3", "olmo", "olmo2", "olmo3", "cohere", "cohere2", "granite", "granitemoe", "stablelm",
                          "starcoder2", "smollm3", "exaone4", "phimoe", "olmoe", "qwen2_moe", "nemotron",
                          "arcee", "deepseek_v2"})  # fmt: skip


def perturbed_cases() -> Sequence[TraceCase]:
    """Shapes of every family, drawn from a fixed seed; each as full fine-tuning, the adapters being added after."""
    draw = random.Random(40961)
    cases = []
    for model_type in (*_GATED, *_WITH_EXPERTS):
        for number in range(_SHAPES_PER_FAMILY):
            config = {"model_type": model_type, **_dimensions(draw, model_type), **_WITH_EXPERTS.get(model_type, {})}
            attention = "eager" if model_type in ("gemma2", "gpt_oss") else "sdpa"
            fields = {"method": "full", "attention": attention}
            cases.append(TraceCase(config=config, fields=fields, name=f"{model_type}-{number}"))
    return cases


def _dimensions(draw: random.Random, model_type: str) -> dict[str, Any]:
    groups, key_heads = draw.choice((1, 2, 4)), draw.choice((1, 2, 3))
    heads, head_dim = groups * key_heads, draw.choice((16, 24, 40))
    divides = model_type in _NO_HEAD_DIM
    dimensions: dict[str, Any] = {
        "vocab_size": draw.randrange(1000, 4000),
        "hidden_size": heads * head_dim if divides else 8 * draw.randrange(8, 40),
        "intermediate_size": 8 * draw.randrange(20, 80),
        "num_hidden_layers": draw.randrange(2, 6),
        "num_attention_heads": heads,
        "num_key_value_heads": key_heads,
        "tie_word_embeddings": draw.random() < 0.5,
    }
    if not divides:
        dimensions["head_dim"] = head_dim
    if model_type in ("llama", "glm", "glm4", "seed_oss", "ernie4_5", "helium", "arcee", "granite"):
        dimensions["attention_bias"] = draw.random() < 0.5
    if model_type == "llama":
        dimensions["mlp_bias"] = draw.random() < 0.5
    if model_type in ("phi3", "glm", "glm4", "smollm3"):
        dimensions["pad_token_id"] = 0
    if model_type == "stablelm":
        dimensions |= {"use_qkv_bias": draw.random() < 0.5, "qk_layernorm": draw.random() < 0.5}
    if model_type in ("cohere", "glm4_moe"):
        dimensions["use_qk_norm"] = draw.random() < 0.5
    return dimensions
