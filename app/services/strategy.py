"""What ``strategy: auto`` comes to, decided once for a whole request, with the card in view where one is named."""

from dataclasses import replace

from app.memory.architecture import Architecture
from app.memory.estimate import estimate_memory
from app.memory.inputs import Strategy
from app.memory.parallelism import default_strategy
from app.request import FieldSource, Groups, ResolvedRun, to_groups


def settle_strategy(
    resolved: ResolvedRun, architecture: Architecture, usable_bytes: int | None
) -> tuple[ResolvedRun, Groups]:
    """The run with a concrete strategy.

    As a careful engineer would: what trains in full is sharded; a frozen base is copied to every card, which needs
    the least communication, unless the card named does not hold the copy. On one GPU there is nothing to settle.
    """
    groups = to_groups(resolved.run)
    if groups.cluster.strategy is not Strategy.AUTO or groups.cluster.num_gpus == 1:
        return resolved, groups
    chosen = default_strategy(groups.cluster, groups.method)
    if chosen is Strategy.DDP and usable_bytes is not None and not _holds(architecture, groups, chosen, usable_bytes):
        chosen = Strategy.FSDP2
    run = resolved.run.model_copy(update={"strategy": chosen})
    sources = {**resolved.field_sources, "strategy": FieldSource.DERIVED}
    return replace(resolved, run=run, field_sources=sources), to_groups(run)


def _holds(architecture: Architecture, groups: Groups, strategy: Strategy, usable_bytes: int) -> bool:
    cluster = replace(groups.cluster, strategy=strategy)
    estimate = estimate_memory(architecture, groups.method, groups.precision, groups.batch, cluster)
    return estimate.required.high_bytes <= usable_bytes
