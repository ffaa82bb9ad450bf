"""What to do where a card does not hold a run: the smallest change that would, or how many cards at least."""

from collections.abc import Iterable, Iterator

from app.catalogue.facts import CatalogueGpu
from app.memory.device import Verdict
from app.memory.inputs import MethodKind
from app.memory.verdict import judge
from app.services.assess import Assessment
from app.services.counts import SHARDED, estimate_on
from app.services.report import gib, static_bytes
from app.services.results import Reason, RejectedCard, Suggestion
from app.services.switches import Evaluated, suggestion

METHOD_WORDS = {MethodKind.FULL: "full fine-tuning", MethodKind.LORA: "LoRA", MethodKind.QLORA: "QLoRA"}
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
    return _more_cards(assessment, gpu)


def _would_fit(item: Evaluated, gpu: CatalogueGpu) -> bool:
    groups = item.groups
    verdict, _ = judge(item.estimate, gpu.device, groups.method, groups.precision, groups.batch)
    return verdict is Verdict.FITS


def _more_cards(assessment: Assessment, gpu: CatalogueGpu) -> Suggestion | None:
    memory = assessment.memory(gpu.device)
    count = assessment.fewest_gpus(gpu)
    if count is None:
        return None
    spread = estimate_on(assessment.model.architecture, assessment.groups, count)
    return Suggestion(
        changes={"num_gpus": count, "strategy": SHARDED.value},
        saves_bytes=memory.required_bytes - spread.required_bytes,
        step_time_ratio=None,
        text=f"{count} of these cards with weights, gradients and optimizer state sharded: "
        f"{gib(memory.required_bytes)} → {gib(spread.required_bytes)} GiB on each.",
    )


def nothing_holds(assessment: Assessment, cards: tuple[CatalogueGpu, ...]) -> Iterator[Reason]:
    """Why no allowed card holds the run, which switches would make one, and how many cards at least would."""
    largest = max(cards, key=lambda gpu: gpu.device.usable_bytes)
    memory = assessment.memory(largest.device)
    name = assessment.model.summary.name
    yield Reason(
        code="nothing_holds",
        text=f"No single card here holds {METHOD_WORDS[assessment.run.method]} of {name} as asked: it needs "
        f"{gib(memory.required_bytes)} GiB, and the largest, {largest.name}, gives {gib(largest.device.usable_bytes)}.",
    )
    helpful = [item for item in assessment.savings(None) if any(_would_fit(item, gpu) for gpu in cards)]
    for item in helpful:
        smallest = min((gpu for gpu in cards if _would_fit(item, gpu)), key=lambda gpu: gpu.device.usable_bytes)
        yield Reason(
            code="switch",
            text=f"{suggestion(assessment.memory(), item).text} Then {smallest.name} holds it.",
        )
    count = assessment.fewest_gpus(largest)
    if count is not None:
        spread = estimate_on(assessment.model.architecture, assessment.groups, count)
        yield Reason(
            code="more_cards",
            text=f"Sharded, it takes {count} × {largest.name}: {gib(spread.required_bytes)} of the "
            f"{gib(largest.device.usable_bytes)} GiB that each gives. Weights, gradients and optimizer state are "
            f"{gib(static_bytes(memory))} GiB in all.",
        )
    else:
        yield Reason(
            code="more_cards",
            text=f"No number of {largest.name} up to 64 holds it with this micro-batch and these parallel degrees.",
        )
