"""One GPU's memory through a training step: the public face of the model."""

from dataclasses import dataclass, replace
from functools import partial
from operator import itemgetter

from app.memory.architecture import Architecture
from app.memory.device import Device
from app.memory.explain import Explained, formulas
from app.memory.growth import Growth
from app.memory.head import LossPolicy, LossTile, bounding_tiles, copies_shifted_logits, loss_tile
from app.memory.inputs import Batch, Cluster, Method, Offload, Precision, Strategy
from app.memory.moments import WHOLE, Spread, StepMoment
from app.memory.overheads import (
    COLLECTIVES,
    COVERAGE,
    SLACK_MEDIAN,
    Evidence,
    allocated_interval,
    context_of,
    held_interval,
    reserved_interval,
    share,
    workspace_bytes,
)
from app.memory.parallelism import (
    FSDP_STRATEGIES,
    SINGLE,
    Layout,
    default_strategy,
    gathered_bytes,
    make_layout,
    root_bytes,
    stages,
)
from app.memory.peaks import peak_moments
from app.memory.phases import (
    Held,
    SizedPhase,
    computing_phases,
    held_throughout,
    overhead,
    update_temporaries,
    updating_phases,
)
from app.memory.policy import Policy, make_policy
from app.memory.remarks import assumptions_of, warnings_of
from app.memory.result import ComponentName, Interval, MemoryEstimate, Needed, Outside, OverheadName
from app.memory.states import States, model_states
from app.memory.verdict import judge

__all__ = [
    "estimate_memory",
    "judge",
    "largest_micro_batch",
    "needed",
    "on_card",
    "range_without_context",
    "required_on",
]


def estimate_memory(
    architecture: Architecture,
    method: Method,
    precision: Precision,
    batch: Batch,
    cluster: Cluster | None = None,
    *,
    device: Device | None = None,
    include_workspaces: bool = True,
) -> MemoryEstimate:
    """Bytes that one GPU, the fullest of the run's, holds in each phase of a training step, and their peak.

    ``device`` only decides library workspaces and the CUDA context; without one the first are an Ampere card's.
    Without workspaces the figure is what traced runs count.
    """
    layout = cluster_layout(cluster, method)
    workspaces = workspace_bytes(device) if include_workspaces else 0
    context = context_of(device)
    estimates = [
        _estimate_rank(_place_rank(part, method, precision, batch, layout, workspaces), layout, context)
        for part in stages(architecture, layout.pipeline * layout.split)
    ]
    fullest = max(estimates, key=lambda estimate: estimate.peak_allocated_bytes)
    if len(estimates) == 1:
        return fullest
    policy = make_policy(method, precision.policy, batch, layout.traits)
    return replace(fullest, parameters=model_states(architecture, method, policy, layout).counts)


def cluster_layout(cluster: Cluster | None, method: Method) -> Layout:
    """The layout that a cluster's choices come to; ``auto`` is resolved without a card in view."""
    if cluster is None or (cluster.num_gpus == 1 and cluster.offload is Offload.NONE):
        return SINGLE
    strategy = default_strategy(cluster, method) if cluster.strategy is Strategy.AUTO else cluster.strategy
    return make_layout(cluster, strategy)


def needed(
    architecture: Architecture,
    method: Method,
    precision: Precision,
    batch: Batch,
    cluster: Cluster | None = None,
    *,
    device: Device | None = None,
    include_workspaces: bool = True,
) -> Needed:
    """What :func:`estimate_memory` says a card must have, alone: for runs that are only compared, at half its cost."""
    layout = cluster_layout(cluster, method)
    workspaces = workspace_bytes(device) if include_workspaces else 0
    peak_bytes, fullest = _fullest(architecture, method, precision, batch, layout, workspaces)
    outside = _beside_collectives(context_of(device), layout)
    return Needed(
        required_bytes=peak_bytes + share(peak_bytes, SLACK_MEDIAN) + outside.typical_bytes,
        required=_held(peak_bytes, fullest, layout).beside(outside),
    )


def required_on(estimate: MemoryEstimate, device: Device) -> Interval:
    """``required`` of the same run on another card, without a whole estimate for it."""
    return estimate.requires(workspace_bytes(device), context_of(device))


def range_without_context(
    architecture: Architecture,
    method: Method,
    precision: Precision,
    batch: Batch,
    cluster: Cluster | None = None,
    *,
    workspaces: int,
) -> Interval:
    """``required`` but for the CUDA context: all that cards with ``workspaces`` bytes of them share."""
    layout = cluster_layout(cluster, method)
    peak_bytes, fullest = _fullest(architecture, method, precision, batch, layout, workspaces)
    held = _held(peak_bytes, fullest, layout)
    return held if layout.is_single else held.beside(COLLECTIVES)


def _held(peak_bytes: int, fullest: "_Rank", layout: Layout) -> Interval:
    return held_interval(allocated_interval(peak_bytes, _evidence(fullest, layout)))


def on_card(estimate: MemoryEstimate, device: Device | None) -> MemoryEstimate:
    """An estimate made for a card with library workspaces of the same size: of these cards only the context differs."""
    context = context_of(device)
    if context == estimate.context:
        return estimate
    change = context - estimate.context
    slack, outside = estimate.overheads
    return replace(
        estimate,
        context=context,
        required_bytes=estimate.required_bytes + change.typical_bytes,
        required=estimate.required.beside(change),
        overheads=(slack, overhead(OverheadName.CUDA_CONTEXT, outside.bytes + change.typical_bytes)),
        breakdown=lambda: estimate.phases,  # made once for all of these cards
        peaks=lambda: estimate.peak,
        grows=lambda: estimate.growth,
    )


def _fullest(
    architecture: Architecture,
    method: Method,
    precision: Precision,
    batch: Batch,
    layout: Layout,
    workspaces: int,
) -> tuple[int, "_Rank"]:
    """The peak of the fullest rank, and the rank."""
    ranks = [
        _place_rank(part, method, precision, batch, layout, workspaces)
        for part in stages(architecture, layout.pipeline * layout.split)
    ]
    return max([(rank.peak_bytes(), rank) for rank in ranks], key=itemgetter(0))


def _beside_collectives(context: Outside, layout: Layout) -> Outside:
    return context if layout.is_single else context + COLLECTIVES


@dataclass(slots=True)
class _Rank:
    """What one rank holds throughout, and the moments at which its step can peak."""

    architecture: Architecture
    method: Method
    policy: Policy
    batch: Batch
    states: States
    spread: Spread
    held: Held
    tile: LossTile
    moments: tuple[StepMoment, ...]

    def peak_bytes(self) -> int:
        """The largest of :meth:`phases`, without making them."""
        micro_batch_size, sequence_length = self.batch.micro_batch_size, self.batch.sequence_length
        computing = max([moment.total.at(micro_batch_size, sequence_length) for moment in self.moments])
        return sum(self.held.values()) + max(computing, self.updating_bytes())

    def updating_bytes(self) -> int:
        """What clipping and the update add to what lives throughout."""
        gradients = 0 if ComponentName.GRADIENTS in self.held else self.states.gradients
        return gradients + max(update_temporaries(self.states, clips=self.clips).values())

    def phases(self) -> list[SizedPhase]:
        return [
            *computing_phases(self.moments, self.held, self.batch),
            *updating_phases(self.states, self.held, clips=self.clips),
        ]

    @property
    def clips(self) -> bool:
        return self.method.max_grad_norm > 0

    def growth(self) -> Growth:
        batch = self.batch
        growing = batch if copies_shifted_logits(batch) else replace(batch, micro_batch_size=batch.micro_batch_size + 1)
        same = copies_shifted_logits(growing) == copies_shifted_logits(batch)
        bounds = (
            self.moments if same and bound == self.tile else self.moments_of(growing, bound)
            for bound in bounding_tiles(batch.loss_kernel, self.architecture)
        )
        return Growth(
            bounds=tuple(tuple([moment.total for moment in moments]) for moments in bounds),
            sequence_length=batch.sequence_length,
            throughout_bytes=sum(self.held.values()),
            update_bytes=sum(self.held.values()) + self.updating_bytes(),
        )

    def moments_of(self, batch: Batch, tile: LossTile) -> tuple[StepMoment, ...]:
        return run_moments(self.architecture, self.policy, self.states, batch, _rank_of(self.method), tile, self.spread)


def _rank_of(method: Method) -> int:
    return method.adapter.rank if method.adapter else 0


def _place_rank(
    architecture: Architecture,
    method: Method,
    precision: Precision,
    batch: Batch,
    layout: Layout,
    workspaces: int,
) -> _Rank:
    policy = make_policy(method, precision.policy, batch, layout.traits)
    batch = local_batch(batch, layout)
    states = model_states(architecture, method, policy, layout)
    spread = WHOLE if layout.is_single else _spread(architecture, policy, layout, batch)
    held = held_throughout(states, accumulating=policy.accumulating)
    held[ComponentName.WORKSPACES] = workspaces
    tile = loss_tile(batch.loss_kernel, architecture, batch.micro_batch_size * batch.sequence_length)
    moments = run_moments(architecture, policy, states, batch, _rank_of(method), tile, spread)
    return _Rank(
        architecture,
        method,
        policy,
        batch,
        states,
        spread,
        held,
        tile,
        moments,
    )


def _estimate_rank(placed: _Rank, layout: Layout, context: Outside) -> MemoryEstimate:
    architecture, batch, phases = placed.architecture, placed.batch, placed.phases()
    peak = max(phases, key=lambda phase: phase.bytes)
    evidence = _evidence(placed, layout)
    allocated = allocated_interval(peak.bytes, evidence)
    slack, outside = share(peak.bytes, SLACK_MEDIAN), _beside_collectives(context, layout)
    return MemoryEstimate(
        parameters=placed.states.counts,
        peak_allocated_bytes=peak.bytes,
        peak_allocated=allocated,
        peak_reserved_bytes=peak.bytes + slack,
        peak_reserved=reserved_interval(peak.bytes, evidence, lengths_vary=not batch.packing),
        required_bytes=peak.bytes + slack + outside.typical_bytes,
        required=held_interval(allocated).beside(outside),
        context=context,
        coverage=COVERAGE,
        peak_phase=peak.name,
        overheads=(
            overhead(OverheadName.ALLOCATOR_SLACK, slack),
            overhead(OverheadName.CUDA_CONTEXT, outside.typical_bytes),
        ),
        host_bytes=placed.states.host,
        assumptions=assumptions_of(architecture, placed.method, placed.policy, batch, layout),
        warnings=warnings_of(architecture, placed.policy),
        breakdown=lambda: tuple([phase.broken_down(batch) for phase in phases]),
        peaks=lambda: peak.broken_down(batch),
        grows=placed.growth,
        requires=partial(_requires, placed, layout, peak.bytes),
        explains=lambda: formulas(peak.broken_down(batch).components, _explained(placed, layout, peak)),
    )


def _requires(placed: _Rank, layout: Layout, peak_bytes: int, workspaces: int, context: Outside) -> Interval:
    """Workspaces live throughout, so that other ones move every moment, and the peak, by as much."""
    own = placed.held[ComponentName.WORKSPACES]
    moved = workspaces - own if own else 0
    return _held(peak_bytes + moved, placed, layout).beside(_beside_collectives(context, layout))


def _explained(placed: _Rank, layout: Layout, peak: SizedPhase) -> Explained:
    return Explained(
        placed.architecture, placed.method, placed.policy, placed.batch, layout, placed.states, peak.moment
    )


def _evidence(placed: _Rank, layout: Layout) -> Evidence:
    if not placed.architecture.recognised:
        return Evidence.UNRECOGNISED
    if layout.is_single:
        return Evidence.ONE_GPU
    if layout.strategy not in FSDP_STRATEGIES or not layout.is_data_parallel_only:
        return Evidence.UNCHECKED
    return Evidence.FULL_SHARDED if placed.policy.trains_base else Evidence.ADAPTERS_SHARDED


def local_batch(batch: Batch, layout: Layout) -> Batch:
    """The batch as one rank sees it: context parallelism and, with sequence parallelism, tensor parallelism
    each leave a rank its share of the tokens."""
    divisor = layout.context * layout.tensor
    if divisor == 1:
        return batch
    return replace(batch, sequence_length=-(-batch.sequence_length // divisor))


def _spread(architecture: Architecture, policy: Policy, layout: Layout, batch: Batch) -> Spread:
    traits = layout.traits
    gradients = (1, 1)
    if traits.shards_gradients and layout.shards > 1:
        numerator, denominator = (policy.resident_width, policy.base_width) if policy.trains_base else (1, 1)
        gradients = (numerator, denominator * layout.shards)
    if layout.offload_optimizer:
        gradients = (0, 1)
    in_flight = min(layout.pipeline, batch.gradient_accumulation_steps) if architecture.holds_embedding else 1
    return Spread(
        gradients=gradients,
        gathered=gathered_bytes(architecture, layout, policy.base_width, policy.linear_bits),
        root=root_bytes(architecture, layout, policy.plain_width),
        in_flight=max(1, in_flight),
        split=layout.tensor,
        holds_inputs=traits.holds_frozen_inputs and layout.shards > 1 and not policy.trains_base,
    )


def run_moments(
    architecture: Architecture, policy: Policy, states: States, batch: Batch, rank: int, tile: LossTile, spread: Spread
) -> tuple[StepMoment, ...]:
    """The moments of this run's forward and backward, with a fused loss's tile of this size."""
    return peak_moments(
        architecture,
        policy,
        LossPolicy(batch.loss_kernel, tile, batch.keep_logits, states.trains_head, copies_shifted_logits(batch)),
        batch.gradient_checkpointing,
        _masked_length(architecture, batch.sequence_length),
        states.trains_embedding,
        rank,
        spread,
    )


def _masked_length(architecture: Architecture, sequence_length: int) -> int:
    """The smallest length that reaches the same sliding windows as ``sequence_length``."""
    return max((window for window in architecture.windows if window <= sequence_length), default=0)


def largest_micro_batch(estimate: MemoryEstimate, usable_bytes: int) -> int:
    """The largest micro-batch whose required bytes, at the estimate's slack, stay within ``usable_bytes``; 0 for none.

    Exact but for Liger's loss, where a few sequences more may fit.
    """
    context = sum(part.bytes for part in estimate.overheads if part.name is OverheadName.CUDA_CONTEXT)
    budget = usable_bytes - context
    allocated = budget * 1000 // (1000 + SLACK_MEDIAN[0])
    return estimate.growth.largest_within(allocated)
