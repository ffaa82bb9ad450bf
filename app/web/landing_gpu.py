""" "What can I fine-tune on this card?", answered for the usual models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from app.catalogue.facts import CatalogueGpu, CatalogueModel
from app.memory.device import Verdict
from app.memory.inputs import MethodKind
from app.services.results import Card
from app.web.cards_view import card_size, price_note, price_text, short_card_name
from app.web.components import Fact, Link, PageMeta, Tag
from app.web.formatting import Formatter
from app.web.heatmap import HeatMap, heat_map
from app.web.landing import Answered, Cell, Market, Row, fit_on, popular
from app.web.links import page_link
from app.web.schema import product
from app.web.shell import PageContext, page_meta
from app.web.wording import METHODS, METHODS_IN_TEXT, TONES, VERDICTS


@dataclass(frozen=True, kw_only=True, slots=True)
class GpuPage:
    """What one card can fine-tune."""

    meta: PageMeta
    title: str
    lead: str
    facts: tuple[Fact, ...]
    heads: tuple[str, ...]
    rows: tuple[Row, ...]
    rows_text: str
    heat: HeatMap | None
    answers: tuple[Answered, ...]
    related: tuple[Link, ...]
    calculator_url: str
    structured: str


def gpu_page(*, context: PageContext, gpu: CatalogueGpu, market: Market, related: Sequence[CatalogueGpu]) -> GpuPage:
    """The page of a card: the usual models by each method, the largest of them, the price."""
    fmt = context.fmt
    _ = fmt.gettext
    name, size = short_card_name(gpu.name), card_size(gpu.slug, gpu.device.memory_bytes, market.labels)
    largest: dict[MethodKind, str] = {}
    rows: list[Row] = []
    offered: Card | None = None
    for model in popular(market.snapshot):
        cells = []
        for kind in MethodKind:
            fit = fit_on(market, model.slug, kind, gpu)
            if fit is not None and _holds(fit):
                largest[kind], offered = model.name, fit if fit.offer else offered
            cells.append(_fit_cell(fit, model, kind, gpu, fmt))
        rows.append(Row(name=model.name, url=f"/models/{model.slug}", cells=tuple(cells)))
    title = _gpu_title(name, largest, fmt)
    answers = _gpu_answers(name, size, largest, gpu, fmt)
    offer = offered.offer if offered else None
    facts = [
        Fact(
            label=_("Memory you can use"),
            value=fmt.memory_with_unit(gpu.device.usable_bytes),
            detail=_("sold as {size}").format(size=size),
        ),
        *(
            Fact(label=_("Largest with {method}").format(method=_(METHODS[kind])), value=largest.get(kind, _("none")))
            for kind in reversed(MethodKind)
        ),
    ]
    if offer is not None:
        facts[-1] = Fact(label=_("Price"), value=price_text(offer, fmt), detail=price_note(offer, fmt))
    return GpuPage(
        meta=page_meta(
            context,
            path=f"/gpus/{gpu.slug}",
            title=_("What can I fine-tune on an {card}?").format(card=name)
            if name[:1] in "AEFHILMNORSX8"
            else _("What can I fine-tune on a {card}?").format(card=name),
            description=_(
                "{title}. Which models fit its {size} with full fine-tuning, LoRA and QLoRA, how many sequences at "
                "once, and what it costs to rent."
            ).format(title=title, size=size),
            image_url=context.absolute(
                page_link({"model": HEAT_MODEL, "method": "qlora", "gpu": gpu.slug}, path="/charts/memory.png")
            ),
        ),
        title=title,
        lead=_(
            "Each cell is the largest micro-batch of 512 tokens that fits by our estimate, with the defaults of "
            "Transformers, PEFT and TRL; where none does, what the run needs."
        ),
        facts=tuple(facts),
        heads=tuple(_(METHODS[kind]) for kind in MethodKind),
        rows=tuple(rows),
        rows_text=_("Open a cell for the whole calculation."),
        heat=_heat(gpu, market, fmt),
        answers=answers,
        related=tuple(Link(text=short_card_name(other.name), url=f"/gpus/{other.slug}") for other in related),
        calculator_url=page_link({"method": MethodKind.QLORA, "gpu": gpu.slug}),
        structured=product(gpu, offer, context.absolute(f"/gpus/{gpu.slug}"), title),
    )


HEAT_MODEL: Final = "llama-3-8b"


def _heat(gpu: CatalogueGpu, market: Market, fmt: Formatter) -> HeatMap | None:
    """The heat map of the model most asked for; with the method that leaves the card the most room."""
    model = market.snapshot.model(HEAT_MODEL)
    return heat_map(model, MethodKind.QLORA, gpu, market, fmt) if model is not None else None


def _holds(fit: Card) -> bool:
    """Whether the card holds at least one sequence, by the estimate itself; its range may reach further."""
    return fit.verdict is not Verdict.UNSUPPORTED and fit.max_micro_batch_size > 0


def _fit_cell(fit: Card | None, model: CatalogueModel, kind: MethodKind, gpu: CatalogueGpu, fmt: Formatter) -> Cell:
    _ = fmt.gettext
    if fit is None:
        return Cell(text="–", url="")
    url = page_link({"model": model.slug, "method": kind, "gpu": gpu.slug})
    if fit.verdict is Verdict.UNSUPPORTED:
        return Cell(text="", url=url, tag=Tag(tone="no", text=_(VERDICTS[fit.verdict])))
    if _holds(fit):
        text = _("up to {count}").format(count=fmt.integer(fit.max_micro_batch_size))
        return Cell(text="", url=url, tag=Tag(tone="fits", text=text))
    return Cell(
        text="",
        url=url,
        tag=Tag(tone=TONES[fit.verdict], text=fmt.memory_with_unit(fit.usable_bytes - fit.headroom_bytes)),
    )


def _gpu_title(name: str, largest: Mapping[MethodKind, str], fmt: Formatter) -> str:
    _ = fmt.gettext
    if MethodKind.QLORA in largest:
        title = _("{card} fine-tunes models up to {model} with QLoRA").format(
            card=name, model=largest[MethodKind.QLORA]
        )
        if MethodKind.LORA in largest:
            title += _(", {model} with LoRA").format(model=largest[MethodKind.LORA])
        return title
    if MethodKind.LORA in largest:
        return _("{card} fine-tunes models up to {model} with LoRA").format(card=name, model=largest[MethodKind.LORA])
    return _("{card} holds none of the usual models for fine-tuning").format(card=name)


def _gpu_answers(
    name: str, size: str, largest: Mapping[MethodKind, str], gpu: CatalogueGpu, fmt: Formatter
) -> tuple[Answered, ...]:
    _ = fmt.gettext
    answers = [
        Answered(
            question=_("How much of its {size} can training use?").format(size=size),
            text=_("{usable}: the driver keeps the rest, and the CUDA context of the run comes out of it too.").format(
                usable=fmt.memory_with_unit(gpu.device.usable_bytes)
            ),
        )
    ]
    for kind in MethodKind:
        if kind in largest:
            text = _("{model}, of the usual sizes, at 512 tokens.").format(model=largest[kind])
        else:
            text = _("None of the usual models from 1B to 70B, at 512 tokens.")
        question = _("What is the largest model for {method} on the {card}?")
        answers.append(Answered(question=question.format(method=_(METHODS_IN_TEXT[kind]), card=name), text=text))
    return tuple(answers)
