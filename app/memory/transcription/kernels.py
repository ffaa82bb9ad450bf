"""What computes softmax(q·kᵀ)·v, and what each way keeps.

transformers 5.23 ``integrations/sdpa_attention.py`` and ``eager_attention_forward``;
``aten/src/ATen/native/transformers/attention.cpp`` and its derivatives.
"""

from collections.abc import Callable, Mapping

from app.memory.architecture import SinkKind, SoftmaxAttention
from app.memory.policy import AttentionPath
from app.memory.size import ZERO, Size, per_token, scores
from app.memory.tape import FLOAT32, HALF, Tensor
from app.memory.transcription.elements import INDEX, Code, Elements, elements_of, pairs, tokens


def _to_kernel(code: Code, *tensors: Tensor) -> tuple[Tensor, ...]:
    if code.tape.autocast is None:
        return tensors
    return tuple(code.tape.cast(tensor, code.tape.autocast) for tensor in tensors)


def _repeat(code: Code, attention: SoftmaxAttention, x: Tensor, *, values: bool = False) -> Tensor:
    """``repeat_kv``: a copy a query head; of a single head it is a view, which only products copy."""
    if attention.num_heads == attention.num_key_value_heads:
        return x
    view = attention.num_key_value_heads == 1 and code.path is AttentionPath.EFFICIENT
    width = attention.value_width if values else attention.query_width
    return code.tape.record((x,), tokens(width), x.width, view=view)


def _own(code: Code, x: Tensor) -> Tensor:
    """A slice is copied, by batched products and by ``contiguous()``."""
    return x if x.size == x.storage.size else code.tape.copy(x)


def _flash(code: Code, attention: SoftmaxAttention, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """FlashAttention-2: keeps q, k, v, its output and the float32 log-sum-exp of each row."""
    grouped = attention.num_heads != attention.num_key_value_heads
    if code.policy.repeats_heads:
        key, value = _repeat(code, attention, key), _repeat(code, attention, value, values=True)
        grouped = False
    if code.policy.head_major:
        query, key, value = (_own(code, part) for part in (query, key, value))
    query, key, value = _to_kernel(code, query, key, value)
    expanded = 2 * HALF * attention.query_width if grouped else 0
    workspace = per_token(FLOAT32 * (attention.num_heads + attention.query_width) + expanded)
    return code.tape.record(
        (query, key, value),
        tokens(attention.value_width),
        query.width,
        saves=(query, key, value),
        saves_output=True,
        extra_saved=per_token(FLOAT32 * attention.num_heads),
        backward_temporary=workspace,
    )


def _efficient(code: Code, attention: SoftmaxAttention, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """The memory-efficient kernel: as flash, with repeated key/value heads and a dense mask where there is one."""
    masked = code.policy.padded or attention.window is not None or attention.selects
    key, value = _repeat(code, attention, key), _repeat(code, attention, value, values=True)
    query, key, value = _to_kernel(code, query, key, value)
    return code.tape.record(
        (query, key, value),
        tokens(attention.value_width),
        query.width,
        saves=(query, key, value),
        saves_output=True,
        extra_saved=per_token(FLOAT32 * attention.num_heads) + (scores(query.width) if masked else ZERO),
        backward_temporary=per_token(FLOAT32 * attention.num_heads),
    )


def _math(code: Code, attention: SoftmaxAttention, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """``_scaled_dot_product_attention_math``: every product is an operation of its own, in float32.

    16-bit inputs are upcast (``sdp_utils.cpp``, allowFP16BF16ReductionMathSDP); autocast ends at the function's door.
    """
    tape = code.tape
    query, key, value = _to_kernel(code, query, key, value)
    width = query.width
    query, key, value = (tape.cast(part, FLOAT32) for part in (query, key, value))
    query = tape.scale(query)
    key = _repeat(code, attention, key)
    value = _own(code, _repeat(code, attention, value, values=True))
    key = tape.scale(key)
    weights = _product(code, query, key, pairs(attention.num_heads))
    weights = tape.unary(weights, saves_output=True)
    return tape.copy(tape.cast(_product(code, weights, value, tokens(attention.value_width)), width))


def _product(code: Code, left: Tensor, right: Tensor, elements: Elements) -> Tensor:
    saves = [item for item, other in ((left, right), (right, left)) if other.requires_grad]
    return code.tape.record((left, right), elements, FLOAT32, saves=saves)


def _eager(code: Code, attention: SoftmaxAttention, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """``eager_attention_forward``: scores, softmax in float32, a 16-bit copy for the product."""
    if attention.sinks is not None or attention.shifted_scores:
        with_sinks = _eager_scaled_by_sinks if attention.sinks is SinkKind.SCALE else _eager_with_sinks
        return with_sinks(code, attention, query, key, value)
    tape = code.tape
    entry_width = query.width
    if attention.float32_scores:
        query, key = tape.cast(query, FLOAT32), tape.cast(key, FLOAT32)
    query, key, value = _own(code, query), _own(code, key), _own(code, value)
    key, value = _repeat(code, attention, key), _repeat(code, attention, value, values=True)
    weights = tape.matmul(query, key, pairs(attention.num_heads))
    if not attention.alibi_in_product:
        weights = tape.scale(weights)
    held = [query, key, value]
    if attention.scores_softcap:
        weights = tape.scale(tape.unary(tape.scale(weights), saves_output=True))
    if attention.alibi_in_product:
        held.append(weights)
    weights = tape.add(weights, tape.fresh(scores, weights.width))
    if attention.alibi:
        held.append(weights)
    # softmax(dtype=float32) of a bfloat16 tensor upcasts first (aten/src/ATen/native/SoftMax.cpp)
    weights = tape.unary(tape.cast(weights, FLOAT32), saves_output=True)
    weights = tape.cast(weights, entry_width)
    mixed = tape.matmul(weights, value, tokens(attention.value_width))
    tape.until_here(*held)
    return tape.copy(mixed)


def _eager_with_sinks(code: Code, attention: SoftmaxAttention, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """gpt-oss's ``eager_attention_forward``: a learned column beside the scores; softmax at their own width."""
    tape, heads = code.tape, attention.num_heads
    query, key, value = _own(code, query), _own(code, key), _own(code, value)
    key, value = _repeat(code, attention, key), _repeat(code, attention, value, values=True)
    if attention.float32_scores:
        # outside autocast
        query, key = tape.cast(query, FLOAT32), tape.cast(key, FLOAT32)
        weights = tape.scale(_product(code, query, key, pairs(heads)))
    else:
        weights = tape.scale(tape.matmul(query, key, pairs(heads)))
    weights = tape.add(weights, tape.fresh(scores, weights.width))
    combined = weights if attention.sinks is None else _with_column(code, heads, weights)
    shifted = combined
    if not attention.float32_scores:
        largest = tape.record((combined,), tokens(heads), weights.width, extra_saved=per_token(INDEX * heads))
        shifted = tape.add(combined, largest)
    probabilities = tape.view(tape.unary(shifted, saves_output=True))
    mixed = tape.matmul(tape.cast(probabilities, value.width), value, tokens(attention.value_width))
    tape.until_here(weights, shifted)
    return tape.copy(mixed)


def _with_column(code: Code, heads: int, weights: Tensor) -> Tensor:
    sinks = code.tape.parameter(elements_of(heads), code.policy.plain_width, trainable=code.policy.trains_base)
    sinks = code.tape.record((sinks,), tokens(heads), weights.width, view=True)
    return code.tape.concatenate(weights, sinks, lambda w: Size(token_position=w * heads, token=w * heads))


def _eager_scaled_by_sinks(
    code: Code, attention: SoftmaxAttention, query: Tensor, key: Tensor, value: Tensor
) -> Tensor:
    """Granite SWA's ``eager_attention_forward``: sigmoid(logsumexp(scores) - sink) scales the result."""
    tape, heads, entry_width = code.tape, attention.num_heads, query.width
    query, key, value = _own(code, query), _own(code, key), _own(code, value)
    key, value = _repeat(code, attention, key), _repeat(code, attention, value, values=True)
    weights = tape.scale(tape.matmul(query, key, pairs(heads)))
    weights = tape.add(weights, tape.fresh(scores, weights.width))
    # `logsumexp` is on autocast's float32 list; its backward is grad * (self - result).exp()
    summand = tape.cast(weights, FLOAT32) if tape.autocast is not None else weights
    total = tape.record(
        (summand,), tokens(heads), summand.width, saves=(summand,), saves_output=True, backward_temporary=summand.size
    )
    sinks = tape.parameter(elements_of(heads), code.policy.plain_width, trainable=code.policy.trains_base)
    share = tape.unary(tape.cast(tape.add(total, sinks), FLOAT32), saves_output=True)
    probabilities = tape.cast(tape.unary(tape.cast(weights, FLOAT32), saves_output=True), entry_width)
    mixed = tape.matmul(probabilities, value, tokens(attention.value_width))
    scaled = tape.multiply(mixed, tape.cast(share, mixed.width))
    tape.until_here(query, key, value)
    return tape.copy(scaled)


KERNELS: Mapping[AttentionPath, Callable[[Code, SoftmaxAttention, Tensor, Tensor, Tensor], Tensor]] = {
    AttentionPath.FLASH: _flash,
    AttentionPath.EFFICIENT: _efficient,
    AttentionPath.MATH: _math,
    AttentionPath.EAGER: _eager,
}
