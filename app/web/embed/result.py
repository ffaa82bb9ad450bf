"""The ``result`` widget: the verdict, the peak as a bar, time and cost, and the best offers."""

import json
from dataclasses import dataclass
from typing import Final

from app.memory.device import Verdict
from app.services.results import HOLDS, Card, EstimateResult
from app.settings import Settings
from app.web.answer import Answer
from app.web.calculator_verdict import verdict_sentence
from app.web.cards_view import short_card_name
from app.web.charts import StackedBar
from app.web.components import Fact, Link
from app.web.embed.discovery import discovery_url
from app.web.embed.offers import OfferLine, best_cards, offer_line
from app.web.embed.query import EmbedQuery
from app.web.form import named_errors
from app.web.formatting import Formatter, between
from app.web.language import localised
from app.web.links import page_link
from app.web.memory_view import gauge
from app.web.outcome import Outcome
from app.web.turn_to import turn_to
from app.web.wording import METHODS

MORE_OFFERS: Final = 2
"""Offers beside the first: a widget is not a list of prices."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameMeta:
    """The head of a framed page."""

    title: str
    language: str
    theme: str
    brand_css_url: str
    oembed_url: str
    credit: str
    credit_url: str
    language_prefix: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ResultWidget:
    """A run's answer in a few lines. With ``errors`` there is nothing but them."""

    setting: str
    tone: str
    sentence: str
    bar: StackedBar | None
    bar_text: str
    capacity_text: str
    facts: tuple[Fact, ...]
    first: OfferLine | None
    others: tuple[OfferLine, ...]
    turn_to: tuple[Link, ...]
    change_url: str
    change_text: str
    data: str
    """The ``result`` message's body, as JSON."""
    errors: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ResultFrame:
    """The framed page of a result."""

    meta: FrameMeta
    result: ResultWidget


def language_of(fmt: Formatter) -> str:
    """The language the words are in: numbers may follow a locale for which there are no words yet."""
    locale = str(fmt.locale).replace("_", "-")
    translated = fmt.translations.info().get("language")
    return locale if translated or fmt.locale.language == "en" else "en-GB"


def frame_meta(query: EmbedQuery, title: str, brand_name: str, base_url: str, path: str) -> FrameMeta:
    """The head of a frame, and the line that says whose figures these are. ``path`` is its own, with its query."""
    return FrameMeta(
        title=f"{title} · {brand_name}",
        language=language_of(query.fmt),
        theme=query.data_theme,
        brand_css_url=query.brand_css_url,
        oembed_url=discovery_url(base_url + path, base_url),
        credit=query.fmt.gettext("by {name}").format(name=brand_name),
        credit_url=base_url + localised("/", query.language_prefix),
        language_prefix=query.language_prefix,
    )


def setting_text(result: EstimateResult, fmt: Formatter) -> str:
    """Which run this is: ``Llama 3 8B · QLoRA · 512 tokens × 4``."""
    _ = fmt.gettext
    text = _("{model} · {method} · {tokens} tokens × {batch}").format(
        model=result.model.name,
        method=_(METHODS[result.run.method]),
        tokens=fmt.integer(result.run.sequence_length),
        batch=fmt.integer(result.run.micro_batch_size),
    )
    return text if result.run.num_gpus == 1 else _("{run} · {count} GPUs").format(run=text, count=result.run.num_gpus)


def result_widget(found: Answer, query: EmbedQuery, settings: Settings) -> ResultWidget:
    """The widget of an answered run, or of one that could not be read."""
    fmt = query.fmt
    _ = fmt.gettext
    outcome = found.outcome
    if outcome is None:
        return _unread(found, query, fmt)
    result, chosen_card = outcome.result, outcome.chosen_card
    tone, sentence = verdict_sentence(outcome, fmt)
    drawn = gauge(result, fmt)
    cards = best_cards(outcome.cards, chosen_card)[: 1 + MORE_OFFERS]
    lines = [offer_line(card, outcome, query.campaign, fmt) for card in cards]
    return ResultWidget(
        setting=setting_text(result, fmt),
        tone=tone,
        sentence=sentence,
        bar=drawn.bar,
        bar_text=drawn.description,
        capacity_text=drawn.capacity_text,
        facts=_facts(result, chosen_card, cards, fmt),
        first=lines[0] if lines else None,
        others=tuple(lines[1:]),
        turn_to=turn_to(settings, outcome, fmt),
        change_url=page_link(outcome.chosen),
        change_text=_("Change the run"),
        data=_message(outcome),
        errors=(),
    )


def _unread(found: Answer, query: EmbedQuery, fmt: Formatter) -> ResultWidget:
    _ = fmt.gettext
    errors = tuple(error.text for error in named_errors(found.state, fmt))
    return ResultWidget(
        setting="",
        tone="no",
        sentence=_("This run cannot be computed"),
        bar=None,
        bar_text="",
        capacity_text="",
        facts=(),
        first=None,
        others=(),
        turn_to=(),
        change_url=page_link(dict(query.pairs)),
        change_text=_("Open the calculator"),
        data=json.dumps({"errors": list(errors)}, ensure_ascii=False),
        errors=errors,
    )


def _facts(result: EstimateResult, chosen: Card | None, cards: list[Card], fmt: Formatter) -> tuple[Fact, ...]:
    """Time and cost on the card that is offered, and the memory: few enough to stand side by side."""
    _ = fmt.gettext
    card = chosen if chosen is not None and chosen.verdict in HOLDS else cards[0] if cards else None
    on = "" if card is None or card is chosen else f", {short_card_name(card.name)}"
    facts = []
    if card is not None and card.time:
        time = card.time
        spread = between(fmt.duration(time.total_seconds_low), fmt.duration(time.total_seconds_high))
        facts.append(Fact(label=_("Time") + on, value=fmt.duration(time.total_seconds), detail=spread))
    if card is not None and card.cost:
        cost = card.cost
        low, high = (fmt.money(amount, cost.currency) for amount in (cost.amount_low, cost.amount_high))
        spread = "" if low == high else between(low, high)
        facts.append(Fact(label=_("Job") + on, value=fmt.money(cost.amount, cost.currency), detail=spread))
    return (*facts, *_memory_facts(result, fmt))


def _memory_facts(result: EstimateResult, fmt: Formatter) -> tuple[Fact, ...]:
    """What is free on the chosen card, else what is needed and by how much that is too much."""
    _ = fmt.gettext
    memory, verdict = result.memory, result.verdict
    unit = fmt.unit.label
    if verdict is not None and verdict.status in HOLDS and verdict.headroom_bytes >= 0:
        free = fmt.memory_difference(verdict.usable_bytes, memory.required_bytes)
        of = _("of {usable}").format(usable=fmt.memory_with_unit(verdict.usable_bytes))
        return (Fact(label=_("Free"), value=f"{free}\u00a0{unit}", detail=of),)
    spread = _("likely {range}").format(range=fmt.memory_range(memory.required_low_bytes, memory.required_high_bytes))
    needs = Fact(label=_("Needs"), value=fmt.memory_with_unit(memory.required_bytes), detail=spread)
    if verdict is None or verdict.status is not Verdict.DOES_NOT_FIT:
        return (needs,)
    over = fmt.memory_difference(memory.required_bytes, verdict.usable_bytes)
    of = _("over {usable}").format(usable=fmt.memory_with_unit(verdict.usable_bytes))
    return (needs, Fact(label=_("Too much by"), value=f"{over}\u00a0{unit}", detail=of))


def _message(outcome: Outcome) -> str:
    """The figures a host page may want, unrounded, under the API's names."""
    result = outcome.result
    verdict = result.verdict
    body = {
        "model": result.run.model,
        "method": result.run.method.value,
        "required_bytes": result.memory.required_bytes,
        "verdict": None
        if verdict is None
        else {
            "status": verdict.status.value,
            "gpu": verdict.gpu,
            "usable_bytes": verdict.usable_bytes,
            "headroom_bytes": verdict.headroom_bytes,
        },
        "total_seconds": None if result.time is None else round(result.time.total_seconds),
        "cost": None if result.cost is None else {"amount": str(result.cost.amount), "currency": result.cost.currency},
        "page": page_link(outcome.chosen),
    }
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))
