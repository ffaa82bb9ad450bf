"""Feed-forward parts, line by line: ``LlamaMLP``, ``GPT2MLP`` and their relatives; ``transformers/activations.py``."""

from app.memory.architecture import ActivationKind, GatedMlp, PlainMlp
from app.memory.tape import Tensor
from app.memory.transcription.elements import Code, tokens
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
    activated = tape.unary(gate, saves_input=True)
    if up is None:
        assert mlp.up is not None
        up = project(code, mlp.up, x)
    return project(code, mlp.down, tape.multiply(activated, up))


def _plain(code: Code, mlp: PlainMlp, x: Tensor) -> Tensor:
    tape = code.tape
    hidden = project(code, mlp.up, x)
    match mlp.activation:
        case ActivationKind.FUSED:
            hidden = tape.unary(hidden, saves_input=True)
        case ActivationKind.SQUARED_RELU:
            hidden = tape.unary(tape.unary(hidden, saves_output=True), saves_input=True)
        case ActivationKind.TANH_GELU_PYTHON:
            # 0.5 * x * (1 + tanh(c * (x + 0.044715 * x³)))
            cube = tape.unary(hidden, saves_input=True)
            inner = tape.scale(tape.add(hidden, tape.scale(cube)))
            hidden = tape.multiply(tape.scale(hidden), tape.unary(inner, saves_output=True))
    return project(code, mlp.down, hidden)
