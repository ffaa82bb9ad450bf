"""What a server keeps of each request: keys and values by token, windows, latents, and recurrent states.

Source: vLLM ``v1/kv_cache_interface.py`` (block of 16 tokens, ``CacheConfig.DEFAULT_BLOCK_SIZE``; sliding windows;
latent attention), ``model_executor/layers/mamba/mamba_utils.py`` (recurrent states), and, for sparse latent attention,
``models/deepseek_v2.py`` (the indexer's own cache).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

from app.memory.architecture import (
    Architecture,
    Attention,
    DeltaNet,
    KimiDelta,
    LatentAttention,
    Recurrence,
    Scan,
    ShortConvolution,
    TokenMixer,
)
from app.memory.result import Interval

BLOCK_TOKENS: Final = 16
_SPARSE_LATENT_FP8_BYTES: Final = 656
"""A token under vLLM's ``fp8_ds_mla`` (``MLAAttentionSpec``): 512 fp8 latents, 4 float32 scales, 64 bf16 positions."""
_INDEXER_SCALE_BYTES: Final = 4
"""The indexer keeps its key in fp8 with one float32 scale for its 128 features."""
_HALF: Final = 2
_FLOAT32: Final = 4


class CacheDtype(StrEnum):
    """The width of cached keys and values."""

    BF16 = "bf16"
    FP8 = "fp8"

    @property
    def width(self) -> int:
        """Bytes an element."""
        return 1 if self is CacheDtype.FP8 else 2


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerCache:
    """What one layer (``count`` alike) keeps on one card."""

    count: int
    token_bytes: int = 0
    """For each token that is kept."""
    window: int | None = None
    """The most tokens kept; None is all."""
    state: Interval | None = None
    """A constant for each request, whatever its length."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestCache:
    """A model's cache on one card."""

    layers: tuple[LayerCache, ...]

    @property
    def token_bytes(self) -> int:
        """One more token of a context shorter than every window."""
        return sum(layer.token_bytes * layer.count for layer in self.layers)

    @property
    def growing_token_bytes(self) -> int:
        """One more token of a context longer than every window."""
        return sum(layer.token_bytes * layer.count for layer in self.layers if layer.window is None)

    @property
    def windowed_token_bytes(self) -> int:
        """A token in the layers with a window."""
        return self.token_bytes - self.growing_token_bytes

    @property
    def state(self) -> Interval:
        """What recurrent layers keep of a request, whatever its length."""
        states = [(layer.state, layer.count) for layer in self.layers if layer.state is not None]
        return Interval(
            sum(state.low_bytes * count for state, count in states),
            sum(state.high_bytes * count for state, count in states),
        )

    def request(self, context_tokens: int) -> Interval:
        """One request at a context length, in whole blocks.

        With recurrent layers, the high bound counts blocks as large as a state, as vLLM makes them so that all pages
        are alike (``HybridAttentionMambaModelConfig``).
        """
        state = self.state
        return Interval(
            self._attention(context_tokens, BLOCK_TOKENS) + state.low_bytes,
            self._attention(context_tokens, self._page_tokens()) + state.high_bytes,
        )

    def _page_tokens(self) -> int:
        widest = max((layer.token_bytes for layer in self.layers), default=0)
        largest = max((layer.state.low_bytes for layer in self.layers if layer.state is not None), default=0)
        if not widest or not largest:
            return BLOCK_TOKENS
        return BLOCK_TOKENS * -(-largest // (BLOCK_TOKENS * widest))

    def _attention(self, context_tokens: int, block: int) -> int:
        blocks = -(-context_tokens // block)
        total = 0
        for layer in self.layers:
            held = blocks
            if layer.window is not None:
                # A window need not begin with a block, so it may touch one more (``SlidingWindowSpec``).
                held = min(blocks, -(-layer.window // block) + 1)
            total += held * block * layer.token_bytes * layer.count
        return total


@lru_cache(maxsize=1024)
def request_cache(architecture: Architecture, dtype: CacheDtype, cards: int = 1) -> RequestCache:
    """The cache that one of ``cards`` holds of a request."""
    return RequestCache(
        layers=tuple(
            found
            for layer, count in architecture.distinct_layers
            for mixer in layer.mixers
            for found in _of_mixer(mixer, count, dtype, cards)
        )
    )


@lru_cache(maxsize=4096)
def one_request(architecture: Architecture, dtype: CacheDtype, cards: int, context_tokens: int) -> Interval:
    """:meth:`RequestCache.request`, which every card of a catalogue asks for."""
    return request_cache(architecture, dtype, cards).request(context_tokens)


@lru_cache(maxsize=1024)
def windowed_token_bytes(architecture: Architecture, dtype: CacheDtype, cards: int) -> int:
    """:attr:`RequestCache.windowed_token_bytes`, likewise."""
    return request_cache(architecture, dtype, cards).windowed_token_bytes


def _of_mixer(mixer: TokenMixer, count: int, dtype: CacheDtype, cards: int) -> Iterator[LayerCache]:
    if isinstance(mixer, LatentAttention):
        yield LayerCache(count=count, token_bytes=_latent_bytes(mixer, dtype))
    elif isinstance(mixer, Attention):
        if _keeps_keys(mixer):
            heads = -(-mixer.num_key_value_heads // min(cards, mixer.num_key_value_heads))
            token = heads * (mixer.head_dim + mixer.value_head_dim) * dtype.width
            yield LayerCache(count=count, token_bytes=token, window=mixer.window)
    else:
        yield LayerCache(count=count, state=_state(mixer, cards))


def _keeps_keys(attention: Attention) -> bool:
    """False for layers that read another layer's keys (Gemma 3n), and for cross-attention to an image (Mllama)."""
    return not attention.gates and (attention.key is not None or attention.fused is not None)


def _latent_bytes(attention: LatentAttention, dtype: CacheDtype) -> int:
    """Latent and rotated key of a token, whole on every card (arXiv 2405.04434, section 2.1)."""
    width = attention.latent_width + attention.rope_head_dim
    if attention.indexer is None:
        return width * dtype.width
    scorer = attention.indexer.key.out_features + _INDEXER_SCALE_BYTES
    return scorer + (_SPARSE_LATENT_FP8_BYTES if dtype is CacheDtype.FP8 else width * _HALF)


def _state(mixer: Recurrence, cards: int) -> Interval:
    """A recurrent layer's state: the convolution's last inputs in 16 bits and, but for short ones, a matrix a head.

    Low: the matrices in 16 bits, one state. High: in float32 (``mamba_ssm_cache_dtype``), and two states, as prefix
    caching keeps (``mamba_cache_mode: align``).
    """
    inputs = mixer.convolution
    convolution = 0 if inputs is None else -(-inputs.channels // cards) * (inputs.kernel - 1) * _HALF
    if isinstance(mixer, ShortConvolution):
        elements = 0
    elif isinstance(mixer, KimiDelta | Scan):
        elements = -(-mixer.state_elements // cards)
    elif isinstance(mixer, DeltaNet):
        elements = -(-mixer.num_value_heads // cards) * mixer.value_head_dim * mixer.key_head_dim
    else:
        elements = -(-mixer.num_heads // cards) * mixer.head_dim * mixer.state_size
    return Interval(convolution + elements * _HALF, 2 * (convolution + elements * _FLOAT32))
