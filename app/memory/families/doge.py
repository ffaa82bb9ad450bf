"""Doge: a mask made out of the values, scaled residuals, and experts of one neuron each.

From transformers 5.23 ``models/doge/``.
"""

from collections.abc import Mapping
from math import isqrt

from app.memory.architecture import (
    ExpertGate,
    ExpertWeights,
    Parameter,
    ParameterKind,
    Projection,
    Router,
    RouterKind,
    SparseMlp,
)
from app.memory.config import ConfigReader
from app.memory.families.attention import PER_HEAD, AttentionStyle
from app.memory.families.family import Family, LayerPlan
from app.memory.families.llama_like import BIASED_GATED


class RetrievedExperts:
    """``DogeCDMoE``: two tables with a row an expert, chosen by two halves of a key, beside a gated MLP."""

    def build(self, reader: ConfigReader, family: Family) -> SparseMlp:
        hidden_size, experts = reader.integer("hidden_size"), reader.integer("num_experts")
        chosen = reader.integer("num_experts_per_tok", maximum=experts)

        def table(name: str, in_features: int, out_features: int) -> ExpertWeights:
            return ExpertWeights(
                name=name,
                num_experts=experts,
                experts_per_token=chosen,
                in_features=in_features,
                out_features=out_features,
            )

        return SparseMlp(
            intermediate_size=1,
            num_experts=experts,
            experts_per_token=chosen,
            router=Router(
                kind=RouterKind.SOFTMAX_OF_BEST_HALF,
                weight=Projection("router_gate", hidden_size, 2 * isqrt(experts)),
                is_linear=True,
                normalises=reader.boolean("norm_topk_prob"),
            ),
            up=table("down_embed", hidden_size, 1),
            down=table("up_embed", 1, hidden_size),
            gate=ExpertGate.NONE,
            shared=BIASED_GATED.build(reader, family),
        )


def _plan(reader: ConfigReader, layers: int) -> tuple[LayerPlan, ...]:
    return (LayerPlan(mlp="sparse" if reader.boolean("is_moe") else "dense"),) * layers


def _residuals(reader: ConfigReader) -> tuple[Parameter, ...]:
    """A factor a feature for each of the two residual streams."""
    return (Parameter(ParameterKind.OTHER, reader.integer("hidden_size"), 2),)


DOGE: Mapping[str, Family] = {
    "doge": Family(
        mixers={
            "full_attention": AttentionStyle(
                bias="attention_bias", output_bias="attention_bias", norm=PER_HEAD, mask_name="dt_proj"
            )
        },
        mlps={"dense": BIASED_GATED, "sparse": RetrievedExperts()},
        plan=_plan,
        layer_extra=_residuals,
        defaults={"num_experts": 16384, "num_experts_per_tok": 64},
        approximate=True,
        note="Its masks and the experts of one neuron are counted roughly.",
    ),
}
