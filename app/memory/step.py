"""A training step as moments: everything that lives beside the model states, phase by phase.

The layers' and the head's profiles are put together into the moments at which a step can peak. Each moment
is a size that is linear in the micro-batch; it is derived once for a model and a policy.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

from app.memory.architecture import Architecture, Attention, Layer, SoftmaxAttention
from app.memory.head import LossPolicy, fills_cache, handed_over, head_tape
from app.memory.inputs import Checkpointing
from app.memory.liveness import Instant, Profile, analyse
from app.memory.policy import AttentionPath, Policy
from app.memory.result import PhaseName
from app.memory.size import ZERO, Size, constant, per_token, scores, sum_of
from app.memory.tape import Category, Tape
from app.memory.transcription import Code, decoder_layer
from app.memory.transcription.elements import tokens

SELECTIVE_EVERY = 2
"""``selective`` checkpoints every second layer (torchtitan's ``selective_ac_option="2"``)."""


@dataclass(frozen=True, slots=True)
class StepMoment:
    """What lives at one moment besides the model states, by category."""

    phase: PhaseName
    total: Size
    parts: tuple[tuple[Category, Size], ...]


@lru_cache(maxsize=1024)
def layer_profile(
    layer: Layer, hidden_size: int, policy: Policy, path: AttentionPath, input_width: int, input_requires_grad: bool
) -> Profile:
    """One layer's profile under a policy, for an input of ``input_width`` bytes an element."""
    tape = Tape(autocast=policy.autocast)
    source = tape.input(tokens(hidden_size), input_width, requires_grad=input_requires_grad)
    result = decoder_layer(Code(tape, policy, path), layer, source, hidden_size)
    return analyse(tape, result, source, accumulating=policy.accumulating)


@dataclass(frozen=True, slots=True)
class Spread:
    """How a step is spread over ranks, as far as its moments go.

    ``gradients`` is the share of finished gradients that a rank keeps, as numerator and denominator.
    ``gathered`` is the weights that are whole on the rank while a layer runs, ``root`` those that stay so
    from forward to the end of backward, in bytes. ``in_flight`` micro-batches wait in a pipeline stage.
    ``split`` ranks share each matrix under tensor parallelism.
    """

    gradients: tuple[int, int] = (1, 1)
    gathered: int = 0
    root: int = 0
    in_flight: int = 1
    split: int = 1


WHOLE = Spread()


class _Step:
    """The assembly of one step's moments."""

    def __init__(
        self,
        architecture: Architecture,
        policy: Policy,
        loss: LossPolicy,
        checkpointing: Checkpointing,
        masked_length: int,
        trains_embedding: bool,
        spread: Spread,
    ) -> None:
        self.architecture = architecture
        self.spread = spread
        self.policy = policy
        self.loss = loss
        self.trains_embedding = trains_embedding
        width = policy.stream_width
        self.streams: list[Size] = []
        """The input of each layer, and of the head."""
        self.profiles: list[Profile] = []
        self.checkpointed: list[bool] = []
        # adapters under checkpointing: PEFT makes the embedding's output require a gradient
        requires_grad = trains_embedding or checkpointing is not Checkpointing.NONE or not architecture.holds_embedding
        for index, layer in enumerate(architecture.layers):
            path = (
                policy.attention_path(layer.mixer, masked_length)
                if isinstance(layer.mixer, SoftmaxAttention)
                else AttentionPath.FLASH
            )
            profile = layer_profile(layer, architecture.hidden_size, policy, path, width, requires_grad)
            requires_grad = profile.result_requires_grad
            self.profiles.append(profile)
            self.streams.append(per_token(width * architecture.hidden_size))
            width = profile.result_width
            self.checkpointed.append(
                checkpointing is Checkpointing.FULL
                or (checkpointing is Checkpointing.SELECTIVE and index % SELECTIVE_EVERY == 0)
            )
        self.streams.append(per_token(width * architecture.hidden_size))
        tape, result, source = head_tape(architecture, policy, loss, width)
        self.head = analyse(tape, result, source, accumulating=policy.accumulating)
        self.masks = self._masks(masked_length)
        self.outside = self._outside()
        if any(self.checkpointed):
            # a checkpoint holds its function's arguments, the mask among them
            self.outside = self.outside + self.masks

    def _outside(self) -> Size:
        """Inputs and positions that live from before the first layer to the end: token ids and labels (int64)
        and cos and sin for each rotary embedding."""
        architecture, policy = self.architecture, self.policy
        tables = 2 * architecture.rotary_embeddings * architecture.rotary_dim * policy.stream_width
        return per_token(8) + Size(position=8 + tables) + self._embedding_kept()

    def _embedding_kept(self) -> Size:
        """What stands between the token's embedding and the first layer, and waits for backward."""
        architecture, policy = self.architecture, self.policy
        width = architecture.embedding_size or architecture.hidden_size
        stream = per_token(policy.stream_width * width)
        under_checkpointing = any(self.checkpointed)
        size = ZERO
        if not architecture.embedding_is_input and under_checkpointing and not policy.trains_base:
            # checkpointing makes the embedding's output a leaf that requires a gradient, which its graph node holds
            size = size + stream
        if not (policy.trains_base or under_checkpointing):
            return size
        if architecture.embedding_norm is not None and policy.trains_base:
            size = size + stream
        if architecture.embedding_dropout:
            size = size + per_token(architecture.hidden_size)
        return size

    def _masks(self, masked_length: int) -> Size:
        """Masks that the model's forward makes once: one a kind of attention that needs one."""
        policy = self.policy
        kinds: set[tuple[AttentionPath, int | None]] = set()
        for layer, _ in self.architecture.distinct_layers:
            if isinstance(layer.mixer, SoftmaxAttention):
                kinds.add((policy.attention_path(layer.mixer, masked_length), layer.mixer.window))
        size = ZERO
        for path, window in kinds:
            if path is AttentionPath.EFFICIENT and (policy.padded or window is not None):
                size = size + Size(token_position=1)
            elif path is AttentionPath.EAGER:
                size = size + Size(token_position=policy.stream_width)
        return size

    def kept_before(self, index: int) -> dict[Category, Size]:
        """What the layers before ``index`` keep for backward, and what other micro-batches in flight keep."""
        parts = self._kept(index)
        if self.spread.in_flight > 1:
            for category, size in self._kept(len(self.profiles)).items():
                _add(parts, category, size.times(self.spread.in_flight - 1))
        if self.spread.root:
            _add(parts, Category.WEIGHT_COPY, constant(self.spread.root))
        return parts

    def _kept(self, index: int) -> dict[Category, Size]:
        parts: dict[Category, Size] = {Category.ACTIVATION: self.outside}
        layers = zip(self.profiles, self.checkpointed, self.streams, strict=False)
        for profile, checkpointed, stream in islice(layers, index):
            if checkpointed or profile.keeps_input:
                _add(parts, Category.ACTIVATION, stream)
            if checkpointed:
                _add(parts, Category.ACTIVATION, profile.clinging)
                continue
            for category, size in profile.kept.parts.items():
                _add(parts, category, size)
        return parts

    def moments(self) -> Iterator[StepMoment]:
        count = len(self.profiles)
        everything = self.kept_before(count)
        casts = ZERO
        for profile, checkpointed in zip(self.profiles, self.checkpointed, strict=True):
            casts = casts + (profile.recast if checkpointed else profile.cached)
        last = self.profiles[-1]
        before_last = self.kept_before(count - 1)
        _add(before_last, Category.ACTIVATION, self._cache(count - 1))
        _add(before_last, Category.ACTIVATION, self.streams[-2])
        if count > 1 and not (self.checkpointed[0] or self.profiles[0].keeps_input):
            # the model's forward holds the embedding's output to its end
            _add(before_last, Category.TEMPORARY, self.streams[0])
        mixer = self.architecture.layers[-1].mixer
        if count > 1 and isinstance(mixer, Attention) and mixer.hands_weights_on:
            _add(before_last, Category.TEMPORARY, scores(mixer.num_heads * self.policy.attention_width))
        _add(before_last, Category.WEIGHT_COPY, casts + constant(self.spread.gathered))
        if not any(self.checkpointed):
            _add(before_last, Category.ACTIVATION, self.masks)
        for instant in last.quiet if self.checkpointed[-1] else last.forward:
            yield _moment(PhaseName.FORWARD, before_last, instant)
        if self.architecture.holds_head:
            yield from self._loss(everything, casts)
        yield from self._backward_layers()
        yield from self._backward_embedding()

    def _loss(self, everything: dict[Category, Size], casts: Size) -> Iterator[StepMoment]:
        at_loss = dict(everything)
        if self.head.keeps_input:
            _add(at_loss, Category.ACTIVATION, self.streams[-1])
        until_returned = dict(at_loss)
        _add(until_returned, Category.ACTIVATION, self._cache(len(self.profiles)))
        in_loss = dict(until_returned)
        _add(in_loss, Category.WEIGHT_COPY, casts)
        for instant in self.head.forward:
            yield _moment(PhaseName.LOSS, in_loss, instant)
        returned = handed_over(self.architecture, self.policy, self.loss)
        if returned is not ZERO:
            _add(until_returned, Category.LOGITS, returned)
            yield _moment(PhaseName.LOSS, until_returned, self.head.kept)
        for instant in self.head.backward:
            phase = PhaseName.BACKWARD_LOSS if Category.LOGITS in instant.parts else PhaseName.BACKWARD
            yield _moment(phase, at_loss, instant)

    def _cache(self, count: int) -> Size:
        """Keys and values of the first ``count`` layers that the model's output holds beyond what backward needs."""
        if not fills_cache(self.architecture, self.loss.kernel):
            return ZERO
        layers = zip(self.profiles, self.checkpointed, strict=True)
        return sum_of(profile.handed_on for profile, checkpointed in islice(layers, count) if checkpointed)

    def _backward_layers(self) -> Iterator[StepMoment]:
        """The last and the first occurrence of each kind of layer: between them memory changes linearly."""
        gradients = self._finished(self.head.gradients if self.architecture.holds_head else ZERO)
        first_and_last: dict[tuple[int, bool], list[int]] = {}
        for index, (profile, checkpointed) in enumerate(zip(self.profiles, self.checkpointed, strict=True)):
            first_and_last.setdefault((id(profile), checkpointed), []).append(index)
        wanted = {index for indices in first_and_last.values() for index in (indices[0], indices[-1])}
        for index in range(len(self.profiles) - 1, -1, -1):
            profile, checkpointed = self.profiles[index], self.checkpointed[index]
            if index in wanted:
                outside = self.kept_before(index)
                if checkpointed or profile.keeps_input:
                    _add(outside, Category.ACTIVATION, self.streams[index])
                _add(outside, Category.GRADIENT, gradients)
                _add(outside, Category.WEIGHT_COPY, constant(self.spread.gathered))
                for category, size in self.head.held.items():
                    _add(outside, category, size)
                for instant in profile.backward:
                    yield _moment(PhaseName.BACKWARD, outside, instant)
                if checkpointed:
                    _add(outside, Category.ACTIVATION, profile.clinging)
                    for category, size in profile.incoming.items():
                        _add(outside, category, size)
                    for instant in profile.recompute:
                        yield _moment(PhaseName.BACKWARD, outside, instant)
            gradients = gradients + self._finished(profile.gradients)
        self.gradients = gradients

    def _finished(self, gradients: Size) -> Size:
        """The share of finished gradients that stays on this rank."""
        numerator, denominator = self.spread.gradients
        return gradients if numerator == denominator else gradients.share(numerator, denominator)

    def _backward_embedding(self) -> Iterator[StepMoment]:
        """The embedding's gradient is dense; a tied one is added to the head's, out of place."""
        if not (self.trains_embedding and self.policy.trains_base and self.architecture.holds_embedding):
            return
        table = constant(self.architecture.embedding_elements * self.policy.plain_width // self.spread.split)
        tied = self.architecture.tie_word_embeddings
        copies = 2 if self.policy.accumulating or tied else 1
        outside = {Category.ACTIVATION: self.outside, **self.head.held}
        if self.spread.root:
            outside[Category.WEIGHT_COPY] = constant(self.spread.root)
        arriving = {
            Category.TEMPORARY: self.streams[0] + table.times(copies - 1),
            Category.GRADIENT: self.gradients + table,
        }
        yield _moment(PhaseName.BACKWARD, outside, Instant(ZERO, arriving))


def _add(parts: dict[Category, Size], category: Category, size: Size) -> None:
    parts[category] = parts.get(category, ZERO) + size


def _moment(phase: PhaseName, outside: dict[Category, Size], instant: Instant) -> StepMoment:
    parts = dict(outside)
    for category, size in instant.parts.items():
        _add(parts, category, size)
    total = ZERO
    for size in parts.values():
        total = total + size
    return StepMoment(phase, total, tuple(parts.items()))


@lru_cache(maxsize=4096)
def step_moments(
    architecture: Architecture,
    policy: Policy,
    loss: LossPolicy,
    checkpointing: Checkpointing,
    masked_length: int,
    trains_embedding: bool,
    spread: Spread = WHOLE,
) -> tuple[StepMoment, ...]:
    """The moments at which this step can peak, those that another dominates left out.

    ``masked_length`` decides only whether a sliding window is reached: pass the smallest length that gives the
    same answer, so that lengths share a derivation.
    """
    step = _Step(architecture, policy, loss, checkpointing, masked_length, trains_embedding, spread)
    kept: dict[PhaseName, list[StepMoment]] = {}
    for moment in step.moments():
        rivals = kept.setdefault(moment.phase, [])
        if any(rival.total.dominates(moment.total) for rival in rivals):
            continue
        rivals[:] = [rival for rival in rivals if not moment.total.dominates(rival.total)]
        rivals.append(moment)
    return tuple(moment for rivals in kept.values() for moment in rivals)
