"""What the page about serving says of one result: every figure as text, where it stands."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from app.messages import mark
from app.request.serving import ServeAs
from app.services.results import OfferReport
from app.services.serving import PATH
from app.services.serving_results import FormatReport, PlacementReport, ServeOption, ServeResult
from app.web.cards_view import price_note, price_text, short_card_name
from app.web.components import Fact, PartRow, PartsTable
from app.web.formatting import EN_DASH, NO_BREAK, Formatter, MemoryUnit
from app.web.landing import Answered, Cell, Row
from app.web.links import page_link
from app.web.small_form import SmallForm

FIRST_OFFERS: Final = 8
FORMATS: Final[Mapping[ServeAs, str]] = {
    ServeAs.MERGED: mark("Merged, 16-bit"),
    ServeAs.GPTQ: mark("Merged, GPTQ 4-bit"),
    ServeAs.AWQ: mark("Merged, AWQ 4-bit"),
    ServeAs.ADAPTERS: mark("Adapters on a shared base"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ServeAnswer:
    """The results part of the page."""

    facts: tuple[Fact, ...]
    formats_text: str
    format_heads: tuple[str, ...]
    formats: tuple[Row, ...]
    parts_text: str
    parts: PartsTable | None
    offers_text: str
    offer_heads: tuple[str, ...]
    offers: tuple[Row, ...]
    warnings: tuple[str, ...]
    assumptions: tuple[str, ...]
    answers: tuple[Answered, ...]
    api_url: str


def requests_text(placement: PlacementReport, fmt: Formatter) -> str:
    """``11–15``, or one number where both bounds agree."""
    low, high = placement.requests_low, placement.requests_high
    return fmt.integer(low) if low == high else f"{fmt.integer(low)}{EN_DASH}{fmt.integer(high)}"


def cards_text(placement: PlacementReport, fmt: Formatter) -> str:
    """``RTX 3090`` or ``2 × RTX 3090``."""
    name = short_card_name(placement.gpu_name)
    return name if placement.cards == 1 else f"{placement.cards}{NO_BREAK}×{NO_BREAK}{name}"


def money_text(option: ServeOption, fmt: Formatter) -> str:
    """What an option costs in a month."""
    return fmt.money(option.monthly.amount, option.monthly.currency)


def _small(size_bytes: int, fmt: Formatter) -> str:
    """A size that may be far below the page's unit: KiB or kB, MiB or MB, or the unit itself."""
    number, unit = _small_parts(size_bytes, fmt)
    return number + NO_BREAK + unit


def _small_parts(size_bytes: int, fmt: Formatter) -> tuple[str, str]:
    binary = fmt.unit is MemoryUnit.GIB
    thousand = 1024 if binary else 1000
    if size_bytes >= thousand**3:
        return fmt.memory(size_bytes), fmt.unit.label
    power, name = (2, "MiB" if binary else "MB") if size_bytes >= thousand**2 else (1, "KiB" if binary else "kB")
    size = size_bytes / thousand**power
    return fmt.plain(round(size, 1) if size < 100 else round(size)), name


def _small_range(low_bytes: int, high_bytes: int, fmt: Formatter) -> str:
    """``26–88.1 MiB``, or one size where both bounds agree."""
    (low, low_unit), (high, high_unit) = _small_parts(low_bytes, fmt), _small_parts(high_bytes, fmt)
    if (low, low_unit) == (high, high_unit):
        return high + NO_BREAK + high_unit
    first = low if low_unit == high_unit else low + NO_BREAK + low_unit
    return f"{first}{EN_DASH}{high}{NO_BREAK}{high_unit}"


class Answer:
    """One result in words."""

    def __init__(self, result: ServeResult, form: SmallForm, order: Mapping[str, str], fmt: Formatter) -> None:
        self._result = result
        self._form = form
        self._order = order
        self._fmt = fmt

    def view(self) -> ServeAnswer:
        """All of it."""
        fmt, result = self._fmt, self._result
        _ = fmt.gettext
        asked = result.request
        placed = result.chosen.placement
        shown = placed or (result.chosen.cheapest.placement if result.chosen.cheapest else None)
        card = short_card_name(result.chosen.one_card.gpu_name) if result.chosen.one_card else ""
        return ServeAnswer(
            facts=tuple(self._facts()),
            formats_text=_(
                "The same {tokens} tokens and {count} requests in each format. A range runs from what surely fits to "
                "what fits if everything else takes little."
            ).format(tokens=fmt.integer(asked.context_length), count=fmt.integer(asked.concurrent_requests)),
            format_heads=(
                _("Weights"),
                _("Requests on one {card}").format(card=card) if card else _("Bits a weight"),
                _("Cheapest for {count} at once").format(count=fmt.integer(asked.concurrent_requests)),
            ),
            formats=tuple(self._format(report) for report in result.formats),
            parts_text=_("On each card: {cards}.").format(cards=cards_text(shown, fmt)) if shown else "",
            parts=self._parts(shown) if shown is not None and shown.cache_low_bytes else None,
            offers_text=_(
                "Servers that surely hold {count} requests at once, by what they cost in a month of 730 hours."
            ).format(count=fmt.integer(asked.concurrent_requests)),
            offer_heads=(_("At once"), _("A month")),
            offers=tuple(self._offer(option) for option in result.options[:FIRST_OFFERS]),
            warnings=tuple(_(notice.text) for notice in result.warnings),
            assumptions=tuple(_(text) for text in result.assumptions),
            answers=tuple(self._answers()),
            api_url=result.links.self,
        )

    def _facts(self) -> list[Fact]:
        fmt, result = self._fmt, self._result
        _ = fmt.gettext
        weights, cache = result.chosen.weights, result.cache
        facts = [
            Fact(
                label=_("Weights"),
                value=fmt.memory_with_unit(weights.total_bytes),
                detail=_("{bits} bits a weight").format(bits=fmt.plain(weights.bits_per_parameter)),
            ),
            Fact(label=_("Cache a token"), value=_small(cache.bytes_per_token, fmt), detail=self._cache_detail()),
            Fact(
                label=_("Cache a request"),
                value=_small_range(cache.request_low_bytes, cache.request_high_bytes, fmt),
                detail=_("at {tokens} tokens").format(tokens=fmt.integer(result.request.context_length)),
            ),
        ]
        if result.request.serve_as is ServeAs.ADAPTERS:
            adapter = result.adapter
            facts.append(
                Fact(
                    label=_("Each adapter"),
                    value=_small_range(adapter.bytes, adapter.slot_bytes, fmt),
                    detail=_("{count} weights of its own").format(count=fmt.parameters(adapter.parameters)),
                )
            )
        return facts

    def _cache_detail(self) -> str:
        fmt, cache = self._fmt, self._result.cache
        _ = fmt.gettext
        if cache.windowed_layers:
            return _("{later} once windows are full: {windowed} of {layers} layers have one").format(
                later=_small(cache.bytes_per_token_beyond_windows, fmt),
                windowed=fmt.integer(cache.windowed_layers),
                layers=fmt.integer(cache.layers),
            )
        if cache.state_high_bytes:
            return _("and {state} a request for recurrent layers").format(
                state=_small_range(cache.state_low_bytes, cache.state_high_bytes, fmt)
            )
        return fmt.ngettext("{layers} layer", "{layers} layers", cache.layers).format(layers=fmt.integer(cache.layers))

    def _format(self, report: FormatReport) -> Row:
        fmt = self._fmt
        _ = fmt.gettext
        if report.one_card is not None:
            middle = Cell(text=requests_text(report.one_card, fmt), url="")
        elif report.reason:
            middle = Cell(text=EN_DASH, url="", detail=_(report.reason))
        else:
            middle = Cell(text=fmt.plain(report.weights.bits_per_parameter), url="")
        cheapest = report.cheapest
        last = (
            Cell(
                text=_("{price} a month").format(price=money_text(cheapest, fmt)),
                url="",
                detail=cards_text(cheapest.placement, fmt),
            )
            if cheapest
            else Cell(text=EN_DASH, url="", detail=_("no server with a price"))
        )
        is_chosen = report.serve_as is self._result.request.serve_as
        return Row(
            name=_(FORMATS[report.serve_as]),
            url="" if is_chosen else page_link({**self._form.texts, "serve_as": report.serve_as}, path=PATH),
            cells=(Cell(text=fmt.memory_with_unit(report.weights.total_bytes), url=""), middle, last),
        )

    def _parts(self, placed: PlacementReport) -> PartsTable:
        fmt, result = self._fmt, self._result
        _ = fmt.gettext
        parts = [("weights", _("Weights"), _("In the chosen format, this card’s share."), placed.weights_bytes)]
        if placed.adapters_high_bytes:
            adapters = _("Room for {count} adapters at once.").format(count=fmt.integer(result.request.adapters))
            parts.append(("adapters", _("Adapters"), adapters, placed.adapters_high_bytes))
        step = _("Activations, sampling, CUDA graphs and libraries: between {low} and this.").format(
            low=fmt.memory_with_unit(placed.reserve_low_bytes)
        )
        parts.append(("overhead", _("One step"), step, placed.reserve_high_bytes))
        cache = _(
            "Keys and values of {requests} requests at their whole length, and up to {most} if a step takes less."
        )
        parts.append(
            (
                "activations",
                _("Cache"),
                cache.format(
                    requests=fmt.integer(placed.requests_low), most=fmt.memory_with_unit(placed.cache_high_bytes)
                ),
                placed.cache_low_bytes,
            )
        )
        unused = placed.memory_bytes - placed.budget_bytes
        if unused:
            parts.append(("temporaries", _("Left alone"), _("What the server may not use of the card."), unused))
        values = fmt.memory_parts([size for *_words, size in parts])
        return PartsTable(
            name=_("What fills one card"),
            unit=fmt.unit.label,
            rows=tuple(
                PartRow(group=group, name=name, explanation=why, value=value)
                for (group, name, why, _size), value in zip(parts, values, strict=True)
            ),
            total_name=_("The card"),
            total=fmt.memory(sum(size for *_words, size in parts)),
        )

    def _offer(self, option: ServeOption) -> Row:
        fmt, placed = self._fmt, option.placement
        _ = fmt.gettext
        return Row(
            name=cards_text(placed, fmt),
            url=page_link({**self._form.texts, "gpu": placed.gpu}, path=PATH),
            cells=(
                Cell(text=requests_text(placed, fmt), url=""),
                Cell(
                    text=money_text(option, fmt),
                    url=self._order_of(option.offer),
                    detail=f"{price_text(option.offer, fmt)} · {price_note(option.offer, fmt)}",
                ),
            ),
        )

    def _order_of(self, offer: OfferReport) -> str:
        return self._order.get(offer.id, "")

    def _answers(self) -> list[Answered]:
        fmt, result = self._fmt, self._result
        _ = fmt.gettext
        half, awq = (
            next(found for found in result.formats if found.serve_as is kind) for kind in (ServeAs.MERGED, ServeAs.AWQ)
        )
        figures = {
            "model": result.model.name,
            "half": fmt.memory_with_unit(half.weights.total_bytes),
            "awq": fmt.memory_with_unit(awq.weights.total_bytes),
            "token": _small(result.cache.bytes_per_token, fmt),
            "request": _small_range(result.cache.request_low_bytes, result.cache.request_high_bytes, fmt),
            "tokens": fmt.integer(result.request.context_length),
        }
        return [
            Answered(
                question=_("How much memory does serving {model} take?").format(**figures),
                text=_(
                    "{half} for the weights in 16 bits or {awq} in 4 bits, and {token} of cache for each token: "
                    "{request} for a request of {tokens} tokens."
                ).format(**figures),
            ),
            Answered(
                question=_("Merge the adapter, or serve it beside the base?"),
                text=_(
                    "A merged model serves one fine-tune. One base with adapters serves many: each adds {low} to "
                    "{high} instead of a whole copy of {half}."
                ).format(low=_small(result.adapter.bytes, fmt), high=_small(result.adapter.slot_bytes, fmt), **figures),
            ),
        ]
