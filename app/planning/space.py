"""The ways to do one run that leave its result alone: what a planner may choose where the person did not.

The sequences of an optimizer step stay the same whatever is chosen: how many cards share them, how many a card takes at
once, and what is kept or recomputed change memory and time, not what is learnt.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from app.memory.device import Device
from app.memory.inputs import Batch, Checkpointing, Cluster, LossKernel, Method, MethodKind, Precision, Strategy
from app.memory.parallelism import TRAITS

LARGEST_MICRO_BATCH: Final = 512
"""Sequences at once beyond which nothing is tried: matrix products are as large as they get long before."""
EIGHT_BIT_OPTIMIZERS: Final = {
    "adamw_torch_fused": "adamw_bnb_8bit",
    "adamw_torch": "adamw_bnb_8bit",
    "lion_32bit": "lion_8bit",
}
"""bitsandbytes' block-wise 8-bit state matches the 32-bit one's results (arXiv 2110.02861, table 1)."""

LIGER_MODEL_TYPES: Final = frozenset(
    {
        "deepseek_v2",
        "deepseek_v3",
        "exaone4",
        "falcon_h1",
        "gemma",
        "gemma2",
        "gemma3",
        "gemma3_text",
        "glm4",
        "glm4v",
        "glm4v_moe",
        "gpt_oss",
        "granite",
        "hunyuan_v1_dense",
        "hunyuan_v1_moe",
        "internvl",
        "llama",
        "llama4",
        "llama4_text",
        "llava",
        "ministral",
        "mistral",
        "mixtral",
        "mllama",
        "mllama_text_model",
        "nemotron",
        "olmo2",
        "olmo3",
        "paligemma",
        "phi3",
        "pixtral",
        "qwen2",
        "qwen2_5_vl",
        "qwen2_5_vl_text",
        "qwen2_vl",
        "qwen2_vl_text",
        "qwen3",
        "qwen3_5",
        "qwen3_5_moe",
        "qwen3_5_moe_text",
        "qwen3_5_text",
        "qwen3_moe",
        "qwen3_next",
        "qwen3_vl",
        "qwen3_vl_moe",
        "qwen3_vl_moe_text",
        "qwen3_vl_text",
        "smollm3",
        "smolvlm",
    }
)
"""Model types that ``use_liger_kernel`` patches (liger-kernel 0.8.5, transformers/monkey_patch.py,
MODEL_TYPE_TO_APPLY_LIGER_FN)."""
_TRITON_CAPABILITY: Final = (7, 0)
"""Triton, which Liger's kernels are written in, starts at Volta (triton-lang.org, installation)."""


class Lever(StrEnum):
    """What may be chosen, by the name of the request's field."""

    MICRO_BATCH_SIZE = "micro_batch_size"
    GRADIENT_CHECKPOINTING = "gradient_checkpointing"
    LOSS_KERNEL = "loss_kernel"
    OPTIMIZER = "optimizer"
    STRATEGY = "strategy"


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A run as it was asked for, and what of it is held."""

    model_type: str
    method: Method
    precision: Precision
    batch: Batch
    cluster: Cluster
    """``num_gpus`` and ``strategy`` are those the run would have if nothing were chosen."""
    global_batch_size: int
    """Sequences of an optimizer step over all cards."""
    counts: tuple[int, ...]
    """Numbers of cards to consider, ascending."""
    held: frozenset[Lever] = frozenset()
    """What the person decided."""
    include_workspaces: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """One way to do the run on ``cluster.num_gpus`` cards; the micro-batch is not decided yet."""

    method: Method
    batch: Batch
    """Its micro-batch and accumulation are not those of the way."""
    cluster: Cluster
    sequences_a_card: int
    """What each card takes of an optimizer step."""
    held_micro_batch: int | None

    def micro_batches(self) -> tuple[int, ...]:
        """Micro-batches that divide a card's share, ascending."""
        share = self.sequences_a_card
        if self.held_micro_batch is not None:
            return (self.held_micro_batch,) if share % self.held_micro_batch == 0 else ()
        return tuple([size for size in range(1, min(share, LARGEST_MICRO_BATCH) + 1) if share % size == 0])

    def at(self, micro_batch_size: int) -> Batch:
        """The batch of a card with this micro-batch."""
        return replace(
            self.batch,
            micro_batch_size=micro_batch_size,
            gradient_accumulation_steps=self.sequences_a_card // micro_batch_size,
        )


def replicas(cluster: Cluster, strategy: Strategy) -> int:
    """Cards, or groups of cards, that each see different sequences; 0 where the degrees do not divide the cards."""
    if strategy in (Strategy.SINGLE, Strategy.DEVICE_MAP):
        return 1
    degrees = cluster.tensor_parallel * cluster.pipeline_parallel * cluster.context_parallel
    whole, rest = divmod(cluster.num_gpus, degrees)
    return 0 if rest or cluster.num_gpus % cluster.expert_parallel else whole


def ways(asked: Asked, num_gpus: int) -> Iterator[Way]:
    """Every way to do the run on this many cards, those nearest to what was asked first."""
    for strategy in _strategies(asked, num_gpus):
        cluster = replace(asked.cluster, num_gpus=num_gpus, strategy=strategy)
        degree = replicas(cluster, strategy)
        if not degree or asked.global_batch_size % degree:
            continue
        for optimizer in _optimizers(asked):
            method = asked.method if optimizer == asked.method.optimizer else replace(asked.method, optimizer=optimizer)
            for kernel in _loss_kernels(asked):
                for checkpointing in _checkpointing(asked):
                    yield Way(
                        method=method,
                        batch=replace(asked.batch, loss_kernel=kernel, gradient_checkpointing=checkpointing),
                        cluster=cluster,
                        sequences_a_card=asked.global_batch_size // degree,
                        held_micro_batch=(
                            asked.batch.micro_batch_size if Lever.MICRO_BATCH_SIZE in asked.held else None
                        ),
                    )


def _checkpointing(asked: Asked) -> tuple[Checkpointing, ...]:
    """Off and full: what trainers have a switch for."""
    if Lever.GRADIENT_CHECKPOINTING in asked.held:
        return (asked.batch.gradient_checkpointing,)
    return (Checkpointing.NONE, Checkpointing.FULL)


def _loss_kernels(asked: Asked) -> tuple[LossKernel, ...]:
    given = asked.batch.loss_kernel
    if Lever.LOSS_KERNEL in asked.held or given is LossKernel.LIGER or asked.model_type not in LIGER_MODEL_TYPES:
        return (given,)
    return (given, LossKernel.LIGER)


def _optimizers(asked: Asked) -> tuple[str, ...]:
    """Adapters' state is too small to matter."""
    given = asked.method.optimizer
    smaller = EIGHT_BIT_OPTIMIZERS.get(given)
    if Lever.OPTIMIZER in asked.held or smaller is None or asked.method.kind is not MethodKind.FULL:
        return (given,)
    return (given, smaller)


def _strategies(asked: Asked, num_gpus: int) -> tuple[Strategy, ...]:
    """Copies on every card, or everything sharded; in full fine-tuning also gradients and optimizer state alone."""
    if Lever.STRATEGY in asked.held:
        impossible = asked.cluster.strategy is Strategy.SINGLE and num_gpus > 1
        return () if impossible else (asked.cluster.strategy,)
    if num_gpus == 1:
        return (Strategy.SINGLE,)
    if asked.method.kind is MethodKind.FULL:
        return (Strategy.FSDP2, Strategy.ZERO2, Strategy.DDP)
    return (Strategy.DDP, Strategy.FSDP2)


def lacks_kernels(device: Device, batch: Batch) -> bool:
    """Whether a card cannot run the loss's kernels."""
    if batch.loss_kernel is not LossKernel.LIGER:
        return False
    return device.compute_capability is not None and device.compute_capability < _TRITON_CAPABILITY


def most_evaluations(asked: Asked) -> int:
    """The most memory estimates that a search makes for cards with one size of workspace."""
    return sum(len(way.micro_batches()) for count in asked.counts for way in ways(asked, count))


def title(strategy: Strategy) -> str:
    """A strategy in words."""
    return TRAITS[strategy].title
