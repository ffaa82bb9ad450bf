"""Recurrent token mixers on their pure PyTorch paths, line by line.

transformers 5.23 ``models/qwen3_next/modeling_qwen3_next.py``, ``models/nemotron_h/modeling_nemotron_h.py`` and
``models/lfm2/modeling_lfm2.py``. With the optional kernels (flash-linear-attention, causal-conv1d, mamba-ssm)
these parts keep less.
"""

from app.memory.architecture import Convolution, DeltaNet, Mamba2, Norm, ShortConvolution
from app.memory.size import per_token
from app.memory.tape import FLOAT32, GradientRule, Tensor
from app.memory.transcription.elements import Code, elements_of, tokens
from app.memory.transcription.projections import project

SEPARATE_INPUTS = 6
"""OLMo Hybrid projects queries, keys, values, gate and rates each for themselves."""
_ALIASES = (GradientRule.ALIAS,) * 3
DELTA_CHUNK = 64
"""Positions that ``torch_chunk_gated_delta_rule`` solves at once."""


def convolve(code: Code, convolution: Convolution, x: Tensor, *, activated: bool) -> Tensor:
    """``causal_conv1d_fn``: the convolution pads, its output is a slice, then SiLU."""
    tape, policy = code.tape, code.policy
    weight = tape.parameter(
        elements_of(convolution.channels * convolution.kernel), policy.plain_width, trainable=policy.trains_base
    )
    entry_width = x.width
    if tape.autocast is not None:
        x, weight = tape.cast(x, tape.autocast), tape.cast_weight(weight, tape.autocast)
    saves = [item for item, other in ((x, weight), (weight, x)) if other.requires_grad]
    output = tape.record((x, weight), tokens(convolution.channels), x.width, saves=saves)
    if activated:
        output = tape.unary(output, saves_input=True)
    return tape.cast(output, entry_width)


def delta_net(code: Code, mixer: DeltaNet, x: Tensor) -> Tensor:
    """``*GatedDeltaNet.forward``."""
    tape = code.tape
    keys, values, heads = mixer.key_width, mixer.value_width, mixer.num_value_heads
    mixed, gate, rates = _delta_inputs(code, mixer, x)
    mixed = convolve(code, mixer.convolution, mixed, activated=True)
    query, key, value = tape.split(mixed, tokens(keys), tokens(keys), tokens(values))
    beta, decay = rates
    beta = tape.unary(beta, saves_output=True)
    decay = tape.unary(tape.cast(decay, FLOAT32), saves_input=True)
    decay = tape.unary(decay, saves_output=True)
    core = _delta_rule(code, mixer, query, key, value, beta, decay)
    core = tape.cast(core, x.width if tape.autocast is None else tape.autocast)
    output = _gated_norm(code, mixer.norm, core, gate, heads)
    tape.until_here(mixed, value)
    return project(code, mixer.output, output)


def _delta_inputs(code: Code, mixer: DeltaNet, x: Tensor) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    tape, values, heads = code.tape, tokens(mixer.value_width), tokens(mixer.num_value_heads)
    parts = [project(code, projection, x) for projection in mixer.inputs]
    if len(parts) == 4:
        mixed, gate, beta, decay = parts
        return mixed, gate, (beta, decay)
    if len(parts) == SEPARATE_INPUTS:
        query, key, value, gate, beta, decay = parts
        joined = tape.record((query, key, value), tokens(mixer.convolution.channels), x.width, rules=_ALIASES)
        return joined, gate, (beta, decay)
    # fused by key head: split, made contiguous and joined again
    keys = tokens(mixer.key_width)
    query, key, value, gate = tape.split(parts[0], keys, keys, values, values)
    joined = tape.concatenate(tape.copy(query), tape.copy(key), tokens(2 * mixer.key_width))
    mixed = tape.concatenate(joined, tape.copy(value), tokens(mixer.convolution.channels))
    beta, decay = tape.split(parts[1], heads, heads)
    return mixed, tape.copy(gate), (tape.copy(beta), tape.copy(decay))


def _delta_rule(
    code: Code, mixer: DeltaNet, query: Tensor, key: Tensor, value: Tensor, beta: Tensor, decay: Tensor
) -> Tensor:
    """``torch_chunk_gated_delta_rule``, in float32."""
    tape, heads = code.tape, mixer.num_value_heads
    wide, pairs = tokens(heads * mixer.key_head_dim), tokens(heads * DELTA_CHUNK)
    if mixer.num_key_heads != heads:
        query, key = (tape.record((part,), wide, part.width) for part in (query, key))
    query, key, value, beta = (tape.cast(part, FLOAT32) for part in (query, key, value, beta))
    query, key = _unit(code, query, heads), _unit(code, key, heads)
    query = tape.scale(query)
    query, key, value = (tape.copy(part) for part in (query, key, value))
    scaled_value, scaled_key = tape.multiply(value, beta), tape.multiply(key, beta)
    pairwise = tape.record((decay,), pairs, FLOAT32)
    pairwise = tape.unary(tape.unary(pairwise), saves_output=True)
    system = tape.multiply(tape.matmul(scaled_key, key, pairs), pairwise)
    inside = tape.multiply(tape.matmul(query, key, pairs), pairwise)
    decayed = tape.multiply(scaled_key, tape.unary(decay, saves_output=True))
    new_values = _solve(code, system, scaled_value)
    decayed = _solve(code, system, decayed)
    query = tape.multiply(query, tape.unary(decay, saves_output=True))
    key = tape.multiply(key, tape.unary(decay, saves_output=True))
    return _delta_loop(code, mixer, (new_values, decayed, query, key, inside))


def _unit(code: Code, x: Tensor, heads: int) -> Tensor:
    """``l2norm``."""
    tape = code.tape
    square = tape.unary(x, saves_input=True)
    inverse = tape.unary(tape.record((square,), tokens(heads), x.width, rules=(GradientRule.ALIAS,)), saves_output=True)
    return tape.multiply(x, inverse)


def _solve(code: Code, system: Tensor, right: Tensor) -> Tensor:
    """``linalg.solve_triangular``: keeps the system and the solution."""
    return code.tape.record((system, right), right.elements, FLOAT32, saves=(system,), saves_output=True)


def _delta_loop(code: Code, mixer: DeltaNet, inputs: tuple[Tensor, ...]) -> Tensor:
    """The walk over chunks: each keeps its state and the new values; slices' gradients are made whole each time."""
    tape, heads = code.tape, mixer.num_value_heads
    values = mixer.value_width
    state = heads * mixer.key_head_dim * mixer.value_head_dim // DELTA_CHUNK
    kept = FLOAT32 * state
    if tape.autocast is None:
        saves, kept = inputs[1:], kept + FLOAT32 * values
    else:
        # autocast casts each chunk's slice, and the state twice
        wide = heads * mixer.key_head_dim
        saves = ()
        kept += tape.autocast * (2 * state + 3 * wide + heads * DELTA_CHUNK + 2 * values)
    return tape.record(
        inputs,
        tokens(values),
        FLOAT32,
        saves=saves,
        extra_saved=per_token(kept),
        backward_temporary=per_token(2 * FLOAT32 * values),
    )


def _gated_norm(code: Code, norm: Norm, x: Tensor, gate: Tensor, groups: int) -> Tensor:
    """``*RMSNormGated``: normalises, scales, then multiplies by SiLU of the gate in float32."""
    tape, entry_width = code.tape, x.width
    weight = tape.parameter(elements_of(norm.elements), code.policy.plain_width, trainable=code.policy.trains_base)
    normalised = tape.cast(normalise(code, tape.cast(x, FLOAT32), groups), entry_width)
    scaled = tape.multiply(normalised, weight)
    activated = tape.unary(tape.cast(gate, FLOAT32), saves_input=True)
    return tape.cast(tape.multiply(scaled, activated), entry_width)


def normalise(code: Code, x: Tensor, groups: int) -> Tensor:
    """What an RMS norm does before its weight, in groups of features."""
    tape = code.tape
    square = tape.unary(x, saves_input=True, backward_temporary=x.elements(FLOAT32).times(2))
    inverse = tape.unary(tape.reduce(square, tokens(groups), FLOAT32), saves_output=True)
    return tape.multiply(x, inverse)


def short_convolution(code: Code, mixer: ShortConvolution, x: Tensor) -> Tensor:
    """``Lfm2ShortConv.forward``."""
    tape, width = code.tape, tokens(mixer.width)
    gate, scale, value = tape.split(project(code, mixer.input, x), width, width, width)
    mixed = convolve(code, mixer.convolution, tape.multiply(gate, value), activated=False)
    output = tape.copy(tape.multiply(scale, mixed))
    return project(code, mixer.output, output)


def mamba(code: Code, mixer: Mamba2, x: Tensor) -> Tensor:
    """``Mamba2Mixer.forward`` and its relatives."""
    tape, inner, heads = code.tape, mixer.inner_width, mixer.num_heads
    shared = mixer.groups * mixer.state_size
    projected = project(code, mixer.input, tape.scale(x) if mixer.scales_input else x)
    if mixer.scales_input:
        projected = tape.scale(projected)
    gate, mixed, rate = tape.split(projected, tokens(inner), tokens(inner + 2 * shared), tokens(heads))
    mixed = convolve(code, mixer.convolution, mixed, activated=True)
    hidden, write, read = tape.split(mixed, tokens(inner), tokens(shared), tokens(shared))
    rate = tape.unary(tape.unary(rate, saves_input=True), saves_input=True)
    scanned = _scan(code, mixer, hidden, write, read, rate)
    output = _gated_scan(code, mixer, scanned, gate)
    tape.until_here(projected, mixed, scanned)
    return project(code, mixer.output, tape.cast(output, projected.width))


def _gated_scan(code: Code, mixer: Mamba2, scanned: Tensor, gate: Tensor) -> Tensor:
    """The gate and ``*RMSNormGated``, in either order."""
    tape, norm = code.tape, mixer.norm
    if norm is None:
        return tape.multiply(scanned, tape.unary(gate, saves_input=True))
    weight = tape.parameter(elements_of(norm.elements), code.policy.plain_width, trainable=code.policy.trains_base)
    gate = tape.unary(tape.cast(gate, FLOAT32), saves_input=True)
    if mixer.norm_before_gate:
        return tape.multiply(tape.multiply(normalise(code, scanned, mixer.groups), weight), gate)
    normalised = normalise(code, tape.multiply(scanned, gate), mixer.groups)
    return tape.multiply(normalised, weight)


def _scan(code: Code, mixer: Mamba2, hidden: Tensor, write: Tensor, read: Tensor, rate: Tensor) -> Tensor:
    """``mamba2_chunk_scan``, in float32; an einsum copies what it permutes."""
    tape, heads, chunk = code.tape, mixer.num_heads, mixer.chunk
    inner, states = tokens(mixer.inner_width), tokens(heads * mixer.state_size)
    pairs = tokens(heads * chunk)
    boundary = tokens(heads * mixer.head_dim * mixer.state_size // chunk)
    hidden, rate = tape.cast(hidden, FLOAT32), tape.cast(rate, FLOAT32)
    write, read = (tape.record((tape.cast(part, FLOAT32),), states, FLOAT32) for part in (write, read))
    skip_weight = tape.parameter(elements_of(heads), code.policy.plain_width, trainable=code.policy.trains_base)
    residual = tape.multiply(tape.copy(hidden), skip_weight)
    hidden = tape.copy(tape.multiply(hidden, rate))
    decay, write, read = tape.copy(tape.scale(rate)), tape.copy(write), tape.copy(read)
    between = tape.unary(tape.unary(tape.record((decay,), pairs, FLOAT32)), saves_output=True)
    scores = tape.matmul(tape.copy(read), tape.copy(write), pairs)
    masked = tape.multiply(scores, between)
    diagonal = tape.matmul(masked, tape.copy(hidden), inner)
    decayed = tape.multiply(write, tape.unary(decay, saves_output=True))
    state = tape.matmul(tape.copy(decayed), tape.copy(hidden), boundary)
    state = tape.record((tape.copy(state),), boundary, FLOAT32, extra_saved=boundary(FLOAT32))
    outside = tape.matmul(tape.copy(read), tape.copy(state), inner)
    outside = tape.multiply(outside, tape.unary(decay, saves_output=True))
    both = tape.add(diagonal, outside)
    output = tape.copy(both)
    tape.until_here(residual, hidden, write, read, between, scores, masked, diagonal, decayed, state, outside, both)
    return tape.add(output, residual)
