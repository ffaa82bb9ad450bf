"""Every card of the catalogue against one run: by the hour, by the month, without a price, too small, unable."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.memory.device import Verdict
from app.services.cards import CardOnRun, Cards
from app.services.results import HOLDS
from app.web.cards_view import CARDS_PATH, CardGroup, CardRows, nothing_text, order_text
from app.web.components import Link, PageMeta
from app.web.formatting import Formatter
from app.web.links import page_link
from app.web.outcome import Outcome
from app.web.shell import PageContext, page_meta
from app.web.wording import METHOD_RUNS


@dataclass(frozen=True, kw_only=True, slots=True)
class CardsPage:
    """All cards, in groups; ``groups`` that nothing is in are left out."""

    meta: PageMeta
    title: str
    lead: str
    calculator_url: str
    methods: tuple[Link, ...]
    groups: tuple[CardGroup, ...]


def cards_page(*, context: PageContext, outcome: Outcome) -> CardsPage:
    """The page of one run."""
    fmt, result, cards = context.fmt, outcome.result, outcome.cards
    _ = fmt.gettext
    run = _("{method} of {model}").format(method=_(METHOD_RUNS[result.run.method]), model=result.model.name)
    held = sum(card.verdict in HOLDS for card in cards)
    lead = _("{run}, {batch} × {tokens} tokens: a card must have {needs}.").format(
        run=run,
        batch=fmt.integer(result.run.micro_batch_size),
        tokens=fmt.integer(result.run.sequence_length),
        needs=fmt.memory_with_unit(result.memory.required_bytes),
    )
    rows = CardRows(outcome, fmt)
    return CardsPage(
        meta=page_meta(
            context,
            path=CARDS_PATH,
            title=_("Which GPUs hold {run}?").format(run=run),
            description=_(
                "Every GPU against one fine-tuning run: which hold it, what is free on them, how long the job takes "
                "and what it costs, and how far the others fall short."
            ),
            image_url=context.absolute(page_link(outcome.chosen, path="/charts/memory.png")),
        ),
        title=fmt.ngettext(
            "{held} of {count} cards holds this run", "{held} of {count} cards hold this run", held
        ).format(held=held, count=len(cards))
        if held
        else _("No single card holds it"),
        lead=lead if held else f"{lead} {nothing_text(outcome, fmt)}",
        calculator_url=page_link(outcome.chosen),
        methods=tuple(
            Link(
                text=_(METHOD_RUNS[kind]),
                url=page_link(outcome.chosen, {"method": kind, "quantization": None}, CARDS_PATH),
                is_current=kind is result.run.method,
            )
            for kind in outcome.by_method
        ),
        groups=tuple(_group(rows, *parts, fmt) for parts in _parts(cards, fmt) if parts[-1]),
    )


def _parts(cards: Cards, fmt: Formatter) -> Iterator[tuple[str, str, Sequence[CardOnRun]]]:
    """Each group's name, title and cards: the cheapest first, the nearest first where none holds the run."""
    _ = fmt.gettext
    yield "hour", _("By the hour"), cards.by_hour
    yield "month", _("By the month"), cards.by_month
    yield "unpriced", _("Without a known price"), [card for card in cards if card.holds and card.offer is None]
    misses = (card for card in cards if card.verdict is Verdict.DOES_NOT_FIT)
    yield "small", _("Too small"), sorted(misses, key=lambda card: -card.headroom_bytes)
    yield "unable", _("Cannot run it"), [card for card in cards if card.verdict is Verdict.UNSUPPORTED]


def _group(rows: CardRows, name: str, title: str, cards: Sequence[CardOnRun], fmt: Formatter) -> CardGroup:
    count = fmt.ngettext("{count} card", "{count} cards", len(cards)).format(count=len(cards))
    says_price = any(card.offer for card in cards)
    return CardGroup(
        id=name,
        title=title,
        summary=" · ".join(filter(None, (count, order_text(cards, fmt)))),
        table=rows.table(cards, title) if says_price else None,
        names=() if says_price else rows.names(cards),
    )
