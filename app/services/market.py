"""Offers as responses show them, and the cheapest for a run."""

from collections.abc import Iterable
from functools import lru_cache

from app.catalogue.facts import Offer, Period
from app.catalogue.snapshot import OfferFilter, Snapshot
from app.services.results import Money, OfferReport, Price


@lru_cache(maxsize=8_192)
def offer_report(offer: Offer) -> OfferReport:
    """An offer in the contract's shape."""
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


def servers_for(gpu: str, num_gpus: int, market: OfferFilter, snapshot: Snapshot) -> tuple[Offer, ...]:
    """The cheapest server of each price period with at least ``num_gpus`` of the card, hourly first."""
    large_enough = [offer for offer in snapshot.best_offers_for(gpu, market) if offer.gpus_per_server >= num_gpus]
    cheapest = (_cheapest(offer for offer in large_enough if offer.period is period) for period in Period)
    return tuple(offer for offer in cheapest if offer is not None)


def _cheapest(offers: Iterable[Offer]) -> Offer | None:
    return min(offers, key=lambda offer: (offer.amount, offer.gpus_per_server, offer.id), default=None)
