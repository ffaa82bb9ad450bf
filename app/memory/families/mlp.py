"""How feed-forward parts are read from a configuration."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from app.memory.architecture import (
    ActivationKind,
    ExpertGate,
    ExpertWeights,
    GatedMlp,
    Norm,
    Parameter,
    ParameterKind,
    PlainMlp,
    Projection,
    Router,
    RouterKind,
    SparseMlp,
)
from app.memory.config import ConfigReader
from app.memory.families.family import Family, Flag, is_set

Width = str | Callable[[ConfigReader], int]
"""The key of a width, or what computes it."""

ACTIVATIONS: Mapping[str, ActivationKind] = {
    # transformers 5.23 `activations.py`: which functions are one kernel and which are written in Python
    "gelu_new": ActivationKind.TANH_GELU_PYTHON,
    "gelu_fast": ActivationKind.TANH_GELU_PYTHON,
    "relu": ActivationKind.RELU,
    "relu2": ActivationKind.SQUARED_RELU,
    "xielu": ActivationKind.XIELU,
}

EXPERT_NAMES: Mapping[str, tuple[str, str, str, str]] = {
    # Transformers 4's names of router, gate, up and down, which PEFT converts
    "qwen2_moe": ("gate", "gate_proj", "up_proj", "down_proj"),
    "mixtral": ("gate", "w1", "w3", "w2"),
}


def width_of(width: Width, reader: ConfigReader) -> int:
    """The number that a width stands for."""
    return reader.integer(width) if isinstance(width, str) else width(reader)


def four_times_hidden(reader: ConfigReader) -> int:
    """``intermediate_size``, or four times the hidden size."""
    return reader.integer("intermediate_size", 4 * reader.integer("hidden_size"))


def expansion(reader: ConfigReader) -> int:
    """MPT's ``expansion_ratio`` times the hidden size."""
    return reader.integer("expansion_ratio", 4) * reader.integer("hidden_size")


def lfm2_width(reader: ConfigReader) -> int:
    """LFM2 rounds two thirds of the configured width up (``modeling_lfm2.py``, Lfm2MLP)."""
    width = reader.integer("intermediate_size")
    if not reader.boolean("block_auto_adjust_ff_dim", True):
        return width
    width = int(reader.number("block_ffn_dim_multiplier", 1.0) * int(2 * width / 3))
    multiple = reader.integer("block_multiple_of", 256)
    return multiple * -(-width // multiple)


def _linear(family: Family, name: str, in_features: int, out_features: int, bias: bool = False) -> Projection:
    adapted = () if name in family.converted_names else None
    return Projection(name, in_features, out_features, bias, adapted_as=adapted)


@dataclass(frozen=True, kw_only=True)
class GatedStyle:
    """A gated MLP."""

    width: Width = "intermediate_size"
    bias: Flag = False
    names: tuple[str, str, str] = ("gate_proj", "up_proj", "down_proj")
    fused: str | None = None
    inner_norm: bool = False
    dropout: str | None = None

    def build(self, reader: ConfigReader, family: Family) -> GatedMlp:
        hidden_size, width = reader.integer("hidden_size"), width_of(self.width, reader)
        bias = is_set(self.bias, reader)
        gate, up, down = self.names
        separate = self.fused is None
        return GatedMlp(
            intermediate_size=width,
            gate=_linear(family, gate, hidden_size, width, bias) if separate else None,
            up=_linear(family, up, hidden_size, width, bias) if separate else None,
            gate_up=None if self.fused is None else _linear(family, self.fused, hidden_size, 2 * width, bias),
            down=_linear(family, down, width, hidden_size, bias),
            activation=ACTIVATIONS.get(reader.text("hidden_act", "silu"), ActivationKind.FUSED),
            inner_norm=family.norm_over(width, reader) if self.inner_norm else None,
            residual_dropout=self.dropout is not None and reader.number(self.dropout, 0.0) > 0,
        )


@dataclass(frozen=True, kw_only=True)
class PlainStyle:
    """Two projections around an activation."""

    width: Width = "intermediate_size"
    bias: Flag = False
    names: tuple[str, str] = ("up_proj", "down_proj")
    quantised: bool = True
    activation: ActivationKind | None = None
    """None: by the configuration's ``hidden_act``."""
    dropout: str | None = None

    def build(self, reader: ConfigReader, family: Family) -> PlainMlp:
        hidden_size, width = reader.integer("hidden_size"), width_of(self.width, reader)
        bias = is_set(self.bias, reader)
        activation = self.activation or ACTIVATIONS.get(reader.text("hidden_act", "gelu"), ActivationKind.FUSED)
        return PlainMlp(
            intermediate_size=width,
            up=replace(_linear(family, self.names[0], hidden_size, width, bias), quantised=self.quantised),
            down=replace(_linear(family, self.names[1], width, hidden_size, bias), quantised=self.quantised),
            activation=activation,
            residual_dropout=self.dropout is not None and reader.number(self.dropout, 0.0) > 0,
        )


@dataclass(frozen=True, kw_only=True)
class SharedStyle:
    """An MLP that runs beside the experts."""

    width: Width
    gated: bool = True
    names: tuple[str, str, str] = ("gate_proj", "up_proj", "down_proj")
    fused: str | None = None
    bias: Flag = False
    first: bool = False
    """It runs before the experts."""
    gate: bool = False
    """Its output is multiplied by a learned gate (Qwen)."""


def shared_by_count(key: str, *, first: bool = False) -> SharedStyle:
    """As wide as ``key`` experts together."""

    def width(reader: ConfigReader) -> int:
        return reader.integer("moe_intermediate_size") * reader.integer(key, 0, minimum=0)

    return SharedStyle(width=width, first=first)


@dataclass(frozen=True, kw_only=True)
class ExpertStyle:
    """A mixture of experts."""

    router: RouterKind | Callable[[ConfigReader], RouterKind]
    width: Width = "moe_intermediate_size"
    router_name: str = "gate"
    router_bias: bool = False
    router_is_linear: bool = False
    router_has_own_class: bool = False
    """It derives from ``nn.Linear`` and returns more than logits: bitsandbytes leaves it alone, and PEFT's adapter on
    it cannot be trained."""
    router_float32: bool = False
    router_norm: bool = False
    """The router normalises its input, without a weight (Gemma 4)."""
    normalises: Flag = True
    scales: bool = False
    casts_back: bool = False
    gate: ExpertGate = ExpertGate.GATED
    bias: bool = False
    shared: SharedStyle | None = None
    converted: str | None = None
    """The Transformers 4 layout from which PEFT converts targets, a key of ``EXPERT_NAMES``."""
    latent: str | None = None
    """The key of the narrower width in which the experts work."""
    scales_result: bool = False
    adds_in_float32: Flag = False
    averages: Callable[[ConfigReader], bool] | None = None
    """Whether the experts' result and the shared part's are averaged rather than added."""
    output_norm: bool = False
    """The family's norm stands after experts and shared part (A.X-K1)."""
    router_extra: Callable[[ConfigReader, int], tuple[Parameter, ...]] | None = None

    def build(self, reader: ConfigReader, family: Family) -> SparseMlp:
        hidden_size, width = reader.integer("hidden_size"), width_of(self.width, reader)
        experts = reader.integer("num_experts")
        chosen = reader.integer("num_experts_per_tok", maximum=experts)
        inner = reader.optional_integer(self.latent) if self.latent else None
        names = EXPERT_NAMES.get(self.converted or "")
        gated = self.gate is not ExpertGate.NONE

        def weights(name: str, in_features: int, out_features: int, adapted_as: tuple[str, ...]) -> ExpertWeights:
            return ExpertWeights(
                name=name,
                num_experts=experts,
                experts_per_token=chosen,
                in_features=in_features,
                out_features=out_features,
                bias=self.bias,
                adapted_as=adapted_as if names else (),
            )

        router, gate, up, down = names or ("", "", "", "")
        shared = self._shared(reader, family, hidden_size)
        return SparseMlp(
            intermediate_size=width,
            num_experts=experts,
            experts_per_token=chosen,
            router=Router(
                kind=self.router(reader) if callable(self.router) else self.router,
                weight=Projection(
                    self.router_name,
                    hidden_size,
                    experts,
                    self.router_bias,
                    quantised=not self.router_has_own_class,
                    adapted_as=None if self.router_is_linear else (router,) if names else (),
                ),
                is_linear=self.router_is_linear,
                float32=self.router_float32,
                normalises=is_set(self.normalises, reader),
                scales=self.scales,
                norm=Norm(family.norm, hidden_size, 0) if self.router_norm else None,
                casts_back=self.casts_back,
                extra=self.router_extra(reader, experts) if self.router_extra else (),
            ),
            up=weights(
                "gate_up_proj" if gated else "up_proj",
                inner or hidden_size,
                (2 if gated else 1) * width,
                (gate, up) if gated else (up,),
            ),
            down=weights("down_proj", width, inner or hidden_size, (down,)),
            gate=self.gate,
            shared=shared,
            shared_first=self.shared is not None and self.shared.first,
            shared_gate=Projection("shared_expert_gate", hidden_size, 1)
            if self.shared is not None and self.shared.gate
            else None,
            scales_result=self.scales_result,
            adds_in_float32=is_set(self.adds_in_float32, reader),
            averages=self.averages is not None and self.averages(reader),
            latent_down=Projection("fc1_latent_proj", hidden_size, inner) if inner else None,
            latent_up=Projection("fc2_latent_proj", inner, hidden_size) if inner else None,
            output_norm=family.norm_over(hidden_size, reader) if self.output_norm else None,
        )

    def _shared(self, reader: ConfigReader, family: Family, hidden_size: int) -> GatedMlp | PlainMlp | None:
        if self.shared is None:
            return None
        width = width_of(self.shared.width, reader)
        if not width:
            return None
        if self.shared.gated:
            style = GatedStyle(
                width=lambda _: width, bias=self.shared.bias, names=self.shared.names, fused=self.shared.fused
            )
            return style.build(reader, family)
        return PlainStyle(width=lambda _: width, activation=ActivationKind.SQUARED_RELU).build(reader, family)


def balancing_bias(reader: ConfigReader, experts: int) -> tuple[Parameter, ...]:
    """Ernie's ``moe_statics``: a parameter that balances the experts' load without a gradient."""
    return (Parameter(ParameterKind.BALANCE, experts),)
