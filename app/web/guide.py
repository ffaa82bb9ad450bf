"""The guide: full, LoRA or QLoRA, by cited rules that are each held against the visitor's own case."""

from dataclasses import dataclass
from typing import Final

from app.memory.inputs import MethodKind
from app.web.cards_view import card_size, short_card_name
from app.web.components import MethodCard, Option, PageMeta
from app.web.guide_case import Case, guide
from app.web.guide_quality import QualityView, quality_view
from app.web.guide_rules import RuleView, rule_view
from app.web.landing import Answered
from app.web.links import page_link
from app.web.outcome import Outcome
from app.web.schema import faq_page
from app.web.shell import PageContext, page_meta
from app.web.wording import METHOD_RUNS, METHODS

PATH: Final = "/guide"


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
    quality: QualityView
    answers: tuple[Answered, ...]
    structured: str


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
        results={kind: found.result for kind, found in outcome.by_method.items()},
        cards={kind: found.cards for kind, found in outcome.by_method.items()},
        fmt=fmt,
    )
    title, why = _decided(case)
    answers = (
        Answered(
            question=_("Full fine-tuning, LoRA or QLoRA for {model} on the {card}?").format(
                model=case.model, card=short_card_name(card.name)
            ),
            text=f"{title}. {why}",
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
        rules=tuple(rule_view(rule, case) for rule in guide()["rules"]),
        order_text=_(guide()["order_reason"]),
        quality=quality_view(fmt),
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
    smallest = case.cards[least].smallest_that_fits
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
