"""Turn a trace into a row of reference data, and into a table of what makes up its peak."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from benchmarks.accuracy.tracing.step import MEASURED_STEP, WARM_UP_STEP, Trace
from benchmarks.accuracy.tracing.tracker import PARAMETER_CATEGORIES, Category, Phase

_PACKAGES = ("torch", "transformers", "peft", "accelerate", "bitsandbytes")
_PACKAGE_OF_LOSS = {"chunked": ("trl",), "liger": ("liger-kernel",)}
_LARGEST_GROUPS_KEPT = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Blocks alike, alive at one moment."""

    size_bytes: int
    count: int
    category: Category
    operator: str
    shape: tuple[int, ...]
    dtype: str

    def __str__(self) -> str:
        shape = "×".join(map(str, self.shape))
        return f"{self.category}: {self.count}× {self.operator} [{shape}] {self.dtype} = {self.size_bytes} B"


def row(trace: Trace) -> dict[str, Any]:
    """One line of reference data, all sizes in bytes; components sum to `peak_allocated_bytes`."""
    tracker = trace.tracker
    components = tracker.bytes_by_category(tracker.peak.moment)
    if sum(components.values()) != tracker.peak.size_bytes:
        raise AssertionError("the blocks alive at the peak do not sum to it")
    return {
        "case_id": trace.case.case_id,
        "name": trace.case.name,
        "tag": trace.case.tag,
        "request": trace.case.request,
        "config": dict(trace.case.config),
        "parameters": {
            "base": trace.base_parameters,
            "total": trace.total_parameters,
            "trainable": trace.trainable_parameters,
        },
        "adapted_modules": trace.adapted_modules,
        "kernels": {"attention": _attention_kernels(trace), **trace.kernels},
        "peak_allocated_bytes": tracker.peak.size_bytes,
        "peak_phase": tracker.peak.phase,
        "peak_step": tracker.peak.step,
        "phase_peak_bytes": _phase_peaks(trace, MEASURED_STEP),
        "first_optimizer_step_peak_bytes": tracker.phase_peaks[WARM_UP_STEP, Phase.OPTIMIZER_STEP].size_bytes,
        "component_bytes": {category: components[category] for category in Category if category in components},
        "resident_bytes": trace.resident_bytes,
        "end_of_forward_bytes": trace.end_of_forward_bytes,
        "end_of_step_bytes": trace.end_of_step_bytes,
        "largest_at_peak": [str(group) for group in groups_at(trace, tracker.peak.moment)[:_LARGEST_GROUPS_KEPT]],
        "versions": versions(trace.case.request["loss_kernel"]),
    }


def groups_at(trace: Trace, moment: int) -> list[Group]:
    """Blocks alive at a moment, parameters left out, grouped by category, operator, shape and type; largest first."""
    totals: dict[tuple[Any, ...], list[int]] = {}
    for block in trace.tracker.alive_at(moment):
        if block.category in PARAMETER_CATEGORIES:
            continue
        key = (block.category, block.operator.removeprefix("aten::"), block.shape, block.dtype.removeprefix("torch."))
        total = totals.setdefault(key, [0, 0])
        total[0] += block.size_bytes
        total[1] += 1
    groups = [
        Group(size_bytes=size, count=count, category=key[0], operator=key[1], shape=key[2], dtype=key[3])
        for key, (size, count) in totals.items()
    ]
    return sorted(groups, key=lambda group: -group.size_bytes)


def versions(loss_kernel: str = "standard") -> Mapping[str, str]:
    """Versions of the libraries that were traced."""
    extra = _PACKAGE_OF_LOSS.get(loss_kernel, ())
    return {package: version(package) for package in (*_PACKAGES, *extra)}


def _attention_kernels(trace: Trace) -> list[str]:
    """Names of the fused attention kernels that ran; none means that attention was plain matrix products."""
    prefix = "aten::_scaled_dot_product_"
    names = {block.operator for block in trace.tracker.blocks if block.operator.startswith(prefix)}
    return sorted({name.removeprefix(prefix).removesuffix("_backward").removesuffix("_attention") for name in names})


def _phase_peaks(trace: Trace, step: int) -> dict[str, int]:
    peaks = trace.tracker.phase_peaks
    phases = [phase for phase in Phase if (step, phase) in peaks and phase is not Phase.ZERO_GRAD]
    return {phase: peaks[step, phase].size_bytes for phase in phases}
