"""Linear layers and their adapters, line by line.

PEFT 0.21 ``tuners/lora/layer.py``, ``bnb.py`` and ``dora.py``; bitsandbytes 0.50 ``nn/modules.py``.
"""

from app.memory.architecture import Projection
from app.memory.inputs import QuantizationFormat
from app.memory.size import constant, per_token
from app.memory.tape import FLOAT32, HALF, Category, GradientRule, Tensor
from app.memory.transcription.elements import Code, elements_of, rank_tokens, ranked, tokens


def project(code: Code, projection: Projection, x: Tensor) -> Tensor:
    """A projection with its adapter, if it carries one."""
    result = _base(code, projection, x)
    if not code.policy.adapts(projection):
        return result
    if code.policy.quantization is not None:
        result = _adapted_quantised(code, projection, x, result)
    else:
        result = _adapted(code, projection, x, result)
    code.tape.until_here(x)
    return result


def _base(code: Code, projection: Projection, x: Tensor) -> Tensor:
    policy, tape = code.policy, code.tape
    out = tokens(projection.out_features)
    if policy.quantization is None or not projection.quantised:
        weight = tape.parameter(elements_of(projection.elements), policy.base_width, trainable=policy.trains_base)
        result = tape.linear(x, weight, out)
        if projection.bias and policy.trains_base:
            bias = tape.parameter(elements_of(projection.out_features), policy.base_width, trainable=True)
            result = tape.record(
                (result, bias), out, result.width, rules=(GradientRule.ALIAS, GradientRule.NEW), view=True
            )
        return result
    if policy.quantization is QuantizationFormat.INT8:
        return _int8(code, projection, x)
    # Linear4bit: to the compute dtype, dequantise and multiply, back to the input's dtype
    copy = constant(projection.elements * HALF)
    result = tape.record(
        (tape.cast(x, HALF),),
        out,
        HALF,
        forward_temporary=copy,
        backward_temporary=copy,
        temporary_category=Category.WEIGHT_COPY,
    )
    result = tape.cast(result, x.width)
    tape.until_here(x)
    return result


def _int8(code: Code, projection: Projection, x: Tensor) -> Tensor:
    """``MatMul8bitLt``: keeps its input on the node itself; quantises a 16-bit copy; backward dequantises."""
    quantised = per_token((1 + HALF) * projection.in_features + FLOAT32 * projection.out_features)
    return code.tape.record(
        (x,),
        tokens(projection.out_features),
        x.width,
        saves=(x,),
        clings=True,
        forward_temporary=quantised,
        backward_temporary=constant(projection.elements * x.width),
    )


def _adapter_weights(code: Code, projection: Projection) -> tuple[Tensor, Tensor]:
    width = code.policy.adapter_width
    return (
        code.tape.parameter(ranked(projection.in_features), width, trainable=True),
        code.tape.parameter(ranked(projection.out_features), width, trainable=True),
    )


def _adapted(code: Code, projection: Projection, x: Tensor, result: Tensor) -> Tensor:
    tape = code.tape
    entry_width = result.width
    x = tape.cast(x, code.policy.adapter_width)
    if code.policy.use_dora:
        result = tape.add(result, _dora(code, projection, x, result))
    else:
        result = tape.add(result, _low_rank(code, projection, x))
    tape.until_here(x)
    return tape.cast(result, entry_width)


def _adapted_quantised(code: Code, projection: Projection, x: Tensor, result: Tensor) -> Tensor:
    tape = code.tape
    converts = tape.autocast is None
    if code.policy.quantization is not QuantizationFormat.INT8:
        result = tape.copy(result)
    entry_width = result.width
    if converts:
        x = tape.cast(x, code.policy.adapter_width)
    if code.policy.use_dora:
        result = tape.add(result, _dora(code, projection, x, result))
        return tape.cast(result, entry_width) if converts else result
    update = _low_rank(code, projection, x)
    if converts:
        update = tape.cast(update, entry_width)
    tape.until_here(x)
    return tape.add(result, update)


def _low_rank(code: Code, projection: Projection, x: Tensor) -> Tensor:
    tape = code.tape
    down, up = _adapter_weights(code, projection)
    if code.policy.dropout:
        x = tape.dropout(x)
    return tape.scale(tape.linear(tape.linear(x, down, rank_tokens()), up, tokens(projection.out_features)))


def _dora(code: Code, projection: Projection, x: Tensor, result: Tensor) -> Tensor:
    tape, width = code.tape, code.policy.adapter_width
    out = projection.out_features
    down, up = _adapter_weights(code, projection)
    magnitude = tape.parameter(elements_of(out), width, trainable=True)
    if code.policy.dropout:
        x = tape.dropout(x)
    transient = _dora_norm_bytes(code, projection, x.width)
    tape.fresh(elements_of(out), x.width, forward_temporary=constant(transient))
    scale = tape.unary(magnitude)
    base = result
    if code.policy.dropout:
        weight = tape.parameter(elements_of(projection.elements), x.width, trainable=False)
        base = tape.linear(x, weight, tokens(out))
    low_rank = tape.linear(tape.linear(x, down, rank_tokens()), up, tokens(out))
    return tape.add(tape.multiply(base, tape.scale(scale)), tape.scale(tape.multiply(low_rank, scale)))


def _dora_norm_bytes(code: Code, projection: Projection, width: int) -> int:
    """What computing the detached norm of W + s·B·A takes, in bytes, at input width ``width``.

    First an identity goes through A and B (autocast casts it, and the graph holds the cast); then B·A, the
    weight, the scaled B·A and their sum stand side by side.
    """
    policy, square, elements = code.policy, projection.in_features**2, projection.elements
    product = code.tape.autocast or policy.adapter_width
    held = square * product
    made = (square * policy.adapter_width if product != policy.adapter_width else 0) + elements * product
    converted = policy.quantization is not None or policy.base_width != width
    normed = elements * width * (4 if converted else 3)
    return held + max(made, normed)
