"""Vision-language models: which text family stands inside, and the parameters of what surrounds it.

A vision tower is frozen: it adds its weights. From transformers 5.23 ``models/<type>/``.
"""

from collections.abc import Iterator, Mapping

from app.memory.architecture import Parameter
from app.memory.config import ConfigReader
from app.memory.families import towers
from app.memory.families.image_tokens import (
    beside_the_sequence,
    merged_patches,
    pooled,
    rows_of_patches,
    shuffle_ratio,
    shuffled_tiles,
    within_budget,
)
from app.memory.families.tower_parts import bare, encoder, layer_norm, linear
from app.memory.families.wrapper import Wrapper


def siglip(vision: ConfigReader, whole: ConfigReader, hidden_size: int) -> Iterator[Parameter]:
    """Gemma 3: SigLIP, pooled and projected."""
    width, patch = vision.integer("hidden_size"), vision.integer("patch_size")
    channels = vision.integer("num_channels")
    yield from bare(channels * patch * patch * width)
    yield from bare(width)
    yield from bare((vision.integer("image_size") // patch) ** 2 * width)
    yield from encoder(width, vision.integer("intermediate_size"), vision.integer("num_hidden_layers"))
    yield from layer_norm(width)
    yield from bare(width * hidden_size)
    yield from bare(width)


def qwen_vision(vision: ConfigReader, whole: ConfigReader, hidden_size: int) -> Iterator[Parameter]:
    """Qwen3-VL and Qwen3.5: a vision transformer whose patches are merged, at the end and in between."""
    width, patch, merge = (
        vision.integer("hidden_size"),
        vision.integer("patch_size"),
        vision.integer("spatial_merge_size"),
    )
    out = vision.integer("out_hidden_size", hidden_size)
    merged = width * merge * merge
    deep = len(vision.integers("deepstack_visual_indexes"))
    yield from bare(vision.integer("in_channels") * vision.integer("temporal_patch_size") * patch * patch * width)
    yield from bare(width)
    yield from bare(vision.integer("num_position_embeddings") * width)
    depth, inner = vision.integer("depth"), vision.integer("intermediate_size")
    yield from linear(width, 3 * width, depth)
    yield from linear(width, width, depth)
    yield from linear(width, inner, depth)
    yield from linear(inner, width, depth)
    yield from layer_norm(width, 2 * depth + 1)
    yield from linear(merged, merged, 1 + deep)
    yield from linear(merged, out, 1 + deep)
    yield from layer_norm(merged, deep)


def llama4_vision(vision: ConfigReader, whole: ConfigReader, hidden_size: int) -> Iterator[Parameter]:
    """Llama 4: patches through a linear layer, pixels shuffled into an adapter."""
    width, patch = vision.integer("hidden_size"), vision.integer("patch_size")
    patches = (vision.integer("image_size") // patch) ** 2 + 1
    shuffled = int(width / shuffle_ratio(vision) ** 2)
    yield from bare(width)
    yield from bare(patches * width)
    yield from linear(vision.integer("num_channels") * patch * patch, width, bias=False)
    yield from encoder(width, vision.integer("intermediate_size"), vision.integer("num_hidden_layers"))
    yield from layer_norm(width, 2)
    yield from linear(shuffled, vision.integer("projector_input_dim"), bias=False)
    yield from linear(vision.integer("projector_input_dim"), vision.integer("projector_output_dim"), bias=False)
    yield from linear(vision.integer("vision_output_dim"), hidden_size, bias=False)


def mllama_vision(vision: ConfigReader, whole: ConfigReader, hidden_size: int) -> Iterator[Parameter]:
    """Llama 3.2 Vision: a tiled vision transformer with gated global layers."""
    width, patch = vision.integer("hidden_size"), vision.integer("patch_size")
    inner, layers = vision.integer("intermediate_size"), vision.integer("num_hidden_layers")
    global_layers, tiles = vision.integer("num_global_layers"), vision.integer("max_num_tiles")
    patches = (vision.integer("image_size") // patch) ** 2 + 1
    ratios = vision.integer("max_aspect_ratio_id", 8) + 1
    yield from bare(width)
    yield from bare(vision.integer("num_channels") * patch * patch * width)
    yield from bare(patches * width)
    yield from bare(ratios * tiles * patches * width)
    yield from bare(ratios * tiles * width, 2)
    yield from bare(1, 3 + 2 * global_layers)
    yield from layer_norm(width, 2)
    yield from encoder(width, inner, layers + global_layers, attention_bias=False)
    yield from linear(vision.integer("vision_output_dim"), hidden_size)


def gemma4_vision(vision: ConfigReader, whole: ConfigReader, hidden_size: int) -> Iterator[Parameter]:
    """Gemma 4: a vision transformer like the text model, projected."""
    width, patch, layers = (
        vision.integer("hidden_size"),
        vision.integer("patch_size"),
        vision.integer("num_hidden_layers"),
    )
    head_dim, inner = vision.integer("head_dim"), vision.integer("intermediate_size")
    query = vision.integer("num_attention_heads") * head_dim
    keys = vision.integer("num_key_value_heads") * head_dim
    yield from bare(2 * vision.integer("position_embedding_size", 10240) * width)
    yield from linear(3 * patch * patch, width, bias=False)
    yield from linear(width, query, 2 * layers, bias=False)
    yield from linear(width, keys, 2 * layers, bias=False)
    yield from linear(width, inner, 3 * layers, bias=False)
    yield from bare(head_dim, 2 * layers)
    yield from bare(width, 4 * layers)
    yield from linear(width, hidden_size, bias=False)


def pixtral(vision: ConfigReader, whole: ConfigReader, hidden_size: int) -> Iterator[Parameter]:
    """Mistral 3: Pixtral, whose patches are merged and projected (``modeling_mistral3.py``)."""
    width, merge = vision.integer("hidden_size"), whole.integer("spatial_merge_size", 2)
    bias = whole.boolean("multimodal_projector_bias")
    yield from towers.pixtral(vision)
    yield from bare(width)
    yield from linear(width * merge * merge, width, bias=False)
    yield from linear(width, hidden_size, bias=bias)
    yield from linear(hidden_size, hidden_size, bias=bias)


def qwen2_vision(vision: ConfigReader, whole: ConfigReader, hidden_size: int) -> Iterator[Parameter]:
    """Qwen2-VL (``modeling_qwen2_vl.py``)."""
    width, patch, depth = vision.integer("embed_dim"), vision.integer("patch_size"), vision.integer("depth")
    inner, merged = int(width * vision.number("mlp_ratio", 4)), width * vision.integer("spatial_merge_size") ** 2
    yield from bare(3 * vision.integer("temporal_patch_size") * patch * patch * width)
    yield from linear(width, 3 * width, depth)
    yield from linear(width, width, depth)
    yield from linear(width, inner, depth)
    yield from linear(inner, width, depth)
    yield from layer_norm(width, 2 * depth + 1)
    yield from linear(merged, merged)
    yield from linear(merged, hidden_size)


def qwen2_5_vision(vision: ConfigReader, whole: ConfigReader, hidden_size: int) -> Iterator[Parameter]:
    """Qwen2.5-VL: RMS norms and gated MLPs (``modeling_qwen2_5_vl.py``)."""
    width, patch, depth = vision.integer("hidden_size"), vision.integer("patch_size"), vision.integer("depth")
    inner, merged = vision.integer("intermediate_size"), width * vision.integer("spatial_merge_size") ** 2
    yield from bare(3 * vision.integer("temporal_patch_size") * patch * patch * width)
    yield from linear(width, 3 * width, depth)
    yield from linear(width, width, depth)
    yield from linear(width, inner, 2 * depth)
    yield from linear(inner, width, depth)
    yield from bare(width, 2 * depth + 1)
    yield from linear(merged, merged)
    yield from linear(merged, vision.integer("out_hidden_size", hidden_size))


QWEN3_VISION = {
    "depth": 27,
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "patch_size": 16,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
    "in_channels": 3,
    "num_position_embeddings": 2304,
}
SIGLIP = {"num_channels": 3, "image_size": 896, "patch_size": 14, "hidden_size": 1152, "intermediate_size": 4304,
          "num_hidden_layers": 27}  # fmt: skip

WRAPPERS: Mapping[str, Wrapper] = {
    "gemma3": Wrapper(
        text="gemma3_text", tower=siglip, images=pooled, vision_defaults=SIGLIP, defaults={"tie_word_embeddings": True}
    ),
    "gemma4": Wrapper(
        text="gemma4_text",
        tower=gemma4_vision,
        images=within_budget,
        vision_defaults={"patch_size": 16, "num_key_value_heads": 16, "head_dim": 72},
        defaults={"tie_word_embeddings": True},
    ),
    "qwen2_vl": Wrapper(
        text="qwen2_vl_text",
        ties_as_text=True,
        tower=qwen2_vision,
        images=merged_patches,
        vision_defaults={
            "depth": 32,
            "embed_dim": 1280,
            "patch_size": 14,
            "temporal_patch_size": 2,
            "spatial_merge_size": 2,
        },
    ),
    "qwen2_5_vl": Wrapper(
        text="qwen2_5_vl_text",
        ties_as_text=True,
        tower=qwen2_5_vision,
        images=merged_patches,
        vision_defaults={
            "depth": 32,
            "hidden_size": 1280,
            "intermediate_size": 3420,
            "patch_size": 14,
            "temporal_patch_size": 2,
            "spatial_merge_size": 2,
        },
    ),
    "qwen3_vl": Wrapper(text="qwen3_vl_text", tower=qwen_vision, images=merged_patches, vision_defaults=QWEN3_VISION),
    "qwen3_vl_moe": Wrapper(
        text="qwen3_vl_moe_text", tower=qwen_vision, images=merged_patches, vision_defaults=QWEN3_VISION
    ),
    "qwen3_5": Wrapper(text="qwen3_5_text", tower=qwen_vision, images=merged_patches, vision_defaults=QWEN3_VISION),
    "qwen3_5_moe": Wrapper(
        text="qwen3_5_moe_text", tower=qwen_vision, images=merged_patches, vision_defaults=QWEN3_VISION
    ),
    "llama4": Wrapper(
        text="llama4_text",
        tower=llama4_vision,
        images=shuffled_tiles,
        vision_defaults={
            "num_channels": 3,
            "image_size": 336,
            "patch_size": 14,
            "hidden_size": 1408,
            "intermediate_size": 5632,
            "num_hidden_layers": 34,
            "projector_input_dim": 4096,
            "projector_output_dim": 4096,
            "vision_output_dim": 4096,
        },
    ),
    "mllama": Wrapper(
        text="mllama_text_model",
        tower=mllama_vision,
        images=beside_the_sequence,
        vision_defaults={
            "num_channels": 3,
            "image_size": 448,
            "patch_size": 14,
            "hidden_size": 1280,
            "intermediate_size": 5120,
            "num_hidden_layers": 32,
            "num_global_layers": 8,
            "max_num_tiles": 4,
            "vision_output_dim": 7680,
        },
    ),
    "mistral3": Wrapper(
        text="mistral",
        tower=pixtral,
        images=rows_of_patches,
        vision_defaults=towers.CLASSES["pixtral"],
    ),
}
