"""Feed-forward parts, line by line: ``LlamaMLP``, ``GPT2MLP`` and their relatives; ``transformers/activations.py``."""

from collections.abc import Callable, Mapping

from app.memory.architecture import ActivationKind, GatedMlp, PlainMlp
from app.memory.tape import FLOAT32, GradientRule, Tensor
from app.memory.transcription.elements import Code, elements_of, tokens
from app.memory.transcription.norms import apply_norm
from app.memory.transcription.projections import project


def feed_forward(code: Code, mlp: GatedMlp | PlainMlp, x: Tensor) -> Tensor:
    """A dense MLP, gated or not."""
    return _gated(code, mlp, x) if isinstance(mlp, GatedMlp) else _plain(code, mlp, x)


def _gated(code: Code, mlp: GatedMlp, x: Tensor) -> Tensor:
    tape, width = code.tape, tokens(mlp.intermediate_size)
    if mlp.gate_up is not None:
        fused = project(code, mlp.gate_up, x)
        gate, up = tape.narrow(fused, width), tape.narrow(fused, width)
    else:
        assert mlp.gate is not None
        assert mlp.up is not None
        gate, up = project(code, mlp.gate, x), None
    activated = ACTIVATIONS[mlp.activation](code, gate)
    if up is None:
        assert mlp.up is not None
        up = project(code, mlp.up, x)
    product = tape.multiply(activated, up)
    if mlp.inner_norm is not None:
        product = apply_norm(code, mlp.inner_norm, product, mlp.intermediate_size)
    return _dropped(code, project(code, mlp.down, product), mlp.residual_dropout)


def _plain(code: Code, mlp: PlainMlp, x: Tensor) -> Tensor:
    hidden = ACTIVATIONS[mlp.activation](code, project(code, mlp.up, x))
    return _dropped(code, project(code, mlp.down, hidden), mlp.residual_dropout)


def _dropped(code: Code, x: Tensor, drops: bool) -> Tensor:
    return code.tape.dropout(x) if drops else x


def _one_kernel(code: Code, x: Tensor) -> Tensor:
    return code.tape.unary(x, saves_input=True)


def _relu(code: Code, x: Tensor) -> Tensor:
    return code.tape.unary(x, saves_output=True)


def power(code: Code, x: Tensor) -> Tensor:
    """``pow``: in float32 under autocast; its backward makes a power and a multiple of it."""
    tape = code.tape
    if tape.autocast is not None:
        x = tape.cast(x, FLOAT32)
    return tape.unary(x, saves_input=True, backward_temporary=x.size.times(2))


def _squared_relu(code: Code, x: Tensor) -> Tensor:
    """``ReLUSquaredActivation``."""
    return power(code, code.tape.unary(x, saves_output=True))


def _tanh_gelu(code: Code, x: Tensor) -> Tensor:
    """``NewGELUActivation``: 0.5 * x * (1 + tanh(c * (x + 0.044715 * x³)))."""
    tape = code.tape
    half = tape.scale(x)
    inner = tape.scale(tape.add(x, tape.scale(power(code, x))))
    one_more = tape.scale(tape.unary(inner, saves_output=True))
    return tape.multiply(half, one_more)


def _xielu(code: Code, x: Tensor) -> Tensor:
    """``XIELUActivation._xielu_python``: two branches and a choice between them."""
    tape, policy = code.tape, code.policy
    # `softplus` is on autocast's float32 list, and its result widens what it multiplies
    width = policy.plain_width if tape.autocast is None else FLOAT32
    positive, negative = (
        tape.unary(tape.parameter(elements_of(1), policy.plain_width, trainable=policy.trains_base), width=width)
        for _ in range(2)
    )
    condition = tape.fresh(x.elements, 1)
    above = tape.add(tape.multiply(tape.multiply(x, positive), x), tape.scale(x))
    smaller = tape.unary(x, saves_input=True)
    if tape.autocast is not None:
        smaller = tape.cast(smaller, FLOAT32)
    exponential = tape.unary(smaller, saves_output=True)
    below = tape.add(tape.multiply(tape.add(exponential, x), negative), tape.scale(x))
    width = max(above.width, below.width)
    rules = [GradientRule.NEW if part.width == width else GradientRule.CONVERTED for part in (above, below)]
    return tape.record((above, below), x.elements, width, saves=(condition,), rules=rules)


def _bloom_gelu(code: Code, x: Tensor) -> Tensor:
    """``GeLUFunction``: keeps its input and works the derivative out in Python."""
    tape, size = code.tape, x.size
    return tape.record(
        (x,), x.elements, x.width, saves=(x,), forward_temporary=size.times(3), backward_temporary=size.times(4)
    )


ACTIVATIONS: Mapping[ActivationKind, Callable[[Code, Tensor], Tensor]] = {
    ActivationKind.FUSED: _one_kernel,
    ActivationKind.RELU: _relu,
    ActivationKind.SQUARED_RELU: _squared_relu,
    ActivationKind.TANH_GELU_PYTHON: _tanh_gelu,
    ActivationKind.XIELU: _xielu,
    ActivationKind.BLOOM_GELU: _bloom_gelu,
}
