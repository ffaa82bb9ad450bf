"""Normalisations, line by line: transformers 5.23 ``models/*/modeling_*.py``, ``*RMSNorm`` and ``*LayerNorm``."""

from app.memory.architecture import Norm, NormKind
from app.memory.size import per_token
from app.memory.tape import FLOAT32, Tensor
from app.memory.transcription.elements import Code, elements_of, tokens


def apply_norm(code: Code, norm: Norm, x: Tensor, features: int) -> Tensor:
    """``norm`` over ``features`` features a token in all (heads × width for a per-head norm)."""
    tape = code.tape
    groups = features // norm.width
    weight = (
        tape.parameter(elements_of(norm.elements), code.policy.plain_width, trainable=code.policy.trains_base)
        if norm.elements
        else None
    )
    match norm.kind:
        case NormKind.LAYER | NormKind.RMS_FUSED:
            return _fused_norm(code, norm, x, weight, groups)
        case _:
            return _written_norm(code, norm, x, weight, groups)


def _fused_norm(code: Code, norm: Norm, x: Tensor, weight: Tensor | None, groups: int) -> Tensor:
    # `layer_norm` is on autocast's float32 list; keeps its input and per row the mean and rstd
    if code.tape.autocast is not None:
        x = code.tape.cast(x, FLOAT32)
    statistics = (2 if norm.kind is NormKind.LAYER else 1) * FLOAT32 * groups
    inputs = (x,) if weight is None else (x, weight)
    return code.tape.record(inputs, x.elements, x.width, saves=(x,), extra_saved=per_token(statistics))


def _written_norm(code: Code, norm: Norm, x: Tensor, weight: Tensor | None, groups: int) -> Tensor:
    tape = code.tape
    entry_width = x.width
    x = tape.cast(x, FLOAT32)
    if norm.kind is NormKind.LAYER_PYTHON:
        mean = tape.reduce(x, tokens(groups), FLOAT32)
        x = tape.add(x, mean)
    # pow(2)'s backward: grad * (2 * x), two full-size temporaries before the result
    square = tape.unary(x, saves_input=True, backward_temporary=x.elements(FLOAT32).times(2))
    variance = tape.reduce(square, tokens(groups), FLOAT32)
    inverse = tape.unary(variance, saves_output=True)
    normalised = tape.multiply(x, inverse)
    if norm.kind is NormKind.RMS:
        normalised = tape.cast(normalised, entry_width)
    if weight is not None:
        scale = weight if norm.kind is NormKind.RMS else tape.cast(weight, FLOAT32)
        normalised = tape.multiply(normalised, scale)
    return normalised if norm.kind is NormKind.RMS else tape.cast(normalised, entry_width)
