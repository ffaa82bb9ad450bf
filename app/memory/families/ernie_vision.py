"""ERNIE 4.5 VL: each layer has experts for text and narrower ones for images.

From transformers 5.23 ``models/ernie4_5_vl_moe/``; the defaults are those of its configuration classes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction

from app.memory.architecture import Parameter, ParameterKind, RouterKind
from app.memory.config import ConfigReader
from app.memory.families.family import Family
from app.memory.families.image_tokens import merged_patches
from app.memory.families.mlp import ExpertStyle, GatedStyle, SharedStyle, balancing_bias
from app.memory.families.plans import after_first_dense, by_layer_type
from app.memory.families.sparse import SPARSE
from app.memory.families.tower_parts import bare, layer_norm, linear
from app.memory.families.wrapper import Wrapper

ERNIE = SPARSE["ernie4_5_moe"]
TEXT_WIDTH, IMAGE_WIDTH = 1536, 512
"""``moe_intermediate_size`` of ``configuration_ernie4_5_vl_moe.py``."""


def _widths(reader: ConfigReader) -> tuple[int, int]:
    """Of an expert for text and of one for images; a single number is both."""
    if isinstance(reader.raw("moe_intermediate_size"), int | float):
        both = reader.integer("moe_intermediate_size")
        return both, both
    text, image = (*reader.integers("moe_intermediate_size"), TEXT_WIDTH, IMAGE_WIDTH)[:2]
    return text, image


def _text_width(reader: ConfigReader) -> int:
    return _widths(reader)[0]


def _shared_width(reader: ConfigReader) -> int:
    return _widths(reader)[0] * reader.integer("moe_num_shared_experts", 0, minimum=0)


def _experts_for_images(reader: ConfigReader, experts: int) -> tuple[Parameter, ...]:
    """A second router and a second set of experts, which text never reaches."""
    hidden_size, width = reader.integer("hidden_size"), _widths(reader)[1]
    return (
        *balancing_bias(reader, experts),
        *balancing_bias(reader, experts),
        Parameter(ParameterKind.FLOAT32, experts * hidden_size, rows=experts, active_fraction=Fraction(0)),
        Parameter(ParameterKind.EXPERTS, experts * 2 * width * hidden_size, rows=experts, active_fraction=Fraction(0)),
        Parameter(ParameterKind.EXPERTS, experts * width * hidden_size, rows=experts, active_fraction=Fraction(0)),
    )


def _perception(merged: int, entry: int) -> Iterator[Parameter]:
    """``Ernie4_5_VLMoeVisionMLP``: two projections and a norm."""
    yield from linear(entry, merged)
    yield from linear(merged, merged)
    yield from layer_norm(merged)


def _eye(vision: ConfigReader, whole: ConfigReader, hidden_size: int) -> Iterator[Parameter]:
    """A tower as Qwen2-VL's, then a resampler that merges in space and in time."""
    width, inner, depth = (vision.integer(key) for key in ("hidden_size", "intermediate_size", "depth"))
    merged = width * vision.integer("spatial_merge_size") ** 2
    yield from linear(vision.integer("in_channels") * vision.integer("patch_size") ** 2, width, bias=False)
    yield from linear(width, 3 * width, depth)
    yield from linear(width, width, depth)
    yield from linear(width, inner, depth)
    yield from linear(inner, width, depth)
    yield from layer_norm(width, 2 * depth + 1)
    yield from _perception(merged, merged)
    yield from _perception(merged, merged * vision.integer("temporal_merge_size"))
    yield from linear(merged, hidden_size)
    yield from bare(hidden_size)


ERNIE_TEXT: Mapping[str, Family] = {
    "ernie4_5_vl_moe_text": replace(
        ERNIE,
        mlps={
            "dense": GatedStyle(bias="use_bias"),
            "sparse": ExpertStyle(
                router=RouterKind.SOFTMAX_ISOLATED,
                width=_text_width,
                router_float32=True,
                router_extra=_experts_for_images,
                shared=SharedStyle(width=_shared_width, bias="use_bias", first=True),
            ),
        },
        plan=by_layer_type(sparse=after_first_dense),
        converted_names=frozenset(),
        defaults={
            "tie_word_embeddings": True,
            "num_key_value_heads": 4,
            "num_experts": 64,
            "num_experts_per_tok": 6,
            "moe_num_shared_experts": 2,
            "first_k_dense_replace": 1,
        },
        approximate=True,
        note="Its experts for images are counted by their weights, as if every token were text.",
    ),
}
ERNIE_WRAPPER: Mapping[str, Wrapper] = {
    "ernie4_5_vl_moe": Wrapper(
        text="ernie4_5_vl_moe_text",
        tower=_eye,
        images=merged_patches,
        vision_defaults={
            "depth": 32,
            "hidden_size": 1280,
            "intermediate_size": 5120,
            "in_channels": 3,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_merge_size": 2,
        },
        defaults={"tie_word_embeddings": True},
    ),
}
