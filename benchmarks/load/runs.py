"""Distinct runs, in a fixed shuffled order: no two alike, so that nothing can be answered from memory of the last."""

import itertools
import random
from collections.abc import Iterator, Mapping
from typing import Any, Final

CHOICES: Final[Mapping[str, tuple[Any, ...]]] = {
    "method": ("full", "lora", "qlora"),
    "micro_batch_size": (1, 2, 3, 4, 6, 8),
    "sequence_length": tuple(range(256, 4096, 128)),
    "lora_rank": (4, 8, 16, 32, 64, 128),
    "gradient_checkpointing": ("none", "full"),
}


def distinct_runs(models: tuple[str, ...], seed: int = 0) -> Iterator[dict[str, Any]]:
    """Every combination of a model and the choices, as request fields, shuffled."""
    runs = [
        {"model": model, **dict(zip(CHOICES, values, strict=True))}
        for model, values in itertools.product(models, itertools.product(*CHOICES.values()))
    ]
    random.Random(seed).shuffle(runs)
    yield from runs
