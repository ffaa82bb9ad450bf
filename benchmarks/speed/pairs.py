"""Measured pairs that differ in one thing: is the difference as large as the model says?"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from app.memory.inputs import MethodKind
from app.speed.work import KernelStack
from benchmarks.speed.evaluation import Prediction
from benchmarks.speed.rows import MeasuredRun

Key = tuple[object, ...]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two runs of one source that differ in ``differs`` alone; ratios are second ÷ first tokens per second."""

    differs: str
    first: MeasuredRun
    second: MeasuredRun
    measured: float
    predicted: float

    @property
    def change(self) -> str:
        """What changes, such as ``lora → qlora``."""
        show = VARIED[self.differs]
        return f"{show(self.first)} → {show(self.second)}"

    @property
    def error(self) -> float:
        """Predicted ÷ measured ratio, less one."""
        return self.predicted / self.measured - 1


VARIED: Final[dict[str, Callable[[MeasuredRun], object]]] = {
    "method": lambda run: run.method.kind.value,
    "checkpointing": lambda run: run.batch.gradient_checkpointing.value,
    "batch": lambda run: run.batch.micro_batch_size,
    "sequence": lambda run: run.batch.sequence_length,
}
METHOD_ORDER: Final = list(MethodKind)


def pairs(predictions: Sequence[Prediction]) -> Iterator[Pair]:
    """Every pair, by what differs."""
    for differs in VARIED:
        groups: dict[Key, list[Prediction]] = defaultdict(list)
        for prediction in predictions:
            groups[_rest(prediction.run, differs)].append(prediction)
        for group in groups.values():
            ordered = sorted(group, key=lambda prediction: _order(prediction.run, differs))
            for first, second in combinations(ordered, 2):
                if VARIED[differs](first.run) != VARIED[differs](second.run):
                    yield Pair(
                        differs=differs,
                        first=first.run,
                        second=second.run,
                        measured=second.run.tokens_per_second / first.run.tokens_per_second,
                        predicted=second.predicted / first.predicted,
                    )


def _rest(run: MeasuredRun, differs: str) -> Key:
    """Everything that must agree. Frameworks' labels name the method too, so kernels and loss stand for them."""
    batch = run.batch
    same = {name: show(run) for name, show in VARIED.items() if name != differs}
    accumulation: object = batch.gradient_accumulation_steps
    if differs == "checkpointing":  # runs with and without it differ in how the same tokens are cut into micro-batches
        accumulation = batch.micro_batch_size * batch.gradient_accumulation_steps
        same.pop("batch")
    return (
        run.source,
        run.gpu,
        run.model,
        run.cluster.num_gpus,
        run.cluster.strategy,
        accumulation,
        batch.loss_kernel,
        run.stack is KernelStack.EAGER,
        "gptq" in run.framework if differs != "method" else False,
        run.framework if differs != "method" else "",
        run.printed_method if differs != "method" else "",
        tuple(same.items()),
    )


def _order(run: MeasuredRun, differs: str) -> tuple[object, str]:
    value = METHOD_ORDER.index(run.method.kind) if differs == "method" else VARIED[differs](run)
    return value, run.id
