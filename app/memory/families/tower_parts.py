"""What towers for images and sound are made of, as parameters."""

from collections.abc import Iterator

from app.memory.architecture import Parameter, ParameterKind


def linear(in_features: int, out_features: int, count: int = 1, *, bias: bool = True) -> Iterator[Parameter]:
    """``count`` linear layers."""
    yield Parameter(ParameterKind.LINEAR, in_features * out_features, count, out_features)
    if bias:
        yield Parameter(ParameterKind.BIAS, out_features, count)


def layer_norm(width: int, count: int = 1) -> Iterator[Parameter]:
    """``count`` LayerNorms with their biases."""
    yield Parameter(ParameterKind.NORM, width, 2 * count)


def bare(elements: int, count: int = 1) -> Iterator[Parameter]:
    """``count`` parameters that belong to no linear layer."""
    if elements and count:
        yield Parameter(ParameterKind.OTHER, elements, count)


def encoder(width: int, inner: int, layers: int, *, attention_bias: bool = True) -> Iterator[Parameter]:
    """``layers`` transformer layers: four projections, two norms, an MLP of two projections."""
    yield from linear(width, width, 4 * layers, bias=attention_bias)
    yield from linear(width, inner, layers)
    yield from linear(inner, width, layers)
    yield from layer_norm(width, 2 * layers)
