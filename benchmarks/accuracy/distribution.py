"""Errors as a distribution: how many, how large, how often too low."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from app.memory.result import PhaseName
from benchmarks.accuracy.comparison import Comparison
from benchmarks.accuracy.reference import ReferenceCase

CLOSE = 0.01
"""The bar a traced case must come under."""

COUNTED = 1e-5
"""Below a thousandth of a per cent the sign of an error is rounding to 512-byte blocks, and is not counted as low."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Distribution:
    """Relative errors of ``count`` cases; sizes are absolute, shares are of all."""

    count: int
    median: float
    ninetieth: float
    largest: float
    share_close: float
    share_low: float

    @classmethod
    def of(cls, errors: Iterable[float]) -> "Distribution":
        """Of at least one error."""
        signed = tuple(errors)
        sizes = sorted(abs(error) for error in signed)
        return cls(
            count=len(sizes),
            median=quantile(sizes, 0.5),
            ninetieth=quantile(sizes, 0.9),
            largest=sizes[-1],
            share_close=sum(size <= CLOSE for size in sizes) / len(sizes),
            share_low=sum(error < -COUNTED for error in signed) / len(sizes),
        )


def quantile(ascending: Sequence[float], share: float) -> float:
    """The value at or below which ``share`` of the sorted values lie (nearest rank)."""
    return ascending[max(0, -(-int(len(ascending) * share * 1000) // 1000) - 1)]


Option = Callable[[ReferenceCase], Iterator[str]]


def _field(name: str) -> Option:
    def values(case: ReferenceCase) -> Iterator[str]:
        if name in case.request:
            yield str(case.request[name])

    return values


def _family(case: ReferenceCase) -> Iterator[str]:
    yield case.config["model_type"]


def _targets(case: ReferenceCase) -> Iterator[str]:
    targets = case.request.get("lora_target_modules")
    if targets is not None:
        yield targets if isinstance(targets, str) else "a list of names"


def _sequence(case: ReferenceCase) -> Iterator[str]:
    length = case.request["sequence_length"]
    yield (
        "below 1,024 tokens" if length < 1024 else "1,024 to 4,095 tokens" if length < 4096 else "4,096 tokens and more"
    )


def _rank(case: ReferenceCase) -> Iterator[str]:
    rank = case.request.get("lora_rank")
    if rank is not None:
        yield "1 to 8" if rank <= 8 else "9 to 32" if rank <= 32 else "above 32"


def _quantisation(case: ReferenceCase) -> Iterator[str]:
    if case.request["method"] == "qlora":
        double = ", double" if case.request.get("double_quantization", True) else ""
        yield f"{case.request.get('quantization') or 'nf4'}{double}"


SWITCHES: Mapping[str, str] = {
    "use_dora": "DoRA",
    "lora_dropout": "dropout",
    "modules_to_save": "saved modules",
    "upcast_non_quantized": "k-bit preparation",
    "embedding_state_32bit": "32-bit embedding state",
    "keep_logits": "kept logits",
}


def _switched(case: ReferenceCase) -> Iterator[str]:
    for name, words in SWITCHES.items():
        if case.request.get(name):
            yield words
    if not case.request["packing"]:
        yield "padded batches"
    if case.request["gradient_accumulation_steps"] > 1:
        yield "gradient accumulation"


OPTIONS: Mapping[str, Option] = {
    "method": _field("method"),
    "precision": _field("precision"),
    "adapter dtype": _field("adapter_dtype"),
    "adapter targets": _targets,
    "adapter rank": _rank,
    "quantisation": _quantisation,
    "checkpointing": _field("gradient_checkpointing"),
    "attention": _field("attention"),
    "sequence": _sequence,
    "optimizer": _field("optimizer"),
    "loss kernel": _field("loss_kernel"),
    "switched on": _switched,
    "family": _family,
}
"""What cases are grouped by: the values of each option that a case has, none where it does not apply."""


def by_source(comparisons: Sequence[Comparison]) -> dict[str, Distribution]:
    """Of all, and of each file."""
    groups = {"all": [item.error for item in comparisons]}
    for item in comparisons:
        groups.setdefault(item.case.source.value, []).append(item.error)
    return {name: Distribution.of(errors) for name, errors in groups.items()}


def by_option(comparisons: Sequence[Comparison]) -> dict[tuple[str, str], Distribution]:
    """Of each value of each option."""
    groups: dict[tuple[str, str], list[float]] = {}
    for name, option in OPTIONS.items():
        for item in comparisons:
            for value in option(item.case):
                groups.setdefault((name, value), []).append(item.error)
    return {group: Distribution.of(errors) for group, errors in groups.items()}


def by_phase(comparisons: Sequence[Comparison]) -> dict[PhaseName, Distribution]:
    """Of each phase's own peak."""
    groups: dict[PhaseName, list[float]] = {phase: [] for phase in PhaseName}
    for item in comparisons:
        for phase, error in item.phase_errors.items():
            groups[phase].append(error)
    return {phase: Distribution.of(errors) for phase, errors in groups.items() if errors}
