"""The phases of a step: sized at once, broken down into components when somebody asks.

Most estimates are made to be compared (a search, a suggestion, a list of cards) and only their totals are read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from app.memory.inputs import Batch
from app.memory.moments import StepMoment
from app.memory.parts import COMPONENTS, OVERHEADS
from app.memory.result import Component, ComponentName, OverheadName, Phase, PhaseName
from app.memory.states import States
from app.memory.tape import Category
from app.units import ALLOCATION_BLOCK_BYTES

CATEGORY_COMPONENT: Mapping[Category, ComponentName] = {
    Category.ACTIVATION: ComponentName.ACTIVATIONS,
    Category.LOGITS: ComponentName.LOGITS,
    Category.WEIGHT_COPY: ComponentName.GATHERED_WEIGHTS,
    Category.TEMPORARY: ComponentName.TEMPORARIES,
    Category.GRADIENT: ComponentName.GRADIENTS,
}
IN_ORDER_OF_THE_STEP = tuple(PhaseName)
IN_ORDER_OF_THE_CHART = tuple(ComponentName)

Held = dict[ComponentName, int]


@dataclass(slots=True)
class SizedPhase:
    """A phase's bytes, and what they are made of: what lives throughout and what a moment adds."""

    name: PhaseName
    bytes: int
    held: Held
    moment: StepMoment | None = None

    def broken_down(self, batch: Batch) -> Phase:
        """The phase with its components; zeros are left out."""
        parts = dict(self.held)
        micro_batch_size, sequence_length = batch.micro_batch_size, batch.sequence_length
        for category, size in self.moment.parts if self.moment else ():
            name = CATEGORY_COMPONENT[category]
            parts[name] = parts.get(name, 0) + size.at(micro_batch_size, sequence_length)
        components = tuple([component(part, parts[part]) for part in IN_ORDER_OF_THE_CHART if parts.get(part)])
        return Phase(self.name, sum(parts.values()), components)


def held_throughout(states: States, *, accumulating: bool) -> Held:
    """What lives through the whole step; under accumulation the gradients too."""
    held = {
        ComponentName.WEIGHTS: states.weights,
        ComponentName.QUANTISATION_STATE: states.quantisation_state,
        ComponentName.ADAPTERS: states.adapters,
        ComponentName.OPTIMIZER_STATE: states.optimizer_state,
        ComponentName.COMMUNICATION: states.communication,
    }
    if accumulating:
        held[ComponentName.GRADIENTS] = states.gradients
    return held


def computing_phases(moments: tuple[StepMoment, ...], held: Held, batch: Batch) -> list[SizedPhase]:
    """Forward, loss and backward: the largest moment of each."""
    throughout = sum(held.values())
    micro_batch_size, sequence_length = batch.micro_batch_size, batch.sequence_length
    largest: dict[PhaseName, tuple[int, StepMoment]] = {}
    for moment in moments:
        bytes_ = moment.total.at(micro_batch_size, sequence_length)
        known = largest.get(moment.phase)
        if known is None or bytes_ > known[0]:
            largest[moment.phase] = bytes_, moment
    return [
        SizedPhase(name, throughout + largest[name][0], held, largest[name][1])
        for name in IN_ORDER_OF_THE_STEP
        if name in largest
    ]


def update_temporaries(states: States, *, clips: bool) -> dict[PhaseName, int]:
    """Clipping keeps a norm a tensor (``torch/nn/utils/clip_grad.py``); the update its own temporaries."""
    if not clips:
        return {PhaseName.OPTIMIZER_STEP: states.step_temporary}
    norms = states.trained_tensors * ALLOCATION_BLOCK_BYTES
    return {PhaseName.CLIP: norms, PhaseName.OPTIMIZER_STEP: states.step_temporary}


def updating_phases(states: States, held: Held, *, clips: bool) -> list[SizedPhase]:
    """Clipping, where there is any, and the update."""
    phases = []
    for name, temporary in update_temporaries(states, clips=clips).items():
        parts = {**held, ComponentName.GRADIENTS: states.gradients, ComponentName.TEMPORARIES: temporary}
        phases.append(SizedPhase(name, sum(parts.values()), parts))
    return phases


@lru_cache(maxsize=1024)
def component(name: ComponentName, bytes_: int) -> Component:
    """A component with its words: what lives throughout is one object in every phase."""
    words = COMPONENTS[name]
    return Component(name, bytes_, words.explanation, None, words.source)


def overhead(name: OverheadName, bytes_: int) -> Component:
    """An overhead with its words."""
    words = OVERHEADS[name]
    return Component(name, bytes_, words.explanation, None, words.source)
