"""Every family: exact counts, traced memory, clear errors, and a new family in a few lines."""

from collections.abc import Iterator
from statistics import median
from typing import Any

import pytest

from app.catalogue.facts import CatalogueModel
from app.catalogue.snapshot import Snapshot
from app.memory import build
from app.memory.architecture import BlockKind, NormKind
from app.memory.build import parse_config
from app.memory.config import ConfigError
from app.memory.families import FAMILIES, Family
from app.memory.families.attention import AttentionStyle
from app.memory.families.mlp import PlainStyle
from benchmarks.accuracy.comparison import compare, compare_all
from benchmarks.accuracy.reference import ReferenceCase, Source, load

VERIFIED = [model for model in Snapshot.bundled().models if model.verified]
TRACED, _ = load((Source.ARCHITECTURES,))
LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "vocab_size": 32000,
    "hidden_size": 2048,
    "num_hidden_layers": 4,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "intermediate_size": 5632,
}
MIXTRAL: dict[str, Any] = {**LLAMA, "model_type": "mixtral", "num_local_experts": 8, "num_experts_per_tok": 2}


def test_there_are_all_verified_models() -> None:
    assert len(VERIFIED) == 235


@pytest.mark.parametrize("model", VERIFIED, ids=lambda model: model.slug)
def test_parameters_are_counted_exactly_from_the_configuration_alone(model: CatalogueModel) -> None:
    assert parse_config(model.config).total_parameters == model.total_parameters


@pytest.mark.parametrize("case", TRACED, ids=lambda case: f"{case.case_id}-{case.name}")
def test_a_traced_run_of_any_family_is_estimated_within_two_per_cent(case: ReferenceCase) -> None:
    comparison = compare(case)
    assert comparison.counts_agree
    assert abs(comparison.error) <= 0.02


def test_the_median_error_over_the_families_is_within_three_tenths_of_a_per_cent() -> None:
    assert len(TRACED) >= 120
    assert median(abs(item.error) for item in compare_all(TRACED)) <= 0.003


def mutilations() -> Iterator[tuple[str, dict[str, Any]]]:
    """A field, and a configuration in which it is missing, malformed or contradicts another."""
    required = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    for field in required:
        yield field, {key: value for key, value in LLAMA.items() if key != field}
        for value in (0, -1, "many", 2.5, [4096, 2048]):
            yield field, {**LLAMA, field: value}
    yield "num_key_value_heads", {**LLAMA, "num_key_value_heads": 3}
    yield "num_key_value_heads", {**LLAMA, "num_key_value_heads": 0}
    yield "num_attention_heads", {**LLAMA, "num_attention_heads": 7, "num_key_value_heads": 7}
    yield "num_hidden_layers", {**LLAMA, "num_hidden_layers": 10**9}
    yield "hidden_size", {**LLAMA, "hidden_size": 2**40}
    yield "tie_word_embeddings", {**LLAMA, "tie_word_embeddings": "perhaps"}
    yield "head_dim", {**LLAMA, "head_dim": -64}
    yield "model_type", {**LLAMA, "model_type": ""}
    yield "model_type", {**LLAMA, "model_type": 7}
    yield "text_config", {**LLAMA, "text_config": "llama"}
    yield "layer_types", {**LLAMA, "model_type": "gemma2", "layer_types": ["full_attention"]}


MUTILATED = list(mutilations())


def test_there_are_enough_mutilated_configurations() -> None:
    assert len(MUTILATED) >= 30


@pytest.mark.parametrize(("field", "config"), MUTILATED)
def test_a_mutilated_configuration_is_refused_by_the_name_of_its_field(field: str, config: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_config(config)
    assert refused.value.field == field
    assert refused.value.message


def test_an_unknown_family_gets_an_answer_that_says_so() -> None:
    architecture = parse_config({**LLAMA, "model_type": "llamacorn"})
    assert not architecture.recognised
    assert any("llamacorn" in note for note in architecture.notes)
    assert architecture.total_parameters == parse_config(LLAMA).total_parameters


def test_all_experts_count_but_only_the_chosen_ones_are_active() -> None:
    sparse = parse_config(MIXTRAL)
    expert = 3 * 2048 * 5632
    assert sparse.total_parameters - sparse.active_parameters == 4 * 6 * expert


def test_a_new_family_is_a_few_lines_of_data(monkeypatch: pytest.MonkeyPatch) -> None:
    invented = Family(
        norm=NormKind.LAYER,
        norm_bias=True,
        block=BlockKind.PARALLEL,
        mixers={"full_attention": AttentionStyle(bias=True)},
        mlps={"dense": PlainStyle(bias=True)},
        defaults={"tie_word_embeddings": True},
    )
    monkeypatch.setattr(build, "FAMILIES", {**FAMILIES, "parallelon": invented})
    architecture = parse_config({**LLAMA, "model_type": "parallelon"})
    hidden, intermediate, keys = 2048, 5632, 1024
    attention = 2 * hidden * hidden + 2 * hidden * keys + hidden + 2 * keys
    mlp = 2 * hidden * intermediate + intermediate + hidden
    norms = 2 * hidden
    assert architecture.recognised
    assert architecture.total_parameters == 32000 * hidden + 4 * (attention + mlp + norms) + 2 * hidden
