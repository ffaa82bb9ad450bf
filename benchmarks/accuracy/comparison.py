"""A reference case beside the product's own answer, through the same functions that serve a request."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from app.memory.build import parse_config, supported_model_types
from app.memory.estimate import estimate_memory
from app.memory.result import ComponentName, MemoryEstimate, PhaseName
from app.request import Groups, parse_json, resolve, to_groups
from benchmarks.accuracy.reference import Part, ReferenceCase

NO_MODEL: Final = "config given"
"""Where a request needs a model's name; the shape comes from the case's own configuration."""

_PARTS: Final[Mapping[ComponentName, Part]] = {
    ComponentName.WEIGHTS: Part.PARAMETERS,
    ComponentName.ADAPTERS: Part.PARAMETERS,
    ComponentName.QUANTISATION_STATE: Part.QUANTISATION_STATE,
    ComponentName.GRADIENTS: Part.GRADIENTS,
    ComponentName.OPTIMIZER_STATE: Part.OPTIMIZER_STATE,
    ComponentName.ACTIVATIONS: Part.ACTIVATIONS,
    ComponentName.LOGITS: Part.LOGITS,
    ComponentName.GATHERED_WEIGHTS: Part.WEIGHT_COPIES,
    ComponentName.TEMPORARIES: Part.TEMPORARIES,
}


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A traced case and our estimate of it. Errors are ours ÷ traced − 1."""

    case: ReferenceCase
    estimate: MemoryEstimate

    @cached_property
    def error(self) -> float:
        """Of the peak."""
        return self.estimate.peak_allocated_bytes / self.case.peak_bytes - 1

    @cached_property
    def phase_errors(self) -> Mapping[PhaseName, float]:
        """Of each phase's own peak, where both have the phase."""
        ours = {phase.name: phase.bytes for phase in self.estimate.phases}
        return {name: ours[name] / size - 1 for name, size in self.case.phase_bytes.items() if name in ours}

    @cached_property
    def parts(self) -> Mapping[Part, int]:
        """Our bytes at the peak, in the terms of the trace."""
        total = dict.fromkeys(Part, 0)
        for component in self.estimate.components:
            assert isinstance(component.name, ComponentName)
            total[_PARTS[component.name]] += component.bytes
        return total

    @cached_property
    def part_differences(self) -> Mapping[Part, int]:
        """Ours less traced, at each one's own peak."""
        return {part: self.parts[part] - self.case.parts[part] for part in Part}

    @property
    def counts_agree(self) -> bool:
        """Whether the parameter counts are equal."""
        counts = self.estimate.parameters
        return (counts.total, counts.trainable) == (self.case.total_parameters, self.case.trainable_parameters)


def groups_of(case: ReferenceCase) -> Groups:
    """The run of a case as the models read it, by the way every request takes."""
    return to_groups(resolve(parse_json({**case.request, "stack": "plain", "model": NO_MODEL})).run)


def compare(case: ReferenceCase) -> Comparison:
    """Estimate a case. Raises what the request or the configuration is refused with."""
    groups = groups_of(case)
    estimate = estimate_memory(
        parse_config(case.config), groups.method, groups.precision, groups.batch, include_workspaces=False
    )
    return Comparison(case=case, estimate=estimate)


def is_supported(case: ReferenceCase) -> bool:
    """Whether the model has a row for this family: others are read as Llama-like and promise nothing."""
    return case.config["model_type"] in supported_model_types()


def compare_all(cases: Iterable[ReferenceCase]) -> tuple[Comparison, ...]:
    """Estimate every case whose family is supported."""
    return tuple(compare(case) for case in cases if is_supported(case))
