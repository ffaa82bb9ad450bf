"""Single changes to a run that may save memory, each evaluated by the memory model itself."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from math import isqrt
from typing import Final

from app.memory.inputs import AttentionImplementation, Checkpointing, LossKernel, MethodKind, PrecisionPolicy
from app.memory.result import MemoryEstimate
from app.messages import Message, Value, message
from app.planning.space import LIGER_MODEL_TYPES
from app.request import FIELDS, Groups, QuantizationChoice, Run, to_groups
from app.services.report import gib
from app.services.results import FieldValue, Suggestion

_EIGHT_BIT_OPTIMIZER = "adamw_bnb_8bit"
_WORTH_SAYING = 0.01
"""A change that saves less than this share of the peak is not offered."""
_SMALL_RANK = 8
_NOTICEABLE_PERCENT = 3
"""Smaller differences in speed are within what a speed estimate can tell."""
_SHORTEST_SEQUENCE = 128
_MOST_ACCUMULATION: Final = int(FIELDS["gradient_accumulation_steps"].maximum or 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Switch:
    """A change and the words for it; ``changes_job`` where the trained result is another one.

    Values have the types of the filled run's fields, so that they can be put into it as they are.
    """

    code: str
    words: str
    changes: Mapping[str, FieldValue]
    changes_job: bool = False

    @property
    def slot(self) -> str:
        """What it sets: two switches of one slot exclude each other."""
        return next(iter(self.changes))

    @property
    def said(self) -> Message:
        """The words, to be said in the reader's language."""
        return self.words if isinstance(self.words, Message) else message(self.words)


def together(switches_: Sequence[Switch]) -> Switch:
    """Several switches as one."""
    if len(switches_) == 1:
        return switches_[0]
    return Switch(
        code="+".join(switch.code for switch in switches_),
        words=reduce(
            lambda words, more: message("{change} + {other}", change=words, other=more),
            [switch.said for switch in switches_],
        ),
        changes={name: value for switch in switches_ for name, value in switch.changes.items()},
        changes_job=any(switch.changes_job for switch in switches_),
    )


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """A switch with the run it makes and what that run takes."""

    switch: Switch
    run: Run
    groups: Groups
    required_bytes: int
    saves_bytes: int
    model: Callable[[Run, Groups], MemoryEstimate]

    @cached_property
    def estimate(self) -> MemoryEstimate:
        """All of what the changed run takes: made where somebody asks for more than the bytes required."""
        return self.model(self.run, self.groups)


def switches(run: Run, model_type: str) -> Iterator[Switch]:
    """Every single change that could save memory on this run, those that leave the result alone first."""
    yield from _kernels(run, model_type)
    yield from _batch(run)
    if run.method is MethodKind.FULL and "8bit" not in run.optimizer and run.optimizer.startswith("adam"):
        yield Switch(code="optimizer", words="Use 8-bit AdamW", changes={"optimizer": _EIGHT_BIT_OPTIMIZER})
    if run.method is MethodKind.FULL and run.precision is PrecisionPolicy.BF16_MIXED:
        yield Switch(
            code="precision",
            words="Train in pure bfloat16",
            changes={"precision": PrecisionPolicy.BF16},
            changes_job=True,
        )
    if run.quantization in {QuantizationChoice.NF4, QuantizationChoice.FP4} and not run.double_quantization:
        yield Switch(code="double_quantization", words="Quantise the scales too", changes={"double_quantization": True})
    if run.method is MethodKind.QLORA and run.upcast_non_quantized:
        yield Switch(
            code="upcast", words="Leave what is not quantised in bfloat16", changes={"upcast_non_quantized": False}
        )
    if run.use_dora:
        yield Switch(code="dora", words="Turn off DoRA", changes={"use_dora": False}, changes_job=True)
    if run.lora_rank > _SMALL_RANK and run.method is not MethodKind.FULL:
        yield Switch(
            code="rank",
            words=message("Use rank {rank}", rank=_SMALL_RANK),
            changes={"lora_rank": _SMALL_RANK},
            changes_job=True,
        )
    yield from _methods(run)
    if run.sequence_length >= 2 * _SHORTEST_SEQUENCE:
        half = run.sequence_length // 2
        yield Switch(
            code="sequence_length",
            words=message("Cut sequences to {tokens} tokens", tokens=half),
            changes={"sequence_length": half},
            changes_job=True,
        )


def _kernels(run: Run, model_type: str) -> Iterator[Switch]:
    if not run.gradient_checkpointing.repeats_every_layer:
        yield Switch(
            code="checkpointing",
            words="Turn on gradient checkpointing",
            changes={"gradient_checkpointing": Checkpointing.FULL},
        )
    if run.loss_kernel is LossKernel.STANDARD and model_type in LIGER_MODEL_TYPES:
        yield Switch(code="loss_kernel", words="Use a fused loss kernel", changes={"loss_kernel": LossKernel.LIGER})
    if run.keep_logits:
        yield Switch(code="keep_logits", words="Do not keep the logits", changes={"keep_logits": False})
    if run.attention is AttentionImplementation.EAGER:
        yield Switch(code="attention", words="Use SDPA attention", changes={"attention": AttentionImplementation.SDPA})
    if not run.packing:
        yield Switch(code="packing", words="Pack examples instead of padding them", changes={"packing": True})


def _batch(run: Run) -> Iterator[Switch]:
    """Half the micro-batch, and one sequence at a time."""
    yield from (smaller_batch(run, size) for size in smaller_batches(run) if size in {1, run.micro_batch_size / 2})


def smaller_batches(run: Run) -> Iterator[int]:
    """Micro-batches that leave the sequences of a step as they are, the largest first."""
    for size in divisors(run.micro_batch_size)[1:]:
        if _accumulated(run, size) <= _MOST_ACCUMULATION:
            yield size


def divisors(number: int) -> list[int]:
    """Of a positive number, the largest first."""
    small = [size for size in range(1, isqrt(number) + 1) if number % size == 0]
    return sorted({*small, *(number // size for size in small)}, reverse=True)


def smaller_batch(run: Run, size: int) -> Switch:
    """Take ``size`` sequences at once, as often as it takes."""
    steps = _accumulated(run, size)
    return Switch(
        code=f"micro_batch_{size}",
        words=message("Micro-batch {size}, accumulate {steps}", size=size, steps=steps),
        changes={"micro_batch_size": size, "gradient_accumulation_steps": steps},
    )


def _accumulated(run: Run, micro_batch_size: int) -> int:
    return run.gradient_accumulation_steps * run.micro_batch_size // micro_batch_size


def _methods(run: Run) -> Iterator[Switch]:
    if run.method is MethodKind.FULL:
        yield Switch(
            code="lora", words="Train LoRA adapters instead", changes={"method": MethodKind.LORA}, changes_job=True
        )
    if run.method is not MethodKind.QLORA:
        yield Switch(
            code="qlora", words="Train QLoRA adapters instead", changes={"method": MethodKind.QLORA}, changes_job=True
        )


def evaluate(
    required_bytes: int,
    switches_: Iterable[Switch],
    rerun: Callable[[Switch], Run | None],
    needs: Callable[[Run, Groups], int],
    model: Callable[[Run, Groups], MemoryEstimate],
) -> list[Evaluated]:
    """Every switch that saves enough to be worth saying, the largest saving first.

    ``rerun`` applies a switch to the request and fills it in again (None where the request then contradicts itself),
    ``needs`` tells its required bytes, and ``model`` all of its memory.
    """
    found = []
    for switch in switches_:
        changed = rerun(switch)
        if changed is None:
            continue
        groups = to_groups(changed)
        needed = needs(changed, groups)
        saves = required_bytes - needed
        if saves > _WORTH_SAYING * required_bytes:
            found.append(
                Evaluated(
                    switch=switch, run=changed, groups=groups, required_bytes=needed, saves_bytes=saves, model=model
                )
            )
    return sorted(found, key=lambda item: (item.switch.changes_job, -item.saves_bytes))


def suggestion(current: MemoryEstimate, item: Evaluated, time_ratio: float | None = None) -> Suggestion:
    """A switch in the contract's shape; ``time_ratio`` is the job's time with it over the time without."""
    return suggested(item.switch, current.required_bytes, item.required_bytes, time_ratio)


def suggested(switch: Switch, before_bytes: int, after_bytes: int, time_ratio: float | None) -> Suggestion:
    """The same from the bytes required before and after; what room buys takes more, and saves less than nothing."""
    return Suggestion(
        changes=switch.changes,
        saves_bytes=before_bytes - after_bytes,
        step_time_ratio=time_ratio,
        text=_sentence(switch, before_bytes, after_bytes, time_ratio),
    )


def _sentence(switch: Switch, before_bytes: int, after_bytes: int, time_ratio: float | None) -> str:
    values: dict[str, Value] = {"change": switch.said, "before": gib(before_bytes), "after": gib(after_bytes)}
    if time_ratio is None:
        return message("{change}: {before} → {after} GiB.", **values)
    percent = round(100 * abs(time_ratio - 1))
    if percent < _NOTICEABLE_PERCENT:
        return message("{change}: {before} → {after} GiB, about as fast.", **values)
    if time_ratio > 1:
        return message("{change}: {before} → {after} GiB, about {percent} % slower.", percent=percent, **values)
    return message("{change}: {before} → {after} GiB, about {percent} % faster.", percent=percent, **values)
