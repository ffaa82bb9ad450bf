"""Towers of CLIP's and SigLIP's kind: LLaVA (Pixtral 12B among them), PaliGemma, Idefics 3, SmolVLM, InternVL.

From transformers 5.23 ``models/<type>/``; the defaults are those of its configuration classes.
"""

from collections.abc import Iterator, Mapping

from app.memory.architecture import Parameter
from app.memory.config import ConfigReader
from app.memory.families.image_tokens import (
    idefics_tiles,
    internvl_tiles,
    llava_patches,
    merged_into_one,
    patches,
    plain_patches,
)
from app.memory.families.tower_parts import bare, layer_norm, linear
from app.memory.families.towers import CLASSES, named, siglip, siglip_encoder
from app.memory.families.wrapper import Wrapper


def llava(vision: ConfigReader, whole: ConfigReader, hidden_size: int) -> Iterator[Parameter]:
    """``modeling_llava.py``: any encoder, projected from one or several of its layers."""
    yield from named(vision, "clip_vision_model")
    yield from projector(vision, whole, hidden_size)


def projector(vision: ConfigReader, whole: ConfigReader, hidden_size: int) -> Iterator[Parameter]:
    """LLaVA's two layers, from one or several of the tower's."""
    bias = whole.boolean("multimodal_projector_bias", default=True)
    yield from linear(feature_layers(whole) * vision.integer("hidden_size"), hidden_size, bias=bias)
    yield from linear(hidden_size, hidden_size, bias=bias)


def feature_layers(whole: ConfigReader) -> int:
    """How many of the tower's layers the projector reads side by side."""
    layers = whole.raw("vision_feature_layer")
    return max(1, len(layers)) if isinstance(layers, list | tuple) else 1


def paligemma(vision: ConfigReader, whole: ConfigReader, hidden_size: int) -> Iterator[Parameter]:
    """``modeling_paligemma.py``: SigLIP and one linear layer."""
    yield from siglip(vision)
    yield from linear(vision.integer("hidden_size"), whole.integer("projection_dim", hidden_size))


def idefics3(vision: ConfigReader, whole: ConfigReader, hidden_size: int) -> Iterator[Parameter]:
    """``modeling_idefics3.py``: SigLIP's layers, patches shuffled and projected."""
    yield from siglip_encoder(vision)
    yield from linear(vision.integer("hidden_size") * whole.integer("scale_factor", 2) ** 2, hidden_size, bias=False)


def internvl(vision: ConfigReader, whole: ConfigReader, hidden_size: int) -> Iterator[Parameter]:
    """``modeling_internvl.py``: scaled residuals, patches shuffled into a projector of two layers."""
    width, inner, layers = (
        vision.integer("hidden_size"),
        vision.integer("intermediate_size"),
        vision.integer("num_hidden_layers"),
    )
    patch, norms = vision.integer("patch_size"), 1 if vision.text("norm_type", "") == "rms_norm" else 2
    yield from bare(width, 2 if vision.boolean("use_mask_token") else 1)
    yield from bare(vision.integer("num_channels", 3) * patch * patch * width)
    yield from bare(width)
    if vision.boolean("use_absolute_position_embeddings", default=True):
        yield from bare((patches(vision) + 1) * width)
    yield from linear(width, width, 3 * layers, bias=vision.boolean("attention_bias"))
    yield from linear(width, width, layers)
    yield from linear(width, inner, layers)
    yield from linear(inner, width, layers)
    yield from bare(width, (2 * norms + 2 + (2 if vision.boolean("use_qk_norm") else 0)) * layers)
    if not vision.boolean("use_mean_pooling", default=True):
        yield from layer_norm(width)
    merged = width * merged_into_one(whole)
    yield from layer_norm(merged)
    yield from linear(merged, hidden_size)
    yield from linear(hidden_size, hidden_size)


CLIP_LARGE = {"hidden_size": 1024, "intermediate_size": 4096, "patch_size": 14, "image_size": 336,
              "num_hidden_layers": 24}  # fmt: skip
SIGLIP_SHAPE_OPTIMISED = {"hidden_size": 1152, "intermediate_size": 4096, "patch_size": 14, "image_size": 224,
                          "num_hidden_layers": 27, "vision_use_head": False}  # fmt: skip
IDEFICS3 = {"hidden_size": 1152, "intermediate_size": 3072, "patch_size": 32, "image_size": 224,
            "num_hidden_layers": 12}  # fmt: skip

OLDER_WRAPPERS: Mapping[str, Wrapper] = {
    "llava": Wrapper(
        text="llama",
        tower=llava,
        images=llava_patches,
        vision_defaults=CLIP_LARGE,
        vision_classes=CLASSES,
        ties_as_text=True,
    ),
    "paligemma": Wrapper(
        text="gemma",
        tower=paligemma,
        images=plain_patches,
        vision_defaults=SIGLIP_SHAPE_OPTIMISED,
        vision_classes=CLASSES,
        defaults={"tie_word_embeddings": True},
    ),
    "idefics3": Wrapper(
        text="llama",
        tower=idefics3,
        images=idefics_tiles,
        vision_defaults=IDEFICS3,
    ),
    "smolvlm": Wrapper(
        text="llama",
        tower=idefics3,
        images=idefics_tiles,
        vision_defaults=IDEFICS3,
    ),
    "internvl": Wrapper(
        text="qwen2",
        tower=internvl,
        images=internvl_tiles,
        vision_defaults={**CLIP_LARGE, "image_size": 448},
        defaults={"tie_word_embeddings": True},
    ),
}
