"""Write what the accuracy page shows: ``python -m benchmarks.accuracy.published`` writes app/web/data/accuracy.json."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from app.services.estimate import MEMORY_MODEL_VERSION
from benchmarks.accuracy.comparison import Comparison, compare_all, is_supported
from benchmarks.accuracy.distribution import CLOSE, Distribution, by_option, by_phase, by_source
from benchmarks.accuracy.explain import title, worst
from benchmarks.accuracy.measured import SHARDED, MeasuredComparison, MeasuredRun, compare_all_measured, load_measured
from benchmarks.accuracy.measured_intervals import IntervalKind, conformal, interval_kinds, model_of, table_of
from benchmarks.accuracy.reference import Inexpressible, ReferenceCase, load
from benchmarks.accuracy.strategies import strategies

COMMAND = "python -m benchmarks.accuracy.published"
FILE = Path(__file__).parents[2] / "app" / "web" / "data" / "accuracy.json"
LISTED = 10
OPTIONS = ("method", "family", "checkpointing", "optimizer", "quantisation", "switched on")


def published() -> dict[str, Any]:
    """Every figure of the page, computed now. Errors are ours ÷ reference − 1, sizes are bytes."""
    cases, inexpressible = load()
    traced = compare_all(cases)
    runs = load_measured()
    return {
        "written_by": COMMAND,
        "memory_model": MEMORY_MODEL_VERSION,
        "close": CLOSE,
        "traced": _traced(traced, [*inexpressible, *(case for case in cases if not is_supported(case))]),
        "measured": _measured(runs, compare_all_measured(runs)),
        "several_gpus": _several_gpus(
            [*compare_all_measured(load_measured(SHARDED)), *compare_all_measured(strategies())]
        ),
    }


def _traced(items: Sequence[Comparison], left_out: Sequence[Inexpressible | ReferenceCase]) -> dict[str, Any]:
    return {
        "all": _figures(by_source(items)["all"]),
        "groups": [
            {"option": option, "value": value, **_figures(found)}
            for (option, value), found in by_option(items).items()
            if option in OPTIONS
        ],
        "phases": [{"phase": str(phase), **_figures(found)} for phase, found in by_phase(items).items()],
        "largest": [
            {
                "case": f"{item.case.source.value} {item.case.case_id}",
                "run": title(item).replace(f" ({item.case.source} {item.case.case_id})", ""),
                "error": round(item.error, 6),
                "estimated_bytes": item.estimate.peak_allocated_bytes,
                "reference_bytes": item.case.peak_bytes,
                "phase": str(item.estimate.peak_phase),
                "difference_bytes": {str(part): size for part, size in item.part_differences.items() if size},
            }
            for item in worst(items, LISTED)
        ],
        "left_out": _counted(
            item.reason if isinstance(item, Inexpressible) else f"family {item.config['model_type']} has no row"
            for item in left_out
        ),
    }


def _measured(runs: Sequence[MeasuredRun], items: Sequence[MeasuredComparison]) -> dict[str, Any]:
    return {
        "target": _coverage([item for item in items if item.counts_for_target]),
        "runs": [
            {
                "case": item.run.id,
                "statistic": item.run.statistic,
                "estimated_bytes": item.estimated_bytes,
                "measured_bytes": item.run.measured_bytes,
            }
            for item in items
        ],
        "intervals": [_interval(kind) for kind in interval_kinds(items)],
        "groups": [
            {"statistic": statistic, "source": source, **_coverage(members)}
            for (statistic, source), members in _grouped(
                items, lambda item: (item.run.statistic, item.run.family_of_runs)
            ).items()
        ],
        "methods": [
            {"method": method, "statistic": statistic, **_coverage(members)}
            for (method, statistic), members in _grouped(
                items, lambda item: (str(item.run.request["method"]), item.run.statistic)
            ).items()
        ],
        "largest": [
            {
                "case": item.run.id,
                "run": _measured_title(item.run),
                "source": item.run.family_of_runs,
                "statistic": item.run.statistic,
                "error": round(item.error, 6),
                "estimated_bytes": item.estimated_bytes,
                "low_bytes": item.interval.low_bytes,
                "high_bytes": item.interval.high_bytes,
                "reference_bytes": item.run.measured_bytes,
            }
            for item in sorted(items, key=lambda item: -abs(item.error))[:LISTED]
        ],
        "left_out": _counted(run.omission for run in runs if run.omission is not None),
    }


def _several_gpus(items: Sequence[MeasuredComparison]) -> dict[str, Any]:
    """By strategy; docs/accuracy.md has them by source too, and says why the far ones are."""

    def group(item: MeasuredComparison) -> tuple[str, bool, bool, bool, str, str]:
        request = item.run.request
        split = any(request.get(f"{kind}_parallel", 1) > 1 for kind in ("tensor", "pipeline", "expert"))
        offload = request.get("offload", "none") != "none"
        return request["strategy"], offload, split, request["method"] == "full", item.run.tier, item.run.statistic

    groups: dict[tuple[str, bool, bool, bool, str, str], list[MeasuredComparison]] = {}
    for item in items:
        groups.setdefault(group(item), []).append(item)
    names = ("strategy", "offload", "split", "full", "tier", "statistic")
    return {
        "target": _coverage([item for item in items if item.run.tier == "A"]),
        "groups": [
            {**dict(zip(names, key, strict=True)), **_coverage(members)} for key, members in sorted(groups.items())
        ],
    }


def _interval(kind: IntervalKind) -> dict[str, Any]:
    """An interval as multiples of our allocated peak, and the share of runs that had no part in it and lie within."""
    low, high = conformal(kind.values)
    held_out = {key.__name__: kind.held_out(key) for key in (table_of, model_of)}
    return {
        "statistic": kind.statistic,
        "lengths_vary": kind.lengths_vary,
        "runs": len(kind.items),
        "low": round(low, 4),
        "high": round(high, 4),
        **{f"share_without_own_{name.removesuffix('_of')}": found for name, found in held_out.items()},
    }


def _measured_title(run: MeasuredRun) -> str:
    request = run.request
    return (
        f"{run.model}, {request['method']}, {request['micro_batch_size']} × {request['sequence_length']:,} tokens, "
        f"on {run.gpu}"
    )


def _figures(found: Distribution) -> dict[str, Any]:
    return {
        "runs": found.count,
        "median": round(found.median, 6),
        "ninetieth": round(found.ninetieth, 6),
        "largest": round(found.largest, 6),
        "share_close": round(found.share_close, 4),
        "share_low": round(found.share_low, 4),
    }


def _coverage(items: Sequence[MeasuredComparison]) -> dict[str, Any]:
    return {
        **_figures(Distribution.of(item.error for item in items)),
        "share_in_interval": round(sum(item.covered for item in items) / len(items), 4),
        "share_above_interval": round(sum(item.exceeded for item in items) / len(items), 4),
    }


def _grouped(
    items: Iterable[MeasuredComparison], key: Callable[[MeasuredComparison], tuple[str, str]]
) -> dict[tuple[str, str], list[MeasuredComparison]]:
    groups: dict[tuple[str, str], list[MeasuredComparison]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def _counted(reasons: Iterable[str]) -> list[dict[str, Any]]:
    counts: dict[str, int] = {}
    for reason in reasons:
        counts[reason] = counts.get(reason, 0) + 1
    return [{"reason": reason, "runs": count} for reason, count in counts.items()]


if __name__ == "__main__":
    FILE.write_text(json.dumps(published(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
