"""How long a whole job takes: real tokens, what padding or packing makes of them, evaluation and checkpoints."""

from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from typing import Final, NamedTuple, Protocol

from app.memory.inputs import Batch, Cluster
from app.messages import mark, message
from app.speed.communication import data_parallel_degree
from app.speed.estimate import SpeedEstimate

EVALUATION_SHARE: Final = 0.02
"""Time for evaluation: 5 % of the examples held back, seen once an epoch, forward only (a third of a step or less)."""
CHECKPOINT_SHARE: Final = 0.01
"""Time for saving checkpoints, loading the model and the first steps' warm-up."""


class Job(Protocol):
    """How much there is to train on. ``max_steps`` takes the place of ``epochs``."""

    @property
    def num_examples(self) -> int: ...
    @property
    def tokens_per_example(self) -> int: ...
    @property
    def epochs(self) -> float: ...
    @property
    def max_steps(self) -> int | None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class JobTime:
    """A whole job. ``total_tokens`` are real tokens, padding not among them; the interval is the speed's."""

    total_tokens: int
    optimizer_steps: int
    total_seconds: float
    total_seconds_low: float
    total_seconds_high: float
    fill: float
    """Real tokens ÷ positions computed."""
    assumptions: tuple[str, ...]


class JobSteps(NamedTuple):
    """What a job is made of on any card."""

    total_tokens: int
    optimizer_steps: int
    fill: float
    """Real tokens ÷ positions computed."""

    def seconds(self, step_seconds: float) -> float:
        """The whole job's, of steps that take so long."""
        return self.optimizer_steps * step_seconds * (1 + EVALUATION_SHARE + CHECKPOINT_SHARE)


def job_steps(job: Job, batch: Batch, cluster: Cluster) -> JobSteps:
    """The steps of ``job``.

    Padded, an example is one sequence, computed at its full length; packed, its tokens share sequences with others'.
    Examples longer than a sequence are cut to it. A last step that is not full counts as a step.
    """
    length = batch.sequence_length
    tokens = min(job.tokens_per_example, length)
    fill = 1.0 if batch.packing else tokens / length
    positions_a_step = (
        batch.micro_batch_size * batch.gradient_accumulation_steps * data_parallel_degree(cluster) * length
    )
    if job.max_steps is not None:
        return JobSteps(round(job.max_steps * positions_a_step * fill), job.max_steps, fill)
    total_tokens = round(job.num_examples * tokens * job.epochs)
    return JobSteps(total_tokens, max(1, ceil(total_tokens / (positions_a_step * fill))), fill)


def job_time(speed: SpeedEstimate, job: Job, batch: Batch, cluster: Cluster) -> JobTime:
    """The time of ``job`` at ``speed``, in seconds; see :func:`job_steps`."""
    steps = job_steps(job, batch, cluster)
    seconds = steps.seconds(speed.step_seconds)
    return JobTime(
        total_tokens=steps.total_tokens,
        optimizer_steps=steps.optimizer_steps,
        total_seconds=seconds,
        total_seconds_low=seconds * speed.tokens_per_second / speed.tokens_per_second_high,
        total_seconds_high=seconds * speed.tokens_per_second / speed.tokens_per_second_low,
        fill=steps.fill,
        assumptions=_assumptions(job.tokens_per_example, batch.sequence_length, steps.fill, packing=batch.packing),
    )


@lru_cache
def _assumptions(tokens_per_example: int, length: int, fill: float, *, packing: bool) -> tuple[str, ...]:
    lines: list[str] = [
        message(
            "{evaluation} % more time for evaluation and {checkpoints} % for saving checkpoints and starting; "
            "downloads are not counted.",
            evaluation=round(100 * EVALUATION_SHARE),
            checkpoints=round(100 * CHECKPOINT_SHARE),
        )
    ]
    if tokens_per_example > length:
        lines.append(message("Examples are cut to {tokens} tokens.", tokens=length))
    if packing and tokens_per_example < length:
        lines.append(mark("Packed sequences are taken as full."))
    elif fill < 1.0:
        lines.append(
            message(
                "Every example is padded to {tokens} tokens, so {percent} % of the work is padding; packing would save "
                "it.",
                tokens=length,
                percent=round(100 * (1 - fill)),
            )
        )
    return tuple(lines)
