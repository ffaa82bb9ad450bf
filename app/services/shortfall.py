"""What to do where a card does not hold a run: the smallest change that would, or how many cards at least."""

from collections.abc import Iterable, Iterator

from app.catalogue.facts import CatalogueGpu
from app.memory.device import Verdict
from app.memory.inputs import MethodKind
from app.memory.verdict import judge
from app.messages import message, sentences
from app.services.assess import Assessment
from app.services.counts import SHARDED, estimate_on
from app.services.report import gib, static_bytes
from app.services.results import Reason, RejectedCard, Suggestion
from app.services.switches import Evaluated, suggestion

METHOD_WORDS = {
    MethodKind.FULL: message("full fine-tuning"),
    MethodKind.LORA: message("LoRA"),
    MethodKind.QLORA: message("QLoRA"),
}
MAX_REJECTED = 20
"""Cards named as rejected for each method, the largest first: nobody reads on to the 2 GB ones."""


def rejections(assessment: Assessment, cards: Iterable[CatalogueGpu], held: set[str]) -> Iterator[RejectedCard]:
    """The cards that do not hold the run, each with the smallest single change that would help, or a count of cards."""
    savings = assessment.savings(None)
    missed = sorted((gpu for gpu in cards if gpu.slug not in held), key=lambda gpu: -gpu.device.usable_bytes)
    for gpu in missed[:MAX_REJECTED]:
        _, verdict, reason = assessment.judged(gpu)
        fix = None if verdict is Verdict.UNSUPPORTED else _fix(assessment, gpu, savings)
        yield RejectedCard(gpu=gpu.slug, method=assessment.run.method, reason=reason, fix=fix)


def _fix(assessment: Assessment, gpu: CatalogueGpu, savings: Iterable[Evaluated]) -> Suggestion | None:
    """Changes that leave the job alone come first, then the one that changes least."""
    helpful = [item for item in savings if _would_fit(item, gpu)]
    if helpful:
        chosen = min(helpful, key=lambda item: (item.switch.changes_job, item.saves_bytes))
        return suggestion(assessment.memory(), chosen)
    return more_cards(assessment, gpu)


def _would_fit(item: Evaluated, gpu: CatalogueGpu) -> bool:
    groups = item.groups
    verdict, _ = judge(item.estimate, gpu.device, groups.method, groups.precision, groups.batch)
    return verdict is Verdict.FITS


def more_cards(assessment: Assessment, gpu: CatalogueGpu) -> Suggestion | None:
    """The fewest of these cards that hold the run with its states sharded over them; None where 64 do not."""
    memory = assessment.memory(gpu.device)
    count = assessment.fewest_gpus(gpu)
    if count is None:
        return None
    spread = estimate_on(assessment.model.architecture, assessment.groups, count, gpu.device)
    return Suggestion(
        changes={"num_gpus": count, "strategy": SHARDED.value},
        saves_bytes=memory.required_bytes - spread.required_bytes,
        step_time_ratio=None,
        text=message(
            "{count} of these cards with weights, gradients and optimizer state sharded: {before} → {after} GiB on "
            "each.",
            count=count,
            before=gib(memory.required_bytes),
            after=gib(spread.required_bytes),
        ),
    )


def nothing_holds(assessment: Assessment, cards: tuple[CatalogueGpu, ...]) -> Iterator[Reason]:
    """Why no allowed card holds the run, which switches would make one, and how many cards at least would."""
    largest = max(cards, key=lambda gpu: gpu.device.usable_bytes)
    memory = assessment.memory(largest.device)
    name = assessment.model.summary.name
    yield Reason(
        code="nothing_holds",
        text=message(
            "No single card here holds {method} of {model} as asked: it needs {needed} GiB, and the largest, {card}, "
            "gives {usable}.",
            method=METHOD_WORDS[assessment.run.method],
            model=name,
            needed=gib(memory.required_bytes),
            card=largest.name,
            usable=gib(largest.device.usable_bytes),
        ),
    )
    helpful = [item for item in assessment.savings(None) if any(_would_fit(item, gpu) for gpu in cards)]
    for item in helpful:
        smallest = min((gpu for gpu in cards if _would_fit(item, gpu)), key=lambda gpu: gpu.device.usable_bytes)
        yield Reason(
            code="switch",
            text=sentences(
                suggestion(assessment.memory(), item).text, message("Then {card} holds it.", card=smallest.name)
            ),
        )
    count = assessment.fewest_gpus(largest)
    if count is not None:
        spread = estimate_on(assessment.model.architecture, assessment.groups, count)
        yield Reason(
            code="more_cards",
            text=message(
                "Sharded, it takes {count} × {card}: {needed} of the {usable} GiB that each gives. Weights, gradients "
                "and optimizer state are {static} GiB in all.",
                count=count,
                card=largest.name,
                needed=gib(spread.required_bytes),
                usable=gib(largest.device.usable_bytes),
                static=gib(static_bytes(memory)),
            ),
        )
    else:
        yield Reason(
            code="more_cards",
            text=message(
                "No number of {card} up to 64 holds it with this micro-batch and these parallel degrees.",
                card=largest.name,
            ),
        )
