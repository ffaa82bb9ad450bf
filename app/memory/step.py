"""A training step as moments: everything that lives beside the model states, phase by phase.

The layers' and the head's profiles are put together into the moments at which a step can peak. Each moment
is a size that is linear in the micro-batch; it is derived once for a model and a policy.
"""

from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import TypeAlias

from app.memory.architecture import Architecture, Attention, Layer, Norm, SoftmaxAttention
from app.memory.head import LossPolicy, fills_cache, handed_over, head_tape
from app.memory.inputs import Checkpointing
from app.memory.liveness import Instant, Profile, analyse
from app.memory.moments import WHOLE, Part, Spread, StepMoment, add, moment
from app.memory.policy import AttentionPath, Policy
from app.memory.result import PhaseName
from app.memory.size import ZERO, Size, constant, per_token, scores, sum_of
from app.memory.tape import FLOAT32, Category, Tape
from app.memory.transcription import Code, decoder_layer
from app.memory.transcription.elements import tokens
from app.memory.transcription.norms import FUSED

_Derivation: TypeAlias = tuple[Layer, int, Policy, AttentionPath, int, bool, int]

SELECTIVE_EVERY = 2
"""``selective`` checkpoints every second layer (torchtitan's ``selective_ac_option="2"``)."""


@lru_cache(maxsize=2048)
def layer_profile(
    layer: Layer,
    hidden_size: int,
    policy: Policy,
    path: AttentionPath,
    input_width: int,
    input_requires_grad: bool,
    split: int,
    incoming_stays: bool = False,
) -> Profile:
    """One layer's profile under a policy, for an input of ``input_width`` bytes an element.

    ``split`` ranks share its matrices. ``incoming_stays``: somebody holds the gradient that backward starts from.
    """
    tape = Tape(autocast=policy.autocast)
    source = tape.input(tokens(hidden_size), input_width, requires_grad=input_requires_grad)
    result = decoder_layer(Code(tape, policy, path), layer, source, hidden_size)
    profile = analyse(tape, result, source, accumulating=policy.accumulating, incoming_stays=incoming_stays)
    return profile if split == 1 else profile.split_over(split)


@lru_cache(maxsize=1024)
def head_profile(architecture: Architecture, policy: Policy, loss: LossPolicy, input_width: int) -> Profile:
    """The head's and the loss's profile for an input of ``input_width`` bytes an element."""
    tape, result, source = head_tape(architecture, policy, loss, input_width)
    return analyse(tape, result, source, accumulating=policy.accumulating)


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
        self.derived: list[_Derivation] = []
        """What each profile was derived from."""
        self.reentrant = checkpointing is Checkpointing.REENTRANT
        self.checkpointed: list[bool] = []
        # adapters under checkpointing: PEFT makes the embedding's output require a gradient
        requires_grad = trains_embedding or checkpointing is not Checkpointing.NONE or not architecture.holds_embedding
        # Layers are few objects many times over, and finding a profile by its value hashes all of a layer.
        known: dict[tuple[int, int, bool], tuple[_Derivation, Profile]] = {}
        for index, layer in enumerate(architecture.layers):
            name = (id(layer), width, requires_grad)
            if name not in known:
                path = (
                    policy.attention_path(layer.mixer, masked_length)
                    if isinstance(layer.mixer, SoftmaxAttention)
                    else AttentionPath.FLASH
                )
                derivation = (layer, architecture.hidden_size, policy, path, width, requires_grad, spread.split)
                known[name] = derivation, layer_profile(*derivation)
            derivation, profile = known[name]
            self.derived.append(derivation)
            requires_grad = profile.result_requires_grad
            self.profiles.append(profile)
            self.streams.append(per_token(width * architecture.hidden_size))
            width = profile.result_width
            self.checkpointed.append(
                checkpointing.repeats_every_layer
                or (checkpointing is Checkpointing.SELECTIVE and index % SELECTIVE_EVERY == 0)
            )
        self.streams.append(per_token(width * architecture.hidden_size))
        self.head = head_profile(architecture, policy, loss, width)
        if spread.split > 1:
            self.head = self.head.split_over(spread.split)
        self.masks = self._masks(masked_length).split_over(spread.split)
        self.outside = self._outside()
        if any(self.checkpointed):
            # a checkpoint holds its function's arguments, the mask among them
            self.outside = self.outside + self.masks

    def _outside(self) -> Size:
        """Inputs and positions that live from before the first layer to the end: token ids and labels (int64)
        and cos and sin for each rotary embedding."""
        architecture, policy = self.architecture, self.policy
        tables = 2 * architecture.rotary_embeddings * architecture.rotary_dim * policy.stream_width
        return per_token(8) + Size(position=8 + tables).split_over(self.spread.split) + self._embedding_kept()

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
        if architecture.embedding_norm is not None:
            size = size + self._kept_by_embedding_norm(architecture.embedding_norm)
        if architecture.embedding_dropout:
            size = size + per_token(architecture.hidden_size)
        return size

    def _kept_by_embedding_norm(self, norm: Norm) -> Size:
        """A fused norm keeps its input, a written one a float32 copy, unless the input is that already."""
        width = self.policy.stream_width if norm.kind in FUSED else FLOAT32
        if width == self.policy.stream_width and not self.policy.trains_base:
            return ZERO
        return per_token(width * norm.width)

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
                add(parts, category, size.times(self.spread.in_flight - 1))
        if self.spread.root:
            add(parts, Category.WEIGHT_COPY, constant(self.spread.root))
        return parts

    def _kept(self, index: int) -> dict[Category, Size]:
        parts: dict[Category, Size] = {Category.ACTIVATION: self.outside}
        alike: dict[tuple[int, bool, Size], list[Profile]] = {}
        for profile, checkpointed, stream in islice(
            zip(self.profiles, self.checkpointed, self.streams, strict=False), index
        ):
            alike.setdefault((id(profile), checkpointed, stream), []).append(profile)
        for (_, checkpointed, stream), profiles in alike.items():
            profile, times = profiles[0], len(profiles)
            if checkpointed or profile.keeps_input:
                add(parts, Category.ACTIVATION, stream.times(times))
            if checkpointed:
                add(parts, Category.ACTIVATION, profile.clinging.times(times))
                continue
            for category, size in profile.kept.parts.items():
                add(parts, category, size.times(times))
        return parts

    def moments(self) -> Iterator[StepMoment]:
        count = len(self.profiles)
        everything = self.kept_before(count)
        casts = ZERO
        for profile, checkpointed in zip(self.profiles, self.checkpointed, strict=True):
            casts = casts + (profile.recast if checkpointed else profile.cached)
        last = self.profiles[-1]
        before_last = self.kept_before(count - 1)
        add(before_last, Category.ACTIVATION, self._cache(count - 1))
        add(before_last, Category.ACTIVATION, self.streams[-2])
        if count > 1 and not (self.checkpointed[0] or self.profiles[0].keeps_input):
            # the model's forward holds the embedding's output to its end
            add(before_last, Category.TEMPORARY, self.streams[0])
        mixer = self.architecture.layers[-1].mixer
        if count > 1 and isinstance(mixer, Attention) and mixer.hands_weights_on:
            add(
                before_last,
                Category.TEMPORARY,
                scores(mixer.num_heads * self.policy.attention_width).split_over(self.spread.split),
            )
        add(before_last, Category.WEIGHT_COPY, casts + self._gathered(count - 1))
        if not any(self.checkpointed):
            add(before_last, Category.ACTIVATION, self.masks)
        for instant in last.quiet if self.checkpointed[-1] else last.forward:
            yield moment(PhaseName.FORWARD, before_last, instant)
        if self.architecture.holds_head:
            yield from self._loss(everything, casts)
        yield from self._backward_layers()
        yield from self._backward_embedding()

    def _loss(self, everything: dict[Category, Size], casts: Size) -> Iterator[StepMoment]:
        at_loss = dict(everything)
        if self.head.keeps_input:
            add(at_loss, Category.ACTIVATION, self.streams[-1])
        until_returned = dict(at_loss)
        add(until_returned, Category.ACTIVATION, self._cache(len(self.profiles)))
        in_loss = dict(until_returned)
        add(in_loss, Category.WEIGHT_COPY, casts)
        for instant in self.head.forward:
            yield moment(PhaseName.LOSS, in_loss, instant)
        returned = handed_over(self.architecture, self.policy, self.loss)
        if returned is not ZERO:
            add(until_returned, Category.LOGITS, returned)
            yield moment(PhaseName.LOSS, until_returned, self.head.kept)
        for instant in self.head.backward:
            phase = PhaseName.BACKWARD_LOSS if Category.LOGITS in instant.parts else PhaseName.BACKWARD
            yield moment(phase, at_loss, instant)

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
                    add(outside, Category.ACTIVATION, self.streams[index])
                add(outside, Category.GRADIENT, gradients)
                add(outside, Category.WEIGHT_COPY, self._gathered(index))
                for category, size in self.head.held.items():
                    add(outside, category, size)
                if self.reentrant:
                    yield from self._reentrant_layer(index, outside)
                    gradients = gradients + self._finished(profile.gradients)
                    continue
                for instant in profile.backward_repeated if checkpointed else profile.backward:
                    yield moment(PhaseName.BACKWARD, outside, instant)
                if checkpointed:
                    add(outside, Category.ACTIVATION, profile.clinging)
                    for category, size in profile.incoming.items():
                        add(outside, category, size)
                    for instant in profile.recompute:
                        yield moment(PhaseName.BACKWARD, outside, instant)
            gradients = gradients + self._finished(profile.gradients)
        self.gradients = gradients

    def _gathered(self, index: int) -> Size:
        """Weights that are whole on this rank while layer ``index`` runs."""
        return constant(self.spread.gathered[index]) if self.spread.gathered else ZERO

    def _reentrant_layer(self, index: int, outside: dict[Category, Size]) -> Iterator[StepMoment]:
        """Backward of a layer that a reentrant checkpoint repeats (``torch/utils/checkpoint.py``, CheckpointFunction).

        It repeats the whole forward and holds the output while it goes back through it.
        """
        profile, last = self.profiles[index], index == len(self.profiles) - 1
        outside = dict(outside)
        add(outside, Category.ACTIVATION, profile.clinging)
        if self.spread.holds_inputs:
            # FSDP waits for the gradients of a frozen unit's inputs with a hook on each. It holds the input's
            # AccumulateGrad, and that the input and its gradient (torch/distributed/fsdp/_runtime_utils.py,
            # _register_post_backward_reshard_only_hook; torch/autograd/graph.py, register_multi_grad_hook); hooks go
            # when backward has ended. Of the next layer's input the gradient is what comes in here.
            for number in range(index + 1, len(self.profiles)):
                copies = 1 if number == index + 1 else 2
                add(outside, Category.ACTIVATION, self.streams[number].times(copies))
            if not last:
                profile = layer_profile(*self.derived[index], incoming_stays=True)
        repeated = dict(outside)
        add(repeated, Category.TEMPORARY, self.streams[index + 1])
        for instant in profile.forward:
            yield moment(PhaseName.BACKWARD, repeated, instant)
        add(outside, Category.ACTIVATION, self.streams[index + 1])
        for instant in profile.backward:
            yield moment(PhaseName.BACKWARD, outside, instant)

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
        gradients = self.gradients + table
        # its own gradient is let go before the table's is added to another
        for beside in (self.streams[0], table.times(copies - 1)):
            arriving = {Category.TEMPORARY: beside, Category.GRADIENT: gradients}
            yield moment(PhaseName.BACKWARD, outside, Instant(ZERO, arriving))


@lru_cache(maxsize=2048)
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
    for found in step.moments():
        rivals = kept.setdefault(found.phase, [])
        if any(rival.total.dominates(found.total) for rival in rivals):
            continue
        rivals[:] = [rival for rival in rivals if not found.total.dominates(rival.total)]
        rivals.append(found)
    parts: dict[Part, Part] = {}
    return tuple(found.sharing(parts) for rivals in kept.values() for found in rivals)
