"""Serving the fine-tuned result: the pure sizes joined with the catalogue's cards and offers."""

from collections.abc import Iterator
from datetime import date
from typing import Final

from app.catalogue.facts import CatalogueGpu
from app.catalogue.snapshot import Snapshot
from app.request.permalink import permalink
from app.request.serving import ServeAs, ServeRequest
from app.services.lookup import FoundModel, check_targets, find_gpu, find_model
from app.services.market import Market
from app.services.policy import DEFAULT_POLICY, Policy
from app.services.results import Links, Money
from app.services.serving_report import (
    adapter_of,
    adapter_report,
    assumptions,
    cache_report,
    monthly_amount,
    placement_report,
    warnings,
    weight_report,
    why_not,
)
from app.services.serving_results import (
    FormatReport,
    PlacementReport,
    ServeOption,
    ServeResult,
    monthly_order,
)
from app.serving.capacity import Ask, Placement, degrees, fewest_cards, place
from app.serving.support import lack
from app.serving.weights import WeightFormat
from app.spans import spanned

PATH: Final = "/serve"
API_PATH: Final = "/api/v1/serve"
_FORMATS: Final = {
    ServeAs.MERGED: WeightFormat.HALF,
    ServeAs.GPTQ: WeightFormat.GPTQ,
    ServeAs.AWQ: WeightFormat.AWQ,
    ServeAs.ADAPTERS: WeightFormat.HALF,
}


@spanned("serve")
def serve(given: ServeRequest, snapshot: Snapshot, today: date, policy: Policy = DEFAULT_POLICY) -> ServeResult:
    """Weights, cache, requests at once and offers. Raises :class:`app.request.RequestError`."""
    run = given.as_run()
    model = find_model(run, snapshot, policy)
    check_targets(run, model.architecture)
    gpu = find_gpu(given.gpu, snapshot) if given.gpu else None
    market = policy.market(run, snapshot, today)
    table = _Table(model=model, given=given, gpu=gpu, snapshot=snapshot, market=market)
    by_format = {kind: tuple(table.options(kind)) for kind in ServeAs}
    filled = given.model_copy(
        update={
            "model": model.reference,
            "config": None,
            "gpu": gpu.slug if gpu else None,
            "currency": given.currency or policy.currency,
        }
    )
    query = permalink(given, {"model": model.reference})
    return ServeResult(
        model=model.summary,
        request=filled,
        parameters=model.architecture.total_parameters,
        cache=cache_report(model, given),
        adapter=adapter_report(model, given),
        formats=tuple(table.format(kind, by_format[kind]) for kind in ServeAs),
        options=by_format[given.serve_as],
        assumptions=(*filter(None, [model.source]), *assumptions(given, model)),
        warnings=tuple(warnings(given, model, gpu)),
        links=Links(self=f"{API_PATH}?{query}", page=f"{PATH}?{query}"),
    )


class _Table:
    """One request against every card."""

    def __init__(
        self, *, model: FoundModel, given: ServeRequest, gpu: CatalogueGpu | None, snapshot: Snapshot, market: Market
    ) -> None:
        self._architecture = model.architecture
        self._given = given
        self._gpu = gpu
        self._snapshot = snapshot
        self._market = market

    def ask(self, kind: ServeAs) -> Ask:
        given = self._given
        shares = kind is ServeAs.ADAPTERS
        return Ask(
            format=_FORMATS[kind],
            context_tokens=given.context_length,
            cache_dtype=given.kv_cache_dtype,
            adapter=adapter_of(given) if shares else None,
            tenants=given.adapters if shares else 0,
            memory_utilisation=given.gpu_memory_utilization,
        )

    def options(self, kind: ServeAs) -> Iterator[ServeOption]:
        """Every card's offer that serves what was asked for, cheapest first."""
        found = [option for gpu in self._snapshot.gpus for option in self._options_of(gpu, kind)]
        yield from sorted(found, key=monthly_order)

    def _options_of(self, gpu: CatalogueGpu, kind: ServeAs) -> Iterator[ServeOption]:
        ask = self.ask(kind)
        if lack(gpu.device, ask.format, ask.cache_dtype) is not None:
            return
        fewest = fewest_cards(self._architecture, gpu.device, ask, self._given.concurrent_requests)
        if fewest is None:
            return
        quotes = self._market.quotes_for(gpu.slug, fewest.cards)
        # Tensor parallelism stays within a server.
        priced = [(monthly_amount(quote), quote) for quote in quotes if quote.servers == 1]
        if priced:
            amount, quote = min(priced, key=lambda pair: pair[0])
            yield ServeOption(
                placement=placement_report(gpu, fewest, self._given.concurrent_requests),
                offer=quote.report,
                monthly=Money(amount=amount, currency=self._market.currency),
            )

    def format(self, kind: ServeAs, options: tuple[ServeOption, ...]) -> FormatReport:
        """One way to serve, on the chosen card and at the cheapest."""
        ask = self.ask(kind)
        missing = lack(self._gpu.device, ask.format, ask.cache_dtype) if self._gpu else None
        chosen = self._gpu if missing is None else None
        return FormatReport(
            serve_as=kind,
            weights=weight_report(self._architecture, ask.format),
            one_card=self._placed(chosen, place(self._architecture, chosen.device, ask, 1)) if chosen else None,
            placement=self._placed(chosen, self._fewest(chosen, ask)) if chosen else None,
            reason=why_not(missing, self._gpu) if missing and self._gpu else "",
            cheapest=options[0] if options else None,
        )

    def _placed(self, gpu: CatalogueGpu, found: Placement) -> PlacementReport:
        return placement_report(gpu, found, self._given.concurrent_requests)

    def _fewest(self, gpu: CatalogueGpu, ask: Ask) -> Placement:
        """The fewest cards that serve what was asked for, else as many as the model can be split over."""
        found = fewest_cards(self._architecture, gpu.device, ask, self._given.concurrent_requests)
        return found or place(self._architecture, gpu.device, ask, degrees(self._architecture, ask.format)[-1])
