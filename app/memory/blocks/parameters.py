"""What every part of a layer is made of: parameter tensors, norms and linear layers."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

WHOLE = Fraction(1)


class ParameterKind(StrEnum):
    """What a parameter tensor is, as far as quantisers, adapters and optimizers treat it differently."""

    LINEAR = "linear"
    """The weight of an ``nn.Linear``: what bitsandbytes quantises and PEFT's ``all-linear`` adapts."""
    UNQUANTISED = "unquantised"
    """A linear layer that bitsandbytes leaves alone: of a class of its own (Falcon), or the model's last parameter."""
    BIAS = "bias"
    NORM = "norm"
    EMBEDDING = "embedding"
    HEAD = "head"
    """``lm_head``, kept in 16 bits by bitsandbytes."""
    EXPERTS = "experts"
    """Fused 3-D expert weights, which are no ``nn.Linear``."""
    OTHER = "other"
    """A bare parameter: a router, a gate, a recurrence's rates."""
    FLOAT32 = "float32"
    """A bare parameter that the model's code makes in float32 whatever the run's type."""
    BALANCE = "balance"
    """The same, and it never receives a gradient (Ernie's ``moe_statics``)."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter tensor (``count`` alike ones)."""

    kind: ParameterKind
    elements: int
    count: int = 1
    rows: int = 1
    """Of a matrix, its first dimension; 1 for a vector."""
    active_fraction: Fraction = WHOLE
    """The share that one token uses."""


class NormKind(StrEnum):
    """Which normalisation code runs; they keep different tensors for backward."""

    RMS = "rms"
    """Llama's: upcast, normalise, downcast, then scale."""
    GEMMA_RMS = "gemma_rms"
    """Gemma's: upcast, normalise, scale by (1 + weight) in float32, then downcast."""
    RMS_SCALE_LAST = "rms_scale_last"
    """OLMo 2's and GPT-OSS's: scale in float32, then downcast."""
    LAYER = "layer"
    """``nn.LayerNorm``: one fused kernel."""
    LAYER_ONE_PLUS = "layer_one_plus"
    """Nemotron's: the fused kernel with 1 + weight, at autocast's width."""
    LAYER_FLOAT32 = "layer_float32"
    """OLMo's: the fused kernel, without parameters, on a float32 copy."""
    LAYER_PYTHON = "layer_python"
    """Cohere's: a mean-subtracting norm written out in float32."""
    RMS_FUSED = "rms_fused"
    """``nn.RMSNorm``."""
    L2 = "l2"
    """Llama 4's norm of queries and keys: an RMS norm without a weight."""


@dataclass(frozen=True, slots=True)
class Norm:
    """A normalisation over the last ``width`` features with ``elements`` scale parameters."""

    kind: NormKind
    width: int
    elements: int
    bias: bool = False

    def parameters(self) -> Iterator[Parameter]:
        if self.elements:
            yield Parameter(ParameterKind.NORM, self.elements)
            if self.bias:
                yield Parameter(ParameterKind.NORM, self.elements)


@dataclass(frozen=True, slots=True)
class Projection:
    """A weight matrix by its name in the model, the name that ``target_modules`` matches."""

    name: str
    in_features: int
    out_features: int
    bias: bool = False
    in_attention: bool = False
    """It stands directly in an attention module, so that ``attention`` means it."""
    quantised: bool = True
    """bitsandbytes replaces it: its class is ``nn.Linear`` or ``Conv1D`` itself."""
    adapted_as: tuple[str, ...] | None = None
    """The names which, all chosen, make PEFT adapt this; () is never, None its own name."""

    @property
    def elements(self) -> int:
        """Weights, without the bias."""
        return self.in_features * self.out_features

    @property
    def adapter_features(self) -> tuple[int, int]:
        """Elements of the adapter's two matrices for each unit of rank."""
        return self.in_features, self.out_features

    @property
    def target_names(self) -> tuple[str, ...]:
        """The names which, all chosen, adapt this; empty where PEFT cannot."""
        return (self.name,) if self.adapted_as is None else self.adapted_as

    @property
    def active_fraction(self) -> Fraction:
        """The share of the weights that one token uses."""
        return WHOLE

    def parameters(self) -> Iterator[Parameter]:
        kind = ParameterKind.LINEAR if self.quantised else ParameterKind.UNQUANTISED
        yield Parameter(kind, self.elements, rows=self.out_features)
        if self.bias:
            yield Parameter(ParameterKind.BIAS, self.out_features)


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpertWeights:
    """All experts' weights of one projection, fused into a 3-D parameter.

    bitsandbytes leaves it in 16 bits, since it is no ``nn.Linear``; PEFT adapts it as a parameter, if at all.
    """

    name: str
    num_experts: int
    experts_per_token: int
    in_features: int
    out_features: int
    bias: bool = False
    adapted_as: tuple[str, ...] = ()
    """As in :class:`Projection`: Transformers 4's names of what was fused, where PEFT converts them."""

    @property
    def elements(self) -> int:
        """Weights of all experts, without biases."""
        return self.num_experts * self.in_features * self.out_features

    @property
    def rank_multiple(self) -> int:
        """Fused projections get the rank of each together (``peft/utils/transformers_weight_conversion.py``)."""
        return max(len(self.adapted_as), 1)

    @property
    def adapter_features(self) -> tuple[int, int]:
        """Elements of the adapter's two matrices for each unit of rank."""
        ranks = self.num_experts * self.rank_multiple
        return self.in_features * ranks, self.out_features * ranks

    @property
    def target_names(self) -> tuple[str, ...]:
        return self.adapted_as

    @property
    def in_attention(self) -> bool:
        return False

    @property
    def active_fraction(self) -> Fraction:
        """The share of the weights that one token uses."""
        return Fraction(self.experts_per_token, self.num_experts)

    def parameters(self) -> Iterator[Parameter]:
        yield Parameter(
            ParameterKind.EXPERTS, self.elements, rows=self.num_experts, active_fraction=self.active_fraction
        )
        if self.bias:
            biases = self.num_experts * self.out_features
            yield Parameter(ParameterKind.EXPERTS, biases, rows=self.num_experts, active_fraction=self.active_fraction)


Adaptable = Projection | ExpertWeights
"""What can carry an adapter."""
