"""Published runs over several GPUs beside our estimates, by source and strategy: the report's part on several GPUs.

Those of one project's FSDP report what PyTorch had allocated; those of other strategies what it had reserved or what
the card showed, which also has what the allocator keeps.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from app.units import GIB
from benchmarks.accuracy.distribution import Distribution
from benchmarks.accuracy.measured import (
    SHARDED,
    MeasuredComparison,
    MeasuredRun,
    compare_all_measured,
    load_measured,
)
from benchmarks.accuracy.strategies_import import OUTPUT

FAR: Final = 0.15

CACHED: Final = "Reserved: the allocator keeps blocks while the card has room; within our interval"
GRADIENTS: Final = "Megatron keeps float32 gradients, 2 bytes a parameter more than a request can say"
DEVICE: Final = "What the card shows has the context, NCCL and the allocator's blocks; unit not stated"
EXPLANATIONS: Final[Mapping[str, str]] = {
    "r0894": "Reserved. At four times the tokens the same run reserved 0.2 GiB more: what it holds is left of loading",
    "r0901": f"{CACHED}. Two sequences more took 5.2 GiB more, at 2 GiB a sequence from one to four",
    "r0689": f"{CACHED}. The 14B on the same two cards reserved 4.7 GiB more, with 13 GB more weights",
    "r1067": f"{CACHED}. The same run is also reported with 42 GiB",
    "r1073": f"{GRADIENTS}; tokens are not spread evenly over experts, and copies of those sent on are not modelled",
    "r1075": GRADIENTS,
}
"""Why a tier A run is more than 15 % off, by its row."""
UNSTATED: Final = {
    "InternLM": "The statistic is not stated; pipelines and shards alike are 15 to 30 GiB above states and activations",
    "QwenLM": f"{DEVICE}; a sum over four cards",
    "peft": DEVICE,
    "ms-swift": CACHED,
}
"""The same for a tier B source."""


def strategies() -> tuple[MeasuredRun, ...]:
    """Published runs of other strategies, those too that no estimate is made of."""
    return load_measured(OUTPUT)


def title(item: MeasuredComparison) -> str:
    """A run's strategy in a few words."""
    request = item.run.request
    words = [str(request["strategy"])]
    for name, short in (("tensor_parallel", "tp"), ("pipeline_parallel", "pp"), ("expert_parallel", "ep")):
        if request.get(name, 1) > 1:
            words.append(f"{short}{request[name]}")
    if request.get("offload", "none") != "none":
        words.append("offload")
    return " ".join(words)


def kind(item: MeasuredComparison) -> str:
    """The strategy and method, without degrees."""
    request = item.run.request
    offload = " with offload" if request.get("offload", "none") != "none" else ""
    split = " over tensor, pipeline or expert parallelism" if " " in title(item).replace(" offload", "") else ""
    return f"{request['strategy']}{offload}{split}, {'full' if request['method'] == 'full' else 'adapters'}"


def strategies_report() -> str:
    """Figures by source and strategy, every far run explained, what was left out."""
    sharded, runs = load_measured(SHARDED), strategies()
    allocated = compare_all_measured(sharded)
    other = compare_all_measured(runs)
    tier_a = [*allocated, *(item for item in other if item.run.tier == "A")]
    lines = [
        "| source | strategy, method | tier | statistic | n | median | 90th percentile | largest | in our interval |",
        "| --- | --- | --- | --- | --: | --: | --: | --: | --: |",
        _row("all", "all", "A", "as reported", tier_a),
        *(_row(*labels, members) for labels, members in _grouped([*allocated, *other]).items()),
    ]
    return "\n\n".join(
        [
            "\n".join(lines),
            f"### Runs over several GPUs that are more than {100 * FAR:.0f} % off",
            "\n".join(_far(other)),
            "### Runs over several GPUs left out",
            "\n".join(_left_out([*sharded, *runs])),
        ]
    )


def _row(source: str, strategy: str, tier: str, statistic: str, items: Sequence[MeasuredComparison]) -> str:
    found = Distribution.of(item.error for item in items)
    covered = sum(item.covered for item in items)
    figures = f"{100 * found.median:.1f} % | {100 * found.ninetieth:.1f} % | {100 * found.largest:.1f} % | {covered}"
    return f"| {source} | {strategy} | {tier} | {statistic} | {found.count} | {figures} |"


def _grouped(items: Iterable[MeasuredComparison]) -> dict[tuple[str, str, str, str], list[MeasuredComparison]]:
    groups: dict[tuple[str, str, str, str], list[MeasuredComparison]] = {}
    for item in items:
        run = item.run
        key = (" ".join(run.source.split()[:2]), kind(item), run.tier, run.statistic)
        groups.setdefault(key, []).append(item)
    return groups


def why(run: MeasuredRun) -> str:
    """Why a run is far off. Raises ``LookupError`` where nobody has said."""
    if run.tier == "A":
        return EXPLANATIONS[run.id]
    return next(reason for source, reason in UNSTATED.items() if source in run.source)


def far(items: Iterable[MeasuredComparison]) -> list[MeasuredComparison]:
    """Those beyond :data:`FAR`."""
    return [item for item in items if abs(item.error) > FAR]


def _far(items: Iterable[MeasuredComparison]) -> Iterator[str]:
    for item in far(items):
        run, request = item.run, item.run.request
        yield (
            f"- {run.id} ({run.tier}), {run.model} {request['method']}, {request['micro_batch_size']} × "
            f"{request['sequence_length']:,} on {request['num_gpus']}, {title(item)}: {item.estimated_bytes / GIB:.1f} "
            f"GiB, reported {run.measured_bytes / GIB:.1f} ({100 * item.error:+.1f} %). {why(run)}."
        )


def _left_out(runs: Iterable[MeasuredRun]) -> Iterator[str]:
    counts: dict[tuple[str, str], int] = {}
    for run in runs:
        if run.omission is not None:
            key = (" ".join(run.source.split()[:1]), run.omission)
            counts[key] = counts.get(key, 0) + 1
    for (source, reason), count in counts.items():
        yield f"- {count} of {source}: {reason}"
