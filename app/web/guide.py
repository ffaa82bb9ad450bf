"""The guide: full, LoRA or QLoRA, by cited rules that are each held against the visitor's own case."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any, Final

from app.memory.device import Verdict
from app.memory.inputs import MethodKind
from app.services.results import CardFit, EstimateResult
from app.units import GIB
from app.web.article import article
from app.web.cards_view import HOLDS, card_size, cheapest, short_card_name, smallest_that_fits
from app.web.components import MethodCard, Option, PageMeta, Tag
from app.web.formatting import Formatter
from app.web.landing import Answered
from app.web.links import page_link
from app.web.outcome import Outcome
from app.web.schema import faq_page
from app.web.shell import PageContext, page_meta
from app.web.wording import METHOD_RUNS, METHODS

PATH: Final = "/guide"
SMALL_CARD_BYTES: Final = 24 * GIB
"""The article's bound between a card for QLoRA and one for LoRA, as a card sold as 24 GB holds it."""
LARGE_MODEL: Final = 70 * 10**9
"""The article's bound for models that it gives to QLoRA in any case."""
DRIVER_TAKES: Final = 0.98
"""A driver shows a little less than the memory a card is sold with; this much of it still is that card."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleView:
    """A rule as published, how the case stands to it, and who says so."""

    id: str
    rule: str
    tag: Tag | None
    case: str
    source: str
    source_url: str


@dataclass(frozen=True, kw_only=True, slots=True)
class GuidePage:
    """Which method to take for one case, and why."""

    meta: PageMeta
    title: str
    lead: str
    path: str
    model: str
    models: tuple[tuple[str, str], ...]
    cards: tuple[Option, ...]
    calculator_url: str
    methods: tuple[MethodCard, ...]
    rules: tuple[RuleView, ...]
    order_text: str
    answers: tuple[Answered, ...]
    structured: str


@lru_cache(maxsize=1)
def guide() -> Mapping[str, Any]:
    """The rules as bundled (``data/guide.json``)."""
    found: Mapping[str, Any] = json.loads(
        resources.files("app.web").joinpath("data/guide.json").read_text(encoding="utf-8")
    )
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One run by every method on one card."""

    model: str
    parameters: int
    card: CardFit
    size: str
    results: Mapping[MethodKind, EstimateResult]
    fmt: Formatter

    def on_card(self, kind: MethodKind) -> CardFit | None:
        """The card as that method finds it."""
        result = self.results.get(kind)
        return next((card for card in result.gpus if card.slug == self.card.slug), None) if result else None

    def needs(self, kind: MethodKind) -> str:
        """What a card must have."""
        return self.fmt.memory_with_unit(self.results[kind].memory.required_bytes)

    @property
    def card_is_small(self) -> bool:
        """Whether the card is under the article's 24 GB."""
        return self.card.memory_bytes < DRIVER_TAKES * SMALL_CARD_BYTES

    @property
    def decision(self) -> MethodKind | None:
        """The first method in the guide's order that surely fits the card."""
        for name in guide()["order"]:
            kind = MethodKind(name)
            card = self.on_card(kind)
            if card is not None and card.verdict is Verdict.FITS:
                return kind
        return None


def guide_page(
    *,
    context: PageContext,
    outcome: Outcome,
    methods: tuple[MethodCard, ...],
    models: tuple[tuple[str, str], ...],
    cards: tuple[tuple[str, str], ...],
) -> GuidePage:
    """The page of one case. The outcome must have a chosen card."""
    fmt = context.fmt
    _ = fmt.gettext
    card = outcome.chosen_card
    assert card is not None
    case = Case(
        model=outcome.result.model.name,
        parameters=outcome.result.parameters.total - outcome.result.parameters.adapter,
        card=card,
        size=card_size(card.slug, card.memory_bytes, outcome.labels),
        results={result.run.method: result for result in outcome.methods},
        fmt=fmt,
    )
    title, why = _decided(case)
    answers = (
        Answered(
            question=_("Full fine-tuning, LoRA or QLoRA for {model} on the {card}?").format(
                model=case.model, card=short_card_name(card.name)
            ),
            text=f"{title}. {why}".replace("\u00a0", " "),
        ),
    )
    decision = case.decision
    return GuidePage(
        meta=page_meta(
            context,
            path=PATH,
            title=_("Full fine-tuning, LoRA or QLoRA: which to choose"),
            description=_(
                "Which fine-tuning method to choose for your model and card: cited rules, each applied to your case "
                "with the memory, time and cost computed for it."
            ),
            image_url=context.absolute(page_link(outcome.chosen, path="/charts/memory.png")),
        ),
        title=title,
        lead=why,
        path=PATH,
        model=case.model,
        models=models,
        cards=tuple(Option(id=None, value=slug, text=text, is_selected=slug == card.slug) for slug, text in cards),
        calculator_url=page_link(outcome.chosen, {"method": decision.value if decision else "qlora"}),
        methods=methods,
        rules=tuple(_rule_view(rule, case) for rule in guide()["rules"]),
        order_text=_(guide()["order_reason"]),
        answers=answers,
        structured=faq_page(tuple((answer.question, answer.text) for answer in answers)),
    )


def _decided(case: Case) -> tuple[str, str]:
    fmt, card = case.fmt, short_card_name(case.card.name)
    _ = fmt.gettext
    decision = case.decision
    if decision is None:
        return _no_method(case)
    found = case.on_card(decision)
    assert found is not None
    title = _("{method} for {model} on the {card}").format(method=_(METHODS[decision]), model=case.model, card=card)
    text = _("It needs {needs} of the {usable} that the card gives.").format(
        needs=case.needs(decision), usable=fmt.memory_with_unit(found.usable_bytes)
    )
    if found.time is not None:
        text += " " + _("The run takes {time} there.").format(time=fmt.duration(found.time.total_seconds))
    more = [MethodKind(name) for name in guide()["order"]]
    larger = [kind for kind in more[: more.index(decision)] if kind in case.results]
    for kind in larger:
        text += " " + _("{method} does not surely fit: it needs {needs}.").format(
            method=_(METHOD_RUNS[kind]), needs=case.needs(kind)
        )
    return title, text


def _no_method(case: Case) -> tuple[str, str]:
    _ = case.fmt.gettext
    least = min(case.results, key=lambda kind: case.results[kind].memory.required_bytes)
    smallest = smallest_that_fits(case.results[least])
    title = _("No method surely fits {model} on the {card}").format(
        model=case.model, card=short_card_name(case.card.name)
    )
    text = _("{method} needs least, {needs}.").format(method=_(METHODS[least]), needs=case.needs(least))
    more = (
        _("The smallest card that holds it is the {card}.").format(card=short_card_name(smallest.name))
        if smallest
        else _("No single card here holds it; several have to share it.")
    )
    return title, f"{text} {more}"


def _rule_view(rule: Mapping[str, Any], case: Case) -> RuleView:
    _ = case.fmt.gettext
    kind = MethodKind(rule["method"])
    if "article" in rule:
        when = next(entry["when"] for entry in article()["guide"] if entry["method"] == rule["article"])
        text = _("{method}: {when}").format(method=_(METHODS[kind]), when=_(when))
    else:
        text = _(rule["rule"])
    tag, said = TESTS[rule["test"]](case, kind) if kind in case.results else (None, _("This run cannot be done so."))
    return RuleView(id=rule["id"], rule=text, tag=tag, case=said, source=_(rule["source"]), source_url=rule["url"])


Held = tuple[Tag | None, str]


def _tag(case: Case, kind: MethodKind, *, speaks_for: bool) -> Tag:
    _ = case.fmt.gettext
    words = _("Speaks for {method}") if speaks_for else _("Speaks against {method}")
    return Tag(tone="fits" if speaks_for else "no", text=words.format(method=_(METHODS[kind])))


def _on_card(case: Case, kind: MethodKind) -> str:
    _ = case.fmt.gettext
    found = case.on_card(kind)
    assert found is not None
    return _("{method} of {model} needs {needs}; the {card} gives {usable}.").format(
        method=_(METHOD_RUNS[kind]),
        model=case.model,
        needs=case.needs(kind),
        card=short_card_name(found.name),
        usable=case.fmt.memory_with_unit(found.usable_bytes),
    )


def _fits(case: Case, kind: MethodKind) -> bool:
    found = case.on_card(kind)
    return found is not None and found.verdict is Verdict.FITS


def _card(case: Case, kind: MethodKind) -> Held:
    _ = case.fmt.gettext
    smallest = smallest_that_fits(case.results[kind])
    more = (
        _("The smallest card that holds it is the {card}.").format(card=short_card_name(smallest.name))
        if smallest
        else _("No single card here holds it; several have to share it.")
    )
    return _tag(case, kind, speaks_for=_fits(case, kind)), f"{_on_card(case, kind)} {more}"


def _card_from_24(case: Case, kind: MethodKind) -> Held:
    _ = case.fmt.gettext
    said = _("Your card is sold as {size}.").format(size=case.size)
    return _tag(case, kind, speaks_for=not case.card_is_small and _fits(case, kind)), f"{said} {_on_card(case, kind)}"


def _card_below_24(case: Case, kind: MethodKind) -> Held:
    fmt = case.fmt
    _ = fmt.gettext
    speaks = case.card_is_small or case.parameters >= LARGE_MODEL
    said = _("Your card is sold as {size}, the model has {count} parameters.").format(
        size=case.size, count=fmt.parameters(case.parameters)
    )
    best = cheapest(case.results[kind])
    if best is not None and best.cost is not None:
        said += " " + _("The cheapest job by QLoRA costs {cost}, on the {card}.").format(
            cost=fmt.money(best.cost.amount, best.cost.currency), card=short_card_name(best.name)
        )
    # Where the card has room for more, the rule's other ends, budget and quick iteration, are the visitor's to weigh.
    tag = _tag(case, kind, speaks_for=_fits(case, kind)) if speaks or not _fits(case, kind) else None
    return tag, f"{said} {_on_card(case, kind)}"


def _saving(case: Case, kind: MethodKind) -> Held:
    _ = case.fmt.gettext
    lora = case.results.get(MethodKind.LORA)
    if lora is None:
        return None, _on_card(case, kind)
    own, other = case.results[kind].memory.required_bytes, lora.memory.required_bytes
    said = _("Here it takes {qlora} instead of LoRA’s {lora}.").format(
        qlora=case.needs(kind), lora=case.needs(MethodKind.LORA)
    )
    return _tag(case, kind, speaks_for=own < other), said


def _time(case: Case, kind: MethodKind) -> Held:
    fmt = case.fmt
    _ = fmt.gettext
    own, lora = case.on_card(kind), case.on_card(MethodKind.LORA)
    if own is None or own.time is None or own.verdict not in HOLDS:
        return None, _("The card does not hold this run, so that there is no time to compare.")
    took = fmt.duration(own.time.total_seconds)
    if lora is None or lora.time is None or lora.verdict not in HOLDS:
        return None, _("QLoRA takes {time} on your card; LoRA does not fit it.").format(time=took)
    said = _("On your card QLoRA takes {qlora}, LoRA {lora}, at the same micro-batch.").format(
        qlora=took, lora=fmt.duration(lora.time.total_seconds)
    )
    return _tag(case, kind, speaks_for=own.time.total_seconds <= lora.time.total_seconds), said


def _trained(case: Case, kind: MethodKind) -> Held:
    fmt = case.fmt
    _ = fmt.gettext
    counts = case.results[kind].parameters
    said = _("{trained} of {total} parameters are trained: {share}.").format(
        trained=fmt.parameters(counts.trainable),
        total=fmt.parameters(counts.total),
        share=fmt.percent(counts.trainable / counts.total, 2),
    )
    return None, said


def _judge(case: Case, kind: MethodKind) -> Held:
    _ = case.fmt.gettext
    said = _("Whether your data is that far from what the model knows is yours to judge. {figures}").format(
        figures=_on_card(case, kind)
    )
    return None, said


TESTS: Final[Mapping[str, Callable[[Case, MethodKind], Held]]] = {
    "card": _card,
    "card_from_24": _card_from_24,
    "card_below_24": _card_below_24,
    "saving": _saving,
    "time": _time,
    "trained": _trained,
    "judge": _judge,
}
"""How each kind of rule is held against a case, by the name in the data."""
