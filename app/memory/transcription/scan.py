"""What surrounds a recurrence that is not followed step by step: its projections, its convolution and a gate."""

from app.memory.architecture import Scan
from app.memory.size import per_token
from app.memory.tape import FLOAT32, Tensor
from app.memory.transcription.elements import Code, tokens
from app.memory.transcription.projections import project
from app.memory.transcription.recurrent import convolve


def scan(code: Code, mixer: Scan, x: Tensor) -> Tensor:
    """The inputs, what the recurrence is known to keep, a gate in float32, and the output."""
    tape, width = code.tape, tokens(mixer.width)
    parts = [project(code, projection, x) for projection in mixer.inputs]
    mixed = tape.record(parts, width, x.width, saves=parts)
    if mixer.convolution is not None and mixer.convolution.channels == mixer.width:
        mixed = convolve(code, mixer.convolution, mixed, activated=True)
    wide = tape.cast(mixed, FLOAT32)
    scanned = tape.record((wide,), width, FLOAT32, saves=(wide,), extra_saved=per_token(FLOAT32 * mixer.kept_features))
    gated = tape.multiply(scanned, tape.unary(mixed, saves_input=True))
    return project(code, mixer.output, tape.cast(gated, x.width))
