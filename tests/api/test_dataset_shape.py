"""``/dataset-shape`` over HTTP: figures or a list, the memory at the lengths that matter, and links that lead on."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

SHAPE = "/api/v1/dataset-shape"
FIGURES = {"tokens_per_example": 350, "p95_tokens_per_example": 1200, "max_tokens_per_example": 4096}


def answer(client: TestClient, **asked: Any) -> dict[str, Any]:
    response = client.post(SHAPE, json=asked)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def test_a_list_is_counted_as_it_is(client: TestClient) -> None:
    result = answer(client, lengths=[10, 10, 100], micro_batch_size=2)
    assert (result["source"], result["examples"], result["longest_tokens"]) == ("lengths", 3, 100)
    assert result["expected_longest_tokens"] == pytest.approx(70)
    assert result["padding_share"] == pytest.approx(1 - 40 / 70)
    assert result["memory"] is None
    assert result["fitted_sigma"] is None


def test_three_figures_are_fitted_and_the_run_takes_them_over(client: TestClient) -> None:
    result = answer(client, **FIGURES, num_examples=5000, micro_batch_size=8, sequence_length=2048)
    assert result["source"] == "figures"
    assert result["lengths"]["longest"] == 4096
    assert result["longest_tokens"] == 2048
    assert 0 < result["cut_share"] < 0.05
    run = result["run"]
    assert (run["sequence_length"], run["num_examples"], run["packing"]) == (2048, 5000, False)
    assert run["tokens_per_example"] == round(result["mean_after_cut"])
    assert result["batches_per_epoch"] == 625


def test_without_a_sequence_length_nothing_is_cut(client: TestClient) -> None:
    result = answer(client, **FIGURES)
    assert (result["longest_tokens"], result["cut_share"], result["lost_share"]) == (4096, 0, 0)


def test_memory_is_what_estimate_says_at_each_length(client: TestClient) -> None:
    run = {"model": "llama-3-8b", "method": "qlora", "gpu": "rtx-3090", "micro_batch_size": 4}
    memory = answer(client, **FIGURES, **run)["memory"]
    for name, packing in (("longest", False), ("expected", False), ("mean", False), ("packed", True)):
        batch = memory[name]
        asked = {**run, "sequence_length": batch["sequence_length"], "packing": packing, "gpus": "none"}
        same = client.post("/api/v1/estimate", json=asked).json()
        assert batch["required_bytes"] == same["memory"]["required_bytes"], name
        assert batch["verdict"] == same["verdict"]["status"]
    assert memory["longest"]["required_bytes"] > memory["expected"]["required_bytes"] > memory["mean"]["required_bytes"]


def test_get_and_post_and_the_permalink_answer_the_same(client: TestClient) -> None:
    posted = answer(client, **FIGURES, micro_batch_size=2)
    assert client.get(SHAPE, params={**FIGURES, "micro_batch_size": 2}).json() == posted
    assert client.get(posted["links"]["self"]).json() == posted
    for address in (posted["links"]["page"], posted["padded_url"], posted["packed_url"]):
        assert client.get(address).status_code == 200


@pytest.mark.parametrize(
    ("asked", "fields"),
    [
        ({}, {"tokens_per_example", "p95_tokens_per_example", "max_tokens_per_example"}),
        ({**FIGURES, "p95_tokens_per_example": 100}, {"p95_tokens_per_example"}),
        ({**FIGURES, "max_tokens_per_example": 500}, {"max_tokens_per_example"}),
        ({"lengths": []}, {"lengths"}),
        ({"lengths": [5, "6"]}, {"lengths"}),
        ({**FIGURES, "micro_batch_size": 0}, {"micro_batch_size"}),
        ({**FIGURES, "model": "lama 3 8b"}, {"model"}),
        ({**FIGURES, "p99_tokens": 5}, {"p99_tokens"}),
    ],
)
def test_what_is_wrong_names_its_field(client: TestClient, asked: dict[str, Any], fields: set[str]) -> None:
    response = client.post(SHAPE, json=asked)
    assert response.status_code == 422
    assert {error["field"] for error in response.json()["errors"]} == fields


def test_a_long_list_is_taken_and_a_longer_body_is_not(client: TestClient) -> None:
    assert answer(client, lengths=[1234] * 100_000)["longest_tokens"] == 1234
    assert client.post(SHAPE, json={"lengths": [1234] * 300_000}).status_code == 413
    assert client.post(SHAPE, json=[1, 2, 3]).status_code == 422
