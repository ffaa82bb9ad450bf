"""Each component of a peak as arithmetic with the run's own numbers in it, to be checked by hand.

A formula is a sum of products that comes to the component's bytes; what tensors are rounded up to (blocks of 512 bytes)
and small buffers are its last term, so that it adds up. Words are kept out of it: ``×``, ``÷`` and the unit say enough.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

from app.memory.architecture import Architecture, ParameterKind
from app.memory.inputs import Batch, Method, QuantizationFormat
from app.memory.moments import StepMoment
from app.memory.optimizers import BLOCK_ELEMENTS, OPTIMIZERS
from app.memory.overheads import SLACK_MEDIAN
from app.memory.parallelism import Layout
from app.memory.phases import CATEGORY_COMPONENT
from app.memory.policy import Policy
from app.memory.result import Component, ComponentName, Formulas, MemoryEstimate, OverheadName
from app.memory.size import ZERO, Size
from app.memory.states import ALWAYS_FLOAT32, NESTED_BLOCK, NF4_BLOCK, States
from app.memory.tape import FLOAT32

EIGHT_BIT = 1 + Fraction(FLOAT32, BLOCK_ELEMENTS)
_WIDTHS = {Fraction(1, 2): "½ B", EIGHT_BIT: f"(1 + {FLOAT32} ÷ {BLOCK_ELEMENTS}) B"}


@dataclass(frozen=True, slots=True)
class Explained:
    """What the formulas of one peak are made from. ``moment`` is what a step adds; None where it is the update."""

    architecture: Architecture
    method: Method
    policy: Policy
    batch: Batch
    layout: Layout
    states: States
    moment: StepMoment | None

    @property
    def tokens(self) -> int:
        """Of a micro-batch."""
        return self.batch.micro_batch_size * self.batch.sequence_length


@dataclass(frozen=True, slots=True)
class Term:
    """A product: its factors as they are written, and what they come to in bytes."""

    text: str
    bytes: Fraction


WORKSPACE_TERMS = (
    Term("2 × 4,096 KiB", Fraction(2 * 4096 * 1024)),
    Term("8 × 16 KiB", Fraction(8 * 16 * 1024)),
)
"""cuBLAS's before Hopper; the larger ones are a round number of MiB."""


def formula(name: ComponentName, bytes_: int, peak: Explained) -> str:
    """The formula of a component that takes ``bytes_`` at the peak."""
    terms = tuple(term for term in _terms(name, peak) if term.bytes)
    whole = round(sum(term.bytes for term in terms))
    if (name is ComponentName.GRADIENTS and whole > bytes_) or (name is ComponentName.WORKSPACES and whole != bytes_):
        terms = ()  # not all gradients are there yet; another card's workspaces
    return _written(terms, bytes_)


def overhead_formula(name: OverheadName, bytes_: int, peak_bytes: int) -> str:
    """The formula of an overhead over a peak."""
    if name is OverheadName.ALLOCATOR_SLACK:
        return f"{peak_bytes:,} B × {SLACK_MEDIAN[0] / SLACK_MEDIAN[1]:g} = {bytes_:,} B"
    return f"{bytes_:,} B"


def _terms(name: ComponentName, peak: Explained) -> Iterable[Term]:
    of_states = _OF_STATES.get(name)
    if of_states is not None:
        return of_states(peak)
    if name is ComponentName.WORKSPACES:
        return WORKSPACE_TERMS
    if name is ComponentName.TEMPORARIES and peak.moment is None:
        return _of_update(peak)
    return _of_moment(name, peak)


def _weights(peak: Explained) -> Iterable[Term]:
    return _weight_terms(peak.architecture, peak.policy, peak.layout)


@lru_cache(maxsize=256)
def _weight_terms(architecture: Architecture, policy: Policy, layout: Layout) -> tuple[Term, ...]:
    by_width = dict[Fraction, int]()
    for parameter in architecture.parameters:
        count = layout.local_elements(parameter) * parameter.count
        width = Fraction(policy.resident_width if policy.trains_base else policy.plain_width)
        if policy.quantization is not None and parameter.kind is ParameterKind.LINEAR:
            width = Fraction(1) if policy.quantization is QuantizationFormat.INT8 else Fraction(1, 2)
        elif parameter.kind in ALWAYS_FLOAT32:
            width = Fraction(FLOAT32)
        by_width[width] = by_width.get(width, 0) + count
    sharded = layout.shards if layout.traits.shards_weights else 1
    return tuple([_product(count, width, sharded) for width, count in sorted(by_width.items())])


def _scales(peak: Explained) -> Iterable[Term]:
    return _scale_terms(peak.architecture, peak.policy, peak.layout)


@lru_cache(maxsize=256)
def _scale_terms(architecture: Architecture, policy: Policy, layout: Layout) -> tuple[Term, ...]:
    if policy.quantization is QuantizationFormat.INT8:
        return ()
    linear = sum(
        layout.local_elements(parameter) * parameter.count
        for parameter in architecture.parameters
        if parameter.kind is ParameterKind.LINEAR
    )
    if not policy.double_quantization:
        return (_product(linear, Fraction(FLOAT32), NF4_BLOCK),)
    return (
        _product(linear, Fraction(1), NF4_BLOCK),
        _product(linear, Fraction(FLOAT32), NF4_BLOCK * NESTED_BLOCK),
    )


def _adapters(peak: Explained) -> Iterator[Term]:
    sharded = peak.layout.shards if peak.layout.traits.shards_weights else 1
    width = Fraction(peak.policy.adapter_resident_width)
    yield _product(peak.states.counts.adapter, width, sharded * peak.layout.tensor)


def _trained(peak: Explained) -> Iterator[Term]:
    sharded = peak.layout.shards if peak.layout.traits.shards_gradients else 1
    yield _product(peak.states.counts.trainable, _trained_width(peak), sharded * peak.layout.tensor)


def _of_update(peak: Explained) -> Iterator[Term]:
    copies = OPTIMIZERS[peak.method.optimizer].step_copies_of_all
    for term in _trained(peak) if copies else ():
        yield term if copies == 1 else Term(f"{copies} × {term.text}", copies * term.bytes)


def _optimizer_state(peak: Explained) -> Iterator[Term]:
    """Copies of what trains, at its own width, in float32 or in 8 bits; whichever comes nearest."""
    layout, trainable = peak.layout, peak.states.counts.trainable
    sharded = (layout.shards if layout.traits.shards_optimizer else 1) * layout.tensor
    apart = _embedding_apart(peak)
    found = Fraction(peak.states.optimizer_state * sharded - 2 * FLOAT32 * apart, max(1, trainable - apart))
    for width in (_trained_width(peak), Fraction(FLOAT32), EIGHT_BIT):
        copies = round(found / width)
        if copies and abs(found - copies * width) * 100 < found:
            term = _product(trainable - apart, width, sharded)
            yield Term(f"{copies} × {term.text}", copies * term.bytes)
            break
    if apart:
        term = _product(apart, Fraction(FLOAT32), sharded)
        yield Term(f"2 × {term.text}", 2 * term.bytes)


def _embedding_apart(peak: Explained) -> int:
    """Numbers of the embedding whose state stays in 32 bits under an 8-bit optimizer."""
    is_8bit = peak.method.optimizer in {"adamw_bnb_8bit", "paged_adamw_8bit"}
    applies = is_8bit and peak.method.embedding_state_32bit and peak.policy.trains_base
    return peak.architecture.embedding_elements if applies else 0


def _trained_width(peak: Explained) -> Fraction:
    policy = peak.policy
    return Fraction(policy.resident_width if policy.trains_base else policy.adapter_resident_width)


_OF_STATES: Mapping[ComponentName, Callable[[Explained], Iterable[Term]]] = {
    ComponentName.WEIGHTS: _weights,
    ComponentName.QUANTISATION_STATE: _scales,
    ComponentName.ADAPTERS: _adapters,
    ComponentName.OPTIMIZER_STATE: _optimizer_state,
    ComponentName.GRADIENTS: _trained,
}


def _of_moment(name: ComponentName, peak: Explained) -> Iterator[Term]:
    size = ZERO
    for category, part in peak.moment.parts if peak.moment else ():
        if CATEGORY_COMPONENT[category] is name:
            size = size + part
    if name is ComponentName.ACTIVATIONS:
        inputs = _checkpoints(peak)
        if inputs is not None and size.token >= inputs[2]:
            layers, width, per_token = inputs
            tokens, hidden = peak.tokens, peak.architecture.hidden_size
            yield Term(f"{tokens:,} × {layers} × {hidden:,} × {width} B", Fraction(tokens * per_token))
            size = size - Size(token=per_token)
    yield from _polynomial(size, peak, words=name is ComponentName.LOGITS)


def _checkpoints(peak: Explained) -> tuple[int, int, int] | None:
    """Layers, width and bytes a token of the inputs that checkpoints hold."""
    if not peak.batch.gradient_checkpointing.repeats_every_layer:
        return None
    layers, width = len(peak.architecture.layers), peak.policy.stream_width
    return layers, width, layers * width * peak.architecture.hidden_size


def _polynomial(size: Size, peak: Explained, *, words: bool) -> Iterator[Term]:
    """The monomials of a size whose rank has been put in."""
    tokens, length, vocabulary = peak.tokens, peak.batch.sequence_length, peak.architecture.vocab_size
    copies, odd = divmod(size.token, vocabulary)
    if words and copies and not odd:
        yield Term(f"{tokens:,} × {vocabulary:,} × {copies} B", Fraction(tokens * size.token))
    elif size.token:
        yield Term(f"{tokens:,} × {size.token:,} B", Fraction(tokens * size.token))
    if size.token_position:
        yield Term(
            f"{tokens:,} × {length:,} × {size.token_position:,} B", Fraction(tokens * length * size.token_position)
        )
    if size.position:
        yield Term(f"{length:,} × {size.position:,} B", Fraction(length * size.position))
    if size.position_pair:
        yield Term(f"{length:,}² × {size.position_pair:,} B", Fraction(length**2 * size.position_pair))


def _product(count: int, width: Fraction, shards: int) -> Term:
    each = _WIDTHS.get(width, f"{float(width):g} B")
    over = f" ÷ {shards:,}" if shards > 1 else ""
    return Term(f"{count:,} × {each}{over}", count * width / shards)


def _written(terms: tuple[Term, ...], bytes_: int) -> str:
    rest = bytes_ - round(sum((term.bytes for term in terms), Fraction()))
    text = " + ".join(term.text for term in terms)
    if not terms:
        return f"{bytes_:,} B"
    if rest:
        text += f" {'+' if rest > 0 else '−'} {abs(rest):,} B"
    return f"{text} = {bytes_:,} B"


def formulas(components: Iterable[Component], peak: Explained) -> Formulas:
    """The formulas of a peak's components."""
    return {
        part.name: formula(part.name, part.bytes, peak) for part in components if isinstance(part.name, ComponentName)
    }


def explained(estimate: MemoryEstimate) -> tuple[tuple[Component, ...], tuple[Component, ...]]:
    """The peak's components and the overheads of an estimate, each with its formula."""
    found = estimate.explains()
    peak_bytes = estimate.peak_allocated_bytes
    return (
        tuple(replace(part, formula=found[part.name]) for part in estimate.components),
        tuple(
            replace(part, formula=overhead_formula(part.name, part.bytes, peak_bytes))
            for part in estimate.overheads
            if isinstance(part.name, OverheadName)
        ),
    )
