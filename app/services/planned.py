"""What may be planned for a request, and the plans that servers can be rented for, with what each comes to."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from itertools import groupby
from math import inf
from typing import Final

from app.catalogue.facts import CatalogueGpu, Period
from app.memory.device import Verdict
from app.memory.inputs import Strategy
from app.planning.search import Plan, Search
from app.planning.space import Asked, Lever
from app.request import RecommendRequest
from app.services.assess import Assessment
from app.services.calibration import bundled_calibration
from app.services.market import Quote, node_of
from app.services.quality import quality_of

USUAL_GLOBAL_BATCH: Final = 16
"""Sequences of an optimizer step where the request says nothing of the batch: an assumption, and said to be one."""
COUNTS: Final = (*range(1, 9), 10, 12, 16, 24, 32, 48, 64)
"""Numbers of cards tried: what servers are sold with, and clusters of them. With more, ``num_gpus`` says how many."""
_BATCH_FIELDS: Final = frozenset({"micro_batch_size", "gradient_accumulation_steps", "global_batch_size"})
_RISK: Final = {Verdict.FITS: 0.0, Verdict.TIGHT: 1.0}


@dataclass(frozen=True, kw_only=True)
class PricedPlan:
    """A plan on a card with a server that can be rented for it."""

    assessment: Assessment
    """The run by the plan's method, as it was asked."""
    gpu: CatalogueGpu
    plan: Plan
    quote: Quote
    quality: float
    """The method's expected score as a share of full fine-tuning's."""

    @cached_property
    def paid(self) -> Decimal | None:
        """What the whole job costs; None where its time is not known."""
        job = self.plan.job
        return None if job is None else self.quote.tariff.paid(job.total_seconds)

    @property
    def seconds(self) -> float:
        return self.plan.job.total_seconds if self.plan.job else inf

    @property
    def period(self) -> Period:
        return self.quote.offer.period

    @cached_property
    def measures(self) -> tuple[float, float, float, float]:
        """Cost, time, expected quality and the risk of running out of memory; less is better in each."""
        return (
            float(self.paid) if self.paid is not None else inf,
            self.seconds,
            -self.quality,
            _RISK[self.plan.verdict],
        )


def asked_of(assessment: Assessment, given: RecommendRequest) -> Asked:
    """What the search may choose: every lever that the request leaves open, at one global batch."""
    groups, fields = assessment.groups, given.model_fields_set
    held = {lever for lever in Lever if lever.value in fields}
    if given.strategy is Strategy.AUTO:
        held.discard(Lever.STRATEGY)
    if "gradient_accumulation_steps" in fields and "global_batch_size" not in fields:
        held.add(Lever.MICRO_BATCH_SIZE)
    return Asked(
        model_type=assessment.model.architecture.model_type,
        method=groups.method,
        precision=groups.precision,
        batch=groups.batch,
        cluster=groups.cluster,
        global_batch_size=_global_batch(assessment, given),
        counts=_counts(assessment, given),
        held=frozenset(held),
        include_workspaces=assessment.run.include_workspaces,
    )


def _global_batch(assessment: Assessment, given: RecommendRequest) -> int:
    run = assessment.run
    if not assumes_batch(given):
        return run.global_batch_size or run.micro_batch_size * run.gradient_accumulation_steps
    asked = run.num_gpus if "num_gpus" in given.model_fields_set else 1
    return -(-USUAL_GLOBAL_BATCH // asked) * asked


def assumes_batch(given: RecommendRequest) -> bool:
    """Whether the request says nothing of the batch."""
    return not _BATCH_FIELDS & given.model_fields_set


def _counts(assessment: Assessment, given: RecommendRequest) -> tuple[int, ...]:
    """The number that was asked for, or every one up to ``max_gpus``; those that cannot share the batch drop out."""
    if "num_gpus" in given.model_fields_set:
        return (assessment.run.num_gpus,)
    return tuple([count for count in COUNTS if count <= given.max_gpus])


def search_of(assessment: Assessment, given: RecommendRequest) -> Search:
    """The search for one method."""
    return Search(
        architecture=assessment.model.architecture,
        asked=asked_of(assessment, given),
        job=assessment.groups.dataset,
        calibration=bundled_calibration(),
    )


def priced_plans(
    assessment: Assessment, search: Search, cards: Iterable[CatalogueGpu], *, allow_tight: bool
) -> Iterator[PricedPlan]:
    """For each card, number of cards and price period the fastest plan with its cheapest server."""
    method = assessment.groups.method
    quality = quality_of(method.kind, method.adapter).share_of_full
    for gpu in cards:
        for count in search.counts():
            quotes = assessment.market.quotes_for(gpu.slug, count, gpus_per_node=node_of(assessment.groups.cluster))
            for plan in search.plans(gpu.device, count, allow_tight=allow_tight) if quotes else ():
                for _, of_period in groupby(quotes, key=lambda quote: quote.offer.period):
                    yield min(
                        (
                            PricedPlan(assessment=assessment, gpu=gpu, plan=plan, quote=quote, quality=quality)
                            for quote in of_period
                        ),
                        key=lambda priced: priced.quote.amount if priced.paid is None else priced.paid,
                    )
