"""``vram-fit solve``, as people type it, on an SQLite file."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import app

QUESTION = ["solve", "sequence_length", "--model", "llama-3-8b", "--method=qlora", "--gpu", "rtx-4090"]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a migrated database with the bundled catalogue."""
    url = f"sqlite:///{tmp_path_factory.mktemp('asked') / 'catalogue.db'}"
    for command in (["migrate"], ["catalogue", "load"]):
        assert CliRunner(env={"DATABASE_URL": url}).invoke(app, command).exit_code == 0
    return url


def asked(database: str, *arguments: str) -> tuple[int, str]:
    result = CliRunner(env={"DATABASE_URL": database}).invoke(app, list(arguments))
    return result.exit_code, result.output


def test_the_answer_is_said_in_sentences(database: str) -> None:
    code, output = asked(database, *QUESTION)
    assert code == 0
    first, limit, needs, *_ = output.splitlines()
    assert "is the longest sequence that fits GeForce RTX 4090." in first
    assert "more than the" in limit
    assert needs.startswith("Needs ")


def test_the_whole_answer_comes_as_json_and_any_field_is_an_option(database: str) -> None:
    code, output = asked(database, *QUESTION, "--micro-batch-size", "1", "--json")
    assert code == 0
    answer = json.loads(output)
    assert answer["run"]["micro_batch_size"] == 1
    assert f"{answer['answer']:,} tokens" in answer["sentence"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["solve", "model", "--gpu", "rtx-4091"], "rtx-4090"),
        (["solve", "model"], "unless a budget is given"),
        (["solve", "lora_rank", "--gpu"], "--gpu needs a value"),
        (["solve", "lora_rank", "rtx-4090"], "neither an option nor the value of one"),
        (["solve", "lora_rank", "--rnak", "3"], "rnak"),
        (["solve", "epochs"], "epochs"),
    ],
)
def test_what_is_wrong_is_named(database: str, arguments: list[str], said: str) -> None:
    code, output = asked(database, *arguments)
    assert code != 0
    assert said in output


def test_an_empty_catalogue_is_said(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'catalogue.db'}"
    assert asked(url, "migrate")[0] == 0
    code, output = asked(url, *QUESTION)
    assert (code, "vram-fit catalogue load" in output) == (1, True)
