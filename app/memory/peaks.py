"""Of a step's moments, those that can be a phase's largest once the adapters' rank is known.

What a layer keeps is derived for any rank, and with the rank open few moments can be ruled out. A rank is shared
by many runs, so that it is put in once, and most moments fall away.
"""

from collections.abc import Iterable
from functools import lru_cache
from operator import itemgetter

from app.memory.architecture import Architecture
from app.memory.head import LossPolicy
from app.memory.inputs import Checkpointing
from app.memory.moments import WHOLE, Spread, StepMoment
from app.memory.policy import Policy
from app.memory.result import PhaseName
from app.memory.size import not_less
from app.memory.step import step_moments


@lru_cache(maxsize=4096)
def peak_moments(
    architecture: Architecture,
    policy: Policy,
    loss: LossPolicy,
    checkpointing: Checkpointing,
    masked_length: int,
    trains_embedding: bool,
    rank: int,
    spread: Spread = WHOLE,
) -> tuple[StepMoment, ...]:
    """The moments of :func:`~app.memory.step.step_moments` that can be the largest of their phase at ``rank``.

    Their sizes do not depend on the rank any more.
    """
    moments = step_moments(architecture, policy, loss, checkpointing, masked_length, trains_embedding, spread)
    return largest_possible(_at_rank(moment, rank) for moment in moments)


def _at_rank(moment: StepMoment, rank: int) -> StepMoment:
    """The moment with the rank put in. What has none in it is the same object at every rank, since many are kept."""
    parts = tuple([part if (size := part[1].at_rank(rank)) is part[1] else (part[0], size) for part in moment.parts])
    if parts == moment.parts:
        return moment
    return StepMoment(moment.phase, moment.total.at_rank(rank), parts)


def largest_possible(moments: Iterable[StepMoment]) -> tuple[StepMoment, ...]:
    """Those that no other of their phase outweighs at every batch and sequence; of equals the first."""
    phases: dict[PhaseName, list[tuple[tuple[int, int, int, int, int], int, StepMoment]]] = {}
    for number, moment in enumerate(moments):
        phases.setdefault(moment.phase, []).append((moment.total.corners, -number, moment))
    kept: list[StepMoment] = []
    for rivals in phases.values():
        # What outweighs another comes before it: only those kept so far need to be looked at.
        rivals.sort(key=_CORNERS_AND_NUMBER, reverse=True)
        found: list[tuple[tuple[int, int, int, int, int], int, StepMoment]] = []
        for rival in rivals:
            if not any(not_less(other[0], rival[0]) for other in found):
                found.append(rival)
        kept.extend(moment for _, _, moment in sorted(found, key=_NUMBER, reverse=True))
    return tuple(kept)


_CORNERS_AND_NUMBER = itemgetter(0, 1)
_NUMBER = itemgetter(1)
