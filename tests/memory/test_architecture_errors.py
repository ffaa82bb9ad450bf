"""Mutilated configurations are refused in words that say which key, what is wrong and what is allowed."""

from typing import Any

import pytest

from app.memory.build import parse_config
from app.memory.config import ConfigError

LLAMA: dict[str, Any] = {
    "model_type": "llama", "vocab_size": 32000, "hidden_size": 4096, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 11008,
}  # fmt: skip
EXPERTS: dict[str, Any] = {
    **LLAMA, "model_type": "qwen3_moe", "num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 768,
}  # fmt: skip
LATENT: dict[str, Any] = {**EXPERTS, "model_type": "deepseek_v3", "n_routed_experts": 8, "q_lora_rank": 64}
HYBRID: dict[str, Any] = {
    **LLAMA, "model_type": "nemotron_h", "hybrid_override_pattern": "M*-E", "num_experts": 8,
    "num_experts_per_tok": 2, "mamba_num_heads": 8, "moe_intermediate_size": 64,
    "moe_shared_expert_intermediate_size": 64,
}  # fmt: skip
MISSING = object()

MUTILATED: list[tuple[dict[str, Any], str, Any]] = [
    (LLAMA, "model_type", MISSING),
    (LLAMA, "model_type", ""),
    (LLAMA, "model_type", 7),
    (LLAMA, "hidden_size", MISSING),
    (LLAMA, "hidden_size", None),
    (LLAMA, "hidden_size", 0),
    (LLAMA, "hidden_size", -4096),
    (LLAMA, "hidden_size", 4096.5),
    (LLAMA, "hidden_size", "4096"),
    (LLAMA, "hidden_size", True),
    (LLAMA, "hidden_size", [4096, 2048]),
    (LLAMA, "hidden_size", 10**12),
    (LLAMA, "num_hidden_layers", MISSING),
    (LLAMA, "num_hidden_layers", 0),
    (LLAMA, "num_hidden_layers", 100_000),
    (LLAMA, "num_attention_heads", MISSING),
    (LLAMA, "num_attention_heads", 33),
    (LLAMA, "num_key_value_heads", 7),
    (LLAMA, "num_key_value_heads", {}),
    (LLAMA, "intermediate_size", MISSING),
    (LLAMA, "intermediate_size", float("nan")),
    (LLAMA, "vocab_size", MISSING),
    (LLAMA, "vocab_size", -1),
    (LLAMA, "head_dim", "wide"),
    (LLAMA, "tie_word_embeddings", "yes"),
    (LLAMA, "attention_bias", 1),
    (LLAMA, "text_config", "llama"),
    ({**LLAMA, "model_type": "qwen3"}, "layer_types", ["full_attention"]),
    ({**LLAMA, "model_type": "qwen3"}, "layer_types", "full_attention"),
    ({**LLAMA, "model_type": "gemma3_text"}, "sliding_window", 0),
    ({**LLAMA, "model_type": "glm"}, "partial_rotary_factor", "half"),
    ({**LLAMA, "model_type": "gpt_neo"}, "attention_types", [["global", 12]]),
    ({**LLAMA, "model_type": "mpt"}, "expansion_ratio", "four"),
    (EXPERTS, "num_experts", 0),
    (EXPERTS, "num_experts_per_tok", 9),
    (EXPERTS, "moe_intermediate_size", "large"),
    (EXPERTS, "mlp_only_layers", 3),
    (EXPERTS, "mlp_only_layers", [-1]),
    (LATENT, "kv_lora_rank", 0),
    (LATENT, "v_head_dim", []),
    (LATENT, "first_k_dense_replace", -1),
    (HYBRID, "hybrid_override_pattern", "MX"),
    (HYBRID, "hybrid_override_pattern", ""),
    (HYBRID, "mamba_num_heads", None),
    ({"model_type": "gemma3", "text_config": LLAMA}, "vision_config", 896),
]


@pytest.mark.parametrize(("config", "key", "value"), MUTILATED, ids=[str(index) for index in range(len(MUTILATED))])
def test_a_mutilated_configuration_is_refused_clearly(config: dict[str, Any], key: str, value: Any) -> None:
    mutilated = {name: item for name, item in config.items() if name != key}
    if value is not MISSING:
        mutilated[key] = value
    with pytest.raises(ConfigError) as caught:
        parse_config(mutilated)
    assert caught.value.field == key
    assert caught.value.message
    assert caught.value.allowed


@pytest.mark.parametrize("config", [LLAMA, EXPERTS, LATENT, HYBRID], ids=lambda config: config["model_type"])
def test_the_unharmed_configurations_are_read(config: dict[str, Any]) -> None:
    assert parse_config(config).total_parameters > 0


@pytest.mark.parametrize("config", [None, [], "llama", 7])
def test_what_is_no_object_is_refused(config: Any) -> None:
    with pytest.raises(ConfigError):
        parse_config(config)
