"""How fast a run goes on a card, how long its job takes and what that costs: the models' results in response shapes."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.catalogue.facts import CatalogueGpu
from app.memory.architecture import Architecture
from app.memory.inputs import Cluster
from app.request import Groups
from app.services.calibration import bundled_calibration
from app.services.market import Quote
from app.services.results import CostReport, SpeedPart, SpeedReport, TimeReport
from app.speed.communication import network_note
from app.speed.cost import JobSeconds
from app.speed.estimate import SpeedEstimate, StepClock, Unsupported, estimate_speed
from app.speed.job import JobTime, job_steps, job_time


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """Speed and time of a run on one card."""

    speed: SpeedEstimate
    job: JobTime


def pace(architecture: Architecture, groups: Groups, gpu: CatalogueGpu) -> Pace | Unsupported:
    """Speed and time on a card, or why there are none."""
    speed = estimate_speed(
        architecture,
        groups.method,
        groups.precision,
        groups.batch,
        groups.cluster,
        gpu.device,
        calibration=bundled_calibration(),
    )
    if isinstance(speed, Unsupported):
        return speed
    return Pace(speed=speed, job=job_time(speed, groups.dataset, groups.batch, groups.cluster))


class Stopwatch:
    """How long a run's job takes on one card after the other: ``total_seconds`` of its time alone."""

    def __init__(self, architecture: Architecture, groups: Groups) -> None:
        self._clock = StepClock(
            architecture,
            groups.method,
            groups.precision,
            groups.batch,
            groups.cluster,
            calibration=bundled_calibration(),
        )
        self._steps = job_steps(groups.dataset, groups.batch, groups.cluster)

    def seconds_on(self, gpu: CatalogueGpu) -> float | None:
        """Seconds of the whole job; None where :func:`pace` tells none."""
        step_seconds = self._clock.seconds_on(gpu.device)
        return None if step_seconds is None else self._steps.seconds(step_seconds)


def speed_report(speed: SpeedEstimate) -> SpeedReport:
    """A speed in the contract's shape."""
    return SpeedReport(
        tokens_per_second=speed.tokens_per_second,
        tokens_per_second_low=speed.tokens_per_second_low,
        tokens_per_second_high=speed.tokens_per_second_high,
        coverage=speed.coverage,
        step_seconds=speed.step_seconds,
        mfu=speed.mfu,
        hfu=speed.hfu,
        bound_by=speed.bound_by,
        breakdown=tuple(SpeedPart(name=name, seconds=seconds) for name, seconds in speed.breakdown),
    )


def time_report(job: JobTime) -> TimeReport:
    """A job's time in the contract's shape."""
    return TimeReport(
        total_tokens=job.total_tokens,
        optimizer_steps=job.optimizer_steps,
        total_seconds=job.total_seconds,
        total_seconds_low=job.total_seconds_low,
        total_seconds_high=job.total_seconds_high,
    )


def cost_report(job: JobTime, quote: Quote, cluster: Cluster) -> CostReport:
    """What the job costs with one quote, in the market's currency."""
    seconds = JobSeconds(expected=job.total_seconds, low=job.total_seconds_low, high=job.total_seconds_high)
    tariff = quote.tariff
    cost = tariff.cost(seconds)
    return CostReport(
        amount=cost.amount,
        amount_low=cost.amount_low,
        amount_high=cost.amount_high,
        currency=tariff.currency,
        offer=quote.report,
        servers=tariff.servers,
        periods=cost.periods,
        period_amount=tariff.period_amount,
        runs_in_periods=cost.runs_in_periods,
        notes=(*tariff.notes, network_note(cluster)) if tariff.servers > 1 else tariff.notes,
    )


def cheapest_cost(job: JobTime, quotes: Sequence[Quote], cluster: Cluster) -> CostReport | None:
    """The job's cost with :func:`cheapest_quote`; None where there is none."""
    return cost_report(job, cheapest_quote(job.total_seconds, quotes), cluster) if quotes else None


def cheapest_quote(job_seconds: float, quotes: Sequence[Quote]) -> Quote:
    """Of at least one quote that which a job costs least with: what is paid in all, so that an hour and a month can be
    compared."""
    return quotes[0] if len(quotes) == 1 else min(quotes, key=lambda quote: quote.tariff.paid(job_seconds))
