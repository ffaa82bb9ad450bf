"""The page that sizes serving the result: how many requests a card holds, in which format, and what it costs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from app.services.serving import PATH
from app.services.serving_results import ServeResult
from app.web.cards_view import short_card_name
from app.web.components import PageMeta
from app.web.form import Choices
from app.web.formatting import Formatter
from app.web.schema import faq_page
from app.web.serving_answer import FORMATS, Answer, ServeAnswer, cards_text, money_text, requests_text
from app.web.shell import PageContext, page_meta
from app.web.small_form import SmallForm, SmallFormView, small_form_view

FIELDS_SHOWN: Final = ("model", "serve_as", "context_length", "concurrent_requests", "gpu")
FIELDS_FOLDED: Final = (
    "kv_cache_dtype",
    "adapters",
    "lora_rank",
    "lora_target_modules",
    "gpu_memory_utilization",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ServePage:
    """The whole page; ``answer`` is None where the request cannot be read."""

    meta: PageMeta
    tone: str
    title: str
    lead: str
    form: SmallFormView
    answer: ServeAnswer | None
    structured: str


def serve_page(
    *,
    context: PageContext,
    form: SmallForm,
    choices: Choices,
    result: ServeResult | None,
    order: Mapping[str, str],
) -> ServePage:
    """The page of a request. ``order`` leads from an offer's id to where it is ordered."""
    fmt = context.fmt
    _ = fmt.gettext
    answer = Answer(result, form, order, fmt).view() if result is not None else None
    tone, title, lead = _verdict(result, fmt) if result is not None else ("no", _("This cannot be sized yet"), "")
    return ServePage(
        meta=page_meta(
            context,
            path=PATH,
            title=_("GPU memory for serving a fine-tuned LLM: weights, KV cache and requests at once"),
            description=_(
                "How many requests a GPU serves after fine-tuning, merged in 16 bits, in GPTQ or AWQ 4-bit, or as "
                "LoRA adapters on a shared base, and the cheapest offer for your load."
            ),
        ),
        tone=tone,
        title=title,
        lead=lead,
        form=small_form_view(form, FIELDS_SHOWN, FIELDS_FOLDED, choices, fmt),
        answer=answer,
        structured=faq_page(tuple((item.question, item.text) for item in answer.answers)) if answer else "",
    )


def _verdict(result: ServeResult, fmt: Formatter) -> tuple[str, str, str]:
    """Tone, sentence and detail of the answer."""
    _ = fmt.gettext
    asked, chosen = result.request, result.chosen
    words = {
        "model": result.model.name,
        "format": _(FORMATS[asked.serve_as]),
        "asked": fmt.integer(asked.concurrent_requests),
        "tokens": fmt.integer(asked.context_length),
    }
    lead = _("{model} · {format}. Requests of {tokens} tokens each, prompt and answer together.").format(**words)
    if asked.gpu is None:
        return _without_card(result, words, lead, fmt)
    if chosen.placement is None or chosen.one_card is None:
        return "no", _("This card cannot serve it: {reason}").format(reason=_(chosen.reason)), lead
    one, placed = chosen.one_card, chosen.placement
    card = short_card_name(one.gpu_name)
    if one.fits:
        title = _("One {card} serves {asked} requests at once, and has room for {requests}")
        return "fits", title.format(card=card, requests=requests_text(one, fmt), **words), lead
    if placed.fits:
        alone = _("One alone holds {requests}.").format(requests=requests_text(one, fmt))
        title = _("{asked} requests at once take {cards}").format(cards=cards_text(placed, fmt), **words)
        return "tight", title, f"{lead} {alone}"
    if placed.requests_high >= asked.concurrent_requests:
        title = _("{cards} may or may not serve {asked} requests at once: {requests} fit")
    else:
        title = _("{cards} do not serve {asked} requests at once: {requests} fit")
    return "no", title.format(cards=cards_text(placed, fmt), requests=requests_text(placed, fmt), **words), lead


def _without_card(result: ServeResult, words: Mapping[str, str], lead: str, fmt: Formatter) -> tuple[str, str, str]:
    _ = fmt.gettext
    cheapest = result.chosen.cheapest
    if cheapest is None:
        return "no", _("No server with a price here serves {asked} requests at once").format(**words), lead
    title = _("{asked} requests at once take {cards}, from {price} a month").format(
        cards=cards_text(cheapest.placement, fmt), price=money_text(cheapest, fmt), **words
    )
    return "fits", title, lead
