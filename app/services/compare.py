"""Methods × models, each cell an estimate of its own."""

from datetime import date
from typing import Any, Final

from app.catalogue.snapshot import Snapshot
from app.memory.inputs import MethodKind
from app.request import CompareRequest, FieldError, GpuListing, RequestError, Run
from app.services.estimate import estimate
from app.services.policy import DEFAULT_POLICY, Policy
from app.services.results import CompareResult, CompareRow
from app.spans import spanned

_OF_A_CELL: Final = frozenset({"quantization", "lora_target_modules", "pipeline_parallel", "expert_parallel"})
"""Fields that one model or method refuses and another takes."""


def run_of(given: Run, changes: dict[str, Any]) -> Run:
    """The run inside a larger request, with fields changed; only given fields count as given."""
    values = {name: getattr(given, name) for name in given.model_fields_set if name in Run.model_fields}
    return Run.model_validate(values | changes)


@spanned("compare")
def compare(given: CompareRequest, snapshot: Snapshot, today: date, policy: Policy = DEFAULT_POLICY) -> CompareResult:
    """Estimate every model under every method.

    Cards are listed only where ``gpus`` is given. Raises :class:`app.request.RequestError` where the request itself
    is wrong; a cell that cannot be (a quantised full fine-tuning, say) carries its own error.
    """
    models = given.models or ((given.model,) if given.model else ())
    if not models and given.config is None:
        raise RequestError(
            FieldError(field="models", message="is required.", allowed="catalogue names or Hugging Face ids")
        )
    methods = given.methods or ((given.method,) if "method" in given.model_fields_set else tuple(MethodKind))
    listing = {} if "gpus" in given.model_fields_set else {"gpus": GpuListing.NONE}
    rows = [
        _row(run_of(given, {"model": model, "method": method, **listing}), snapshot, today, policy)
        for model in models or (None,)
        for method in methods
    ]
    return CompareResult(rows=tuple(rows))


def _row(run: Run, snapshot: Snapshot, today: date, policy: Policy) -> CompareRow:
    try:
        result = estimate(run, snapshot, today, policy)
    except RequestError as problem:
        if any(error.field not in _OF_A_CELL for error in problem.errors):
            raise
        return CompareRow(model=run.model or "config", method=run.method, estimate=None, error=str(problem))
    return CompareRow(model=result.model.slug, method=result.run.method, estimate=result, error=None)
