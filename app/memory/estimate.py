"""One GPU's memory through a training step: the public face of the model."""

from app.memory.architecture import Architecture
from app.memory.device import Device
from app.memory.growth import Growth
from app.memory.head import LossPolicy, LossTile, bounding_tiles, loss_tile
from app.memory.inputs import Batch, Checkpointing, Cluster, Method, Precision, QuantizationFormat
from app.memory.optimizers import OPTIMIZERS
from app.memory.overheads import (
    COVERAGE,
    CUDA_CONTEXT_BYTES,
    SLACK_MEDIAN,
    allocated_interval,
    required_interval,
    reserved_interval,
    share,
    workspace_bytes,
)
from app.memory.peaks import peak_moments
from app.memory.phases import computing_phases, held_throughout, overhead, updating_phases
from app.memory.policy import Policy, make_policy
from app.memory.result import ComponentName, MemoryEstimate, Notice, OverheadName
from app.memory.states import States, model_states
from app.memory.step import StepMoment
from app.memory.verdict import judge

__all__ = ["estimate_memory", "judge", "largest_micro_batch"]


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
    """Bytes that one GPU holds in each phase of a training step, and their peak.

    ``device`` only decides library workspaces; without one they are an Ampere card's. Without workspaces the
    figure is what traced runs count.
    """
    policy = make_policy(method, precision.policy, batch)
    states = model_states(architecture, method, policy)
    rank = method.adapter.rank if method.adapter else 0
    held = held_throughout(states, accumulating=policy.accumulating)
    if include_workspaces:
        held[ComponentName.WORKSPACES] = workspace_bytes(device)
    tile = loss_tile(batch.loss_kernel, architecture, batch.micro_batch_size * batch.sequence_length)
    moments = run_moments(architecture, policy, states, batch, rank, tile)
    updating = updating_phases(states, held, clips=method.max_grad_norm > 0)
    phases = [*computing_phases(moments, held, batch), *updating]
    peak = max(phases, key=lambda phase: phase.bytes)
    allocated = allocated_interval(peak.bytes, recognised=architecture.recognised)
    reserved = reserved_interval(allocated)
    slack = share(peak.bytes, SLACK_MEDIAN)
    bounds = (
        moments if bound == tile else run_moments(architecture, policy, states, batch, rank, bound)
        for bound in bounding_tiles(batch.loss_kernel, architecture)
    )
    return MemoryEstimate(
        parameters=states.counts,
        peak_allocated_bytes=peak.bytes,
        peak_allocated=allocated,
        peak_reserved_bytes=peak.bytes + slack,
        peak_reserved=reserved,
        required_bytes=peak.bytes + slack + CUDA_CONTEXT_BYTES,
        required=required_interval(reserved),
        coverage=COVERAGE,
        peak_phase=peak.name,
        overheads=(
            overhead(OverheadName.ALLOCATOR_SLACK, slack),
            overhead(OverheadName.CUDA_CONTEXT, CUDA_CONTEXT_BYTES),
        ),
        host_bytes=0,
        growth=Growth(
            bounds=tuple(tuple([moment.total for moment in moments]) for moments in bounds),
            sequence_length=batch.sequence_length,
            throughout_bytes=sum(held.values()),
            update_bytes=max(phase.bytes for phase in updating),
        ),
        assumptions=_assumptions(architecture, method, policy, batch),
        warnings=_warnings(architecture),
        breakdown=lambda: tuple(phase.broken_down(batch) for phase in phases),
    )


def run_moments(
    architecture: Architecture, policy: Policy, states: States, batch: Batch, rank: int, tile: LossTile
) -> tuple[StepMoment, ...]:
    """The moments of this run's forward and backward, with a fused loss's tile of this size."""
    return peak_moments(
        architecture,
        policy,
        LossPolicy(batch.loss_kernel, tile, batch.keep_logits, states.trains_head),
        batch.gradient_checkpointing,
        _masked_length(architecture, batch.sequence_length),
        states.trains_embedding,
        rank,
    )


def _masked_length(architecture: Architecture, sequence_length: int) -> int:
    """The smallest length that reaches the same sliding windows as ``sequence_length``."""
    return max((window for window in architecture.windows if window <= sequence_length), default=0)


def _assumptions(architecture: Architecture, method: Method, policy: Policy, batch: Batch) -> tuple[str, ...]:
    lines = list(BASE_ASSUMPTIONS)
    if OPTIMIZERS[method.optimizer].paged:
        lines.append("Paged optimizer state is counted on the card; under pressure some of it moves to the host.")
    if batch.gradient_checkpointing is Checkpointing.SELECTIVE:
        lines.append("Selective checkpointing recomputes every second layer.")
    if policy.quantization is QuantizationFormat.INT8:
        lines.append("INT8 keeps each linear layer's 16-bit input for backward, as LLM.int8() does.")
    return tuple(lines)


BASE_ASSUMPTIONS = (
    "One steady step, after the optimizer's state exists; the transient of loading the model is not counted.",
    "The interval starts from 39 simulated allocator runs and reported context sizes; "
    "what a card must have is not yet validated against device-level measurements.",
)


def _warnings(architecture: Architecture) -> tuple[Notice, ...]:
    return tuple(Notice("architecture", note) for note in architecture.notes)


def largest_micro_batch(estimate: MemoryEstimate, usable_bytes: int) -> int:
    """The largest micro-batch whose required bytes, at the estimate's slack, stay within ``usable_bytes``; 0 for none.

    Exact but for Liger's loss, where a few sequences more may fit.
    """
    budget = usable_bytes - CUDA_CONTEXT_BYTES
    allocated = budget * 1000 // (1000 + SLACK_MEDIAN[0])
    return estimate.growth.largest_within(allocated)
