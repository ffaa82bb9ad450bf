"""Count the parameters of a model, and of the adapters that PEFT would add to it, without tracing a step."""

from dataclasses import replace
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import (
    CONFIG_MAPPING,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoModelForMultimodalLM,
)

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


def whole_row(case: TraceCase) -> dict[str, Any]:
    """Parameters of a model with all that stands around its text model."""
    return {
        "case_id": case.case_id,
        "name": case.name,
        "config": dict(case.config),
        "parameters": models.base_parameter_count(_whole(case)),
        "versions": results.versions(),
    }


def _whole(case: TraceCase) -> Any:
    settings = dict(case.config)
    config = CONFIG_MAPPING[settings.pop("model_type")].from_dict(settings)
    kinds = (AutoModelForImageTextToText, AutoModelForMultimodalLM, AutoModelForCausalLM)
    kind = next(kind for kind in kinds if type(config) in kind._model_mapping)
    with torch.device("meta"):
        return kind.from_config(config)


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
