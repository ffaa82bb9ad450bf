"""Families that nobody described: the catalogue's models under a name that nobody has heard of."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.memory.build import parse_config
from app.memory.config import ConfigError

MODELS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "app/catalogue/data/models.json").read_text(encoding="utf-8")
)["models"]
EXPERTS = frozenset(
    {
        "deepseek",
        "deepseek_v2",
        "deepseek_v3",
        "glm4_moe",
        "gpt_oss",
        "granitemoe",
        "mixtral",
        "olmoe",
        "qwen2_moe",
        "qwen3_moe",
    }
)
"""Those of the catalogue whose layers are a Llama's but for their experts and their attention."""
WITHIN = 0.01
QWEN3_MOE = next(row["config"] for row in MODELS if row["config"]["model_type"] == "qwen3_moe")


def unheard_of(config: dict[str, Any]) -> dict[str, Any]:
    return {**config, "model_type": "never_heard_of"}


def experts_of(**changes: Any) -> int:
    """Parameters of a small model with experts, with keys changed; None takes a key out."""
    config = {**unheard_of(QWEN3_MOE), "num_hidden_layers": 4, **changes}
    return parse_config({key: value for key, value in config.items() if value is not None}).total_parameters


@pytest.mark.parametrize(
    "row", [row for row in MODELS if row["config"]["model_type"] in EXPERTS], ids=lambda row: row["slug"]
)
def test_experts_count_under_an_unknown_name(row: dict[str, Any]) -> None:
    architecture = parse_config(unheard_of(row["config"]))
    assert architecture.total_parameters == pytest.approx(row["total_parameters"], rel=WITHIN)
    assert architecture.active_parameters == pytest.approx(row["active_parameters"], rel=10 * WITHIN)
    assert not architecture.recognised
    assert "experts a layer" in architecture.notes[0]


def test_the_families_with_experts_are_there() -> None:
    assert {row["config"]["model_type"] for row in MODELS} >= EXPERTS


def test_a_list_says_which_layers_have_experts() -> None:
    some, none, all_ = (
        experts_of(mlp_layer_types=kinds)
        for kinds in (["dense", "sparse", "dense", "sparse"], ["dense"] * 4, ["sparse"] * 4)
    )
    assert 2 * some == none + all_
    assert experts_of(moe_layer_freq=[0, 1, 0, 1]) == some
    assert experts_of(decoder_sparse_step=2) == some
    assert experts_of(decoder_sparse_step=None, expert_layer_period=2, expert_layer_offset=1) == some
    assert experts_of(first_k_dense_replace=2) == some


def test_what_is_shared_is_counted_by_width_or_by_number() -> None:
    width, hidden_size = QWEN3_MOE["moe_intermediate_size"], QWEN3_MOE["hidden_size"]
    alone = experts_of()
    assert experts_of(n_shared_experts=2) - alone == 4 * 2 * 3 * width * hidden_size
    assert experts_of(shared_expert_intermediate_size=2 * width) - alone == 4 * 2 * 3 * width * hidden_size


def test_one_expert_is_none() -> None:
    assert experts_of(num_experts=1, num_local_experts=None) == experts_of(mlp_layer_types=["dense"] * 4)


def test_activations_without_a_gate_take_two_projections() -> None:
    dense = {"mlp_layer_types": ["dense"] * 4}
    width, hidden_size = QWEN3_MOE["intermediate_size"], QWEN3_MOE["hidden_size"]
    assert experts_of(**dense) - experts_of(**dense, hidden_act="relu2") == 4 * width * hidden_size


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"moe_layer_freq": "often", "decoder_sparse_step": None}, "moe_layer_freq"),
        ({"num_experts": "many"}, "num_experts"),
        ({"n_shared_experts": -1}, "n_shared_experts"),
        ({"moe_intermediate_size": None, "intermediate_size": None}, "moe_intermediate_size"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError) as caught:
        experts_of(**changes)
    assert caught.value.field == field


@pytest.mark.parametrize("quantised", ["gptq", 4, None])
def test_quantised_weights_are_said_and_counted_as_what_they_were_made_from(quantised: object) -> None:
    config = {**QWEN3_MOE, "quantization_config": {"quant_method": quantised, "bits": 4}}
    architecture = parse_config(config)
    assert architecture.total_parameters == parse_config(QWEN3_MOE).total_parameters
    assert any("gptq" in note for note in architecture.notes) == (quantised == "gptq")
