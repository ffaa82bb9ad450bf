""" "Which GPU is best for fine-tuning?", answered by model size and method."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.catalogue.facts import CatalogueModel
from app.memory.inputs import MethodKind
from app.services.estimate import Outlook
from app.web.answer import DEFAULT_MODEL
from app.web.cards_view import price_note, price_text, short_card_name
from app.web.components import PageMeta
from app.web.formatting import Formatter
from app.web.landing import Answered, Cell, Market, Row
from app.web.links import page_link
from app.web.schema import faq_page
from app.web.shell import PageContext, page_meta
from app.web.wording import METHODS


@dataclass(frozen=True, kw_only=True, slots=True)
class BestGpuPage:
    """The cheapest card for each model size and method."""

    meta: PageMeta
    title: str
    lead: str
    heads: tuple[str, ...]
    rows: tuple[Row, ...]
    note: str
    answers: tuple[Answered, ...]
    structured: str


def best_gpu_page(
    *, context: PageContext, market: Market, results: Sequence[tuple[CatalogueModel, Sequence[Outlook]]]
) -> BestGpuPage:
    """The cheapest card for each usual model by each method."""
    fmt = context.fmt
    _ = fmt.gettext
    rows, answers = [], []
    for model, by_method in results:
        rows.append(
            Row(
                name=model.name,
                url=f"/models/{model.slug}",
                cells=tuple(_best_cell(model, found, fmt) for found in by_method),
            )
        )
        qlora = next((found for found in by_method if found.result.run.method is MethodKind.QLORA), None)
        best = qlora.cards.cheapest if qlora else None
        if qlora and best and best.offer:
            answers.append(
                Answered(
                    question=_("What is the cheapest GPU to fine-tune {model} with QLoRA?").format(model=model.name),
                    text=_("The {card}, from {price} ({note}): the run needs {needs} of the {usable} it gives.").format(
                        card=short_card_name(best.name),
                        price=price_text(best.offer, fmt),
                        note=price_note(best.offer, fmt),
                        needs=fmt.memory(qlora.result.memory.required_bytes),
                        usable=fmt.memory_with_unit(best.usable_bytes),
                    ),
                )
            )
    return BestGpuPage(
        meta=page_meta(
            context,
            path="/best-gpu",
            title=_("Best GPU for fine-tuning, by model size"),
            description=_(
                "The cheapest card that holds full fine-tuning, LoRA or QLoRA of models from 1B to 70B, with its "
                "price, its time and the reason."
            ),
            image_url=context.absolute(
                page_link({"model": DEFAULT_MODEL, "method": "qlora"}, path="/charts/speed.png")
            ),
        ),
        title=_("The best GPU for fine-tuning is the cheapest that holds the run"),
        lead=_(
            "For 1,000 examples of 512 tokens, three times over, at micro-batch 4: the card whose job costs least "
            "among those that surely hold it."
        ),
        heads=tuple(_(METHODS[kind]) for kind in MethodKind),
        rows=tuple(rows),
        note=_("Prices are dated and may be samples; open a cell to see them, and every other card."),
        answers=tuple(answers),
        structured=faq_page(tuple((answer.question, answer.text) for answer in answers)),
    )


def _best_cell(model: CatalogueModel, found: Outlook, fmt: Formatter) -> Cell:
    _ = fmt.gettext
    url = page_link({"model": model.slug, "method": found.result.run.method}) + "#cards"
    best = found.cards.cheapest
    if best is None or best.offer is None:
        needs = fmt.memory_with_unit(found.result.memory.required_bytes)
        return Cell(text=needs, url=url, detail=_("no single card with a price"))
    name = short_card_name(best.name)
    if best.time and best.cost:
        job = _("{cost} in {time}").format(
            cost=fmt.money(best.cost.amount, best.cost.currency), time=fmt.duration(best.time.total_seconds)
        )
        return Cell(text=name, url=url, detail=job)
    return Cell(text=name, url=url, detail=price_text(best.offer, fmt))
