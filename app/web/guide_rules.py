"""The guide's rules, each held against a case with that case's numbers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import log2
from typing import Any, Final

from app.memory.device import Verdict
from app.memory.inputs import LoraTargetPreset, MethodKind
from app.messages import value_of
from app.planning.quality import Quality, Task, by_task, compared_ranks
from app.services.quality import bundled_quality, bundled_results
from app.services.results import HOLDS
from app.web.article import article
from app.web.cards_view import short_card_name
from app.web.components import Tag
from app.web.guide_case import LARGE_MODEL, Case
from app.web.wording import METHOD_RUNS, METHODS

_NOTICEABLE: Final = 0.02


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleView:
    """A rule as published, how the case stands to it, and who says so."""

    id: str
    rule: str
    tag: Tag | None
    case: str
    source: str
    source_url: str


def rule_view(rule: Mapping[str, Any], case: Case) -> RuleView:
    _ = case.fmt.gettext
    kind = MethodKind(rule["method"])
    if "article" in rule:
        when = next(entry["when"] for entry in article()["guide"] if entry["method"] == rule["article"])
        text = _("{method}: {when}").format(method=_(METHODS[kind]), when=_(when))
    else:
        text = _(rule["rule"])
    tag, said = TESTS[rule["test"]](case, kind) if kind in case.results else (None, _("This run cannot be done so."))
    return RuleView(id=rule["id"], rule=text, tag=tag, case=said, source=_(rule["source"]), source_url=rule["url"])


Held = tuple[Tag | None, str]


def _tag(case: Case, kind: MethodKind, *, speaks_for: bool) -> Tag:
    _ = case.fmt.gettext
    words = _("Speaks for {method}") if speaks_for else _("Speaks against {method}")
    return Tag(tone="fits" if speaks_for else "no", text=words.format(method=_(METHODS[kind])))


def _on_card(case: Case, kind: MethodKind) -> str:
    _ = case.fmt.gettext
    return _("{method} of {model} needs {needs}; the {card} gives {usable}.").format(
        method=_(METHOD_RUNS[kind]),
        model=case.model,
        needs=case.needs(kind),
        card=short_card_name(case.card.name),
        usable=case.fmt.memory_with_unit(case.card.usable_bytes),
    )


def _fits(case: Case, kind: MethodKind) -> bool:
    found = case.on_card(kind)
    return found is not None and found.verdict is Verdict.FITS


def _card(case: Case, kind: MethodKind) -> Held:
    _ = case.fmt.gettext
    smallest = case.cards[kind].smallest_that_fits
    more = (
        _("The smallest card that holds it is the {card}.").format(card=short_card_name(smallest.name))
        if smallest
        else _("No single card here holds it; several have to share it.")
    )
    return _tag(case, kind, speaks_for=_fits(case, kind)), f"{_on_card(case, kind)} {more}"


def _card_from_24(case: Case, kind: MethodKind) -> Held:
    _ = case.fmt.gettext
    said = _("Your card is sold as {size}.").format(size=case.size)
    return _tag(case, kind, speaks_for=not case.card_is_small and _fits(case, kind)), f"{said} {_on_card(case, kind)}"


def _card_below_24(case: Case, kind: MethodKind) -> Held:
    fmt = case.fmt
    _ = fmt.gettext
    speaks = case.card_is_small or case.parameters >= LARGE_MODEL
    said = _("Your card is sold as {size}, the model has {count} parameters.").format(
        size=case.size, count=fmt.parameters(case.parameters)
    )
    best = case.cards[kind].cheapest
    if best is not None and best.cost is not None:
        said += " " + _("The cheapest job by QLoRA costs {cost}, on the {card}.").format(
            cost=fmt.money(best.cost.amount, best.cost.currency), card=short_card_name(best.name)
        )
    # Where the card has room for more, the rule's other ends, budget and quick iteration, are the visitor's to weigh.
    tag = _tag(case, kind, speaks_for=_fits(case, kind)) if speaks or not _fits(case, kind) else None
    return tag, f"{said} {_on_card(case, kind)}"


def _saving(case: Case, kind: MethodKind) -> Held:
    _ = case.fmt.gettext
    lora = case.results.get(MethodKind.LORA)
    if lora is None:
        return None, _on_card(case, kind)
    own, other = case.results[kind].memory.required_bytes, lora.memory.required_bytes
    said = _("Here it takes {qlora} instead of LoRA’s {lora}.").format(
        qlora=case.needs(kind), lora=case.needs(MethodKind.LORA)
    )
    return _tag(case, kind, speaks_for=own < other), said


def _time(case: Case, kind: MethodKind) -> Held:
    fmt = case.fmt
    _ = fmt.gettext
    own, lora = case.on_card(kind), case.on_card(MethodKind.LORA)
    if own is None or own.time is None or own.verdict not in HOLDS:
        return None, _("The card does not hold this run, so that there is no time to compare.")
    took = fmt.duration(own.time.total_seconds)
    if lora is None or lora.time is None or lora.verdict not in HOLDS:
        return None, _("QLoRA takes {time} on your card; LoRA does not fit it.").format(time=took)
    said = _("On your card QLoRA takes {qlora}, LoRA {lora}, at the same micro-batch.").format(
        qlora=took, lora=fmt.duration(lora.time.total_seconds)
    )
    return _tag(case, kind, speaks_for=own.time.total_seconds <= lora.time.total_seconds), said


def _trained(case: Case, kind: MethodKind) -> Held:
    fmt = case.fmt
    _ = fmt.gettext
    counts = case.results[kind].parameters
    said = _("{trained} of {total} parameters are trained: {share}.").format(
        trained=fmt.parameters(counts.trainable),
        total=fmt.parameters(counts.total),
        share=fmt.percent(counts.trainable / counts.total, 2),
    )
    return None, said


def _judge(case: Case, kind: MethodKind) -> Held:
    _ = case.fmt.gettext
    told = _(
        "In published comparisons LoRA scores {all} of what full fine-tuning does, on code {code}. Whether your data "
        "is that far from what the model knows is yours to judge. {figures}"
    ).format(
        all=_spread(bundled_quality(MethodKind.LORA), case),
        code=_spread(by_task(MethodKind.LORA, bundled_results())[Task.CODE], case),
        figures=_on_card(case, kind),
    )
    return None, told


def _spread(quality: Quality, case: Case) -> str:
    fmt = case.fmt
    return fmt.gettext("{share} ({low} to {high})").format(
        share=fmt.percent(quality.share_of_full),
        low=fmt.percent(quality.share_of_full_low),
        high=fmt.percent(quality.share_of_full_high),
    )


def _targets(case: Case, kind: MethodKind) -> Held:
    _ = case.fmt.gettext
    run = case.results[kind].run
    if run.lora_target_modules is LoraTargetPreset.ALL_LINEAR:
        return None, _("Your run has them on all linear layers.")
    said = _("Your run has them on fewer.")
    return None, _with_price(said, case, kind, "lora_target_modules")


def _rank(case: Case, kind: MethodKind) -> Held:
    fmt = case.fmt
    _ = fmt.gettext
    rank = case.results[kind].run.lora_rank
    ranks = compared_ranks(bundled_results())
    nearest = min(ranks, key=lambda known: abs(log2(known / rank)))
    shares = [result.share for result in ranks[nearest]]
    said = _(
        "Your run has rank {rank}. Where ranks were compared, rank {nearest} reached {low} to {high} of full "
        "fine-tuning’s score."
    ).format(
        rank=fmt.integer(rank),
        nearest=fmt.integer(nearest),
        low=fmt.percent(min(shares)),
        high=fmt.percent(max(shares)),
    )
    return None, _with_price(said, case, kind, "lora_rank")


def _with_price(said: str, case: Case, kind: MethodKind, name: str) -> str:
    """What the change costs on the card, where the card has room for it."""
    fmt = case.fmt
    _ = fmt.gettext
    bought = (one for one in case.results[kind].suggestions if name in one.changes and one.saves_bytes < 0)
    change = next(bought, None)
    if change is None:
        return said
    price = _("{change}: {more} more on the {card}").format(
        change=_(value_of(change.text, "change")),
        more=fmt.memory_with_unit(-change.saves_bytes),
        card=short_card_name(case.card.name),
    )
    if change.step_time_ratio is not None and abs(change.step_time_ratio - 1) >= _NOTICEABLE:
        slower = _(", about {share} slower") if change.step_time_ratio > 1 else _(", about {share} faster")
        price += slower.format(share=fmt.percent(abs(change.step_time_ratio - 1)))
    return f"{said} {price}."


TESTS: Final[Mapping[str, Callable[[Case, MethodKind], Held]]] = {
    "card": _card,
    "card_from_24": _card_from_24,
    "card_below_24": _card_below_24,
    "saving": _saving,
    "time": _time,
    "trained": _trained,
    "judge": _judge,
    "targets": _targets,
    "rank": _rank,
}
"""How each kind of rule is held against a case, by the name in the data."""
