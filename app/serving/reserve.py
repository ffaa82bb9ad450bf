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
_GRAPHS: Final = Interval(110 * MIB, 3 * GIB)
"""Captured CUDA graphs: from 0.11 GiB in a published log (aivrar/vllm-windows-build, issue 4) to the upper end of the
"additional 1~3 GiB" that vLLM's ``model_runner.py`` warned of."""
_LIBRARIES: Final = Interval(130 * MIB, 350 * MIB)
"""``non_torch_memory`` in published start-up logs: 0.13 GiB (vllm-ascend, pull 8289) to 0.33 GiB (vllm, issue
14452)."""
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


def step_limits(device: Device) -> StepLimits:
    """``max_num_batched_tokens`` and ``max_num_seqs`` of vLLM's API server (``engine/arg_utils.py``)."""
    if device.memory_bytes >= _LARGE_MEMORY_BYTES and "a100" not in device.name.lower():
        return StepLimits(batched_tokens=8192, sequences=1024)
    return StepLimits(batched_tokens=2048, sequences=256)


def reserve(architecture: Architecture, device: Device, windowed_token_bytes: int, *, cards: int = 1) -> Interval:
    """Bytes of one card that hold neither weights nor finished cache.

    Low: one layer's activations of the largest step, lean sampling, small graphs. High: twice the activations (what
    compiled code and the allocator add), sorted sampling, 3 GiB of graphs, and the step's tokens once more in the
    layers with a window, which keep them until the step ends.
    """
    limits = step_limits(device)
    activations = limits.batched_tokens * _token_features(architecture, cards) * _HALF
    logits = limits.sequences * architecture.vocab_size
    libraries = _LIBRARIES.high_bytes if cards == 1 else _LIBRARIES_OF_GROUP_BYTES
    return Interval(
        activations + logits * _LEAN_LOGIT_BYTES + _GRAPHS.low_bytes + _LIBRARIES.low_bytes,
        2 * activations
        + logits * _SORTED_LOGIT_BYTES
        + _GRAPHS.high_bytes
        + libraries
        + limits.batched_tokens * windowed_token_bytes,
    )


@lru_cache(maxsize=2048)
def _token_features(architecture: Architecture, cards: int) -> int:
    """Features alive for one token in the layer that has most: the stream twice, and the widest part."""
    widest = 0
    for layer, _count in architecture.distinct_layers:
        for part in (layer.mlp, layer.experts):
            if part is not None:
                widest = max(widest, sum(widest_intermediate(part)))
        if layer.mixer is not None:
            widest = max(widest, _mixer_features(layer.mixer))
    return 2 * architecture.hidden_size + -(-widest // cards)


def _mixer_features(mixer: TokenMixer) -> int:
    """Queries, keys and values, and the result."""
    if isinstance(mixer, Attention | LatentAttention):
        return mixer.query_width + 2 * mixer.key_value_width + mixer.value_width
    return sum(projection.out_features for projection in mixer.projections())
