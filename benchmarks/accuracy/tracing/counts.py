"""Count the parameters of a model, and of the adapters that PEFT would add to it, without tracing a step."""

from dataclasses import replace
from typing import Any

from torch._subclasses.fake_tensor import FakeTensorMode

from benchmarks.accuracy.tracing import model as models
from benchmarks.accuracy.tracing import patches, results
from benchmarks.accuracy.tracing.case import TraceCase

_RANK = 8


def row(case: TraceCase) -> dict[str, Any]:
    """Parameters in all, and trainable ones at rank 8 on attention and on all linear layers (null: PEFT refuses)."""
    return {
        "case_id": case.case_id,
        "name": case.name,
        "config": dict(case.config),
        "parameters": _base_count(case),
        "lora_rank": _RANK,
        "adapter_parameters": {targets: _adapter_count(case, targets) for targets in ("attention", "all-linear")},
        "versions": results.versions(),
    }


def _base_count(case: TraceCase) -> int:
    with FakeTensorMode(allow_non_fake_inputs=True):
        return models.base_parameter_count(models.build_base(case, "cuda"))


def _adapter_count(case: TraceCase, targets: str) -> int | None:
    fields = {"method": "lora", "lora_rank": _RANK, "lora_target_modules": targets}
    adapted = replace(case, fields={**fields, "attention": case.request["attention"]})
    with patches.fake_quantisation_maps(), FakeTensorMode(allow_non_fake_inputs=True):
        try:
            model = models.prepare(adapted, models.build_base(adapted, "cuda"))
        except ValueError:
            return None
        return sum(int(parameter.numel()) for parameter in model.parameters() if parameter.requires_grad)
