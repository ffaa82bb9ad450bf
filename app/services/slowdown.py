"""What a change does to the time of a run, and which change lets an unsupported card run it."""

from collections.abc import Iterator

from app.catalogue.facts import CatalogueGpu
from app.memory.device import Verdict
from app.memory.result import MemoryEstimate
from app.memory.verdict import judge
from app.messages import Value, message
from app.request import to_groups
from app.services.assess import Assessment
from app.services.pace import Pace, pace
from app.services.report import gib
from app.services.results import Suggestion
from app.services.switches import Evaluated
from app.speed.estimate import Unsupported


def slower_by(assessment: Assessment, item: Evaluated, gpu: CatalogueGpu | None, going: Pace | None) -> float | None:
    """Time for the same tokens with a change over the time without; None without a card that runs it now."""
    if gpu is None or going is None:
        return None
    changed = pace(assessment.model.architecture, item.groups, gpu)
    return going.speed.tokens_per_second / changed.speed.tokens_per_second if isinstance(changed, Pace) else None


def would_run(assessment: Assessment, memory: MemoryEstimate, gpu: CatalogueGpu) -> Iterator[Suggestion]:
    """The change by which a card that lacks something runs it nevertheless, with that run's memory and speed."""
    found = pace(assessment.model.architecture, assessment.groups, gpu)
    if not isinstance(found, Unsupported) or not found.changes:
        return
    run = assessment.with_changes(found.changes)
    if run is None:
        return
    groups = to_groups(run)
    estimate = assessment.memory_of(run, groups, gpu.device)
    verdict, _ = judge(estimate, gpu.device, groups.method, groups.precision, groups.batch)
    values: dict[str, Value] = {
        "changes": ", ".join(f"{name} {value}" for name, value in found.changes.items()),
    }
    if verdict not in {Verdict.FITS, Verdict.TIGHT}:
        text = message("With {changes} it would run, but does not fit", **values)
    elif found.suggested is None:
        text = message("With {changes} it runs", **values)
    else:
        text = message(
            "With {changes} it runs at about {rate} tokens/s",
            rate=round(found.suggested.tokens_per_second),
            **values,
        )
    yield Suggestion(
        changes=found.changes,
        saves_bytes=memory.required_bytes - estimate.required_bytes,
        step_time_ratio=None,
        text=message("{change}: needs {needed} GiB.", change=text, needed=gib(estimate.required_bytes)),
    )
