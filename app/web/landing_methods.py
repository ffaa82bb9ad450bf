""" "LoRA, QLoRA or full fine-tuning?", answered for one model: memory, smallest card, time and cost side by side."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from app.memory.inputs import MethodKind
from app.services.cards import Cards
from app.services.results import HOLDS, Card, EstimateResult
from app.web.calculator import method_cards
from app.web.cards_view import card_size, price_note, short_card_name
from app.web.components import Link, MethodCard, PageMeta
from app.web.formatting import Formatter
from app.web.landing import Answered, Cell, Row
from app.web.links import page_link
from app.web.outcome import Outcome
from app.web.schema import faq_page
from app.web.shell import PageContext, page_meta
from app.web.wording import COMPONENTS, METHODS, METHODS_IN_TEXT

PATH = "/compare/lora-vs-qlora-vs-full"
NOTHING = "–"


@dataclass(frozen=True, kw_only=True, slots=True)
class MethodsPage:
    """One model by the three methods."""

    meta: PageMeta
    title: str
    lead: str
    path: str
    model: str
    models: tuple[tuple[str, str], ...]
    methods: tuple[MethodCard, ...]
    heads: tuple[str, ...]
    rows: tuple[Row, ...]
    same_card_text: str
    parts: tuple[Row, ...]
    answers: tuple[Answered, ...]
    related: tuple[Link, ...]
    structured: str


def methods_page(
    *,
    context: PageContext,
    outcome: Outcome,
    models: tuple[tuple[str, str], ...],
    related: Sequence[tuple[str, str]],
) -> MethodsPage:
    """The page of one run by every method. ``models`` suggest what to type, ``related`` are names and slugs."""
    fmt = context.fmt
    _ = fmt.gettext
    results = outcome.methods
    run, name = outcome.result.run, outcome.result.model.name
    shared = _shared_card(outcome)
    answers = _answers(outcome, shared, fmt)
    needs = ", ".join(
        _("{needs} with {method}").format(needs=_needs(result, fmt), method=_(METHODS[result.run.method]))
        if result.run.method is not MethodKind.FULL
        else _("{needs} in full").format(needs=_needs(result, fmt))
        for result in reversed(results)
    )
    return MethodsPage(
        meta=page_meta(
            context,
            path=PATH,
            title=_("LoRA vs QLoRA vs full fine-tuning of {model}: memory, time and cost").format(model=name),
            description=_(
                "Fine-tuning {model} takes {needs} of GPU memory. The three methods side by side: smallest card, time "
                "and cost, computed from the model’s configuration."
            ).format(model=name, needs=needs),
            image_url=context.absolute(page_link(outcome.chosen, path="/charts/memory.png")),
        ),
        title=_("LoRA, QLoRA or full: {model} takes {needs}").format(model=name, needs=needs),
        lead=_(
            "Micro-batch {batch} at {tokens} tokens, {examples} examples, {epochs} times over: the same data by each "
            "method, with the defaults of Transformers, PEFT and TRL."
        ).format(
            batch=fmt.integer(run.micro_batch_size),
            tokens=fmt.integer(run.sequence_length),
            examples=fmt.integer(run.num_examples) if run.num_examples else NOTHING,
            epochs=fmt.plain(run.epochs),
        ),
        path=PATH,
        model=name,
        models=models,
        methods=method_links(outcome, fmt),
        heads=tuple(_(METHODS[result.run.method]) for result in results),
        rows=_rows(outcome, shared, fmt),
        same_card_text=_("The {card} holds all of them; each cheapest job may stand on another card.").format(
            card=_card_name(shared[0])
        )
        if shared
        else _("No single card here holds all of them, so that times stand on different cards."),
        parts=_parts(results, fmt),
        answers=answers,
        related=tuple(Link(text=text, url=page_link({"model": slug}, path=PATH)) for text, slug in related),
        structured=faq_page(tuple((answer.question, answer.text) for answer in answers)),
    )


def method_links(outcome: Outcome, fmt: Formatter) -> tuple[MethodCard, ...]:
    """The methods as cards that all lead to the calculator."""
    words = fmt.gettext("Calculate {method}")
    return tuple(
        replace(card, is_current=False, switch_text=words.format(method=card.name))
        for card in method_cards(outcome, fmt)
    )


def _needs(result: EstimateResult, fmt: Formatter) -> str:
    return fmt.memory_with_unit(result.memory.required_bytes)


def _card_name(card: Card) -> str:
    return short_card_name(card.name)


def _shared_card(outcome: Outcome) -> tuple[Card, ...]:
    """One card that holds the run by every method, as each method finds it: the cheapest for the largest."""
    by_slug = [
        {card.slug: card for card in run.cards if card.verdict in HOLDS and card.time}
        for run in outcome.by_method.values()
    ]
    common = set.intersection(*(set(cards) for cards in by_slug))
    if not common:
        return ()
    largest = max(outcome.methods, key=lambda result: result.memory.required_bytes)
    best = outcome.cards_of(largest).cheapest
    smallest = min(common, key=lambda slug: (by_slug[0][slug].usable_bytes, slug))
    slug = best.slug if best is not None and best.slug in common else smallest
    return tuple(cards[slug] for cards in by_slug)


def _rows(outcome: Outcome, shared: Sequence[Card], fmt: Formatter) -> tuple[Row, ...]:
    _ = fmt.gettext
    results = outcome.methods

    def row(name: str, cell: Callable[[EstimateResult], tuple[str, str]]) -> Row:
        found = [cell(result) for result in results]
        return Row(name=name, url="", cells=tuple(Cell(text=text, url="", detail=detail) for text, detail in found))

    rows = [
        Row(
            name=_("A card must have"),
            url="",
            cells=tuple(
                Cell(
                    text=fmt.memory_with_unit(result.memory.required_bytes),
                    url=page_link(outcome.chosen, {"method": result.run.method.value, "quantization": None}),
                    detail=_("likely {range}").format(
                        range=fmt.memory_range(result.memory.required_low_bytes, result.memory.required_high_bytes)
                    ),
                )
                for result in results
            ),
        ),
        row(_("Smallest card"), lambda result: _smallest(result, outcome, fmt)),
        row(_("Parameters trained"), lambda result: (fmt.parameters(result.parameters.trainable), "")),
        row(_("Cheapest job"), lambda result: _cheapest_job(outcome.cards_of(result), fmt)),
    ]
    if shared:
        rows.append(
            Row(
                name=_("Time on the {card}").format(card=_card_name(shared[0])),
                url="",
                cells=tuple(
                    Cell(
                        text=fmt.duration(card.time.total_seconds) if card.time else NOTHING,
                        url="",
                        detail=_("largest micro-batch {count}").format(count=fmt.integer(card.max_micro_batch_size)),
                    )
                    for card in shared
                ),
            )
        )
    return tuple(rows)


def _smallest(result: EstimateResult, outcome: Outcome, fmt: Formatter) -> tuple[str, str]:
    card = outcome.cards_of(result).smallest_that_fits
    if card is None:
        return fmt.gettext("none alone"), ""
    return card_size(card.slug, card.memory_bytes, outcome.labels), _card_name(card)


def _cheapest_job(cards: Cards, fmt: Formatter) -> tuple[str, str]:
    best = cards.cheapest
    if best is None or best.time is None or best.cost is None:
        return NOTHING, ""
    return fmt.money(best.cost.amount, best.cost.currency), fmt.gettext("{time} on the {card}; {note}").format(
        time=fmt.duration(best.time.total_seconds), card=_card_name(best), note=price_note(best.cost.offer, fmt)
    )


def _parts(results: Sequence[EstimateResult], fmt: Formatter) -> tuple[Row, ...]:
    """What the peak is made of by each method: figures that add up to the peak shown."""
    _ = fmt.gettext
    columns = []
    for result in results:
        parts = result.memory.components
        texts = fmt.memory_parts([part.bytes for part in parts])
        columns.append({part.name: text for part, text in zip(parts, texts, strict=True) if part.bytes})
    names = [name for name in COMPONENTS if any(name in column for column in columns)]
    rows = [
        Row(
            name=_(COMPONENTS[name]),
            url="",
            cells=tuple(Cell(text=column.get(name, NOTHING), url="") for column in columns),
        )
        for name in names
    ]
    peaks = [fmt.memory_with_unit(result.memory.peak_allocated_bytes) for result in results]
    return (*rows, Row(name=_("Training peak"), url="", cells=tuple(Cell(text=text, url="") for text in peaks)))


def _answers(outcome: Outcome, shared: Sequence[Card], fmt: Formatter) -> tuple[Answered, ...]:
    _ = fmt.gettext
    by_kind = {result.run.method: result for result in outcome.methods}
    name = outcome.result.model.name
    found = []
    for less, more in ((MethodKind.QLORA, MethodKind.LORA), (MethodKind.LORA, MethodKind.FULL)):
        if less in by_kind and more in by_kind:
            found.append(_saving(name, by_kind[less], by_kind[more], fmt))
    for result in outcome.methods:
        card, method = outcome.cards_of(result).smallest_that_fits, _(METHODS_IN_TEXT[result.run.method])
        if card is not None:
            found.append(
                Answered(
                    question=_("What is the smallest GPU for {model} with {method}?").format(model=name, method=method),
                    text=_("The {card}, with {usable} for a training process: the run needs {needs}.").format(
                        card=_card_name(card),
                        usable=fmt.memory_with_unit(card.usable_bytes),
                        needs=_needs(result, fmt),
                    ),
                )
            )
    if shared:
        found.append(_times(outcome, shared, fmt))
    return tuple(found)


def _saving(name: str, less: EstimateResult, more: EstimateResult, fmt: Formatter) -> Answered:
    _ = fmt.gettext
    low, high = less.memory.required_bytes, more.memory.required_bytes
    low_name, high_name = _(METHODS_IN_TEXT[less.run.method]), _(METHODS_IN_TEXT[more.run.method])
    question = _("How much memory does {less} save over {more} for {model}?").format(
        less=low_name, more=high_name, model=name
    )
    text = _("None here: {low} against {high}.") if low >= high else _("{share} of it: {low} against {high}.")
    return Answered(
        question=question,
        text=text.format(share=fmt.percent(1 - low / high), low=_needs(less, fmt), high=_needs(more, fmt)),
    )


def _times(outcome: Outcome, shared: Sequence[Card], fmt: Formatter) -> Answered:
    _ = fmt.gettext
    times = sorted(
        (card.time.total_seconds, _(METHODS[result.run.method]))
        for card, result in zip(shared, outcome.methods, strict=True)
        if card.time
    )
    listed = ", ".join(f"{method} {fmt.duration(seconds)}" for seconds, method in times)
    return Answered(
        question=_("Which is fastest for {model} on the same card?").format(model=outcome.result.model.name),
        text=_("At the same micro-batch on the {card}: {times}.").format(card=_card_name(shared[0]), times=listed),
    )
