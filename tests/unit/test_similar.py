"""The measured runs beside an estimate."""

from typing import Any

import pytest

from app.memory.build import parse_config
from app.request import parse_json, resolve
from app.services.similar import similar_measurements

LLAMA_3_8B = {
    "model_type": "llama",
    "vocab_size": 128256,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 8192,
    "tie_word_embeddings": False,
}


def found(config: dict[str, Any] | None = None, **fields: Any) -> list[dict[str, Any]]:
    run = resolve(parse_json({"model": "any", "stack": "plain", "method": "lora", **fields})).run
    return [dict(row) for row in similar_measurements(run, parse_config(config or LLAMA_3_8B))]


def test_the_same_run_comes_first() -> None:
    rows = found(micro_batch_size=4, sequence_length=4096, gradient_checkpointing="full", loss_kernel="liger")
    assert rows[0]["model"] == "meta-llama/Meta-Llama-3-8B"
    assert rows[0]["distance"] == 0
    assert rows[0]["measured_bytes"] == 24_905_936_896
    assert [row["distance"] for row in rows] == sorted(row["distance"] for row in rows)


@pytest.mark.parametrize(
    "fields",
    [
        {"micro_batch_size": 1, "sequence_length": 16},
        {"num_gpus": 2, "micro_batch_size": 4, "sequence_length": 4096},
        {"method": "qlora", "micro_batch_size": 4, "sequence_length": 4096},
    ],
)
def test_a_run_unlike_any_measured_one_has_no_neighbours(fields: dict[str, Any]) -> None:
    assert found(**fields) == []


def test_a_model_of_another_size_has_no_neighbours() -> None:
    assert found({**LLAMA_3_8B, "num_hidden_layers": 4}, micro_batch_size=4, sequence_length=4096) == []


def test_every_row_says_where_it_was_read() -> None:
    rows = found(micro_batch_size=8, sequence_length=4096, gradient_checkpointing="full")
    assert rows
    assert all(row["source"] and row["gpu"] and row["statistic"] in {"allocated", "reserved"} for row in rows)
