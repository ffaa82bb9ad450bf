"""Rotary positions, line by line: ``apply_rotary_pos_emb`` and its relatives in transformers 5.23 ``models/*``."""

from app.memory.architecture import RotaryKind, SoftmaxAttention
from app.memory.size import ZERO
from app.memory.tape import FLOAT32, GradientRule, Tensor
from app.memory.transcription.elements import Code, tokens


def rotate(code: Code, attention: SoftmaxAttention, x: Tensor, heads: int) -> Tensor:
    """Turn ``rotary_dim`` features of each head; cos and sin are made once outside."""
    if attention.rotary_kind is RotaryKind.COMPLEX:
        return _complex(code, x)
    part = tokens(heads * attention.rotary_dim)
    whole = attention.rotary_dim == attention.head_dim
    rotated = _turn(code, attention, x if whole else code.tape.narrow(x, part), heads)
    if not attention.rotary_concatenates:
        return rotated
    rest = code.tape.narrow(x, tokens(heads * (attention.head_dim - attention.rotary_dim)))
    return code.tape.concatenate(rotated, rest, x.elements)


def _turn(code: Code, attention: SoftmaxAttention, x: Tensor, heads: int) -> Tensor:
    """``x * cos + rotate_half(x) * sin``."""
    tape, width = code.tape, code.policy.stream_width
    half = tokens(heads * attention.rotary_dim // 2)
    second = tape.scale(tape.narrow(x, half))
    swapped = tape.concatenate(second, tape.narrow(x, half), x.elements)
    table = tape.input(lambda w: ZERO, width, requires_grad=False)
    return tape.add(_times(code, x, table), _times(code, swapped, table))


def _times(code: Code, x: Tensor, table: Tensor) -> Tensor:
    width = max(x.width, table.width)
    rule = GradientRule.NEW if width == x.width else GradientRule.CONVERTED
    return code.tape.record((x,), x.elements, width, rules=(rule,))


def turn_latent(code: Code, attention: SoftmaxAttention, x: Tensor, heads: int) -> Tensor:
    """DeepSeek's: V3 turns even and odd features apart and joins them; V2 multiplies complex numbers."""
    if attention.rotary_kind is RotaryKind.COMPLEX:
        return _complex(code, x)
    if attention.rotary_kind is RotaryKind.HALVES:
        return _turn(code, attention, x, heads)
    tape, half = code.tape, tokens(heads * attention.rotary_dim // 2)
    table = tape.input(lambda w: ZERO, code.policy.stream_width, requires_grad=False)
    first, second = tape.narrow(x, half), tape.narrow(x, half)
    left = tape.add(_times(code, first, table), _times(code, second, table))
    right = tape.add(_times(code, second, table), _times(code, first, table))
    return tape.concatenate(left, right, x.elements)


def _complex(code: Code, x: Tensor) -> Tensor:
    """``view_as_real(view_as_complex(x.float()) * frequencies)``, then back."""
    tape = code.tape
    product = tape.record((tape.cast(x, FLOAT32),), x.elements, FLOAT32)
    return tape.cast(product, x.width)
