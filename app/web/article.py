"""The published article beside what the model computes: its memory table under named policies."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from types import MappingProxyType
from typing import Any, Final

from app.memory.architecture import Architecture
from app.memory.estimate import estimate_memory
from app.memory.inputs import (
    Adapter,
    AdapterDtype,
    Batch,
    Checkpointing,
    Method,
    MethodKind,
    Precision,
    PrecisionPolicy,
    Quantization,
)
from app.memory.result import MemoryEstimate
from app.messages import Value, mark, message
from app.units import GB

TOLERANCE: Final = 0.05
"""A policy explains a published figure when it comes this close to it."""

PUBLISHED_METHODS: Final = (MethodKind.FULL, MethodKind.LORA, MethodKind.QLORA)


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """One row of the article's memory table: GB by method, and the catalogue's models it speaks of."""

    label: str
    models: tuple[str, ...]
    gigabytes: Mapping[MethodKind, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """The choices that the article leaves open. ``name`` is unique and goes on the page."""

    name: str
    optimizer: str = "adamw_torch_fused"
    checkpointing: Checkpointing = Checkpointing.NONE
    micro_batch_size: int = 4
    gradient_accumulation_steps: int = 1
    mixed_precision: bool = False
    """Autocast; a quantised base also has what is not quantised upcast, as ``prepare_model_for_kbit_training`` does."""


@dataclass(frozen=True, slots=True)
class PolicyFigure:
    """What one policy comes to, in bytes allocated at the peak."""

    policy: Policy
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class Cell:
    """One published figure and ours. ``matches`` are the policies within the tolerance, the nearest first;
    without one, ``below`` and ``above`` are the nearest on either side (None where there is none)."""

    method: MethodKind
    published_gb: int
    figures: tuple[PolicyFigure, ...]
    matches: tuple[PolicyFigure, ...]
    below: PolicyFigure | None
    above: PolicyFigure | None

    def figure(self, name: str) -> PolicyFigure:
        """The figure of the policy called ``name``; raises ``StopIteration`` where the method has no such policy."""
        return next(figure for figure in self.figures if figure.policy.name == name)


PLAIN: Final = "fused, 4 × 1"
CHECKPOINTED: Final = "checkpointed, fused, 4 × 1"
MIXED: Final = mark("checkpointed, mixed precision, fused, 4 × 1")


def _policies() -> tuple[Policy, ...]:
    found = []
    for checkpointing in (Checkpointing.NONE, Checkpointing.FULL):
        for optimizer, optimizer_name in (("adamw_torch_fused", "fused"), ("adamw_torch", "foreach")):
            for size, steps in ((4, 1), (1, 4)):
                values: dict[str, Value] = {"optimizer": optimizer_name, "size": size, "steps": steps}
                kept = message("{optimizer}, {size} × {steps}", **values)
                name = message("checkpointed, {optimizer}, {size} × {steps}", **values)
                found.append(
                    Policy(
                        name=name if checkpointing is Checkpointing.FULL else kept,
                        optimizer=optimizer,
                        checkpointing=checkpointing,
                        micro_batch_size=size,
                        gradient_accumulation_steps=steps,
                    )
                )
    found.append(Policy(name=MIXED, checkpointing=Checkpointing.FULL, mixed_precision=True))
    return tuple(found)


POLICIES: Final = _policies()
"""With and without checkpointing, fused and foreach AdamW, micro-batch 4 × 1 and 1 × 4; and what people run most."""


@lru_cache
def article() -> Mapping[str, Any]:
    """The article's figures and words as bundled (``data/article.json``)."""
    text = resources.files("app.web").joinpath("data/article.json").read_text(encoding="utf-8")
    return MappingProxyType(json.loads(text))


def published_rows() -> tuple[PublishedRow, ...]:
    """The article's memory table."""
    return tuple(
        PublishedRow(
            label=row["label"],
            models=tuple(row["models"]),
            gigabytes=MappingProxyType({method: int(row[method.value]) for method in PUBLISHED_METHODS}),
        )
        for row in article()["memory_gb"]
    )


def estimate_under(policy: Policy, architecture: Architecture, kind: MethodKind) -> MemoryEstimate:
    """The article's run under one policy, in what PyTorch allocates (library workspaces left out, as in traces)."""
    setting = article()["setting"]
    adapter = Adapter(rank=setting["lora_rank"], dtype=AdapterDtype.AUTO) if kind is not MethodKind.FULL else None
    quantization = Quantization(upcast_non_quantized=policy.mixed_precision) if kind is MethodKind.QLORA else None
    return estimate_memory(
        architecture,
        Method(kind=kind, adapter=adapter, quantization=quantization, optimizer=policy.optimizer),
        Precision(policy=PrecisionPolicy.BF16_MIXED if policy.mixed_precision else PrecisionPolicy.BF16),
        Batch(
            micro_batch_size=policy.micro_batch_size,
            sequence_length=setting["sequence_length"],
            gradient_accumulation_steps=policy.gradient_accumulation_steps,
            gradient_checkpointing=policy.checkpointing,
        ),
        include_workspaces=False,
    )


def explain(published_gb: int, method: MethodKind, figures: Sequence[PolicyFigure]) -> Cell:
    """Which policies come within the tolerance of a published figure, or the nearest below and above it."""
    published_bytes = published_gb * GB

    def distance(figure: PolicyFigure) -> int:
        return abs(figure.peak_bytes - published_bytes)

    matches = sorted((f for f in figures if distance(f) <= TOLERANCE * published_bytes), key=distance)
    below = [f for f in figures if f.peak_bytes < published_bytes]
    above = [f for f in figures if f.peak_bytes > published_bytes]
    return Cell(
        method=method,
        published_gb=published_gb,
        figures=tuple(figures),
        matches=tuple(matches),
        below=min(below, key=distance, default=None),
        above=min(above, key=distance, default=None),
    )


def cells(row: PublishedRow, architecture: Architecture) -> tuple[Cell, ...]:
    """A published row beside what the model computes for one of its models, a cell a method."""
    return tuple(
        explain(
            row.gigabytes[method],
            method,
            [
                PolicyFigure(policy, estimate_under(policy, architecture, method).peak_allocated_bytes)
                for policy in POLICIES
            ],
        )
        for method in PUBLISHED_METHODS
    )
