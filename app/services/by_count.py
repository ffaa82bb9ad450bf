"""What each card holds as the states of a run are spread over more of them."""

from dataclasses import dataclass
from datetime import date
from typing import Final

from app.catalogue.snapshot import Snapshot
from app.memory.device import Verdict
from app.memory.result import MemoryEstimate
from app.memory.verdict import judge
from app.request import MOST_GPUS, Run
from app.services.assess import Assessment
from app.services.counts import counts_of, estimate_on
from app.services.policy import Policy
from app.services.results import EstimateResult

LARGE_BYTES: Final = 48 * 10**9
"""A run that needs more than the largest workstation cards are sold with is one for several cards."""
SHOWN_WITHOUT_CARD: Final = 16
MOST_OF_A_CARD: Final = 8
"""Fewer cards of which each would have to hold more times what it can are left out: they would dwarf the others."""
_DOUBLINGS: Final = tuple(2**power for power in range(MOST_GPUS.bit_length()))


@dataclass(frozen=True, kw_only=True, slots=True)
class CountFit:
    """The run on so many cards: what each must have, and whether the chosen card has it (None without one)."""

    num_gpus: int
    memory: MemoryEstimate
    verdict: Verdict | None


def concerns_several_cards(result: EstimateResult) -> bool:
    """Whether a result asks how many cards it takes: it is on several, too much for its card, or large."""
    if result.run.num_gpus > 1:
        return True
    if result.verdict is not None:
        return result.verdict.status is Verdict.DOES_NOT_FIT
    return result.memory.required_bytes > LARGE_BYTES


def by_count(given: Run, snapshot: Snapshot, today: date, policy: Policy) -> tuple[CountFit, ...]:
    """The run on one card and on doublings of it, fully sharded, a card's micro-batch unchanged; up to twice the
    fewest doubling that fits. Raises :class:`~app.request.RequestError`."""
    assessment = Assessment.of(given, snapshot, today, policy)
    architecture, groups = assessment.model.architecture, assessment.groups
    gpu = snapshot.gpu(given.gpu) if given.gpu else None
    own = assessment.run.num_gpus
    possible = set(counts_of(groups.cluster, MOST_GPUS))
    found: list[CountFit] = []
    last = SHOWN_WITHOUT_CARD if gpu is None else MOST_GPUS
    for count in sorted({*_DOUBLINGS, own} & {*possible, own}):
        if count > max(last, own):
            break
        estimate = estimate_on(architecture, groups, count, gpu.device if gpu else None)
        verdict = None
        if gpu is not None:
            verdict, _reason = judge(estimate, gpu.device, groups.method, groups.precision, groups.batch)
            if count < own and estimate.required_bytes > MOST_OF_A_CARD * gpu.device.usable_bytes:
                continue
            if verdict is Verdict.FITS:
                last = min(last, 2 * count)
        found.append(CountFit(num_gpus=count, memory=estimate, verdict=verdict))
    return tuple(found)
