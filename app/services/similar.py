"""Published measurements that are near a run: what somebody's card really held."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from math import log2
from typing import Any, Final

from app.memory.architecture import Architecture
from app.memory.inputs import Checkpointing, LossKernel, MethodKind
from app.request import Run
from app.services.results import FieldValue

SHOWN: Final = 3
SIZE_TOLERANCE: Final = 0.15
"""Relative difference of parameter counts within which another model's run says something."""
FARTHEST: Final = 3.0
"""A doubling of the tokens is 1, and so is another choice that moves memory much."""
FUSED: Final = frozenset({LossKernel.LIGER, LossKernel.CHUNKED})


@lru_cache(maxsize=1)
def _measured() -> tuple[Mapping[str, Any], ...]:
    text = resources.files("app.services").joinpath("measured_runs.json").read_text(encoding="utf-8")
    return tuple(json.loads(text))


@dataclass(frozen=True, slots=True)
class _Near:
    """A measured run of a model of this size, and the parts of its distance that need no run."""

    row: Mapping[str, Any]
    tokens: int
    checkpointing: Checkpointing
    fused: bool
    of_vocabulary: float
    of_size: float


@lru_cache(maxsize=512)
def _of_this_size(method: MethodKind, total_parameters: int, vocab_size: int) -> tuple[_Near, ...]:
    near = []
    for row in _measured():
        size = abs(total_parameters / row["total_parameters"] - 1)
        if row["method"] != method or size > SIZE_TOLERANCE:
            continue
        near.append(
            _Near(
                row,
                row["micro_batch_size"] * row["sequence_length"],
                _kind(Checkpointing(row["gradient_checkpointing"])),
                row["loss_kernel"] in FUSED,
                abs(log2(vocab_size / row["vocabulary"])) / 2,
                size,
            )
        )
    return tuple(near)


def _kind(checkpointing: Checkpointing) -> Checkpointing:
    """Both ways of repeating every layer are one kind."""
    return Checkpointing.FULL if checkpointing.repeats_every_layer else checkpointing


def similar_measurements(run: Run, architecture: Architecture) -> tuple[Mapping[str, FieldValue], ...]:
    """Up to three measured runs by the same method on one GPU with a model of this size, the nearest first.

    ``distance`` is 0 for the same tokens, checkpointing, kind of loss and vocabulary, and grows with each difference.
    """
    if run.num_gpus != 1:
        return ()
    tokens, fused = run.micro_batch_size * run.sequence_length, run.loss_kernel in FUSED
    near = []
    for item in _of_this_size(run.method, architecture.total_parameters, architecture.vocab_size):
        distance = (
            abs(log2(tokens / item.tokens))
            + item.of_vocabulary
            + (item.checkpointing != _kind(run.gradient_checkpointing))
            + (item.fused != fused)
            + item.of_size
        )
        if distance <= FARTHEST:
            near.append((distance, item.row["measured_bytes"], item.row))
    near.sort(key=lambda item: item[:2])
    return tuple([{**row, "distance": round(distance, 2)} for distance, _, row in near[:SHOWN]])
