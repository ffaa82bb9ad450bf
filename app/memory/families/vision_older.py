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
from app.memory.families.tower_parts import bare, encoder, layer_norm, linear
from app.memory.families.vision import pixtral_encoder
from app.memory.families.wrapper import Wrapper


def clip(vision: ConfigReader) -> Iterator[Parameter]:
    """``modeling_clip.py``, CLIPVisionModel: a class token, norms before and after the layers."""
    width, patch = vision.integer("hidden_size"), vision.integer("patch_size")
    yield from bare(width)
    yield from bare(vision.integer("num_channels", 3) * patch * patch * width)
    yield from bare((patches(vision) + 1) * width)
    yield from encoder(width, vision.integer("intermediate_size"), vision.integer("num_hidden_layers"))
    yield from layer_norm(width, 2)


def siglip_encoder(vision: ConfigReader) -> Iterator[Parameter]:
    """``modeling_siglip.py`` and its copy in Idefics 3, without the pooling head."""
    width, patch = vision.integer("hidden_size"), vision.integer("patch_size")
    yield from bare(vision.integer("num_channels", 3) * patch * patch * width)
    yield from bare(width)
    yield from bare(patches(vision) * width)
    yield from encoder(width, vision.integer("intermediate_size"), vision.integer("num_hidden_layers"))
    yield from layer_norm(width)


def siglip_with_head(vision: ConfigReader) -> Iterator[Parameter]:
    """SiglipVisionModel: the pooling head is there unless the configuration leaves it out."""
    yield from siglip_encoder(vision)
    if vision.boolean("vision_use_head", default=True):
        width, inner = vision.integer("hidden_size"), vision.integer("intermediate_size")
        yield from bare(width)
        yield from bare(3 * width * width)
        yield from bare(3 * width)
        yield from linear(width, width)
        yield from layer_norm(width)
        yield from linear(width, inner)
        yield from linear(inner, width)


ENCODERS = {"siglip_vision_model": siglip_with_head, "pixtral": pixtral_encoder}
"""By the vision configuration's ``model_type``; CLIP where it is none of these."""


def llava(vision: ConfigReader, whole: ConfigReader, hidden_size: int) -> Iterator[Parameter]:
    """``modeling_llava.py``: any encoder, projected from one or several of its layers."""
    yield from ENCODERS.get(vision.text("model_type", ""), clip)(vision)
    layers = whole.raw("vision_feature_layer")
    taken = max(1, len(layers)) if isinstance(layers, list | tuple) else 1
    bias = whole.boolean("multimodal_projector_bias", default=True)
    yield from linear(taken * vision.integer("hidden_size"), hidden_size, bias=bias)
    yield from linear(hidden_size, hidden_size, bias=bias)


def paligemma(vision: ConfigReader, whole: ConfigReader, hidden_size: int) -> Iterator[Parameter]:
    """``modeling_paligemma.py``: SigLIP and one linear layer."""
    yield from siglip_with_head(vision)
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
LLAMA_7B = {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32,
            "vocab_size": 32000}  # fmt: skip
"""``LlamaConfig``, whose values published configurations of LLaVA leave out."""

OLDER_WRAPPERS: Mapping[str, Wrapper] = {
    "llava": Wrapper(
        text="llama", tower=llava, images=llava_patches, vision_defaults=CLIP_LARGE, text_defaults=LLAMA_7B
    ),
    "paligemma": Wrapper(
        text="gemma",
        tower=paligemma,
        images=plain_patches,
        vision_defaults=SIGLIP_SHAPE_OPTIMISED,
        defaults={"tie_word_embeddings": True},
    ),
    "idefics3": Wrapper(
        text="llama",
        tower=idefics3,
        images=idefics_tiles,
        vision_defaults=IDEFICS3,
        text_defaults=LLAMA_7B,
    ),
    "smolvlm": Wrapper(
        text="llama",
        tower=idefics3,
        images=idefics_tiles,
        vision_defaults=IDEFICS3,
        text_defaults=LLAMA_7B,
    ),
    "internvl": Wrapper(
        text="qwen2",
        tower=internvl,
        images=internvl_tiles,
        vision_defaults={**CLIP_LARGE, "image_size": 448},
        defaults={"tie_word_embeddings": True},
    ),
}
