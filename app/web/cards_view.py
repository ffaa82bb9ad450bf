"""GPUs beside a run: which hold it, what is free on them, what they cost and where to order."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from app.catalogue.facts import Period
from app.memory.device import Verdict
from app.services.cards import fewest_together
from app.services.results import HOLDS, Card, OfferReport
from app.units import GIB
from app.web.charts import percent
from app.web.components import CardRow, CardTable, Link, Tag
from app.web.formatting import EN_DASH, Formatter
from app.web.links import page_link
from app.web.outcome import Outcome
from app.web.wording import TONES, VERDICTS

FIRST_CARDS: Final = 6
CARDS_PATH: Final = "/cards"

_BRAND: Final = re.compile(r"^(GeForce|Tesla|Instinct|Radeon(?= AI PRO| PRO| RX)|Intel(?= Arc| Gaudi))\s+")
_REMARK: Final = re.compile(r"\s*\(.*\)$")


@dataclass(frozen=True, kw_only=True, slots=True)
class CardsSection:
    """The first cards worth having, and where all of them are."""

    title: str
    order_text: str
    lead: CardTable | None
    nothing_text: str
    more: Link
    """Every card against the run, on a page of its own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CardGroup:
    """Cards that one thing sets apart from others."""

    id: str
    title: str
    summary: str
    table: CardTable | None
    names: tuple[Link, ...]
    """Instead of a table where there is nothing to say but what is free."""


def short_card_name(name: str) -> str:
    """A card's name without its maker's brand and remarks: ``GeForce RTX 3090`` is ``RTX 3090``."""
    return _REMARK.sub("", _BRAND.sub("", name))


def card_size(slug: str, memory_bytes: int, labels: Mapping[str, str]) -> str:
    """What a card is sold as, such as ``24 GB``: the catalogue's label, else its memory in whole GiB."""
    return labels.get(slug) or f"{round(memory_bytes / GIB)}\u00a0GB"


def price_text(offer: OfferReport, fmt: Formatter) -> str:
    """A server's price with its period: ``US$0.17 an hour``."""
    _ = fmt.gettext
    amount = fmt.money(offer.price.amount, offer.price.currency)
    pattern = _("{amount} an hour") if offer.price.period is Period.HOUR else _("{amount} a month")
    return pattern.format(amount=amount)


def price_note(offer: OfferReport, fmt: Formatter, servers: int = 1) -> str:
    """Who asks the price, for how many cards, how old it is, and what it was converted at."""
    _ = fmt.gettext
    seller = offer.provider
    if servers > 1:
        seller = _("{provider}, {servers} servers of {count} cards").format(
            provider=seller, servers=servers, count=offer.gpus_per_server
        )
    elif offer.gpus_per_server > 1:
        seller = _("{provider}, {count} cards").format(provider=seller, count=offer.gpus_per_server)
    if offer.observed_on is None:
        dated = _("sample, undated") if offer.is_sample else _("undated")
    else:
        day = fmt.date(offer.observed_on)
        dated = _("sample, {date}").format(date=day) if offer.is_sample else day
    return " · ".join(filter(None, (seller, dated, rate_text(offer, fmt))))


def rate_text(offer: OfferReport, fmt: Formatter) -> str:
    """What a price was converted at: ``1 GBP = 1.2500 USD, 1 Nov 2026``; empty for one that was not."""
    converted = offer.converted
    if converted is None:
        return ""
    rate = converted.shown_rate
    number = fmt.decimal(rate, len(str(rate).partition(".")[2]))
    day = fmt.date(converted.rate_observed_on)
    return f"1 {offer.price.currency} = {number} {converted.currency}, {day}"


def servers_of(card: Card) -> int:
    """How many of a card's offer the run takes."""
    return card.cost.servers if card.cost else 1


def _memory_text(card: Card, required_high_bytes: int, fmt: Formatter) -> str:
    _ = fmt.gettext
    unit = fmt.unit.label
    if card.verdict is Verdict.UNSUPPORTED:
        return _(card.reason)
    usable = fmt.memory(card.usable_bytes)
    if card.verdict is Verdict.TIGHT:
        return _("may need {need} of {usable} {unit}").format(
            need=fmt.memory(required_high_bytes), usable=usable, unit=unit
        )
    if card.verdict is Verdict.DOES_NOT_FIT:
        return _("{over} {unit} over {usable}").format(over=fmt.memory(-card.headroom_bytes), usable=usable, unit=unit)
    return _("{free} of {usable} {unit} free").format(
        free=fmt.memory_difference(card.usable_bytes, card.usable_bytes - card.headroom_bytes), usable=usable, unit=unit
    )


class CardRows:
    """Writes card rows for one result."""

    def __init__(self, outcome: Outcome, fmt: Formatter) -> None:
        self._outcome, self._fmt = outcome, fmt
        # One link for all cards but for the card's name at its end.
        self._card_link = page_link(outcome.chosen, {"gpu": None}) + "&gpu="

    def row(self, card: Card) -> CardRow:
        fmt, _ = self._fmt, self._fmt.gettext
        offer = card.offer
        used = min(1.0, self._outcome.result.memory.required_bytes / card.usable_bytes) if card.usable_bytes else 1.0
        judge_url = self._card_link + card.slug
        return CardRow(
            name=short_card_name(card.name),
            sold_as=_("sold as {size}").format(size=card_size(card.slug, card.memory_bytes, self._outcome.labels)),
            judge_url=judge_url,
            tag=Tag(tone=TONES[card.verdict], text=_(VERDICTS[card.verdict])),
            used_width=percent(1.0 if card.verdict is Verdict.UNSUPPORTED else used),
            memory_text=_memory_text(card, self._outcome.result.memory.required_high_bytes, fmt),
            time=fmt.duration(card.time.total_seconds) if card.time else EN_DASH,
            price=price_text(offer, fmt) if offer else "",
            price_note=price_note(offer, fmt, servers_of(card)) if offer else "",
            cost=fmt.money(card.cost.amount, card.cost.currency) if card.cost else EN_DASH,
            order_url=self._outcome.order(offer) if offer and card.verdict in HOLDS else "",
            order_text=_("Order"),
            fix_url="" if card.verdict in HOLDS else judge_url + "#less",
        )

    def names(self, cards: Sequence[Card]) -> tuple[Link, ...]:
        """Cards in a line each: name, verdict where it is not a plain fit, what is free."""
        high, fmt = self._outcome.result.memory.required_high_bytes, self._fmt
        return tuple(
            Link(text=short_card_name(card.name), url=self._card_link + card.slug, detail=_memory_text(card, high, fmt))
            for card in cards
        )

    def table(self, cards: Sequence[Card], name: str) -> CardTable:
        fmt, _ = self._fmt, self._fmt.gettext
        rows = tuple(self.row(card) for card in cards)
        return CardTable(
            name=name,
            memory_heading=_("{needs} of usable memory").format(
                needs=fmt.memory_with_unit(self._outcome.result.memory.required_bytes)
            ),
            has_time=any(card.time for card in cards),
            has_cost=any(card.cost for card in cards),
            has_order=any(row.order_url or row.fix_url for row in rows),
            rows=rows,
        )


def a_card_of(size: str, fmt: Formatter) -> str:
    """A card by what it is sold as, with its article: ``an 80 GB card``, ``a 24 GB card``."""
    _ = fmt.gettext
    number = size.partition("\u00a0")[0].partition(" ")[0].partition(".")[0]
    begins_with_vowel = number.startswith("8") or number in {"11", "18"}
    return (_("an {size} card") if begins_with_vowel else _("a {size} card")).format(size=size)


def cards_section(outcome: Outcome, fmt: Formatter) -> CardsSection:
    """The six cards let by the hour whose job costs least, or where there are none, by the month or of all."""
    _ = fmt.gettext
    cards = outcome.cards
    held = [card for card in cards if card.holds]
    lead = cards.by_hour or cards.by_month or held
    return CardsSection(
        title=_("Which card to rent") if lead else _("No single card holds it"),
        order_text=order_text(lead, fmt),
        lead=CardRows(outcome, fmt).table(lead[:FIRST_CARDS], _("Cards that hold the run")) if lead else None,
        nothing_text="" if lead else nothing_text(outcome, fmt),
        more=Link(
            text=fmt.ngettext(
                "Every card: {held} of {count} holds it", "Every card: {held} of {count} hold it", len(held)
            ).format(held=len(held), count=len(cards))
            if held
            else _("Every card, and by how much it is too small"),
            url=page_link(outcome.chosen, path=CARDS_PATH),
        ),
    )


def order_text(cards: Sequence[Card], fmt: Formatter) -> str:
    _ = fmt.gettext
    if not any(card.offer for card in cards):
        return ""
    first = _("Cheapest job first.") if any(card.cost for card in cards) else _("Cheapest server first.")
    if not any(card.offer.is_sample for card in cards if card.offer):
        return first
    return first + " " + _("Samples are published prices, with or without tax as their provider quotes them.")


def nothing_text(outcome: Outcome, fmt: Formatter) -> str:
    """What at least would hold a run that no single card holds."""
    _ = fmt.gettext
    needs = fmt.memory_with_unit(outcome.result.memory.required_bytes)
    best = fewest_together(outcome.cards)
    if best is None:
        return _("No card in this list holds {needs}.").format(needs=needs)
    return _("No card in this list holds {needs}. It takes at least {count} × {card} together.").format(
        needs=needs, count=best.fewest_gpus, card=short_card_name(best.name)
    )
