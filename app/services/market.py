"""The offers that count for a run, compared in one currency, and how responses show them."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Final

from app.catalogue.facts import Offer, Period
from app.catalogue.snapshot import OfferFilter, Snapshot
from app.memory.inputs import Cluster, Strategy
from app.services.results import ConvertedPrice, Money, OfferReport, Price
from app.speed.cost import Conversion, Tariff, conversion_of, servers_needed, tariff_of

_KEPT: Final = 4_096
_PRICE_PLACES: Final = Decimal("0.0001")
"""Hourly prices are quoted in hundredths of a cent."""


@lru_cache(maxsize=8_192)
def offer_report(offer: Offer) -> OfferReport:
    """An offer in the contract's shape, in its own currency."""
    return OfferReport(
        id=offer.id,
        provider=offer.provider,
        gpu=offer.gpu,
        gpus_per_server=offer.gpus_per_server,
        price=Price(amount=offer.amount, currency=offer.currency, period=offer.period),
        hourly=Money(amount=offer.hourly_amount, currency=offer.currency),
        minimum_term=offer.minimum_term,
        tax_included=offer.tax_included,
        setup_fee=None if offer.setup_fee is None else Money(amount=offer.setup_fee, currency=offer.currency),
        commitment=offer.commitment,
        region=offer.region,
        in_stock=offer.in_stock,
        observed_on=offer.observed_on,
        is_sample=offer.is_sample,
        source=offer.source,
        order_url=offer.order_link(),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Quote:
    """An offer for all the cards of a run."""

    offer: Offer
    servers: int
    """Of the offer, so that their cards are enough."""
    conversion: Conversion
    """From the offer's currency to the market's."""
    tariff: Tariff
    """What any time on all the servers costs, in the market's currency."""
    report: OfferReport

    @property
    def amount(self) -> Decimal:
        """One hour or month of all the servers in the market's currency, unrounded."""
        return self.tariff.exact_period_amount

    @property
    def terms(self) -> tuple[int, Decimal]:
        """Hours paid at least, and the set-up fee of all the servers in the market's currency."""
        return self.offer.minimum_hours, self.tariff.exact_setup_amount


class Market:
    """The offers that pass a filter, each comparable in ``currency``: priced in it, or converted at a dated rate."""

    def __init__(self, snapshot: Snapshot, offers: OfferFilter, currency: str) -> None:
        self.currency: Final = currency
        self._best = snapshot.best_offers_for
        self._offer = snapshot.offer
        self._rates = snapshot.rates
        self._offers = offers
        self._quotes: dict[tuple[str, int, int | None], tuple[Quote, ...]] = {}

    def quotes_for(self, gpu: str, num_gpus: int, *, gpus_per_node: int | None = None) -> tuple[Quote, ...]:
        """The quotes for ``num_gpus`` of a card that can be the cheapest of their price period for some length of job:
        hourly first, and of a period the lowest price first.

        Single servers with enough cards. Where there is none, the fewest equal servers that have exactly as many cards
        together, each with at least the ``gpus_per_node`` that the run's time takes to share a server's link; None for
        a run that stays on one server.
        """
        asked = (gpu, num_gpus, gpus_per_node)
        found = self._quotes.get(asked)
        if found is None:
            # Whoever invents numbers of cards may empty this cache, never grow it without bound.
            if len(self._quotes) >= _KEPT:
                self._quotes.clear()
            found = self._quotes[asked] = self._find(gpu, num_gpus, gpus_per_node)
        return found

    def quote_of(self, offer_id: str, gpu: str, num_gpus: int, *, gpus_per_node: int | None = None) -> Quote | None:
        """One offer for ``num_gpus`` of a card; None where there is no such offer, of another card, with too few or in
        a currency without a rate."""
        offer = self._offer(offer_id)
        if offer is None or offer.gpu != gpu:
            return None
        if offer.gpus_per_server < num_gpus and offer not in _largest_parts((offer,), num_gpus, gpus_per_node):
            return None
        quote = self._quote(offer, num_gpus)
        return quote if quote.conversion.currency == self.currency else None

    def _find(self, gpu: str, num_gpus: int, gpus_per_node: int | None) -> tuple[Quote, ...]:
        offers = self._best(gpu, self._offers)
        enough = [offer for offer in offers if offer.gpus_per_server >= num_gpus]
        if not enough:
            enough = _largest_parts(offers, num_gpus, gpus_per_node)
        quotes = [self._quote(offer, num_gpus) for offer in enough]
        return tuple(
            quote
            for period in Period
            for quote in _cheapest_for_some_job(quote for quote in quotes if quote.offer.period is period)
        )

    def _quote(self, offer: Offer, num_gpus: int) -> Quote:
        conversion = conversion_of(offer.currency, self.currency, self._rates)
        return Quote(
            offer=offer,
            servers=servers_needed(num_gpus, offer.gpus_per_server),
            conversion=conversion,
            tariff=tariff_of(offer, num_gpus, conversion),
            report=replace(offer_report(offer), converted=_converted(offer, conversion)),
        )


def market_of(snapshot: Snapshot, offers: OfferFilter, currency: str) -> Market:
    """The market of a filter in a currency; kept with its snapshot, since few are asked for."""
    return snapshot.derived((Market, offers, currency), lambda: Market(snapshot, offers, currency))


def node_of(cluster: Cluster) -> int | None:
    """Cards that share a server at least, where a run spans several; None where it cannot."""
    return None if cluster.strategy is Strategy.DEVICE_MAP else cluster.gpus_per_node


def _largest_parts(offers: Iterable[Offer], num_gpus: int, gpus_per_node: int | None) -> list[Offer]:
    """Servers of the largest size that divides ``num_gpus`` and is no smaller than the run's nodes."""
    if gpus_per_node is None:
        return []
    sizes = range(gpus_per_node, num_gpus)
    parts = [offer for offer in offers if offer.gpus_per_server in sizes and num_gpus % offer.gpus_per_server == 0]
    largest = max((offer.gpus_per_server for offer in parts), default=0)
    return [offer for offer in parts if offer.gpus_per_server == largest]


def _cheapest_for_some_job(quotes: Iterable[Quote]) -> list[Quote]:
    """The lowest price, and each higher one with a shorter minimum term or a lower set-up fee than all below it."""
    kept: list[Quote] = []
    for quote in sorted(quotes, key=lambda quote: (quote.amount, *quote.terms, quote.offer.gpus_per_server)):
        if not any(_no_worse(lower.terms, quote.terms) for lower in kept):
            kept.append(quote)
    return kept


def _no_worse(one: tuple[int, Decimal], other: tuple[int, Decimal]) -> bool:
    return one[0] <= other[0] and one[1] <= other[1]


def _converted(offer: Offer, conversion: Conversion) -> ConvertedPrice | None:
    if conversion.observed_on is None:
        return None
    return ConvertedPrice(
        amount=(offer.amount * conversion.factor).quantize(_PRICE_PLACES, ROUND_HALF_UP),
        currency=conversion.currency,
        rate=conversion.factor,
        rate_observed_on=conversion.observed_on,
    )
