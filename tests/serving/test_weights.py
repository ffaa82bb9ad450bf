"""Weights by format against published checkpoints, and against the parameter counts of every model we know."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.catalogue.snapshot import Snapshot
from app.memory.architecture import Architecture
from app.serving.capacity import DEGREES
from app.serving.matrices import model_of
from app.serving.weights import WeightFormat, weight_bytes

MODELS = Snapshot.bundled().models

PUBLISHED = (
    ("mistral-7b-v0.1", WeightFormat.AWQ, 128, "4.15", "TheBloke/zephyr-7B-beta-AWQ"),
    ("llama-2-70b", WeightFormat.AWQ, 128, "36.61", "TheBloke/Synthia-70B-v1.2b-AWQ"),
    ("mistral-7b-v0.1", WeightFormat.GPTQ, 128, "4.16", "TheBloke/zephyr-7B-beta-GPTQ"),
    ("llama-2-7b", WeightFormat.GPTQ, 128, "3.90", "TheBloke/Llama-2-7b-Chat-GPTQ"),
    ("llama-2-13b", WeightFormat.GPTQ, 128, "7.26", "TheBloke/MythoMax-L2-13B-GPTQ"),
    ("tinyllama-1.1b", WeightFormat.GPTQ, 128, "0.77", "TheBloke/TinyLlama-1.1B-Chat-v1.0-GPTQ"),
    ("codellama-34b", WeightFormat.GPTQ, None, "17.69", "TheBloke/Phind-CodeLlama-34B-v2-GPTQ, without groups"),
    ("mixtral-8x7b-v0.1", WeightFormat.GPTQ, None, "23.81", "TheBloke/dolphin-2.5-mixtral-8x7b-GPTQ, without groups"),
)
"""Model, format, group size, the size in GB that the repository's card states, and the repository."""


def architecture(slug: str) -> Architecture:
    found = Snapshot.bundled().resolve_model(slug)
    assert found is not None
    return found.model.architecture


@pytest.mark.parametrize(("slug", "format_", "group_size", "published", "repository"), PUBLISHED)
def test_published_4_bit_checkpoints_are_met_to_the_last_digit_they_state(
    slug: str, format_: WeightFormat, group_size: int | None, published: str, repository: str
) -> None:
    shape = architecture(slug)
    ours = weight_bytes(shape, format_, group_size=group_size).total_bytes
    if format_ is WeightFormat.GPTQ:
        # AutoGPTQ of those days wrote a float16 bias of zeros for every output; servers skip it on loading.
        ours += 2 * sum(matrix.out_features * matrix.count for matrix in model_of(shape).matrices if matrix.quantisable)
    # Fine-tunes may have a few words more than their base; the cards' two decimals hide some 5 MB.
    assert ours / 1e9 == pytest.approx(float(published), abs=0.0051), repository


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.slug)
def test_every_parameter_is_counted_once(model: object) -> None:
    shape = model.architecture  # type: ignore[attr-defined]
    counted = model_of(shape)
    matrices = sum(matrix.elements for matrix in counted.matrices)
    total = matrices + counted.vocabulary_elements + counted.other_elements + counted.float32_elements
    assert total == shape.total_parameters
    assert counted.other_elements >= 0
    half = weight_bytes(shape, WeightFormat.HALF)
    assert half.total_bytes == 2 * shape.total_parameters + 2 * counted.float32_elements


def test_4_bit_formats_leave_embeddings_head_norms_and_routers() -> None:
    shape = architecture("mixtral-8x7b-v0.1")
    kept = weight_bytes(shape, WeightFormat.AWQ).half_bytes
    embeddings, routers, norms = 2 * 32_000 * 4096, 32 * 8 * 4096, (2 * 32 + 1) * 4096
    assert kept == 2 * (embeddings + routers + norms)


@pytest.mark.parametrize("slug", ["llama-3-8b", "llama-3-70b", "mixtral-8x7b-v0.1", "deepseek-v3-671b", "gemma-3-27b"])
@pytest.mark.parametrize("format_", WeightFormat)
def test_cards_together_hold_no_less_than_one_would(slug: str, format_: WeightFormat) -> None:
    shape = architecture(slug)
    alone = weight_bytes(shape, format_).total_bytes
    shares = [weight_bytes(shape, format_, cards=cards).total_bytes for cards in DEGREES]
    assert shares == sorted(shares, reverse=True)
    for cards, share in zip(DEGREES, shares, strict=True):
        assert alone <= cards * share


def test_key_and_value_heads_are_repeated_where_there_are_fewer_than_cards() -> None:
    # Qwen2.5 14B has 40 query heads and 8 key/value heads of 128; Qwen3 30B-A3B 32 and 4.
    for slug, heads, outputs in (("qwen2.5-14b", 8, 128), ("qwen3-30b-a3b", 4, 128)):
        key = next(matrix for matrix in model_of(architecture(slug)).matrices if matrix.key_value_features)
        assert (key.key_value_heads, key.on(8)[1], key.on(2)[1]) == (heads, outputs, heads * outputs // 2)


@given(st.sampled_from([32, 64, 128, 256]))
def test_smaller_groups_never_take_less(group_size: int) -> None:
    shape = architecture("llama-3-8b")
    whole = weight_bytes(shape, WeightFormat.AWQ, group_size=None)
    grouped = weight_bytes(shape, WeightFormat.AWQ, group_size=group_size)
    assert grouped.scale_bytes + grouped.zero_bytes >= whole.scale_bytes + whole.zero_bytes
    assert grouped.packed_bytes == whole.packed_bytes
