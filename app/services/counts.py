"""How many cards of a kind hold a run, with its states sharded over them."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from math import lcm
from typing import Final

from app.memory.architecture import Architecture
from app.memory.device import Device
from app.memory.estimate import estimate_memory, on_card
from app.memory.inputs import Batch, Cluster, Method, Precision, Strategy
from app.memory.overheads import context_of, workspace_bytes
from app.memory.result import MemoryEstimate
from app.planning.inverse import SharedOut, furthest
from app.request import MOST_GPUS, Groups

SHARDED: Final = Strategy.FSDP2


@dataclass(frozen=True, kw_only=True, slots=True)
class _AnyLike:
    """A card for a key of the cache: all with workspaces of one size differ in their context only."""

    workspace_bytes: int
    device: Device | None = field(compare=False)


@lru_cache(maxsize=256)
def _sharded(
    architecture: Architecture, method: Method, precision: Precision, batch: Batch, cluster: Cluster, card: _AnyLike
) -> MemoryEstimate:
    return estimate_memory(architecture, method, precision, batch, cluster, device=card.device)


def estimate_on(architecture: Architecture, groups: Groups, count: int, device: Device | None = None) -> MemoryEstimate:
    """The run on a number of cards that its degrees divide, fully sharded, the micro-batch of a card unchanged."""
    cluster = replace(groups.cluster, num_gpus=count, strategy=SHARDED)
    card = _AnyLike(workspace_bytes=workspace_bytes(device), device=device)
    return on_card(_sharded(architecture, groups.method, groups.precision, groups.batch, cluster, card), device)


@lru_cache(maxsize=256)
def _spread(
    architecture: Architecture, method: Method, precision: Precision, batch: Batch, cluster: Cluster, card: _AnyLike
) -> SharedOut:
    """What PyTorch must have of such a card at the high end, without the context, by how many there are."""

    def high_bytes(count: int) -> int:
        several = replace(cluster, num_gpus=count)
        estimate = _sharded(architecture, method, precision, batch, several, card)
        return estimate.required.high_bytes - estimate.context.high_bytes

    return SharedOut(high_bytes)


def counts_of(cluster: Cluster, most: int) -> Sequence[int]:
    """The numbers of cards that the run's parallel degrees divide, up to ``most``, the most first."""
    step = lcm(cluster.tensor_parallel * cluster.pipeline_parallel * cluster.context_parallel, cluster.expert_parallel)
    return range(step, most + 1, step)[::-1]


def fewest_gpus(architecture: Architecture, groups: Groups, device: Device) -> int | None:
    """The smallest number of these cards that holds the run, fully sharded; None where 64 do not."""
    counts = [count for count in counts_of(groups.cluster, MOST_GPUS) if count > 1]
    cluster = replace(groups.cluster, num_gpus=1, strategy=SHARDED)
    card = _AnyLike(workspace_bytes=workspace_bytes(device), device=device)
    spread = _spread(architecture, groups.method, groups.precision, groups.batch, cluster, card)
    usable_bytes = device.usable_bytes - context_of(device).high_bytes
    if not counts or spread.at(counts[0]) > usable_bytes:
        return None
    spread.at(counts[-1])
    guess = len(counts) - 1 - bisect_left(counts[::-1], spread.guess(usable_bytes) or 0)
    return furthest(lambda count: spread.fits(count, usable_bytes), counts, guess=guess).answer
