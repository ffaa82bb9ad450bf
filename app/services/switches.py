"""Single changes to a run that may save memory, each evaluated by the memory model itself."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from app.memory.inputs import AttentionImplementation, Checkpointing, LossKernel, MethodKind
from app.memory.result import MemoryEstimate
from app.messages import Message, Value, message
from app.request import Groups, QuantizationChoice, Run, to_groups
from app.services.report import gib
from app.services.results import FieldValue, Suggestion

_EIGHT_BIT_OPTIMIZER = "adamw_bnb_8bit"
_WORTH_SAYING = 0.01
"""A change that saves less than this share of the peak is not offered."""
_SMALL_RANK = 8
_NOTICEABLE_PERCENT = 3
"""Smaller differences in speed are within what a speed estimate can tell."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Switch:
    """A change and the words for it; ``changes_job`` where the trained result is another one."""

    code: str
    words: str
    changes: Mapping[str, FieldValue]
    changes_job: bool = False


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


def switches(run: Run) -> Iterator[Switch]:
    """Every single change that could save memory on this run, those that leave the result alone first."""
    yield from _kernels(run)
    yield from _batch(run)
    if run.method is MethodKind.FULL and "8bit" not in run.optimizer and run.optimizer.startswith("adam"):
        yield Switch(code="optimizer", words="Use 8-bit AdamW", changes={"optimizer": _EIGHT_BIT_OPTIMIZER})
    if run.method is MethodKind.FULL and run.precision == "bf16-mixed":
        yield Switch(code="precision", words="Train in pure bfloat16", changes={"precision": "bf16"}, changes_job=True)
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
    if run.sequence_length >= 2 * 128:
        half = run.sequence_length // 2
        yield Switch(
            code="sequence_length",
            words=message("Cut sequences to {tokens} tokens", tokens=half),
            changes={"sequence_length": half},
            changes_job=True,
        )


def _kernels(run: Run) -> Iterator[Switch]:
    if run.gradient_checkpointing is not Checkpointing.FULL:
        yield Switch(
            code="checkpointing", words="Turn on gradient checkpointing", changes={"gradient_checkpointing": "full"}
        )
    if run.loss_kernel is LossKernel.STANDARD:
        yield Switch(code="loss_kernel", words="Use a fused loss kernel", changes={"loss_kernel": "liger"})
    if run.keep_logits:
        yield Switch(code="keep_logits", words="Do not keep the logits", changes={"keep_logits": False})
    if run.attention is AttentionImplementation.EAGER:
        yield Switch(code="attention", words="Use SDPA attention", changes={"attention": "sdpa"})
    if not run.packing:
        yield Switch(code="packing", words="Pack examples instead of padding them", changes={"packing": True})


def _batch(run: Run) -> Iterator[Switch]:
    if run.micro_batch_size % 2 == 0:
        smaller, steps = run.micro_batch_size // 2, run.gradient_accumulation_steps * 2
        yield Switch(
            code="micro_batch",
            words=message("Micro-batch {size}, accumulate {steps}", size=smaller, steps=steps),
            changes={"micro_batch_size": smaller, "gradient_accumulation_steps": steps},
        )
    if run.micro_batch_size > 2:
        steps = run.gradient_accumulation_steps * run.micro_batch_size
        yield Switch(
            code="micro_batch_1",
            words=message("Micro-batch 1, accumulate {steps}", steps=steps),
            changes={"micro_batch_size": 1, "gradient_accumulation_steps": steps},
        )


def _methods(run: Run) -> Iterator[Switch]:
    if run.method is MethodKind.FULL:
        yield Switch(code="lora", words="Train LoRA adapters instead", changes={"method": "lora"}, changes_job=True)
    if run.method is not MethodKind.QLORA:
        yield Switch(code="qlora", words="Train QLoRA adapters instead", changes={"method": "qlora"}, changes_job=True)


def evaluate(
    required_bytes: int,
    run: Run,
    rerun: Callable[[Switch], Run | None],
    needs: Callable[[Run, Groups], int],
    model: Callable[[Run, Groups], MemoryEstimate],
) -> list[Evaluated]:
    """Every switch that saves enough to be worth saying, the largest saving first.

    ``rerun`` applies a switch to the request and fills it in again (None where the request then contradicts itself),
    ``needs`` tells its required bytes, and ``model`` all of its memory.
    """
    found = []
    for switch in switches(run):
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
    return Suggestion(
        changes=item.switch.changes,
        saves_bytes=item.saves_bytes,
        step_time_ratio=time_ratio,
        text=_sentence(current.required_bytes, item, time_ratio),
    )


def _sentence(required_bytes: int, item: Evaluated, time_ratio: float | None) -> str:
    values: dict[str, Value] = {
        "change": message(item.switch.words) if not isinstance(item.switch.words, Message) else item.switch.words,
        "before": gib(required_bytes),
        "after": gib(item.required_bytes),
    }
    if time_ratio is None:
        return message("{change}: {before} → {after} GiB.", **values)
    percent = round(100 * abs(time_ratio - 1))
    if percent < _NOTICEABLE_PERCENT:
        return message("{change}: {before} → {after} GiB, about as fast.", **values)
    if time_ratio > 1:
        return message("{change}: {before} → {after} GiB, about {percent} % slower.", percent=percent, **values)
    return message("{change}: {before} → {after} GiB, about {percent} % faster.", percent=percent, **values)
