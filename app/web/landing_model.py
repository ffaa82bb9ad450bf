""" "How much memory does it take to fine-tune this model?", answered from its configuration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.catalogue.facts import CatalogueModel
from app.memory.inputs import MethodKind
from app.services.results import EstimateResult
from app.web.cards_view import (
    CardsSection,
    a_card_of,
    card_size,
    cards_section,
    price_note,
    price_text,
    short_card_name,
)
from app.web.components import Fact, Link, MethodCard, PageMeta
from app.web.formatting import Formatter
from app.web.landing import Answered, Cell, Row
from app.web.links import page_link
from app.web.outcome import Outcome
from app.web.schema import faq_page
from app.web.shell import PageContext, page_meta
from app.web.wording import METHODS, METHODS_IN_TEXT


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelPage:
    """How much memory fine-tuning one model takes."""

    meta: PageMeta
    title: str
    lead: str
    facts: tuple[Fact, ...]
    methods: tuple[MethodCard, ...]
    lengths_heads: tuple[str, ...]
    lengths: tuple[Row, ...]
    cards: CardsSection
    answers: tuple[Answered, ...]
    related: tuple[Link, ...]
    calculator_url: str
    structured: str


def model_page(
    *,
    context: PageContext,
    model: CatalogueModel,
    outcome: Outcome,
    methods: tuple[MethodCard, ...],
    by_length: Sequence[tuple[int, Sequence[EstimateResult]]],
    related: Sequence[CatalogueModel],
) -> ModelPage:
    """The page of a model, from its run by each method at each length."""
    fmt = context.fmt
    _ = fmt.gettext
    needs = {result.run.method: fmt.memory_with_unit(result.memory.required_bytes) for result in outcome.methods}
    figures = {
        "model": model.name,
        "qlora": needs.get(MethodKind.QLORA, "–"),
        "lora": needs.get(MethodKind.LORA, "–"),
        "full": needs.get(MethodKind.FULL, "–"),
    }
    answers = _model_answers(model, outcome, figures, fmt)
    return ModelPage(
        meta=page_meta(
            context,
            path=f"/models/{model.slug}",
            title=_("How much VRAM to fine-tune {model}").format(model=model.name),
            description=_(
                "Fine-tuning {model} takes {qlora} of GPU memory with QLoRA, {lora} with LoRA and {full} in full. "
                "Which cards hold it, and at what price."
            ).format(**figures),
            image_url=context.absolute(page_link({"model": model.slug, "method": "qlora"}, path="/charts/memory.png")),
        ),
        title=_("Fine-tuning {model} takes {qlora} with QLoRA, {lora} with LoRA, {full} in full").format(**figures),
        lead=_(
            "What a card must have for micro-batch 4 at 512 tokens, with the defaults of Transformers, PEFT and TRL."
        ),
        facts=_model_facts(model, outcome, fmt),
        methods=methods,
        lengths_heads=tuple(_(METHODS[result.run.method]) for result in outcome.methods),
        lengths=tuple(
            Row(
                name=_("{count} tokens").format(count=fmt.integer(length)),
                url="",
                cells=tuple(
                    Cell(
                        text=fmt.memory_with_unit(result.memory.required_bytes),
                        url=page_link({"model": model.slug, "method": result.run.method, "sequence_length": length}),
                    )
                    for result in results
                ),
            )
            for length, results in by_length
        ),
        cards=cards_section(outcome, fmt),
        answers=answers,
        related=tuple(Link(text=other.name, url=f"/models/{other.slug}") for other in related),
        calculator_url=page_link({"model": model.slug, "method": outcome.result.run.method}),
        structured=faq_page(tuple((answer.question, answer.text) for answer in answers)),
    )


def _model_facts(model: CatalogueModel, outcome: Outcome, fmt: Formatter) -> tuple[Fact, ...]:
    _ = fmt.gettext
    shape = model.architecture
    facts = [
        Fact(
            label=_("Parameters"),
            value=fmt.parameters(shape.total_parameters),
            detail=_("counted from its configuration"),
        ),
        Fact(label=_("Vocabulary"), value=fmt.integer(shape.vocab_size), detail=_("words the output layer scores")),
        Fact(
            label=_("Layers"),
            value=fmt.integer(shape.num_hidden_layers),
            detail=_("{width} wide").format(width=fmt.integer(shape.hidden_size)),
        ),
    ]
    best = outcome.cards.cheapest
    if best and best.offer:
        facts.append(
            Fact(
                label=_("Cheapest with QLoRA"),
                value=short_card_name(best.name),
                detail=f"{price_text(best.offer, fmt)}, {price_note(best.offer, fmt)}",
            )
        )
    return tuple(facts)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _model_answers(
    model: CatalogueModel, outcome: Outcome, figures: Mapping[str, str], fmt: Formatter
) -> tuple[Answered, ...]:
    _ = fmt.gettext
    answers = [
        Answered(
            question=_("How much VRAM does it take to fine-tune {model}?").format(**figures),
            text=_(
                "{qlora} with QLoRA, {lora} with LoRA and {full} in full, for micro-batch 4 at 512 tokens with "
                "gradient checkpointing and the defaults of TRL."
            ).format(**figures),
        )
    ]
    for result in outcome.methods:
        method, smallest = _(METHODS_IN_TEXT[result.run.method]), outcome.cards_of(result).smallest_that_fits
        question = _("Which is the smallest GPU for {model} with {method}?").format(model=model.name, method=method)
        if smallest is None:
            text = _("No single card holds the {needs} that it takes; several have to share it.").format(
                needs=figures[result.run.method.value]
            )
        else:
            text = _("{a_card} such as the {card}: it gives {usable}, and the run needs {needs}.").format(
                a_card=_capital(a_card_of(card_size(smallest.slug, smallest.memory_bytes, outcome.labels), fmt)),
                card=short_card_name(smallest.name),
                usable=fmt.memory_with_unit(smallest.usable_bytes),
                needs=figures[result.run.method.value],
            )
        answers.append(Answered(question=question, text=text))
    images = model.architecture.image_tokens
    if images is not None:
        question = _("How many tokens does an image take in {model}?").format(model=model.name)
        answers.append(Answered(question=question, text=_(images.sentence)))
    return tuple(answers)
