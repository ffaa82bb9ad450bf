"""Normalisations, line by line: transformers 5.23 ``models/*/modeling_*.py``, ``*RMSNorm`` and ``*LayerNorm``."""

from app.memory.architecture import Norm, NormKind
from app.memory.size import per_token
from app.memory.tape import FLOAT32, Tensor
from app.memory.transcription.elements import Code, elements_of, tokens

FUSED = frozenset({NormKind.LAYER, NormKind.LAYER_ONE_PLUS, NormKind.LAYER_FLOAT32, NormKind.RMS_FUSED})


def apply_norm(code: Code, norm: Norm, x: Tensor, features: int) -> Tensor:
    """``norm`` over ``features`` features a token in all (heads × width for a per-head norm)."""
    tape = code.tape
    groups = features // norm.width
    elements = norm.elements * (2 if norm.bias else 1)
    weight = (
        tape.parameter(elements_of(elements), code.policy.plain_width, trainable=code.policy.trains_base)
        if elements
        else None
    )
    if norm.kind in FUSED:
        return _fused_norm(code, norm, x, weight, groups)
    return _written_norm(code, norm, x, weight, groups)


def _fused_norm(code: Code, norm: Norm, x: Tensor, weight: Tensor | None, groups: int) -> Tensor:
    """One kernel: keeps its input and per row the mean and the reciprocal of the deviation."""
    tape, entry_width = code.tape, x.width
    width = x.width
    if norm.kind is NormKind.LAYER_FLOAT32:
        width = FLOAT32
    elif tape.autocast is not None:
        # `layer_norm` is on autocast's float32 list
        width = tape.autocast if norm.kind is NormKind.LAYER_ONE_PLUS else FLOAT32
    x = tape.cast(x, width)
    statistics = (1 if norm.kind is NormKind.RMS_FUSED else 2) * FLOAT32 * groups
    inputs = (x,) if weight is None else (x, weight)
    result = tape.record(inputs, x.elements, x.width, saves=(x,), extra_saved=per_token(statistics))
    return tape.cast(result, entry_width) if norm.kind is NormKind.LAYER_FLOAT32 else result


def _written_norm(code: Code, norm: Norm, x: Tensor, weight: Tensor | None, groups: int) -> Tensor:
    tape = code.tape
    entry_width = x.width
    x = centred = tape.cast(x, FLOAT32)
    if norm.kind is NormKind.LAYER_PYTHON:
        mean = tape.reduce(x, tokens(groups), FLOAT32)
        # subtracted once for the variance and once for the result
        centred, x = tape.add(x, mean), tape.add(x, mean)
    # pow(2)'s backward: grad * (2 * x), two full-size temporaries before the result
    square = tape.unary(centred, saves_input=True, backward_temporary=x.elements(FLOAT32).times(2))
    variance = tape.reduce(square, tokens(groups), FLOAT32)
    inverse = tape.unary(variance, saves_output=True)
    normalised = tape.multiply(x, inverse)
    if norm.kind in (NormKind.RMS, NormKind.L2):
        normalised = tape.cast(normalised, entry_width)
    if weight is not None:
        scale = weight if norm.kind is NormKind.RMS else tape.cast(weight, FLOAT32)
        normalised = tape.multiply(normalised, scale)
    return normalised if norm.kind is NormKind.RMS else tape.cast(normalised, entry_width)
