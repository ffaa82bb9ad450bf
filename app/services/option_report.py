"""A planned option as responses show it: its run, what it takes, and reasons that a buyer understands."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final

from app.catalogue.facts import Commitment, Period
from app.memory.device import Verdict
from app.memory.inputs import Checkpointing, LossKernel, MethodKind
from app.messages import Sum, counted, listed, mark, message, rounded, sentence
from app.planning.space import Lever, title
from app.request import Groups, Run, to_groups
from app.services.pace import cost_report, speed_report, time_report
from app.services.planned import PricedPlan
from app.services.quality import quality_of, quality_report
from app.services.ranking import cards_of, trade_off
from app.services.report import gib, memory_report
from app.services.results import CostReport, Reason, RecommendOption

FEW_RUNS: Final = 3
"""Published runs on a class of cards below which a speed is called little measured."""

METHOD_STARTS: Final = {
    MethodKind.FULL: message("Full fine-tuning"),
    MethodKind.LORA: message("LoRA"),
    MethodKind.QLORA: message("QLoRA"),
}
"""The methods as a sentence begins."""
_SETTINGS: Final = {
    Checkpointing.NONE: message("no gradient checkpointing"),
    Checkpointing.FULL: message("gradient checkpointing"),
    Checkpointing.SELECTIVE: message("selective checkpointing"),
    Checkpointing.REENTRANT: message("reentrant checkpointing"),
}


def run_of_option(option: PricedPlan) -> Run | None:
    """The run with everything that was chosen filled in; None where a field's bounds do not take it."""
    plan, assessment = option.plan, option.assessment
    changed = assessment.with_changes(
        {
            Lever.MICRO_BATCH_SIZE.value: plan.batch.micro_batch_size,
            "gradient_accumulation_steps": plan.batch.gradient_accumulation_steps,
            Lever.GRADIENT_CHECKPOINTING.value: plan.batch.gradient_checkpointing.value,
            Lever.LOSS_KERNEL.value: plan.batch.loss_kernel.value,
            Lever.OPTIMIZER.value: plan.way.method.optimizer,
            Lever.STRATEGY.value: plan.way.cluster.strategy.value,
            "num_gpus": plan.num_gpus,
            "gpu": option.gpu.slug,
            "offer": option.quote.offer.id,
        }
    )
    if changed is None:
        return None
    return changed.model_copy(update={"model": assessment.model.reference, "config": None})


def option_report(
    option: PricedPlan, run: Run, position: int, *, first: PricedPlan, following: PricedPlan | None
) -> RecommendOption:
    """The option in the contract's shape, compared with the ``first``, and that with the one ``following``."""
    plan, assessment = option.plan, option.assessment
    groups: Groups = to_groups(run)
    memory = assessment.memory_of(run, groups, option.gpu.device)
    compared = following if option is first else first
    cost = cost_report(plan.job, option.quote, groups.cluster) if plan.job else None
    return RecommendOption(
        position=position,
        run=run,
        gpu=option.gpu.slug,
        gpu_name=option.gpu.name,
        num_gpus=plan.num_gpus,
        offer=option.quote.report,
        verdict=plan.verdict,
        memory=memory_report(memory),
        speed=speed_report(plan.speed) if plan.speed else None,
        time=time_report(plan.job) if plan.job else None,
        cost=cost,
        quality=quality_report(quality_of(groups.method.kind, groups.method.adapter)),
        reasons=tuple(_reasons(option, memory.required_bytes, cost)),
        trade_off=trade_off(option, compared) if compared is not None else None,
    )


def name_of(option: PricedPlan) -> str:
    """``LoRA of Llama 3 8B``."""
    assessment = option.assessment
    return run_name(assessment.run.method, assessment.model.summary.name)


def run_name(method: MethodKind, model: str) -> str:
    """A method of a model as a sentence begins."""
    return message("{method} of {model}", method=METHOD_STARTS[method], model=model)


def _reasons(option: PricedPlan, required_bytes: int, cost: CostReport | None) -> Iterator[Reason]:
    plan, offer, gpu = option.plan, option.quote.offer, option.gpu
    needed, usable = gib(required_bytes), gib(gpu.device.usable_bytes)
    yield Reason(
        code="memory",
        text=message(
            "{run} needs {needed} GiB; {card} gives {usable}.",
            run=name_of(option),
            needed=needed,
            card=gpu.name,
            usable=usable,
        ),
    )
    yield Reason(code="settings", text=_settings(option))
    if plan.num_gpus > 1:
        yield Reason(code="several_cards", text=_shared(option))
    yield from _risks(option)
    unused = option.quote.servers * offer.gpus_per_server - plan.num_gpus
    if option.quote.servers > 1:
        yield Reason(
            code="several_servers",
            text=message(
                "It takes {servers} servers of {cards} cards, joined by a network.",
                servers=option.quote.servers,
                cards=offer.gpus_per_server,
            ),
        )
    if unused:
        yield Reason(
            code="unused_cards",
            text=message(
                "The server has {cards} cards; {unused} would stand idle.", cards=offer.gpus_per_server, unused=unused
            ),
        )
    if offer.period is Period.MONTH:
        yield Reason(code="by_the_month", text=_months(option, cost))
    if offer.observed_on is None:
        yield Reason(code="undated", text=mark("Nobody knows when this price was seen."))
    if offer.is_sample:
        yield Reason(code="sample", text=mark("A published price point, not a live offer."))


def _risks(option: PricedPlan) -> Iterator[Reason]:
    plan, offer = option.plan, option.quote.offer
    if plan.verdict is Verdict.TIGHT:
        yield Reason(
            code="tight", text=mark("The interval reaches beyond what the card gives: it may run out of memory.")
        )
    if offer.commitment is Commitment.SPOT:
        yield Reason(
            code="spot", text=mark("Spot: the provider may take the server back at any time; save checkpoints often.")
        )
    if plan.speed is None:
        yield Reason(code="no_speed", text=mark("How fast this runs is not known, so neither is what the job costs."))
    elif not plan.speed.calibration.measured:
        yield Reason(
            code="few_measurements",
            text=message(
                "Nobody's runs on {cards} cards are known: the time is estimated from other cards', {low} to {high} × "
                "as long.",
                cards=option.gpu.device.architecture,
                low=_times(plan.speed.tokens_per_second, plan.speed.tokens_per_second_high),
                high=_times(plan.speed.tokens_per_second, plan.speed.tokens_per_second_low),
            ),
        )
    elif plan.speed.calibration.runs < FEW_RUNS:
        yield Reason(
            code="few_measurements",
            text=counted(
                "The time rests on one published run on such cards.",
                "The time rests on {count} published runs on such cards.",
                plan.speed.calibration.runs,
            ),
        )


def _times(value: float, by: float) -> Decimal:
    return rounded(value / by, 1)


def _settings(option: PricedPlan) -> str:
    """What to set, in one line."""
    plan, asked = option.plan, option.assessment.groups
    batch = plan.batch
    parts = [
        message(
            "Set micro-batch {size}, accumulation {steps}, {checkpointing}",
            size=batch.micro_batch_size,
            steps=batch.gradient_accumulation_steps,
            checkpointing=_SETTINGS[batch.gradient_checkpointing],
        )
    ]
    if batch.loss_kernel is LossKernel.LIGER and asked.batch.loss_kernel is not LossKernel.LIGER:
        parts.append(message("Liger's kernels"))
    if plan.way.method.optimizer != asked.method.optimizer:
        parts.append(message("optimizer {name}", name=plan.way.method.optimizer))
    return sentence(listed(parts))


def _shared(option: PricedPlan) -> str:
    return message(
        "{cards}, {strategy}: {sequences} sequences of each step on every card.",
        cards=cards_of(option),
        strategy=message(title(option.plan.way.cluster.strategy)),
        sequences=option.plan.way.sequences_a_card,
    )


def _months(option: PricedPlan, cost: CostReport | None) -> str:
    if cost is None:
        return mark("Rented by the month: a shorter job costs the whole month.")
    return counted(
        "A month of it costs {amount} and holds {runs} such runs.",
        "{count} months of it cost {amount} and hold {runs} such runs.",
        int(cost.periods),
        amount=Sum(cost.amount, cost.currency),
        runs=cost.runs_in_periods,
    )


def reports(shown: Sequence[PricedPlan], front: Sequence[PricedPlan]) -> list[tuple[PricedPlan, RecommendOption]]:
    """The options in their order, each beside its plan; one whose fields' bounds do not take the plan is left out."""
    firsts: dict[Period, PricedPlan] = {}
    made: list[tuple[PricedPlan, RecommendOption]] = []
    for option in shown:
        run = run_of_option(option)
        if run is None:
            continue
        first = firsts.setdefault(option.period, option)
        following = next((other for other in front if other is not first and other.period is first.period), None)
        made.append((option, option_report(option, run, len(made) + 1, first=first, following=following)))
    return made
