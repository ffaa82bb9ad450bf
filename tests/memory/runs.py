"""Runs of small models for the tests of the memory model: a request's fields in, an estimate out."""

from collections.abc import Mapping
from typing import Any, Final

from app.memory.build import parse_config
from app.memory.device import DenseRates, Device
from app.memory.estimate import estimate_memory
from app.memory.result import ComponentName, MemoryEstimate, PhaseName
from app.request import Groups, parse_json, resolve, to_groups
from app.units import GIB

SMALL: Final[Mapping[str, Any]] = {
    "model_type": "llama",
    "vocab_size": 4096,
    "hidden_size": 256,
    "intermediate_size": 704,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "max_position_embeddings": 131072,
    "tie_word_embeddings": False,
}
"""A Llama that can be summed by hand: Q = 8 × 32 = 256, K = 2 × 32 = 64."""

CARD: Final = Device(
    slug="card",
    name="A card",
    vendor="nvidia",
    architecture="Ampere",
    compute_capability=(8, 6),
    segment="consumer",
    memory_bytes=24 * GIB,
    memory_is_estimated=False,
    usable_bytes=23 * GIB,
    memory_bandwidth_bytes_per_second=1e12,
    rates=DenseRates(bf16_fp32_accumulate=71.0, fp16_fp32_accumulate=71.0, tf32=35.0, fp32=35.0),
    supports_bf16=True,
    supports_flash_attention_2=True,
    supports_bitsandbytes=True,
    unified_memory=False,
    pcie_bytes_per_second=32e9,
    nvlink_bytes_per_second=0,
    max_nvlink_gpus=1,
)
"""An Ampere card, which tests change."""


def groups(**fields: Any) -> Groups:
    """The groups of a request under the stack ``plain``."""
    return to_groups(resolve(parse_json({"stack": "plain", "model": "any", **fields})).run)


def estimate(config: Mapping[str, Any] = SMALL, *, include_workspaces: bool = False, **fields: Any) -> MemoryEstimate:
    """The estimate of a run of ``config``; fields not given are those of the stack ``plain``."""
    asked = groups(**fields)
    architecture = parse_config(config)
    return estimate_memory(
        architecture, asked.method, asked.precision, asked.batch, include_workspaces=include_workspaces
    )


def phase_bytes(result: MemoryEstimate, name: PhaseName) -> int:
    """A phase's own peak."""
    return next(phase.bytes for phase in result.phases if phase.name is name)


def part(result: MemoryEstimate, component: ComponentName, phase: PhaseName | None = None) -> int:
    """Bytes of a component at the peak, or in a phase; 0 where it is left out."""
    components = result.components
    if phase is not None:
        components = next(found.components for found in result.phases if found.name is phase)
    return sum(found.bytes for found in components if found.name is component)
