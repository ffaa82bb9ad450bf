"""What a server keeps free of weights and cache: activations of its largest step, captured graphs, libraries.

vLLM measures this at start and gives the rest to the cache (``v1/worker/gpu_worker.py``,
``determine_available_memory``). Nothing is measured here: it is bounded, and the bounds are stated.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from app.memory.architecture import Architecture, Attention, LatentAttention, TokenMixer
from app.memory.device import Device
from app.memory.result import Interval
from app.serving.matrices import widest_intermediate
from app.units import GIB, MIB

DEFAULT_UTILISATION: Final = 0.9
"""``gpu_memory_utilization``: vLLM's default for years, 0.92 in recent versions (``config/cache.py``)."""

_LARGE_MEMORY_BYTES: Final = 70 * GIB
_HALF: Final = 2
_GRAPHS_HIGH_BYTES: Final = 3 * GIB
"""Captured CUDA graphs: the upper end of the "additional 1~3 GiB" that vLLM's ``model_runner.py`` warned of. Low: none,
as under ``enforce_eager``; published logs go down to 0.11 GiB (aivrar/vllm-windows-build, issue 4)."""
_LIBRARIES: Final = Interval(50 * MIB, 350 * MIB)
"""``non_torch_memory`` in published start-up logs: 0.05 GiB (an A10G) to 0.33 GiB (vllm, issue 14452)."""
_LIBRARIES_OF_GROUP_BYTES: Final = GIB
"""With several cards, NCCL's buffers come to it; an allowance, since logs of two cards stay under 0.35 GiB."""
_LEAN_LOGIT_BYTES: Final = 6
"""Of a sampled sequence and word: 16-bit logits and their float32 copy."""
_SORTED_LOGIT_BYTES: Final = 26
"""The same with values (4), int64 places (8), probabilities (4) and their sums (4) of a sort, as ``top_p`` takes
(``v1/sample/ops/topk_topp_sampler.py``)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepLimits:
    """The largest step that a server plans for."""

    batched_tokens: int
    sequences: int


LEAN: Final = StepLimits(batched_tokens=512, sequences=256)
"""The smallest step that vLLM's defaults ever planned for (``max_num_batched_tokens`` of chunked prefill at first)."""


def step_limits(device: Device) -> StepLimits:
    """``max_num_batched_tokens`` and ``max_num_seqs`` of vLLM's API server (``engine/arg_utils.py``)."""
    if device.memory_bytes >= _LARGE_MEMORY_BYTES and "a100" not in device.name.lower():
        return StepLimits(batched_tokens=8192, sequences=1024)
    return StepLimits(batched_tokens=2048, sequences=256)


def reserve(architecture: Architecture, device: Device, windowed_token_bytes: int, *, cards: int = 1) -> Interval:
    """Bytes of one card that hold neither weights nor finished cache.

    Low: one layer's activations of a lean step, or its sampling if that is more, no graphs. High: twice the
    activations of the largest step (what compiled code and the allocator add), sorted sampling, 3 GiB of graphs, and
    the step's tokens once more in the layers with a window, which keep them until the step ends. Both: the table of
    positions.
    """
    limits = step_limits(device)
    token = _token_features(architecture, cards) * _HALF
    libraries = _LIBRARIES.high_bytes if cards == 1 else _LIBRARIES_OF_GROUP_BYTES
    positions = _position_bytes(architecture)
    return Interval(
        positions
        + max(LEAN.batched_tokens * token, LEAN.sequences * architecture.vocab_size * _LEAN_LOGIT_BYTES)
        + _LIBRARIES.low_bytes,
        positions
        + limits.batched_tokens * (2 * token + windowed_token_bytes)
        + limits.sequences * architecture.vocab_size * _SORTED_LOGIT_BYTES
        + _GRAPHS_HIGH_BYTES
        + libraries,
    )


def _position_bytes(architecture: Architecture) -> int:
    """Cosines and sines of every position in 16 bits (``layers/rotary_embedding``): what logs count with the weights
    of Llama 3.1 8B beyond its parameters."""
    rows = (architecture.max_position_embeddings or 0) * architecture.rotary_embeddings
    return rows * architecture.rotary_dim * _HALF


@lru_cache(maxsize=2048)
def _token_features(architecture: Architecture, cards: int) -> int:
    """Features alive for one token in the layer that has most: the stream twice, and the widest part."""
    widest = 0
    for layer, _count in architecture.distinct_layers:
        for part in (layer.mlp, layer.experts):
            if part is not None:
                widest = max(widest, sum(widest_intermediate(part)))
        for mixer in layer.mixers:
            widest = max(widest, _mixer_features(mixer))
    return 2 * architecture.hidden_size + -(-widest // cards)


def _mixer_features(mixer: TokenMixer) -> int:
    """Queries, keys and values, and the result."""
    if isinstance(mixer, Attention | LatentAttention):
        return mixer.query_width + 2 * mixer.key_value_width + mixer.value_width
    return sum(projection.out_features for projection in mixer.projections())
