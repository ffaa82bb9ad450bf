"""How many cards of a kind hold a run, with its states sharded over them."""

from dataclasses import replace
from functools import lru_cache
from math import lcm

from app.memory.architecture import Architecture
from app.memory.estimate import estimate_memory
from app.memory.inputs import Cluster, Strategy
from app.memory.result import MemoryEstimate
from app.request import Groups

COUNTS = (2, 3, 4, 6, 8, 16, 32, 64)
"""Numbers of cards that servers and clusters are sold with."""
SHARDED = Strategy.FSDP2


@lru_cache(maxsize=2048)
def sharded_estimates(architecture: Architecture, groups: Groups) -> tuple[tuple[int, MemoryEstimate], ...]:
    """The run on each number of cards that its degrees divide, fully sharded, the micro-batch of a card unchanged."""
    estimates = []
    for count in _counts(groups.cluster):
        cluster = replace(groups.cluster, num_gpus=count, strategy=SHARDED)
        estimates.append((count, estimate_memory(architecture, groups.method, groups.precision, groups.batch, cluster)))
    return tuple(estimates)


def _counts(cluster: Cluster) -> tuple[int, ...]:
    """:data:`COUNTS`, each raised to the next number that the run's parallel degrees divide, up to the largest."""
    step = lcm(cluster.tensor_parallel * cluster.pipeline_parallel * cluster.context_parallel, cluster.expert_parallel)
    return tuple(sorted({-(-count // step) * step for count in COUNTS if -(-count // step) * step <= COUNTS[-1]}))


def fewest_gpus(architecture: Architecture, groups: Groups, usable_bytes: int) -> int | None:
    """The smallest number of cards with ``usable_bytes`` that holds the run, fully sharded; None where 64 do not."""
    for count, estimate in sharded_estimates(architecture, groups):
        if estimate.required.high_bytes <= usable_bytes:
            return count
    return None


def estimate_on(architecture: Architecture, groups: Groups, count: int) -> MemoryEstimate:
    """The sharded run on a number of cards that :func:`fewest_gpus` found."""
    return dict(sharded_estimates(architecture, groups))[count]
