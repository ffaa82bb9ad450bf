"""The offers a widget shows: the best first, each with its order link."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.catalogue.facts import Period
from app.memory.device import Verdict
from app.services.cards import holding
from app.services.results import HOLDS, Card, OfferReport
from app.web.cards_view import card_size, price_note, price_text, servers_of, short_card_name
from app.web.embed.query import Campaign
from app.web.formatting import EN_DASH, Formatter
from app.web.orders import order_path
from app.web.outcome import Outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class OfferLine:
    """One card with its price. ``order_url`` is empty where nobody has said where to order it."""

    card: str
    size: str
    price: str
    note: str
    time: str
    cost: str
    order_url: str
    order_data: str
    """What the host page is told of a click, as JSON."""


def order_data(offer: OfferReport) -> str:
    """The ``order_click`` message's body: which offer, by whom, for which card, at what price."""
    return json.dumps(
        {
            "offer": offer.id,
            "provider": offer.provider,
            "gpu": offer.gpu,
            "price": {
                "amount": str(offer.price.amount),
                "currency": offer.price.currency,
                "period": offer.price.period.value,
            },
        },
        ensure_ascii=False,
        separators=(",", ":"),
    )


def card_title(card: Card, labels: Mapping[str, str]) -> tuple[str, str]:
    """A card's short name and what it is sold as; the size is empty where the name says it already."""
    name, size = short_card_name(card.name), card_size(card.slug, card.memory_bytes, labels)
    return name, "" if size.replace("\u00a0", "") in name.replace(" ", "") else size


def offer_line(card: Card, outcome: Outcome, campaign: Campaign, fmt: Formatter) -> OfferLine:
    """A card that has an offer, as text. Raises ``ValueError`` for one that has none."""
    offer = card.offer
    if offer is None:
        raise ValueError(f"{card.slug} has no offer")
    name, size = card_title(card, outcome.labels)
    return OfferLine(
        card=name,
        size=size,
        price=price_text(offer, fmt),
        note=price_note(offer, fmt, servers_of(card)),
        time=fmt.duration(card.time.total_seconds) if card.time else EN_DASH,
        cost=fmt.money(card.cost.amount, card.cost.currency) if card.cost else EN_DASH,
        order_url=order_path(offer.id, campaign) if offer.order_url else "",
        order_data=order_data(offer),
    )


def best_cards(cards: Sequence[Card], chosen: Card | None) -> list[Card]:
    """Priced cards that surely hold the run: the chosen one, then cheapest first, hourly before monthly."""
    first = [chosen] if chosen is not None and chosen.offer is not None and chosen.verdict in HOLDS else []
    rest = [
        card
        for card in (*holding(cards, Period.HOUR), *holding(cards, Period.MONTH))
        if card.verdict is Verdict.FITS and card not in first
    ]
    return first + rest
