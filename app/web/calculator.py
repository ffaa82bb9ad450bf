"""The calculator's page: one run, its verdict, the three methods side by side, the step's memory, cards and prices."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from markupsafe import Markup

from app.memory.device import Verdict
from app.messages import mark
from app.request import FIELDS, text_of
from app.services.estimate import Outlook
from app.services.lengths import PATH as DATASET_PATH
from app.services.results import Card, EstimateResult
from app.services.serving import PATH as SERVE_PATH
from app.web.by_count import count_chart, count_text
from app.web.calculator_verdict import VerdictView, unread_view, verdict_view
from app.web.cards_view import CardsSection, card_size, cards_section, price_text, short_card_name
from app.web.charts import grouped_bytes, stacked_bar
from app.web.components import (
    CodeSample,
    Fact,
    FieldView,
    Fold,
    Formula,
    Link,
    MethodCard,
    Option,
    PageMeta,
    PartsTable,
    PhaseChart,
    Ruler,
    RulerMark,
    Tag,
)
from app.web.form import ESSENTIALS, Choices, FormState, choice_label, field_view, folds, with_ruler
from app.web.formatting import Formatter
from app.web.links import RunFields, page_link
from app.web.memory_view import formulas, parts_table, peak_parts, phase_chart
from app.web.outcome import Outcome
from app.web.paste import Pasted
from app.web.plan import PATH as PLAN_PATH
from app.web.samples import code_samples
from app.web.shell import PageContext, page_meta
from app.web.wording import METHOD_BLURBS, METHOD_RUNS, METHODS, PHASE_REASONS, SOURCES, TONES, VERDICTS

MICRO_BATCH_MARKS: Final = (1, 2, 4, 8, 16, 32)

PRESETS: Final[tuple[tuple[str, RunFields], ...]] = (
    (mark("16 GB card"), {"gpu": "rtx-4060-ti-16gb", "num_gpus": None}),
    (mark("24 GB card"), {"gpu": "rtx-3090", "num_gpus": None}),
    (mark("80 GB card"), {"gpu": "h100-sxm", "num_gpus": None}),
    (mark("8 × 80 GB"), {"gpu": "h100-sxm", "num_gpus": 8}),
)
"""Where to start from; cards that the catalogue lacks are left out."""

ONWARD: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    (mark("Plan the whole job"), PLAN_PATH, ("model", "num_examples", "tokens_per_example", "epochs")),
    (mark("Serve what you trained"), SERVE_PATH, ("model", "gpu", "lora_rank")),
    (mark("Know your sequence lengths"), DATASET_PATH, ()),
)
"""Questions that come next, where they are answered, and what of the run goes along."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """Where a value of the run came from."""

    label: str
    value: str
    source: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ResultView:
    """Everything under the verdict, for one run that could be computed."""

    methods_text: str
    methods: tuple[MethodCard, ...]
    phase_text: str
    phases: PhaseChart
    overhead_text: str
    by_count: PhaseChart | None
    """None where the number of cards is no question."""
    by_count_text: str
    parts: PartsTable
    cards: CardsSection
    permalink: str
    onward: tuple[Link, ...]
    """Questions that come next, about the same run."""
    samples: tuple[CodeSample, ...]
    formulas: tuple[Formula, ...]
    assumptions: tuple[str, ...]
    warnings: tuple[str, ...]
    choices: tuple[Choice, ...]
    range_text: str
    versions_text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CalculatorPage:
    """The calculator. Without a ``result`` the form shows what is wrong, and the verdict says so."""

    meta: PageMeta
    verdict: VerdictView
    kept: tuple[tuple[str, str], ...]
    """Display preferences that the form sends along."""
    presets: tuple[Link, ...]
    method_options: tuple[Option, ...]
    method_hint: str
    method_error: str
    fields: Mapping[str, FieldView]
    """The essential controls, by field name."""
    model_options: Markup
    """Suggestions for the model's input: name, and Hugging Face id."""
    folds: tuple[Fold, ...]
    result: ResultView | None
    permalink_path: str
    """The address that shows this result again; empty where there is none."""
    pasted: Pasted
    """A configuration that was pasted and could not be read, and the run that the next one goes into."""


def method_card(outlook: Outlook, outcome: Outcome, scale_bytes: int, fmt: Formatter) -> MethodCard:
    """One method's needs, its smallest card and its cheapest."""
    _ = fmt.gettext
    kind, memory, verdict, cards = outlook.method, outlook.memory, outlook.verdict, outlook.cards
    name = _(METHODS[kind])
    facts = [Fact(label=_("Training peak"), value=fmt.memory_with_unit(memory.peak_allocated_bytes))]
    smallest = cards.smallest_that_fits
    facts.append(
        Fact(label=_("Smallest card"), value=_card_name(smallest, outcome.labels) if smallest else _("none alone"))
    )
    best = cards.cheapest
    if best and best.offer:
        facts.append(Fact(label=_("Cheapest"), value=short_card_name(best.name)))
        if best.time and best.cost:
            facts.append(Fact(label=_("Time on it"), value=fmt.duration(best.time.total_seconds)))
            facts.append(Fact(label=_("Cost"), value=fmt.money(best.cost.amount, best.cost.currency)))
        else:
            facts.append(Fact(label=_("Its price"), value=price_text(best.offer, fmt)))
    return MethodCard(
        id=kind.value,
        name=name,
        blurb=_(METHOD_BLURBS[kind]),
        tag=Tag(tone=TONES[verdict.status], text=_(VERDICTS[verdict.status])) if verdict else None,
        needs=fmt.memory_with_unit(memory.required_bytes),
        bar=stacked_bar(
            grouped_bytes(peak_parts(memory)),
            scale_bytes=scale_bytes,
            capacity_bytes=verdict.usable_bytes if verdict else None,
        ),
        facts=tuple(facts),
        is_current=kind is outcome.run.method,
        url=page_link(outcome.chosen, {"method": kind.value, "quantization": None}),
        switch_text=_("Switch to {method}").format(method=name),
    )


def _card_name(card: Card, labels: Mapping[str, str]) -> str:
    name, size = short_card_name(card.name), card_size(card.slug, card.memory_bytes, labels)
    return name if size.replace("\u00a0", "") in name.replace(" ", "") else f"{name}, {size}"


def method_cards(outcome: Outcome, fmt: Formatter) -> tuple[MethodCard, ...]:
    """The methods side by side on one scale, which holds the largest of them and the chosen card."""
    methods = outcome.outlooks
    reach = max(method.memory.required_bytes for method in methods)
    usable = max((method.verdict.usable_bytes for method in methods if method.verdict), default=0)
    scale = int(1.02 * max(reach, usable if usable <= 2 * reach else 0))
    return tuple(method_card(method, outcome, scale, fmt) for method in methods)


def micro_batch_ruler(outcome: Outcome, fmt: Formatter) -> Ruler | None:
    """Common micro-batches, and whether the chosen card holds them; None without a card."""
    card = outcome.chosen_card
    if card is None or card.verdict is Verdict.UNSUPPORTED:
        return None
    _ = fmt.gettext
    now = outcome.result.run.micro_batch_size
    marks = []
    for size in sorted({*MICRO_BATCH_MARKS, now}):
        verdict = (
            card.verdict if size == now else Verdict.FITS if size <= card.max_micro_batch_size else Verdict.DOES_NOT_FIT
        )
        marks.append(
            RulerMark(
                url=page_link(outcome.chosen, {"micro_batch_size": size, "global_batch_size": None}),
                text=fmt.integer(size),
                tone=TONES[verdict],
                verdict=fmt.within(_(VERDICTS[verdict])),
                is_current=size == now,
            )
        )
    return Ruler(id="ruler-micro-batch", name=_("Micro-batches and this card"), marks=tuple(marks))


def result_view(outcome: Outcome, context: PageContext) -> ResultView:
    """Everything under the verdict."""
    fmt, result, chosen = context.fmt, outcome.result, outcome.chosen
    _ = fmt.gettext
    memory = result.memory
    parts = parts_table(memory, fmt)
    against = (
        _("; the dashed line is your {card}").format(card=short_card_name(result.verdict.gpu_name))
        if result.verdict
        else ""
    )
    return ResultView(
        methods_text=_("{model}, same data. Bars share one scale{against}.").format(
            model=result.model.name, against=against
        ),
        methods=method_cards(outcome, fmt),
        phase_text=_("The tallest moment decides.") + " " + _(PHASE_REASONS[memory.peak_phase]),
        phases=phase_chart(result, fmt),
        overhead_text=_("A card must also have {overhead} for the CUDA context and the allocator’s reserve.").format(
            overhead=fmt.memory_with_unit(sum(part.bytes for part in memory.overheads))
        ),
        by_count=count_chart(outcome, fmt),
        by_count_text=count_text(outcome, fmt),
        parts=parts,
        cards=cards_section(outcome, fmt),
        permalink=context.absolute(page_link(chosen)),
        onward=tuple(
            Link(text=_(text), url=page_link({name: chosen[name] for name in names if name in chosen}, path=path))
            for text, path, names in ONWARD
        ),
        samples=code_samples(result, chosen, parts, context.base_url, fmt),
        formulas=formulas(memory, fmt),
        assumptions=tuple(_(text) for text in result.assumptions),
        warnings=tuple(_(notice.text) for notice in result.warnings),
        choices=field_choices(result, fmt),
        range_text=_(
            "In {coverage} of runs like this one a card must have between {low} and {high}. What PyTorch allocates is "
            "known closely ({peak_low}–{peak_high}); what its allocator keeps in reserve differs from run to run."
        ).format(
            coverage=fmt.percent(memory.coverage),
            low=fmt.memory_with_unit(memory.required_low_bytes),
            high=fmt.memory_with_unit(memory.required_high_bytes),
            peak_low=fmt.memory(memory.peak_allocated_low_bytes),
            peak_high=fmt.memory_with_unit(memory.peak_allocated_high_bytes),
        ),
        versions_text=_("Memory model {memory}, catalogue {catalogue}.").format(
            memory=result.versions.memory_model, catalogue=result.versions.catalogue
        ),
    )


@lru_cache(maxsize=512)
def _choice(name: str, value: object, source: str, fmt: Formatter) -> Choice:
    _ = fmt.gettext
    return Choice(label=_(FIELDS[name].label), value=choice_label(FIELDS[name], value, fmt), source=_(SOURCES[source]))


def field_choices(result: EstimateResult, fmt: Formatter) -> tuple[Choice, ...]:
    """Every value that went into the result, and where it came from."""
    run = result.run
    return tuple(
        [
            _choice(name, value, source, fmt)
            for name, source in result.field_sources.items()
            if not FIELDS[name].body_only and (value := getattr(run, name)) is not None and value != ()
        ]
    )


def calculator_page(
    *,
    context: PageContext,
    state: FormState,
    choices: Choices,
    outcome: Outcome | None,
    oembed_url: str,
    pasted: Pasted | None = None,
) -> CalculatorPage:
    """The whole page; without an outcome the form says what is wrong."""
    fmt = context.fmt
    _ = fmt.gettext
    verdict = verdict_view(outcome, fmt) if outcome is not None else unread_view(state, fmt)
    chosen = outcome.chosen if outcome is not None else context.preferences
    fields = {name: field_view(name, state, choices, fmt) for name in ESSENTIALS}
    if outcome is not None:
        counted = _("A name or a Hugging Face id. {count} parameters.").format(
            count=fmt.parameters(outcome.result.parameters.total - outcome.result.parameters.adapter)
        )
        fields["model"] = replace(fields["model"], hint=counted)
        fields["micro_batch_size"] = with_ruler(fields["micro_batch_size"], micro_batch_ruler(outcome, fmt))
    current = (
        state.run.method.value
        if state.run is not None
        else state.texts.get("method", text_of(FIELDS["method"].default))
    )
    path = page_link(chosen) if outcome is not None else ""
    return CalculatorPage(
        meta=page_meta(
            context,
            path="/",
            title=_title(outcome, fmt),
            description=_(
                "How much GPU memory fine-tuning takes with full training, LoRA and QLoRA, which card holds it and "
                "what it costs: every figure with its range, its parts and its formula."
            ),
            oembed_url=oembed_url,
            image_url=context.absolute(page_link(outcome.chosen, path="/charts/memory.png")) if outcome else "",
        ),
        verdict=verdict,
        kept=tuple(context.preferences.items()),
        presets=tuple(
            Link(
                text=_(text),
                url=page_link(chosen, fields_),
                is_current=all(chosen.get(name) == value for name, value in fields_.items()),
            )
            for text, fields_ in PRESETS
            if fields_["gpu"] in choices.labels
        ),
        method_options=tuple(
            Option(id=None, value=kind.value, text=_(METHODS[kind]), is_selected=kind.value == current)
            for kind in METHODS
        ),
        method_hint=_(METHOD_BLURBS[state.run.method]) if state.run is not None else "",
        method_error=_(state.errors["method"].message) if "method" in state.errors else "",
        fields=fields,
        model_options=choices.model_options,
        folds=folds(state, choices, fmt),
        result=result_view(outcome, context) if outcome is not None else None,
        permalink_path=path,
        pasted=pasted or Pasted(query=path),
    )


def _title(outcome: Outcome | None, fmt: Formatter) -> str:
    _ = fmt.gettext
    if outcome is None:
        return _("How much GPU memory does fine-tuning take?")
    result = outcome.result
    return _("{method} of {model}: {needs} of GPU memory").format(
        method=_(METHOD_RUNS[result.run.method]),
        model=result.model.name,
        needs=fmt.memory_with_unit(result.memory.required_bytes).replace("\u00a0", " "),
    )
