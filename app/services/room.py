"""What the room that a run leaves on a card is good for: a faster run, or one that learns more.

Each answer is the furthest that still surely fits, found as ``/solve`` finds it, and sized by the same model. At most
:data:`MOST_EVALUATIONS` memory estimates are made.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from app.catalogue.facts import CatalogueGpu
from app.memory.inputs import Checkpointing, LoraTargetPreset, MethodKind
from app.memory.result import Needed
from app.memory.verdict import unsupported_reason
from app.messages import message
from app.planning.inverse import allocated_within, furthest, longest_sequence
from app.planning.space import lacks_kernels
from app.request import FIELDS, Groups, Run, to_groups
from app.services.assess import Assessment
from app.services.pace import Pace, pace
from app.services.results import Suggestion
from app.services.switches import Switch, divisors, suggested

MOST_EVALUATIONS: Final = 60
"""Three searches of at most 16 values each, and a few single changes."""
_SEQUENCE_STEP: Final = 128
"""Longer sequences are offered in such steps, and only where the model was made for them."""
_RANKS: Final = (16, 32, 64, 128, 256)
"""What sources compared (docs/quality.md); beyond it nothing published says that more helps."""
_MOST_TARGETS: Final = LoraTargetPreset.ALL_LINEAR


@dataclass(frozen=True, kw_only=True, slots=True)
class Bought:
    """A change that takes more memory, the run it makes and what that needs."""

    switch: Switch
    run: Run
    groups: Groups
    needed: Needed


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """One run that fits a card."""

    assessment: Assessment
    gpu: CatalogueGpu

    def bought(self) -> Iterator[Bought]:
        """What only makes the run faster first, then what it could learn more with."""
        yield from self._all(self._faster())
        yield from self._batch()
        yield from self._all(self._better())
        yield from self._rank()
        yield from self._sequence()

    def _all(self, switches: Iterator[Switch]) -> Iterator[Bought]:
        for switch in switches:
            made = self._made(switch)
            if made is not None and self._fits(made):
                yield made

    def _faster(self) -> Iterator[Switch]:
        if self.assessment.run.gradient_checkpointing is not Checkpointing.NONE:
            yield Switch(
                code="no_checkpointing",
                words="Turn off gradient checkpointing",
                changes={"gradient_checkpointing": Checkpointing.NONE},
            )

    def _better(self) -> Iterator[Switch]:
        run = self.assessment.run
        if run.method is MethodKind.QLORA:
            yield Switch(
                code="lora",
                words="Train LoRA adapters instead",
                changes={"method": MethodKind.LORA, "quantization": None},
                changes_job=True,
            )
        if run.method is not MethodKind.FULL:
            yield Switch(
                code="full",
                words="Train all weights instead",
                changes={"method": MethodKind.FULL, "quantization": None},
                changes_job=True,
            )
            if run.lora_target_modules in (LoraTargetPreset.ATTENTION, LoraTargetPreset.QV):
                yield Switch(
                    code="targets",
                    words="Put adapters on all linear layers",
                    changes={"lora_target_modules": _MOST_TARGETS},
                    changes_job=True,
                )

    def _batch(self) -> Iterator[Bought]:
        """Where sequences are accumulated, more of them at once: the same step in fewer passes."""
        run = self.assessment.run
        largest = self.assessment.memory(self.gpu.device).growth.largest_within(self._limit_bytes)
        if run.gradient_accumulation_steps == 1:
            most = int(FIELDS["micro_batch_size"].maximum or run.micro_batch_size)
            sizes: Sequence[int] = range(run.micro_batch_size + 1, min(most, largest + 2) + 1)
            yield from self._furthest(sizes, _larger_batch, largest)
            return
        sequences = run.micro_batch_size * run.gradient_accumulation_steps
        sizes = [size for size in divisors(sequences)[::-1] if size > run.micro_batch_size]
        yield from self._furthest(sizes, lambda size: _batch_of(size, sequences // size), largest)

    @property
    def _limit_bytes(self) -> int:
        return allocated_within(self.assessment.memory(self.gpu.device), self.gpu.device.usable_bytes)

    def _rank(self) -> Iterator[Bought]:
        run = self.assessment.run
        if run.method is not MethodKind.FULL:
            yield from self._furthest([rank for rank in _RANKS if rank > run.lora_rank], _rank_of, _RANKS[-1])

    def _sequence(self) -> Iterator[Bought]:
        """Longer sequences in the same run, up to what the model was made for."""
        run, context = self.assessment.run, self.assessment.model.summary.max_position_embeddings
        if context is None or context <= run.sequence_length:
            return
        growth = self.assessment.memory(self.gpu.device).growth
        first = (run.sequence_length // _SEQUENCE_STEP + 1) * _SEQUENCE_STEP
        lengths = range(first, context + 1, _SEQUENCE_STEP)
        longest = longest_sequence(growth, run.micro_batch_size, self._limit_bytes)
        yield from self._furthest(lengths, _sequence_of, longest)

    def _furthest(self, values: Sequence[int], switch_of: Callable[[int], Switch], guess: int) -> Iterator[Bought]:
        """The furthest of ascending values that fits, looked for from ``guess`` on."""
        made: dict[int, Bought | None] = {}

        def fits(value: int) -> bool:
            found = made[value] = self._made(switch_of(value))
            return found is not None and self._fits(found)

        answer = furthest(fits, values, guess=bisect_right(values, guess) - 1).answer if values else None
        found = None if answer is None else made[answer]
        if found is not None:
            yield found

    def _made(self, switch: Switch) -> Bought | None:
        run = self.assessment.with_switch(switch)
        if run is None:
            return None
        groups = to_groups(run)
        needed = self.assessment.needed(run, groups, self.gpu.device)
        return Bought(switch=switch, run=run, groups=groups, needed=needed)

    def _fits(self, bought: Bought) -> bool:
        groups, device = bought.groups, self.gpu.device
        return (
            unsupported_reason(device, groups.method, groups.precision, groups.batch) is None
            and not lacks_kernels(device, groups.batch)
            and bought.needed.required.high_bytes <= device.usable_bytes
        )


def _batch_of(size: int, steps: int) -> Switch:
    return Switch(
        code="micro_batch",
        words=message("Micro-batch {size}, accumulate {steps}", size=size, steps=steps),
        changes={"micro_batch_size": size, "gradient_accumulation_steps": steps},
    )


def _larger_batch(size: int) -> Switch:
    return Switch(
        code="larger_batch",
        words=message("Micro-batch {size}", size=size),
        changes={"micro_batch_size": size, "global_batch_size": None},
        changes_job=True,
    )


def _rank_of(rank: int) -> Switch:
    return Switch(
        code="rank", words=message("Use rank {rank}", rank=rank), changes={"lora_rank": rank}, changes_job=True
    )


def _sequence_of(tokens: int) -> Switch:
    return Switch(
        code="sequence_length",
        words=message("Sequences of {tokens} tokens", tokens=tokens),
        changes={"sequence_length": tokens},
        changes_job=True,
    )


def room(assessment: Assessment, gpu: CatalogueGpu, going: Pace | None) -> tuple[Suggestion, ...]:
    """What the room on a card that surely holds the run buys; each saves less than nothing."""
    before = assessment.memory(gpu.device).required_bytes
    found = []
    for bought in Room(assessment=assessment, gpu=gpu).bought():
        changed = pace(assessment.model.architecture, bought.groups, gpu) if going else None
        ratio = (
            going.speed.tokens_per_second / changed.speed.tokens_per_second
            if going and isinstance(changed, Pace)
            else None
        )
        after = bought.needed.required_bytes
        if after > before:
            found.append(suggested(bought.switch, before, after, ratio))
    return tuple(found)
