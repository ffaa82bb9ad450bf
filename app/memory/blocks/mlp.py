"""Feed-forward parts, dense and sparse."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from app.memory.blocks.parameters import Adaptable, ExpertWeights, Norm, Parameter, ParameterKind, Projection


class ActivationKind(StrEnum):
    """How an activation function is computed, hence what it keeps."""

    FUSED = "fused"
    """One kernel (silu, gelu): keeps its input."""
    RELU = "relu"
    """Keeps its output."""
    TANH_GELU_PYTHON = "tanh_gelu_python"
    """The ``gelu_new`` formula in Python: keeps an input per operation."""
    SQUARED_RELU = "squared_relu"
    XIELU = "xielu"
    """Apertus's, written in Python; it has two learned scalars."""
    BLOOM_GELU = "bloom_gelu"
    """BLOOM's own autograd function: keeps its input."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GatedMlp:
    """``down(activation(gate(x)) × up(x))``; ``gate_up`` is one fused projection where the model has it."""

    intermediate_size: int
    down: Projection
    gate: Projection | None = None
    up: Projection | None = None
    gate_up: Projection | None = None
    activation: ActivationKind = ActivationKind.FUSED
    inner_norm: Norm | None = None
    """Normalises what the last projection reads (BitNet)."""
    residual_dropout: bool = False

    def projections(self) -> Iterator[Projection]:
        for projection in (self.gate, self.up, self.gate_up, self.down):
            if projection is not None:
                yield projection

    def parameters(self) -> Iterator[Parameter]:
        for projection in self.projections():
            yield from projection.parameters()
        if self.inner_norm is not None:
            yield from self.inner_norm.parameters()


@dataclass(frozen=True, kw_only=True, slots=True)
class PlainMlp:
    """``down(activation(up(x)))``."""

    intermediate_size: int
    up: Projection
    down: Projection
    activation: ActivationKind = ActivationKind.FUSED
    residual_dropout: bool = False

    def projections(self) -> Iterator[Projection]:
        yield self.up
        yield self.down

    def parameters(self) -> Iterator[Parameter]:
        for projection in self.projections():
            yield from projection.parameters()
        if self.activation is ActivationKind.XIELU:
            yield Parameter(ParameterKind.OTHER, 1, 2)


class RouterKind(StrEnum):
    """How a router turns logits into the weights of the chosen experts."""

    SOFTMAX = "softmax"
    """Float32 softmax over all experts, then the best (Qwen, OLMoE, Mixtral)."""
    SOFTMAX_OF_BEST = "softmax_of_best"
    """The best logits, then a softmax over them in float32 (Granite)."""
    SOFTMAX_OF_BEST_HALF = "softmax_of_best_half"
    """The same at the logits' width (gpt-oss)."""
    SOFTMAX_FLOAT32 = "softmax_float32"
    """The router multiplies in float32, then softmax (DeepSeek V2)."""
    SOFTMAX_ISOLATED = "softmax_isolated"
    """The same outside autocast, weights gathered and normalised (Ernie 4.5)."""
    SIGMOID_FLOAT32 = "sigmoid_float32"
    """The router multiplies in float32, then a sigmoid (DeepSeek V3, GLM-4.5, dots)."""
    SIGMOID = "sigmoid"
    """A sigmoid of upcast logits (MiniMax M2)."""
    SIGMOID_ISOLATED = "sigmoid_isolated"
    """The same outside autocast (Flint)."""
    SIGMOID_HALF = "sigmoid_half"
    """A sigmoid at the logits' width, then the best (LFM2's experts)."""
    SIGMOID_OF_BEST = "sigmoid_of_best"
    """The best logits, then a sigmoid of them (Command A+'s kind)."""
    SOFTMAX_HALF = "softmax_half"
    """A softmax over all experts at the logits' width, then the best (Mistral 4)."""
    SPARSE_MIXER = "sparse_mixer"
    """Phi-3.5-MoE's two rounds of masked softmax."""
    EVERY_EXPERT = "every_expert"
    """Llama 4's: all experts see all tokens, scaled by a sigmoid that is zero for most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Router:
    """The matrix that scores experts."""

    kind: RouterKind
    weight: Projection
    is_linear: bool = False
    """It is an ``nn.Linear`` rather than a bare parameter."""
    float32: bool = False
    """Its weight is made in float32 whatever the run's type."""
    normalises: bool = True
    """The chosen weights are divided by their sum."""
    scales: bool = False
    """The chosen weights are multiplied by a constant."""
    casts_back: bool = False
    """The chosen weights return to the logits' type."""
    norm: Norm | None = None
    extra: tuple[Parameter, ...] = ()

    def parameters(self) -> Iterator[Parameter]:
        if self.is_linear:
            yield from self.weight.parameters()
        else:
            kind = ParameterKind.FLOAT32 if self.float32 else ParameterKind.OTHER
            yield Parameter(kind, self.weight.elements, rows=self.weight.out_features)
            if self.weight.bias:
                yield Parameter(ParameterKind.OTHER, self.weight.out_features)
        yield from self.extra


class ExpertGate(StrEnum):
    """How an expert's two halves meet."""

    GATED = "gated"
    """``activation(gate) × up``."""
    CLAMPED = "clamped"
    """gpt-oss's clamped gate."""
    NONE = "none"
    """No gate: squared ReLU between up and down (Nemotron-H)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SparseMlp:
    """A mixture of experts: a router chooses ``experts_per_token`` of ``num_experts`` for each token."""

    intermediate_size: int
    """Of one expert."""
    num_experts: int
    experts_per_token: int
    router: Router
    up: ExpertWeights
    """Gate and up fused, or up alone."""
    down: ExpertWeights
    gate: ExpertGate = ExpertGate.GATED
    shared: GatedMlp | PlainMlp | None = None
    """Runs for every token, beside the experts."""
    shared_first: bool = False
    """The shared part runs before the experts."""
    shared_gate: Projection | None = None
    latent_down: Projection | None = None
    """Leads into a narrower space for the experts (Nemotron-H)."""
    latent_up: Projection | None = None
    scales_result: bool = False
    """The experts' result is multiplied by a constant (Laguna)."""
    adds_in_float32: bool = False
    """The experts' result and the shared part's are upcast to be added (Hunyuan 3)."""
    averages: bool = False
    """That sum is halved (Cohere)."""
    output_norm: Norm | None = None
    """Normalises what experts and shared part make together (A.X-K1)."""

    def projections(self) -> Iterator[Projection]:
        if self.router.is_linear:
            yield self.router.weight
        if self.shared is not None:
            yield from self.shared.projections()
        for projection in (self.shared_gate, self.latent_down, self.latent_up):
            if projection is not None:
                yield projection

    def adaptable(self) -> Iterator[Adaptable]:
        """What PEFT could adapt besides the linear layers."""
        yield from self.projections()
        if not self.router.is_linear:
            yield self.router.weight
        yield self.up
        yield self.down

    def parameters(self) -> Iterator[Parameter]:
        yield from self.router.parameters()
        yield from self.up.parameters()
        yield from self.down.parameters()
        for part in (self.shared, self.shared_gate, self.latent_down, self.latent_up, self.output_norm):
            if part is not None:
                yield from part.parameters()


Mlp = GatedMlp | PlainMlp | SparseMlp
