"""What people type finds the model they mean."""

import pytest

from app.catalogue.snapshot import Snapshot


@pytest.mark.parametrize(
    ("typed", "slug"),
    [
        ("llama-3-8b", "llama-3-8b"),
        ("llama 3 8b", "llama-3-8b"),
        ("Llama3-8B", "llama-3-8b"),
        ("meta-llama/Meta-Llama-3-8B", "llama-3-8b"),
        ("META-LLAMA/meta-llama-3-8b", "llama-3-8b"),
        ("meta-llama/Meta-Llama-3-8B-Instruct", "llama-3-8b"),
        ("Meta Llama 3 70B", "llama-3-70b"),
        ("llama 8b", "llama-3.1-8b"),
        ("Llama 3.1 8B", "llama-3.1-8b"),
        ("llama-2-7b-chat", "llama-2-7b"),
        ("llama2 13b", "llama-2-13b"),
        ("llama 70b", "llama-3.3-70b-instruct"),
        ("mistral", "mistral-7b-v0.1"),
        ("mistral 7b", "mistral-7b-v0.1"),
        ("Mistral-7B", "mistral-7b-v0.1"),
        ("mistralai/Mistral-7B-Instruct-v0.3", "mistral-7b-instruct-v0.3"),
        ("mixtral 8x7b", "mixtral-8x7b-v0.1"),
        ("qwen 2.5 14b instruct", "qwen2.5-14b-instruct"),
        ("Qwen2.5-72B", "qwen2.5-72b"),
        ("qwen2.5 coder 7b", "qwen2.5-coder-7b-instruct"),
        ("Qwen/Qwen3-8B-Base", "qwen3-8b"),
        ("qwen 3 30b a3b", "qwen3-30b-a3b"),
        ("gemma 2 9b it", "gemma-2-9b"),
        ("gemma-3-27b", "gemma-3-27b-it"),
        ("phi-4", "phi-4-14b"),
        ("phi 3 mini", "phi-3-mini-4k"),
        ("deepseek r1", "deepseek-r1-671b"),
        ("DeepSeek-R1-Distill-Qwen-7B", "deepseek-r1-distill-qwen-7b"),
        ("tinyllama", "tinyllama-1.1b-chat-v1.0"),
        ("gpt-oss 20b", "gpt-oss-20b"),
        ("gpt2", "gpt-2-124m"),
        ("command r+", "command-r-104b"),
        ("smollm2 1.7b", "smollm2-1.7b"),
        ("falcon 7b", "falcon-7b"),
    ],
)
def test_a_typed_name_resolves(typed: str, slug: str) -> None:
    found = Snapshot.bundled().resolve_model(typed)
    assert found is not None
    assert found.model.slug == slug
    assert found.note is None


@pytest.mark.parametrize(
    ("typed", "slug"),
    [
        ("unsloth/llama-3-8b-bnb-4bit", "llama-3-8b"),
        ("TheBloke/Mistral-7B-Instruct-v0.2-GGUF", "mistral-7b-instruct-v0.2"),
        ("Qwen/Qwen2.5-14B-Instruct-AWQ", "qwen2.5-14b-instruct"),
        ("unsloth/Qwen3-8B-unsloth-bnb-4bit", "qwen3-8b"),
    ],
)
def test_a_converted_copy_resolves_to_its_base_with_a_note(typed: str, slug: str) -> None:
    found = Snapshot.bundled().resolve_model(typed)
    assert found is not None
    assert found.model.slug == slug
    assert found.note is not None
    assert typed in found.note


@pytest.mark.parametrize("typed", ["", "   ", "gpt-7", "no such model", "b", "🦙", "x" * 10_000])
def test_an_unknown_name_is_not_guessed(typed: str) -> None:
    assert Snapshot.bundled().model(typed) is None
    Snapshot.bundled().nearest_models(typed)


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("llama 8b", "llama-3.1-8b"),
        ("qwen 2.5 14b instruct", "qwen2.5-14b-instruct"),
        ("mistral", "mistral-7b-v0.1"),
        ("gemma 27b", "gemma-3-27b-it"),
        ("qwen 14b chat", "qwen3-14b"),
    ],
)
def test_search_puts_the_likeliest_first(typed: str, first: str) -> None:
    assert Snapshot.bundled().search_models(typed)[0].slug == first


def test_search_finds_every_model_of_a_family() -> None:
    found = {model.slug for model in Snapshot.bundled().search_models("mixtral")}
    assert found == {"mixtral-8x7b-v0.1", "mixtral-8x22b-v0.1", "mixtral-8x22b-instruct-v0.1"}


@pytest.mark.parametrize(
    ("typed", "expected"),
    [("lama 3 8b", "llama-3-8b"), ("mistrl 7b", "mistral-7b-v0.1"), ("qwen2.5-13b", "qwen2.5-14b")],
)
def test_the_nearest_name_is_offered(typed: str, expected: str) -> None:
    assert expected in [model.slug for model in Snapshot.bundled().nearest_models(typed)]


@pytest.mark.parametrize(
    ("typed", "slug"),
    [
        ("rtx-4090", "rtx-4090"),
        ("4090", "rtx-4090"),
        ("RTX 4090", "rtx-4090"),
        ("GeForce RTX 3090", "rtx-3090"),
        ("rtx 6000 pro", "rtx-pro-6000"),
        ("A100 SXM4 80GB", "a100-80gb-sxm"),
        ("l40s", "l40s"),
    ],
)
def test_a_typed_card_resolves(typed: str, slug: str) -> None:
    found = Snapshot.bundled().gpu(typed)
    assert found is not None
    assert found.slug == slug


def test_an_ambiguous_card_is_not_guessed_but_suggested() -> None:
    assert Snapshot.bundled().gpu("h100") is None
    assert [gpu.slug for gpu in Snapshot.bundled().search_gpus("h100")] == ["h100-nvl", "h100-pcie", "h100-sxm"]
