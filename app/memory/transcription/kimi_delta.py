"""Kimi Delta Attention on its pure PyTorch path: transformers 5.23 ``models/kimi_linear/modeling_kimi_linear.py``.

It writes a decay out for every pair of positions of a chunk and every channel, which flash-linear-attention never does.
"""

from collections.abc import Iterable

from app.memory.architecture import KimiDelta, Projection
from app.memory.size import per_token
from app.memory.tape import FLOAT32, GradientRule, Tensor
from app.memory.transcription.elements import Code, elements_of, tokens
from app.memory.transcription.projections import project
from app.memory.transcription.recurrent import convolve, normalise

CHUNK = 64
"""Positions that ``chunk_kimi_delta_attention`` solves at once."""
SUBSTITUTED = sum(row * row for row in range(1, CHUNK)) / CHUNK
"""Elements a position and head that substituting a chunk's rows one by one keeps."""


def kimi_delta(code: Code, mixer: KimiDelta, x: Tensor) -> Tensor:
    """``KimiLinearDeltaAttention.forward``."""
    tape, width = code.tape, tokens(mixer.width)
    query, key, value = (project(code, projection, x) for projection in mixer.inputs)
    mixed = tape.record((query, key, value), tokens(3 * mixer.width), x.width, rules=(GradientRule.ALIAS,) * 3)
    mixed = convolve(code, mixer.convolution, mixed, activated=True)
    query, key, value = tape.split(mixed, width, width, width)
    forgets = _forget_gate(code, mixer, x)
    rate = tape.unary(project(code, mixer.rate, x), saves_output=True)
    core = _in_chunks(code, mixer, (query, key, value), forgets, rate)
    core = tape.cast(tape.copy(core), query.width)
    output = _gated_norm(code, mixer, core, _one_by_one(code, mixer.gate, x))
    tape.until_here(mixed, forgets, core)
    return project(code, mixer.output, output)


def _one_by_one(code: Code, projections: Iterable[Projection], x: Tensor) -> Tensor:
    for projection in projections:
        x = project(code, projection, x)
    return x


def _forget_gate(code: Code, mixer: KimiDelta, x: Tensor) -> Tensor:
    """``KimiLinearForgetGate`` and ``BailingHybridForgetGate``: what each channel forgets, in float32."""
    tape, policy = code.tape, code.policy
    bias, decay = (
        tape.parameter(elements_of(count), policy.plain_width, trainable=policy.trains_base)
        for count in (mixer.width, mixer.num_heads)
    )
    forgets = tape.add(tape.cast(_one_by_one(code, mixer.forget, x), FLOAT32), bias)
    if mixer.bounded:
        bounded = tape.unary(tape.multiply(forgets, decay), saves_output=True)
        return tape.cast(tape.scale(bounded), x.width)
    exponential = tape.unary(forgets, saves_output=True)
    softened = tape.unary(tape.scale(exponential), saves_input=True)
    condition = tape.fresh(forgets.elements, 1)
    chosen = tape.record((forgets, softened), forgets.elements, FLOAT32, saves=(condition,))
    return tape.multiply(chosen, decay)


def _in_chunks(
    code: Code, mixer: KimiDelta, inputs: tuple[Tensor, Tensor, Tensor], forgets: Tensor, rate: Tensor
) -> Tensor:
    """``chunk_kimi_delta_attention``, in float32."""
    tape = code.tape
    query, key, value, rate, forgets = (tape.cast(tape.copy(part), FLOAT32) for part in (*inputs, rate, forgets))
    query, key = _unit(code, mixer, query), _unit(code, mixer, key)
    query = tape.scale(tape.copy(query))
    key, value, rate = (tape.copy(part) for part in (key, value, rate))
    scaled_value, scaled_key = tape.multiply(value, rate), tape.multiply(key, rate)
    forgets = tape.copy(tape.copy(forgets))
    channels = tokens(mixer.width * CHUNK)
    decay = tape.unary(tape.scale(tape.record((forgets,), channels, FLOAT32)), saves_output=True)
    pairwise = tape.record((scaled_key, key), channels, FLOAT32, saves=(scaled_key, key))
    system = _summed(code, mixer, tape.multiply(pairwise, decay))
    system = _substituted(code, mixer, system)
    values = tape.matmul(system, scaled_value, tokens(mixer.width))
    decayed_key = tape.multiply(scaled_key, tape.unary(forgets, saves_output=True))
    decayed = tape.matmul(system, decayed_key, tokens(mixer.width))
    return _over_chunks(code, mixer, (query, key, forgets, values, decayed), decay)


def _unit(code: Code, mixer: KimiDelta, x: Tensor) -> Tensor:
    """``l2norm``: a root and a division."""
    tape = code.tape
    square = tape.unary(x, saves_input=True)
    norm = tape.unary(tape.reduce(square, tokens(mixer.num_heads), FLOAT32), saves_output=True)
    return tape.multiply(x, norm)


def _summed(code: Code, mixer: KimiDelta, product: Tensor) -> Tensor:
    """A sum over channels, whose gradient the product before it expands; then masked."""
    tape, pairs = code.tape, tokens(mixer.num_heads * CHUNK)
    summed = tape.record((product,), pairs, FLOAT32)
    return tape.scale(tape.scale(summed))


def _substituted(code: Code, mixer: KimiDelta, system: Tensor) -> Tensor:
    """The loop over a chunk's rows: each keeps a copy of itself and of the square above it."""
    kept = per_token(int(FLOAT32 * mixer.num_heads * SUBSTITUTED))
    solved = code.tape.record((system,), system.elements, FLOAT32, extra_saved=kept, view=True)
    return code.tape.scale(solved)


def _over_chunks(code: Code, mixer: KimiDelta, inputs: tuple[Tensor, ...], decay: Tensor) -> Tensor:
    """The walk over chunks; the gradient of each slice is made as large as what it was cut from, and added.

    By then the last chunk's own tensors are gone, which is left out: of eight chunks it is an eighth of one of four.
    """
    tape, width = code.tape, mixer.width
    pairs, channels = mixer.num_heads * CHUNK, width * CHUNK
    states = mixer.state_elements // CHUNK
    # products of queries and keys, two decays and what they multiply, new values, scores, and two states a chunk
    kept = FLOAT32 * (channels + 5 * width + pairs + 2 * states)
    return tape.record(
        (*inputs, decay),
        tokens(width),
        FLOAT32,
        saves=(*inputs, decay),
        extra_saved=per_token(kept),
        forward_temporary=per_token(FLOAT32 * width),
        backward_temporary=per_token(FLOAT32 * 2 * (channels + width)),
    )


def _gated_norm(code: Code, mixer: KimiDelta, x: Tensor, gate: Tensor) -> Tensor:
    """``KimiLinearRMSNormGated``, in float32."""
    tape, entry_width, policy = code.tape, x.width, code.policy
    weight = tape.parameter(elements_of(mixer.norm.elements), policy.plain_width, trainable=policy.trains_base)
    normalised = normalise(code, tape.cast(x, FLOAT32), mixer.num_heads)
    scaled = tape.multiply(normalised, tape.cast(weight, FLOAT32))
    activated = tape.unary(tape.cast(gate, FLOAT32), saves_output=True)
    return tape.cast(tape.multiply(scaled, activated), entry_width)
