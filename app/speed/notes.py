"""What stands behind a speed, in words: made once for each class of cards and kind of run."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from app.memory.inputs import Cluster, Offload, Strategy
from app.messages import counted, mark, message
from app.speed.calibration import Efficiency, Level
from app.speed.communication import DEFAULT_NETWORK_GBIT_PER_SECOND, sharing_degree
from app.speed.model_parallel import WHOLE, part_of


@dataclass(frozen=True, kw_only=True, slots=True)
class CalibrationNote:
    """What stands behind the achieved share of the roofline."""

    gpu_class: str
    fraction: float
    runs: int
    sources: tuple[str, ...]
    measured: bool
    """False where nobody's runs on this class are known and the value is its segment's."""
    sentence: str


@lru_cache
def calibration_note(architecture: str, segment: str, efficiency: Efficiency) -> CalibrationNote:
    """On the runs that cards of this GPU architecture and segment are calibrated with."""
    return CalibrationNote(
        gpu_class=f"{architecture}, {segment}",
        fraction=efficiency.fraction,
        runs=efficiency.runs,
        sources=efficiency.sources,
        measured=efficiency.measured,
        sentence=_basis(
            message("{architecture} {segment} cards", architecture=architecture, segment=message(segment)), efficiency
        ),
    )


def _basis(gpu_class: str, efficiency: Efficiency) -> str:
    if not efficiency.measured and efficiency.level is Level.CLASS:
        return message(
            "The only published runs on {cards} are from a source that is slow on every card; what it loses there is "
            "taken off, and the interval is wider.",
            cards=gpu_class,
        )
    if not efficiency.measured:
        return message(
            "Nobody's runs on {cards} are known: the value is other cards', with a wider interval.", cards=gpu_class
        )
    sources = counted("one source", "{count} sources", len(efficiency.sources))
    runs = counted("{count} published run", "{count} published runs", efficiency.runs)
    return message("Calibrated on {runs} from {sources} on {cards}.", runs=runs, sources=sources, cards=gpu_class)


@lru_cache
def run_assumptions(calibration: str, *, waits_for_host: bool, in_float32: bool, skips_masked: bool) -> tuple[str, ...]:
    """What a run's speed on one card rests on, the calibration's sentence first."""
    lines = [calibration]
    if waits_for_host:
        lines.append(
            mark(
                "The host launches kernels more slowly than the card runs them, at the pace of the one host that was "
                "measured: a faster one, or a larger micro-batch, gives more."
            )
        )
    if in_float32:
        lines.append(
            mark("float32 matrix products run without TF32, which PyTorch leaves off unless a script sets it.")
        )
    if not skips_masked:
        lines.append(
            mark(
                "No flash attention: padded batches, float32 attention or an older card, so masked scores are "
                "computed too."
            )
        )
    return tuple(lines)


@lru_cache
def cluster_assumptions(cluster: Cluster) -> tuple[str, ...]:
    """What its speed on several cards, or with a host's help, rests on beyond that; several have a strategy that is not
    ``auto``."""
    lines: list[str] = []
    if cluster.offload is not Offload.NONE:
        lines.append(
            mark(
                "What is kept in the host's memory is copied, and updated there, at the pace of 14 published runs from "
                "two sources; hosts differ, so the interval is wider."
            )
        )
    lines.extend(_model_parallel(cluster))
    if sharing_degree(cluster) > 1:
        lines.append(mark("The exchange between GPUs hides behind up to 90 % of the arithmetic."))
        if cluster.num_gpus > cluster.gpus_per_node and cluster.network_gbit_per_second is None:
            lines.append(
                message(
                    "The network between servers is taken for {rate} Gbit/s.",
                    rate=round(DEFAULT_NETWORK_GBIT_PER_SECOND),
                )
            )
    if cluster.strategy is Strategy.DEVICE_MAP and cluster.num_gpus > 1:
        lines.append(mark("device_map runs one GPU after another: more cards add memory, not speed."))
    return tuple(lines)


def _model_parallel(cluster: Cluster) -> Iterator[str]:
    """On GPUs that share a model or its sequences."""
    if part_of(cluster) is WHOLE:
        return
    if cluster.tensor_parallel > 1:
        yield mark("GPUs that split a layer's matrices wait for what they pass to each other: nothing of it is hidden.")
    if cluster.context_parallel > 1:
        yield mark("GPUs that split a sequence pass its keys and values on while they compute.")
    if cluster.pipeline_parallel > 1:
        yield message(
            "A pipeline of {stages} stages, one forward and one backward by turns, idles for {idle} micro-batches' "
            "time a step; the interval reaches to a schedule without that. No published run of a pipeline is at hand.",
            stages=cluster.pipeline_parallel,
            idle=cluster.pipeline_parallel - 1,
        )
