"""From the models' results to the shapes that responses carry, and the sentences that say them."""

from decimal import Decimal

from app.catalogue.facts import CatalogueGpu
from app.memory.device import Verdict
from app.memory.explain import explained
from app.memory.result import ComponentName, MemoryEstimate
from app.messages import message, rounded
from app.services.results import MemoryReport, VerdictReport
from app.units import GIB

STATIC_COMPONENTS = frozenset(
    {
        ComponentName.WEIGHTS,
        ComponentName.QUANTISATION_STATE,
        ComponentName.ADAPTERS,
        ComponentName.GRADIENTS,
        ComponentName.OPTIMIZER_STATE,
    }
)
"""What has to live on some GPU through the whole step, however it is sharded."""


def memory_report(estimate: MemoryEstimate, *, explain: bool = False) -> MemoryReport:
    """An estimate in the contract's flat shape; with ``explain`` the peak's components and the overheads say how."""
    components, overheads = explained(estimate) if explain else (estimate.components, estimate.overheads)
    return MemoryReport(
        peak_allocated_bytes=estimate.peak_allocated_bytes,
        peak_allocated_low_bytes=estimate.peak_allocated.low_bytes,
        peak_allocated_high_bytes=estimate.peak_allocated.high_bytes,
        peak_reserved_bytes=estimate.peak_reserved_bytes,
        peak_reserved_low_bytes=estimate.peak_reserved.low_bytes,
        peak_reserved_high_bytes=estimate.peak_reserved.high_bytes,
        required_bytes=estimate.required_bytes,
        required_low_bytes=estimate.required.low_bytes,
        required_high_bytes=estimate.required.high_bytes,
        coverage=estimate.coverage,
        peak_phase=estimate.peak_phase,
        components=components,
        overheads=overheads,
        phases=estimate.phases,
        host_bytes=estimate.host_bytes,
    )


def verdict_report(estimate: MemoryEstimate, gpu: CatalogueGpu, verdict: Verdict, reason: str) -> VerdictReport:
    """The verdict for one card, with its sentence."""
    usable = gpu.device.usable_bytes
    return VerdictReport(
        status=verdict,
        sentence=_sentence(estimate, gpu, verdict, reason),
        reason=reason,
        gpu=gpu.slug,
        gpu_name=gpu.name,
        memory_bytes=gpu.device.memory_bytes,
        usable_bytes=usable,
        required_bytes=estimate.required_bytes,
        headroom_bytes=usable - estimate.required_bytes,
    )


def _sentence(estimate: MemoryEstimate, gpu: CatalogueGpu, verdict: Verdict, reason: str) -> str:
    needed, usable = gib(estimate.required_bytes), gib(gpu.device.usable_bytes)
    # The difference of the figures shown, so that the sentence adds up as printed.
    spare = usable - needed
    match verdict:
        case Verdict.FITS:
            return message(
                "Fits {card}: needs {needed} of the {usable} GiB it gives, {spare} to spare.",
                card=gpu.name,
                needed=needed,
                usable=usable,
                spare=spare,
            )
        case Verdict.TIGHT:
            low, high = gib(estimate.required.low_bytes), gib(estimate.required.high_bytes)
            return message(
                "Tight on {card}: needs {needed} GiB, likely {low} to {high}, and the card gives {usable}.",
                card=gpu.name,
                needed=needed,
                low=low,
                high=high,
                usable=usable,
            )
        case Verdict.DOES_NOT_FIT:
            return message(
                "Does not fit {card}: needs {needed} GiB, {missing} more than the {usable} it gives.",
                card=gpu.name,
                needed=needed,
                missing=-spare,
                usable=usable,
            )
        case Verdict.UNSUPPORTED:
            return message("{card} cannot run this: {reason}", card=gpu.name, reason=reason)


def gib(size_bytes: int) -> Decimal:
    """Bytes in GiB with one decimal, for sentences."""
    return rounded(size_bytes / GIB, 1)


def static_bytes(estimate: MemoryEstimate) -> int:
    """Weights, adapters, gradients and optimizer state at the peak."""
    return sum(part.bytes for part in estimate.components if part.name in STATIC_COMPONENTS)
