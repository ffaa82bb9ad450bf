"""The cache of a request against published figures, and what windows, latents and recurrences make of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.catalogue.snapshot import Snapshot
from app.memory.architecture import Architecture, DeltaNet
from app.serving.cache import BLOCK_TOKENS, CacheDtype, request_cache

MODELS = Snapshot.bundled().models
KINDS = (
    "llama-3-8b",
    "gemma-3-27b",
    "gpt-oss-20b",
    "deepseek-v3-671b",
    "qwen3-next-80b-a3b-instruct",
    "glm-5-744b-a40b",
)


def architecture(slug: str) -> Architecture:
    found = Snapshot.bundled().resolve_model(slug)
    assert found is not None
    return found.model.architecture


@pytest.mark.parametrize(
    ("slug", "token_bytes", "why"),
    [
        ("llama-3-8b", 128 * 1024, "2 × 32 layers × 8 heads × 128 × 2 bytes"),
        ("llama-3-70b", 320 * 1024, "2 × 80 × 8 × 128 × 2"),
        ("llama-2-7b", 512 * 1024, "2 × 32 × 32 × 128 × 2: no grouped heads"),
        (
            "deepseek-v3-671b",
            70_272,
            "(512 + 64) × 61 × 2; table 1 of arXiv 2505.09343 (Insights into DeepSeek-V3): 70.272 KB",
        ),
        ("qwen2.5-72b", 327_680, "the same table: 327.680 KB"),
        ("llama-3.1-405b", 516_096, "the same table: 516.096 KB"),
    ],
)
def test_published_bytes_a_token_in_16_bits(slug: str, token_bytes: int, why: str) -> None:
    assert request_cache(architecture(slug), CacheDtype.BF16).token_bytes == token_bytes, why


def test_fp8_halves_keys_and_values_and_packs_sparse_latents_as_vllm_does() -> None:
    for slug in ("llama-3-8b", "gemma-3-27b", "deepseek-v3-671b"):
        shape = architecture(slug)
        half, full = (request_cache(shape, dtype).token_bytes for dtype in (CacheDtype.FP8, CacheDtype.BF16))
        assert 2 * half == full
    sparse = request_cache(architecture("glm-5-744b-a40b"), CacheDtype.FP8)
    assert sparse.token_bytes == 78 * (656 + 132)


def test_windows_bound_what_their_layers_keep() -> None:
    cache = request_cache(architecture("gemma-3-27b"), CacheDtype.BF16)
    # 52 of 62 layers see 1,024 tokens; 16 heads of 128.
    per_layer = 2 * 16 * 128 * 2
    assert (cache.token_bytes, cache.growing_token_bytes) == (62 * per_layer, 10 * per_layer)
    long = cache.request(131_072)
    assert long.low_bytes == long.high_bytes == per_layer * (10 * 131_072 + 52 * (1024 + BLOCK_TOKENS))


def test_a_latent_is_whole_on_every_card_and_grouped_heads_are_shared() -> None:
    latent, grouped = architecture("deepseek-v3-671b"), architecture("llama-3-8b")
    assert len({request_cache(latent, CacheDtype.BF16, cards).token_bytes for cards in (1, 2, 4, 8)}) == 1
    shares = [request_cache(grouped, CacheDtype.BF16, cards).token_bytes for cards in (1, 2, 4, 8)]
    assert shares == [131_072 // cards for cards in (1, 2, 4, 8)]


def test_a_recurrent_layer_keeps_a_constant_and_pages_as_large() -> None:
    shape = architecture("qwen3-next-80b-a3b-instruct")
    mixers = [(layer.mixer, count) for layer, count in shape.distinct_layers if isinstance(layer.mixer, DeltaNet)]
    assert sum(count for _mixer, count in mixers) == 36
    cache = request_cache(shape, CacheDtype.BF16)
    # The convolution's last 3 inputs of 8,192 channels, and 32 heads of 128 × 128.
    one = 3 * 8192 * 2 + 32 * 128 * 128 * 2
    assert cache.state.low_bytes == 36 * one
    assert cache.state.high_bytes == 36 * 2 * (3 * 8192 * 2 + 32 * 128 * 128 * 4)
    assert cache.request(1).high_bytes > cache.request(1).low_bytes
    grows = cache.request(65_536).low_bytes - cache.request(32_768).low_bytes
    assert grows == 32_768 * cache.growing_token_bytes


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.slug)
def test_every_model_keeps_something_of_a_request(model: object) -> None:
    cache = request_cache(model.architecture, CacheDtype.BF16)  # type: ignore[attr-defined]
    found = cache.request(4096)
    assert 0 < found.low_bytes <= found.high_bytes


@given(st.sampled_from(KINDS), st.integers(1, 200_000), st.integers(1, 5_000), st.sampled_from(list(CacheDtype)))
def test_a_longer_context_never_takes_less_and_blocks_are_whole(
    slug: str, tokens: int, more: int, dtype: CacheDtype
) -> None:
    cache = request_cache(architecture(slug), dtype)
    short, long = cache.request(tokens), cache.request(tokens + more)
    assert short.low_bytes <= long.low_bytes
    assert short.high_bytes <= long.high_bytes
    rounded = -(-tokens // BLOCK_TOKENS) * BLOCK_TOKENS
    assert cache.request(rounded).low_bytes == short.low_bytes
    assert short.low_bytes <= rounded * cache.token_bytes + cache.state.low_bytes
