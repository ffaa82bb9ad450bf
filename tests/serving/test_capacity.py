"""How many requests cards serve: monotone in what is asked, and never split as a server would refuse."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.catalogue.snapshot import Snapshot
from app.memory.architecture import Architecture
from app.memory.device import Device
from app.memory.inputs import Adapter, LoraTargetPreset
from app.serving.adapters import adapter_elements, slot_bytes
from app.serving.cache import CacheDtype
from app.serving.capacity import Ask, degrees, fewest_cards, place
from app.serving.reserve import StepLimits, reserve, step_limits
from app.serving.weights import WeightFormat
from app.units import GIB

SNAPSHOT = Snapshot.bundled()
SLUGS = ("llama-3-8b", "qwen2.5-14b", "gemma-3-27b", "llama-3-70b")
CARDS = ("rtx-4090", "l40s", "a100-80gb-sxm", "h100-sxm")


def architecture(slug: str) -> Architecture:
    found = SNAPSHOT.resolve_model(slug)
    assert found is not None
    return found.model.architecture


def device(slug: str) -> Device:
    found = SNAPSHOT.gpu(slug)
    assert found is not None
    return found.device


def test_a_card_s_budget_is_weights_reserve_and_cache() -> None:
    ask = Ask(format=WeightFormat.AWQ, context_tokens=8192)
    found = place(architecture("llama-3-8b"), device("rtx-4090"), ask, 1)
    assert found.budget_bytes == int(0.9 * device("rtx-4090").memory_bytes)
    assert found.cache.low_bytes == found.budget_bytes - found.weights.total_bytes - found.reserve.high_bytes
    assert found.request.low_bytes == GIB
    assert found.requests.low_bytes == found.cache.low_bytes // GIB == 11


@pytest.mark.parametrize(
    ("slug", "kinds"),
    [("llama-3-8b", (1, 2, 4, 8)), ("qwen2.5-14b", (1, 2, 4, 8)), ("qwen2.5-7b", (1, 2, 4))],
)
def test_only_degrees_that_divide_the_heads(slug: str, kinds: tuple[int, ...]) -> None:
    # Qwen2.5 7B has 28 query heads, which 8 does not divide.
    assert degrees(architecture(slug), WeightFormat.HALF) == kinds


def test_no_group_of_4_bit_weights_lies_on_two_cards() -> None:
    # Llama 2 7B's 11,008 inputs make 86 groups of 128: two cards can share them, four cannot.
    shape = architecture("llama-2-7b")
    assert degrees(shape, WeightFormat.HALF) == (1, 2, 4, 8)
    assert degrees(shape, WeightFormat.GPTQ) == degrees(shape, WeightFormat.AWQ) == (1, 2)


@given(
    st.sampled_from(SLUGS),
    st.sampled_from(CARDS),
    st.sampled_from(list(WeightFormat)),
    st.integers(1, 100_000),
    st.integers(1, 10_000),
)
def test_longer_contexts_and_wider_caches_never_serve_more(
    slug: str, card: str, format_: WeightFormat, context: int, more: int
) -> None:
    shape, on = architecture(slug), device(card)
    asked = Ask(format=format_, context_tokens=context)
    longer = Ask(format=format_, context_tokens=context + more)
    narrow = Ask(format=format_, context_tokens=context, cache_dtype=CacheDtype.FP8)
    found = place(shape, on, asked, 1).requests
    assert found.low_bytes <= found.high_bytes
    assert place(shape, on, longer, 1).requests.low_bytes <= found.low_bytes
    assert place(shape, on, narrow, 1).requests.low_bytes >= found.low_bytes


@given(st.sampled_from(SLUGS), st.sampled_from(CARDS), st.integers(1, 300), st.integers(512, 32_768))
def test_the_fewest_cards_serve_what_is_asked_and_fewer_do_not(
    slug: str, card: str, requests: int, tokens: int
) -> None:
    shape, on, ask = architecture(slug), device(card), Ask(format=WeightFormat.HALF, context_tokens=tokens)
    found = fewest_cards(shape, on, ask, requests)
    for cards in degrees(shape, WeightFormat.HALF):
        serves = place(shape, on, ask, cards).requests.low_bytes >= requests
        if found is None or cards < found.cards:
            assert not serves
    assert found is None or found.requests.low_bytes >= requests


def test_an_adapter_s_weights_are_exact_and_a_slot_is_never_smaller() -> None:
    shape = architecture("llama-3-8b")
    adapter = Adapter(rank=16, targets=LoraTargetPreset.QV)
    # PEFT prints 6,815,744 trainable parameters for rank 16 on q and v of Llama 3 8B.
    assert adapter_elements(shape, adapter) == 32 * 16 * ((4096 + 4096) + (4096 + 1024)) == 6_815_744
    slot = slot_bytes(shape, adapter)
    assert slot.low_bytes == 2 * 6_815_744
    everything = adapter_elements(shape, Adapter(rank=16, targets=LoraTargetPreset.ALL_LINEAR))
    assert slot.high_bytes == 2 * (everything + 2 * 16 * (4096 + 128_256))


def test_a_rank_between_sizes_takes_the_next_larger_slot() -> None:
    shape = architecture("llama-3-8b")
    assert slot_bytes(shape, Adapter(rank=17)).high_bytes == slot_bytes(shape, Adapter(rank=32)).high_bytes


@given(st.integers(0, 200), st.integers(1, 50))
def test_more_tenants_never_leave_more_room(tenants: int, more: int) -> None:
    shape, on, adapter = architecture("llama-3-8b"), device("l40s"), Adapter(rank=16)
    room = [
        place(shape, on, Ask(format=WeightFormat.HALF, context_tokens=4096, adapter=adapter, tenants=count), 1).cache
        for count in (tenants, tenants + more)
    ]
    assert room[1].low_bytes <= room[0].low_bytes
    assert room[1].high_bytes <= room[0].high_bytes


STARTS = (
    ("llama-3-8b", 79.22, 0.9, 1, 14.96, 53.29, "vllm, pull 10511"),
    ("llama-3.1-8b", 79.14, 0.9, 1, 14.99, 54.93, "AI Engineering notes quoting vLLM's log, example 4-3"),
    ("llama-2-7b", 79.19, 0.9, 1, 12.55, 56.18, "kubernetes-sigs/gateway-api-inference-extension, pull 550"),
    ("llama-3.1-8b", 22.07, 0.9, 1, 14.99, 4.60, "a deployment guide's log on a card of 22 GiB"),
    ("qwen3-8b", 21.48, 0.93, 4, 3.85, 14.49, "a deployment guide's log of DeepSeek-R1-0528-Qwen3-8B"),
    ("qwen2.5-1.5b", 14.56, 0.5, 1, 2.89, 2.36, "a notebook's log of Qwen2.5 1.5B"),
)
"""Starts of vLLM that were published: model, GiB of the card, share used, cards, GiB of weights and of cache."""


@pytest.mark.parametrize(("slug", "memory", "share", "cards", "weights", "cache", "source"), STARTS)
def test_published_starts_of_vllm_lie_within_the_bounds(
    slug: str, memory: float, share: float, cards: int, weights: float, cache: float, source: str
) -> None:
    kind = device("h100-sxm" if memory > 70 else "a10g")
    card = replace(kind, memory_bytes=int(memory * GIB))
    ask = Ask(format=WeightFormat.HALF, context_tokens=8192, memory_utilisation=share)
    found = place(architecture(slug), card, ask, cards)
    # What the logs call weights includes the table of positions, and over several cards a few buffers.
    assert found.weights.total_bytes / GIB == pytest.approx(weights, abs=0.045), source
    assert found.cache.low_bytes / GIB <= cache <= found.cache.high_bytes / GIB, source


def test_the_table_of_positions_is_what_logs_show_beyond_the_parameters() -> None:
    # "Loading model weights took 14.9888 GB" (binary) for Llama 3.1 8B, whose parameters take 14.9575.
    shape = architecture("llama-3.1-8b")
    table = 131_072 * 128 * 2
    assert round((2 * shape.total_parameters + table) / GIB, 4) == 14.9888
    windowless = reserve(shape, device("h100-sxm"), 0)
    shorter = reserve(replace(shape, max_position_embeddings=0), device("h100-sxm"), 0)
    assert windowless.low_bytes - shorter.low_bytes == windowless.high_bytes - shorter.high_bytes == table


def test_large_cards_plan_for_larger_steps() -> None:
    assert step_limits(device("h100-sxm")) == StepLimits(batched_tokens=8192, sequences=1024)
    for slug in ("a100-80gb-sxm", "rtx-4090"):
        assert step_limits(device(slug)) == StepLimits(batched_tokens=2048, sequences=256)
