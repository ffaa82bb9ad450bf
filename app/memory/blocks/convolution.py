"""What recurrent mixers put before their recurrence."""

from collections.abc import Iterator
from dataclasses import dataclass

from app.memory.blocks.parameters import Parameter, ParameterKind


@dataclass(frozen=True, kw_only=True, slots=True)
class Convolution:
    """A causal depthwise ``nn.Conv1d`` over the sequence."""

    channels: int
    kernel: int
    bias: bool = False

    def parameters(self) -> Iterator[Parameter]:
        yield Parameter(ParameterKind.OTHER, self.channels * self.kernel, rows=self.channels)
        if self.bias:
            yield Parameter(ParameterKind.BIAS, self.channels)
