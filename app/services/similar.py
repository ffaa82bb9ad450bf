"""Published measurements that are near a run: what somebody's card really held."""

import json
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from math import log2
from typing import Any, Final

from app.memory.architecture import Architecture
from app.memory.inputs import LossKernel
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


def similar_measurements(run: Run, architecture: Architecture) -> tuple[Mapping[str, FieldValue], ...]:
    """Up to three measured runs by the same method on one GPU with a model of this size, the nearest first.

    ``distance`` is 0 for the same tokens, checkpointing, kind of loss and vocabulary, and grows with each difference.
    """
    if run.num_gpus != 1:
        return ()
    near = []
    for row in _measured():
        distance = _distance(run, architecture, row)
        if distance is not None and distance <= FARTHEST:
            near.append((distance, row["measured_bytes"], row))
    near.sort(key=lambda item: item[:2])
    return tuple({**row, "distance": round(distance, 2)} for distance, _, row in near[:SHOWN])


def _distance(run: Run, architecture: Architecture, row: Mapping[str, Any]) -> float | None:
    if row["method"] != run.method:
        return None
    size = abs(architecture.total_parameters / row["total_parameters"] - 1)
    if size > SIZE_TOLERANCE:
        return None
    tokens = run.micro_batch_size * run.sequence_length
    measured_tokens = row["micro_batch_size"] * row["sequence_length"]
    kernels = (run.loss_kernel in FUSED) != (row["loss_kernel"] in FUSED)
    return float(
        abs(log2(tokens / measured_tokens))
        + abs(log2(architecture.vocab_size / row["vocabulary"])) / 2
        + (row["gradient_checkpointing"] != run.gradient_checkpointing)
        + kernels
        + size
    )
