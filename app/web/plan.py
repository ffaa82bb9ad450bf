"""The page that says what to rent for a job and how to set it up, with what the alternatives cost."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from app.catalogue.facts import Period
from app.memory.device import Verdict
from app.memory.inputs import MethodKind
from app.request import RecommendRequest
from app.services.results import RecommendOption, RecommendResult
from app.web.cards_view import price_note, price_text, short_card_name
from app.web.components import Fact, Link, PageMeta
from app.web.form import Choices
from app.web.formatting import EN_DASH, NO_BREAK, Formatter, between
from app.web.landing import Answered, Cell, Row
from app.web.links import chosen_fields, page_link
from app.web.schema import faq_page
from app.web.shell import PageContext, page_meta
from app.web.small_form import SmallForm, SmallFormView, small_form_view
from app.web.wording import METHODS, VERDICTS

PATH: Final = "/plan"
API_PATH: Final = "/api/v1/recommend"
FIELDS_SHOWN: Final = (
    "model",
    "num_examples",
    "tokens_per_example",
    "epochs",
    "sequence_length",
    "optimize_for",
    "budget",
    "currency",
    "deadline_hours",
)
FIELDS_FOLDED: Final = (
    "methods",
    "gpu",
    "max_gpus",
    "global_batch_size",
    "allow_tight",
    "provider",
    "region",
    "spot",
)
MOST_ROWS: Final = 12
MOST_REJECTED: Final = 10
_LEADS: Final = frozenset({"first_option", "job"})
"""What the page's title and figures say already."""
_RISKS: Final = frozenset({"tight", "spot", "few_measurements", "no_speed", "several_servers", "undated", "sample"})


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanAnswer:
    """The results part of the page."""

    facts: tuple[Fact, ...]
    settings: str
    why: tuple[str, ...]
    risks: tuple[str, ...]
    actions: tuple[Link, ...]
    front_heads: tuple[str, ...]
    front: tuple[Row, ...]
    tables: tuple["PlanTable", ...]
    rejected: tuple[Row, ...]
    rejected_heads: tuple[str, ...]
    answers: tuple[Answered, ...]
    tried: str
    api_url: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanTable:
    """The options of one price period."""

    id: str
    title: str
    heads: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanPage:
    """The whole page; ``answer`` is None where the request cannot be read."""

    meta: PageMeta
    tone: str
    title: str
    lead: str
    form: SmallFormView
    answer: PlanAnswer | None
    structured: str


def plan_page(
    *,
    context: PageContext,
    form: SmallForm,
    choices: Choices,
    given: RecommendRequest | None,
    result: RecommendResult | None,
    order: Mapping[str, str],
) -> PlanPage:
    """The page of a request. ``order`` leads from an offer's id to where it is ordered."""
    fmt = context.fmt
    _ = fmt.gettext
    # The list says after a comma what a card is sold as, which many names say already.
    cards = {slug: label.partition(",")[0] for slug, label in choices.gpus}
    view = _Answer(given, result, form, order, cards, fmt) if result is not None and given is not None else None
    answer = view.view() if view else None
    tone, title, lead = view.verdict() if view else ("no", _("This cannot be planned yet"), "")
    return PlanPage(
        meta=page_meta(
            context,
            path=PATH,
            title=_("What GPU to rent for fine-tuning: the cheapest and fastest plan for your job"),
            description=_(
                "Say what you train, by when and for how much: which GPU server to rent, how many cards, full "
                "fine-tuning, LoRA or QLoRA, the settings, the time and the cost."
            ),
        ),
        tone=tone,
        title=title,
        lead=lead,
        form=small_form_view(form, FIELDS_SHOWN, FIELDS_FOLDED, choices, fmt),
        answer=answer,
        structured=faq_page(tuple((item.question, item.text) for item in answer.answers)) if answer else "",
    )


def cards_text(option: RecommendOption) -> str:
    """``RTX 3090`` or ``2 × RTX 3090``."""
    name = short_card_name(option.gpu_name)
    return name if option.num_gpus == 1 else f"{option.num_gpus}{NO_BREAK}×{NO_BREAK}{name}"


class _Answer:
    """One result in words."""

    def __init__(
        self,
        given: RecommendRequest,
        result: RecommendResult,
        form: SmallForm,
        order: Mapping[str, str],
        cards: Mapping[str, str],
        fmt: Formatter,
    ) -> None:
        self._given = given
        self._result = result
        self._form = form
        self._order = order
        self._cards = cards
        self._fmt = fmt
        self._first = result.options[0] if result.options else None

    def verdict(self) -> tuple[str, str, str]:
        """Tone, sentence and detail."""
        fmt, first = self._fmt, self._first
        _ = fmt.gettext
        if first is None:
            reasons = self._result.decision.reasons
            return "no", _("Nothing with a price here does this job"), _(reasons[0].text) if reasons else ""
        words = {
            "cards": cards_text(first),
            "provider": first.offer.provider,
            "method": _(METHODS[first.run.method]),
            "cost": self._cost(first),
            "time": self._time(first),
        }
        tone = "tight" if first.verdict is Verdict.TIGHT else "fits"
        if first.cost is None:
            return tone, _("Rent {cards} from {provider} and train by {method}").format(**words), ""
        title = _("Rent {cards}: {cost} for the job, in about {time}").format(**words)
        lead = _("{method}, on a server of {provider} at {price}.").format(price=price_text(first.offer, fmt), **words)
        return tone, title, lead

    def view(self) -> PlanAnswer:
        fmt, result, first = self._fmt, self._result, self._first
        _ = fmt.gettext
        front = [option for option in result.options if option.position in result.pareto]
        heads = (_("Method"), _("The job"))
        return PlanAnswer(
            facts=tuple(self._facts(first)) if first else (),
            settings=next((_(reason.text) for reason in first.reasons if reason.code == "settings"), "")
            if first
            else "",
            why=tuple(_(reason.text) for reason in result.decision.reasons if reason.code not in _LEADS),
            risks=tuple(_(reason.text) for reason in first.reasons if reason.code in _RISKS) if first else (),
            actions=tuple(self._actions(first)) if first else (),
            front_heads=heads,
            front=tuple(self._row(option) for option in front),
            tables=tuple(self._tables(heads)),
            rejected=tuple(self._rejected()),
            rejected_heads=(_("Method"), _("Why not"), _("What would do")),
            answers=tuple(self._answers()),
            tried=_("{count} estimates were made for this answer.").format(count=fmt.integer(result.evaluations)),
            api_url=page_link(self._form.texts, path=API_PATH),
        )

    def _facts(self, option: RecommendOption) -> Iterator[Fact]:
        fmt = self._fmt
        _ = fmt.gettext
        if option.cost is not None:
            cost = option.cost
            low, high = fmt.money(cost.amount_low, cost.currency), fmt.money(cost.amount_high, cost.currency)
            yield Fact(label=_("The whole job"), value=self._cost(option), detail=between(low, high))
        if option.time is not None:
            time = option.time
            spread = between(fmt.duration(time.total_seconds_low), fmt.duration(time.total_seconds_high))
            yield Fact(label=_("Time"), value=self._time(option), detail=spread)
        yield Fact(
            label=_("Memory on each card") if option.num_gpus > 1 else _("Memory"),
            value=fmt.memory_with_unit(option.memory.required_bytes),
            detail=_("likely {range}").format(
                range=fmt.memory_range(option.memory.required_low_bytes, option.memory.required_high_bytes)
            ),
        )
        yield Fact(label=_("Expected result"), value=self._quality(option), detail=_("of full fine-tuning’s score"))

    def _actions(self, option: RecommendOption) -> Iterator[Link]:
        _ = self._fmt.gettext
        order = self._order.get(option.offer.id, "")
        if order:
            yield Link(text=_("Order at {provider}").format(provider=option.offer.provider), url=order)
        yield Link(text=_("See its memory, step by step"), url=self._calculator(option))

    def _calculator(self, option: RecommendOption) -> str:
        """The option's run in the calculator: only what differs from the defaults is in the address."""
        asked = {
            name: value for name, value in chosen_fields(self._given).items() if name in type(option.run).model_fields
        }
        chosen = {
            name: getattr(option.run, name)
            for name in (
                "method",
                "gpu",
                "num_gpus",
                "strategy",
                "micro_batch_size",
                "gradient_accumulation_steps",
                "gradient_checkpointing",
                "loss_kernel",
                "optimizer",
                "offer",
            )
        }
        return page_link(asked, {**chosen, "global_batch_size": None, "quantization": None})

    def _row(self, option: RecommendOption) -> Row:
        _ = self._fmt.gettext
        return Row(
            name=cards_text(option),
            url=self._calculator(option),
            cells=(
                Cell(text=_(METHODS[option.run.method]), url="", detail=self._quality(option)),
                self._job(option, option.offer.provider),
            ),
        )

    def _job(self, option: RecommendOption, detail: str) -> Cell:
        order = self._order.get(option.offer.id, "")
        if option.verdict is Verdict.TIGHT:
            detail = f"{detail} · {self._fmt.gettext(VERDICTS[option.verdict])}"
        return Cell(text=f"{self._cost(option)} · {self._time(option)}", url=order, detail=detail)

    def _tables(self, heads: tuple[str, ...]) -> Iterator[PlanTable]:
        _ = self._fmt.gettext
        titles = {Period.HOUR: _("Servers by the hour"), Period.MONTH: _("Servers by the month")}
        for period, title in titles.items():
            options = [option for option in self._result.options if option.offer.price.period is period]
            if options:
                yield PlanTable(id=period.value, title=title, heads=heads, rows=tuple(self._listed(options)))

    def _listed(self, options: Sequence[RecommendOption]) -> Iterator[Row]:
        fmt = self._fmt
        for option in options[:MOST_ROWS]:
            row = self._row(option)
            note = price_note(option.offer, fmt, option.cost.servers if option.cost else 1)
            job = self._job(option, f"{price_text(option.offer, fmt)}, {note}")
            yield Row(name=row.name, url=row.url, cells=(row.cells[0], job))

    def _rejected(self) -> Iterator[Row]:
        _ = self._fmt.gettext
        for card in self._result.rejected[:MOST_REJECTED]:
            yield Row(
                name=self._cards.get(card.gpu, card.gpu),
                url=f"/gpus/{card.gpu}",
                cells=(
                    Cell(text=_(METHODS[MethodKind(card.method)]), url=""),
                    Cell(text=_(card.reason), url=""),
                    Cell(text=_(card.fix.text) if card.fix else EN_DASH, url=""),
                ),
            )

    def _answers(self) -> Iterator[Answered]:
        fmt, first, result = self._fmt, self._first, self._result
        _ = fmt.gettext
        if first is None or first.cost is None:
            return
        model = self._form.texts.get("model", "")
        yield Answered(
            question=_("What does it cost to fine-tune {model}?").format(model=model),
            text=_("{cost} for the whole job with {method} on {cards} from {provider}, in about {time}.").format(
                cost=self._cost(first),
                method=_(METHODS[first.run.method]),
                cards=cards_text(first),
                provider=first.offer.provider,
                time=self._time(first),
            ),
        )
        fastest = min(
            (option for option in result.options if option.time is not None),
            key=lambda option: option.time.total_seconds if option.time else 0.0,
        )
        yield Answered(
            question=_("How fast can it be?"),
            text=_("In about {time} for {cost}, with {method} on {cards}.").format(
                time=self._time(fastest),
                cost=self._cost(fastest),
                method=_(METHODS[fastest.run.method]),
                cards=cards_text(fastest),
            ),
        )

    def _cost(self, option: RecommendOption) -> str:
        return self._fmt.money(option.cost.amount, option.cost.currency) if option.cost else EN_DASH

    def _time(self, option: RecommendOption) -> str:
        return self._fmt.duration(option.time.total_seconds) if option.time else EN_DASH

    def _quality(self, option: RecommendOption) -> str:
        quality = option.quality
        if quality is None:
            return EN_DASH
        return self._fmt.percent(quality.share_of_full)
