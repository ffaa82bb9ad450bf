"""The answer in one sentence, the figures behind it, and the changes that a click applies."""

from dataclasses import dataclass
from typing import Final

from app.catalogue.facts import Period
from app.memory.device import Verdict
from app.memory.inputs import MethodKind
from app.messages import value_of
from app.services.results import HOLDS, Card, CostReport, EstimateResult, Suggestion
from app.services.solve_report import PAGE_PATH as SOLVE_PATH
from app.web.cards_view import a_card_of, card_size, price_note, price_text, rate_text, servers_of, short_card_name
from app.web.components import Chip, ChipGroup, Fact, Gauge, Link
from app.web.form import FormState, named_errors
from app.web.formatting import Formatter, between, bounds
from app.web.links import RunFields, page_link
from app.web.memory_view import gauge
from app.web.outcome import Outcome
from app.web.wording import METHOD_RUNS, PHASES, TONES, VERDICTS

MOST_SUGGESTIONS: Final = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class VerdictView:
    """The first panel. ``errors`` instead of figures where the form could not be read."""

    tone: str
    sentence: str
    detail: str
    actions: tuple[Link, ...]
    gauge: Gauge | None
    facts: tuple[Fact, ...]
    chip_groups: tuple[ChipGroup, ...]
    errors: tuple[Link, ...]
    """What is wrong, each linked to its control."""
    dock_tone: str
    dock_word: str
    dock_text: str


def verdict_view(outcome: Outcome, fmt: Formatter) -> VerdictView:
    """The answer for a run."""
    result = outcome.result
    _ = fmt.gettext
    best = outcome.cards.cheapest
    chosen_card = outcome.chosen_card
    tone, sentence = verdict_sentence(outcome, fmt)
    orderable = chosen_card if chosen_card and chosen_card.offer else best
    actions = []
    if orderable and orderable.offer and (url := outcome.order(orderable.offer)):
        actions.append(
            Link(text=_("Order: {card}").format(card=short_card_name(orderable.name)), url=url, is_current=True)
        )
    elif outcome.contact_url:
        actions.append(Link(text=_("Ask us about this run"), url=outcome.contact_url, is_current=True))
    held = sum(card.verdict in HOLDS for card in outcome.cards)
    if held:
        actions.append(
            Link(text=fmt.ngettext("See {count} card", "Compare {count} cards", held).format(count=held), url="#cards")
        )
    needed = fmt.memory_with_unit(result.memory.required_bytes)
    return VerdictView(
        tone=tone,
        sentence=sentence,
        detail=_detail(result, best, chosen_card, fmt),
        actions=tuple(actions),
        gauge=gauge(result, fmt),
        facts=_facts(result, best, fmt),
        chip_groups=_chip_groups(outcome, fmt),
        errors=(),
        dock_tone=tone,
        dock_word=_(VERDICTS[result.verdict.status]) if result.verdict else _("Needs"),
        dock_text=_("{needs} of {usable}").format(
            needs=fmt.memory(result.memory.required_bytes), usable=fmt.memory_with_unit(result.verdict.usable_bytes)
        )
        if result.verdict
        else needed,
    )


def unread_view(state: FormState, fmt: Formatter) -> VerdictView:
    """What keeps a run from being computed."""
    _ = fmt.gettext
    errors = named_errors(state, fmt)
    return VerdictView(
        tone="no",
        sentence=fmt.ngettext("One field needs another look", "{count} fields need another look", len(errors)).format(
            count=len(errors)
        ),
        detail=_("Nothing was computed. What you typed is still in the form."),
        actions=(),
        gauge=None,
        facts=(),
        chip_groups=(),
        errors=errors,
        dock_tone="no",
        dock_word=_("Not computed"),
        dock_text="",
    )


def verdict_sentence(outcome: Outcome, fmt: Formatter) -> tuple[str, str]:
    """The tone and the sentence; every number in it is the result's, and the figures shown add up."""
    _ = fmt.gettext
    result = outcome.result
    memory, verdict = result.memory, result.verdict
    unit = fmt.unit.label
    needs = fmt.memory(memory.required_bytes)
    if verdict is None:
        return _sentence_for_any(outcome, fmt)
    count = result.run.num_gpus
    size = card_size(verdict.gpu, verdict.memory_bytes, outcome.labels)
    values = {
        "size": size,
        "a_card": a_card_of(size, fmt),
        "count": count,
        "needs": needs,
        "usable": fmt.memory(verdict.usable_bytes),
        "spare": fmt.memory_difference(verdict.usable_bytes, memory.required_bytes),
        "over": fmt.memory_difference(memory.required_bytes, verdict.usable_bytes),
        "high": fmt.memory(memory.required_high_bytes),
        "unit": unit,
        "reason": _(verdict.reason),
        "card": short_card_name(verdict.gpu_name),
    }
    one, many = {
        Verdict.FITS: (
            _("Fits {a_card}: needs {needs} of the {usable} {unit} it gives, {spare} to spare"),
            _("Fits {count} × {size}: each needs {needs} of the {usable} {unit} it gives, {spare} to spare"),
        ),
        Verdict.TIGHT: (
            _("Tight on {a_card}: needs {needs} of the {usable} {unit} it gives, and may need {high}"),
            _("Tight on {count} × {size}: each needs {needs} of the {usable} {unit} it gives, and may need {high}"),
        ),
        Verdict.DOES_NOT_FIT: (
            _("Does not fit {a_card}: needs {needs} {unit}, {over} more than the {usable} it gives"),
            _("Does not fit {count} × {size}: each needs {needs} {unit}, {over} more than the {usable} it gives"),
        ),
        Verdict.UNSUPPORTED: (_("Cannot run on {card}: {reason}"), _("Cannot run on {count} × {card}: {reason}")),
    }[verdict.status]
    return TONES[verdict.status], (one if count == 1 else many).format(**values)


def _sentence_for_any(outcome: Outcome, fmt: Formatter) -> tuple[str, str]:
    _ = fmt.gettext
    result = outcome.result
    needs = fmt.memory(result.memory.required_bytes)
    smallest = outcome.cards.smallest_that_fits
    if smallest is None:
        return "no", _("Needs {needs} {unit}: more than any single card here gives").format(
            needs=needs, unit=fmt.unit.label
        )
    return "fits", _("Fits {a_card}: needs {needs} of the {usable} {unit} it gives, {spare} to spare").format(
        a_card=a_card_of(card_size(smallest.slug, smallest.memory_bytes, outcome.labels), fmt),
        needs=needs,
        usable=fmt.memory(smallest.usable_bytes),
        unit=fmt.unit.label,
        spare=fmt.memory_difference(smallest.usable_bytes, result.memory.required_bytes),
    )


def _detail(result: EstimateResult, best: Card | None, chosen: Card | None, fmt: Formatter) -> str:
    """Which run this is, and the cheapest price of the chosen card and of any."""
    _ = fmt.gettext
    run = _("{method} of {model}, {batch} × {tokens} tokens").format(
        method=_(METHOD_RUNS[result.run.method]),
        model=result.model.name,
        batch=fmt.integer(result.run.micro_batch_size),
        tokens=fmt.integer(result.run.sequence_length),
    )
    if result.verdict:
        run = _("{run}, on {card}.").format(run=run, card=short_card_name(result.verdict.gpu_name))
    else:
        run += "."
    sentences = [run]
    if chosen and chosen.offer and chosen.verdict in HOLDS and chosen is not best:
        sentences.append(_job_sentence(chosen, _("It takes {job}: {price} ({note})."), fmt))
    if best and best.offer:
        sentences.append(_job_sentence(best, _("Cheapest on the {card}: {job}, {price} ({note})."), fmt))
    return " ".join(sentences)


def _job_sentence(card: Card, sentence: str, fmt: Formatter) -> str:
    """What the job takes and costs on a card, or its price alone while neither is known."""
    _ = fmt.gettext
    assert card.offer is not None
    name, price = short_card_name(card.name), price_text(card.offer, fmt)
    note = price_note(card.offer, fmt, servers_of(card))
    if card.time is None or card.cost is None:
        return _("The {card} rents from {price} ({note}).").format(card=name, price=price, note=note)
    job = _("about {time} and {cost}").format(
        time=fmt.duration(card.time.total_seconds), cost=fmt.money(card.cost.amount, card.cost.currency)
    )
    return sentence.format(card=name, job=job, price=price, note=note)


def _cost_detail(cost: CostReport, fmt: Formatter) -> str:
    """The range and the price it comes from; no range where it is one amount, as for a month that is paid anyway."""
    low, high = (fmt.money(amount, cost.currency) for amount in (cost.amount_low, cost.amount_high))
    price = price_text(cost.offer, fmt)
    if rate := rate_text(cost.offer, fmt):
        price += f" ({rate})"
    if low == high:
        return fmt.gettext("at {price}").format(price=price)
    low, high = bounds(low, high)
    return fmt.gettext("likely {low}–{high}, at {price}").format(low=low, high=high, price=price)


def _facts(result: EstimateResult, best: Card | None, fmt: Formatter) -> tuple[Fact, ...]:
    _ = fmt.gettext
    memory = result.memory
    facts = [
        Fact(
            label=_("Card must have"),
            value=fmt.memory_with_unit(memory.required_bytes),
            detail=_("likely {range}").format(
                range=fmt.memory_range(memory.required_low_bytes, memory.required_high_bytes)
            ),
        ),
        Fact(
            label=_("Training peak"),
            value=fmt.memory_with_unit(memory.peak_allocated_bytes),
            detail=_("as PyTorch counts it, in: {phase}").format(phase=fmt.within(_(PHASES[memory.peak_phase]))),
        ),
    ]
    if result.time:
        time = result.time
        facts.append(
            Fact(
                label=_("Time"),
                value=fmt.duration(time.total_seconds),
                detail=_("likely {range}").format(
                    range=between(fmt.duration(time.total_seconds_low), fmt.duration(time.total_seconds_high))
                ),
            )
        )
    if result.cost:
        facts.append(
            Fact(
                label=_("Cost"),
                value=fmt.money(result.cost.amount, result.cost.currency),
                detail=_cost_detail(result.cost, fmt),
            )
        )
    facts.append(
        Fact(
            label=_("Trains"),
            value=fmt.percent(result.parameters.trainable / result.parameters.total, 0 if _is_full(result) else 2),
            detail=_("{trainable} of {total} parameters").format(
                trainable=fmt.parameters(result.parameters.trainable), total=fmt.parameters(result.parameters.total)
            ),
        )
    )
    if not result.cost and best and best.offer:
        facts.append(
            Fact(
                label=_("Cheapest card"),
                value=fmt.money(best.offer.price.amount, best.offer.price.currency),
                detail=_("an hour, {card}").format(card=short_card_name(best.name))
                if best.offer.price.period is Period.HOUR
                else _("a month, {card}").format(card=short_card_name(best.name)),
            )
        )
    return tuple(facts[:4])


def _is_full(result: EstimateResult) -> bool:
    return result.run.method is MethodKind.FULL


def _change_chip(suggestion: Suggestion, result: EstimateResult, chosen: RunFields, fmt: Formatter) -> Chip:
    _ = fmt.gettext
    before = result.memory.required_bytes
    after = before - suggestion.saves_bytes
    detail = f"{fmt.memory(before)} → {fmt.memory_with_unit(after)}"
    if suggestion.step_time_ratio is not None:
        change = suggestion.step_time_ratio - 1
        if abs(change) < 0.02:
            detail += _(", about the same speed")
        else:
            slower = _(", about {share} slower") if change > 0 else _(", about {share} faster")
            detail += slower.format(share=fmt.percent(abs(change)))
    # The service's sentence goes on with the figures in GiB; here they stand in the page's unit.
    words = value_of(suggestion.text, "change")
    icon = "minus" if suggestion.saves_bytes > 0 else "plus"
    return Chip(url=page_link(chosen, suggestion.changes), icon=icon, text=_(words), detail=detail)


def _chip_groups(outcome: Outcome, fmt: Formatter) -> tuple[ChipGroup, ...]:
    result, chosen, card = outcome.result, outcome.chosen, outcome.chosen_card
    _ = fmt.gettext
    groups = []
    saving = [
        suggestion
        for suggestion in result.suggestions
        if suggestion.saves_bytes > 0 and "num_gpus" not in suggestion.changes
    ][:MOST_SUGGESTIONS]
    less = tuple(_change_chip(suggestion, result, chosen, fmt) for suggestion in saving)
    if card is not None and card.verdict is Verdict.DOES_NOT_FIT:
        less = (*less, _solve_chip("num_gpus", _("Fewest of this card"), _("counted to the card"), outcome))
    if less:
        title = _("Make it fit") if saving and _makes_fit(saving[0], result, card) else _("Use less memory")
        groups.append(ChipGroup(title=title, chips=less))
    if card is not None and card.verdict is Verdict.FITS:
        more = _spending_chips(outcome, fmt)
        if more:
            spare = fmt.memory_difference(card.usable_bytes, result.memory.required_bytes)
            groups.append(
                ChipGroup(title=_("Use the spare {spare} {unit}").format(spare=spare, unit=fmt.unit.label), chips=more)
            )
    return tuple(groups)


def _makes_fit(suggestion: Suggestion, result: EstimateResult, card: Card | None) -> bool:
    """Whether the card does not surely hold the run and would with the change."""
    if card is None or card.verdict is Verdict.FITS:
        return False
    return result.memory.required_bytes - suggestion.saves_bytes <= card.usable_bytes


def _spending_chips(outcome: Outcome, fmt: Formatter) -> tuple[Chip, ...]:
    """What the spare memory of a card is good for."""
    result, chosen = outcome.result, outcome.chosen
    _ = fmt.gettext
    bought = (suggestion for suggestion in result.suggestions if suggestion.saves_bytes < 0)
    chips = [_change_chip(suggestion, result, chosen, fmt) for suggestion in bought]
    chips.append(_solve_chip("sequence_length", _("The most that fits"), _("sequence, batch, rank or model"), outcome))
    return tuple(chips)


def _solve_chip(unknown: str, text: str, detail: str, outcome: Outcome) -> Chip:
    """An inverse question about this run and card."""
    return Chip(url=page_link(outcome.chosen, {"unknown": unknown}, SOLVE_PATH), icon="plus", text=text, detail=detail)
