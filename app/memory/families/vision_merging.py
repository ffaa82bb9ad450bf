"""Models whose towers merge neighbouring patches: GLM-4V, Kimi K2.5, EXAONE 4.5, Ovis 2, PaddleOCR-VL.

From transformers 5.23 ``models/<type>/``; the defaults are those of its configuration classes.
"""

from collections.abc import Iterator, Mapping

from app.memory.architecture import Parameter
from app.memory.config import ConfigError, ConfigReader
from app.memory.families.image_grids import strided_tiles
from app.memory.families.image_tokens import merged_patches, patches
from app.memory.families.tower_parts import bare, encoder, layer_norm, linear
from app.memory.families.towers import siglip_encoder
from app.memory.families.wrapper import Wrapper
from app.memory.images import ImageTokens


def glm4v(vision: ConfigReader, whole: ConfigReader, hidden_size: int) -> Iterator[Parameter]:
    """``modeling_glm4v.py``: gated MLPs as wide as the text model, a convolution that merges, and a gated merger."""
    width, patch, depth = vision.integer("hidden_size"), vision.integer("patch_size"), vision.integer("depth")
    out, inner = vision.integer("out_hidden_size"), vision.integer("intermediate_size")
    frames = vision.integer("temporal_patch_size")
    yield from bare(patches(vision) * width)
    yield from bare(vision.integer("in_channels") * frames * patch * patch * width)
    yield from bare(width)
    yield from bare(width, 2 * depth + 2)
    yield from linear(width, 3 * width, depth, bias=vision.boolean("attention_bias"))
    yield from linear(width, width, depth, bias=False)
    yield from linear(width, out, 2 * depth, bias=False)
    yield from linear(out, width, depth, bias=False)
    yield from bare(vision.integer("spatial_merge_size") ** 2 * width * out)
    yield from bare(out)
    yield from linear(out, out, bias=False)
    yield from layer_norm(out)
    yield from linear(out, inner, 2, bias=False)
    yield from linear(inner, out, bias=False)


def exaone(vision: ConfigReader, whole: ConfigReader, hidden_size: int) -> Iterator[Parameter]:
    """``modeling_exaone4_5.py``: Qwen2.5-VL's tower with fewer keys and values."""
    width, patch, depth = vision.integer("hidden_size"), vision.integer("patch_size"), vision.integer("depth")
    inner, merged = vision.integer("intermediate_size"), width * vision.integer("spatial_merge_size") ** 2
    keys = vision.integer("num_key_value_heads") * (width // vision.integer("num_heads"))
    frames = vision.integer("temporal_patch_size")
    yield from bare(vision.integer("in_channels") * frames * patch * patch * width)
    yield from linear(width, width + 2 * keys, depth)
    yield from linear(width, width, depth)
    yield from linear(width, inner, 2 * depth)
    yield from linear(inner, width, depth)
    yield from bare(width, 2 * depth + 1)
    yield from linear(merged, merged)
    yield from linear(merged, vision.integer("out_hidden_size"))


def kimi(vision: ConfigReader, whole: ConfigReader, hidden_size: int) -> Iterator[Parameter]:
    """``modeling_kimi_k25.py``: a vision transformer with a table of positions, merged and projected."""
    width, patch = vision.integer("hidden_size"), vision.integer("patch_size")
    high, wide = _kernel(vision)
    merged = width * high * wide
    yield from bare(3 * patch * patch * width)
    yield from bare(width)
    yield from bare(vision.integer("pos_emb_height") * vision.integer("pos_emb_width") * width)
    yield from encoder(width, vision.integer("intermediate_size"), vision.integer("num_hidden_layers"))
    yield from layer_norm(width)
    yield from layer_norm(whole.integer("projection_hidden_size", 1152))
    yield from linear(merged, merged)
    yield from linear(merged, hidden_size)


def _kernel(vision: ConfigReader) -> tuple[int, int]:
    """How many patches are merged, high and wide. Raises :class:`ConfigError` where it is no pair."""
    kernel = vision.integers("merge_kernel_size") or (2, 2)
    if len(kernel) != 2 or not all(kernel):
        raise ConfigError("merge_kernel_size", "must be two whole numbers", "a pair such as [2, 2]")
    return kernel[0], kernel[1]


def kimi_patches(vision: ConfigReader, whole: ConfigReader) -> ImageTokens:
    """Kimi K2.5: a token a kernel of patches (``processing_kimi_k25.py``)."""
    merged = {"patch_size": vision.integer("patch_size"), "spatial_merge_size": _kernel(vision)[0]}
    return merged_patches(ConfigReader(merged, {}), whole)


def ovis2(vision: ConfigReader, whole: ConfigReader, hidden_size: int) -> Iterator[Parameter]:
    """``modeling_ovis2.py``: RMS norms and gated MLPs, a head over visual words, and their embeddings."""
    width, patch, layers = (
        vision.integer("hidden_size"),
        vision.integer("patch_size"),
        vision.integer("num_hidden_layers"),
    )
    bias, inner = vision.boolean("mlp_bias"), vision.integer("intermediate_size")
    words = vision.integer("vocab_size")
    said = max(0, words - vision.integer("num_visual_indicator_tokens", minimum=0))
    yield from bare(vision.integer("num_channels") * patch * patch * width)
    yield from bare(width)
    yield from bare(patches(vision) * width)
    yield from bare(width, 2 * layers + 2)
    yield from linear(width, width, 4 * layers, bias=vision.boolean("qkv_bias"))
    yield from linear(width, inner, 2 * layers, bias=bias)
    yield from linear(inner, width, layers, bias=bias)
    yield from linear(width * vision.integer("hidden_stride") ** 2, said, bias=False)
    yield from layer_norm(said)
    yield from bare(words * whole.integer("hidden_size", 1536))


def paddle(vision: ConfigReader, whole: ConfigReader, hidden_size: int) -> Iterator[Parameter]:
    """``modeling_paddleocr_vl.py``: SigLIP's layers, normed, merged and projected."""
    width = vision.integer("hidden_size")
    merged = width * vision.integer("spatial_merge_size") ** 2
    yield from siglip_encoder(vision)
    yield from layer_norm(width)
    yield from linear(merged, merged)
    yield from linear(merged, hidden_size)


GLM4V = {
    "depth": 24,
    "hidden_size": 1536,
    "intermediate_size": 13696,
    "out_hidden_size": 4096,
    "image_size": 336,
    "patch_size": 14,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
    "in_channels": 3,
}
EXAONE = {
    "depth": 32,
    "hidden_size": 3584,
    "intermediate_size": 3420,
    "out_hidden_size": 3584,
    "num_heads": 16,
    "num_key_value_heads": 8,
    "patch_size": 14,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
    "in_channels": 3,
}
KIMI = {
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "patch_size": 14,
    "pos_emb_height": 64,
    "pos_emb_width": 64,
}
OVIS2 = {
    "hidden_size": 1024,
    "intermediate_size": 2816,
    "num_hidden_layers": 24,
    "num_channels": 3,
    "image_size": 224,
    "patch_size": 14,
    "vocab_size": 16384,
    "hidden_stride": 1,
    "num_visual_indicator_tokens": 5,
}
PADDLE = {
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "image_size": 384,
    "patch_size": 14,
    "spatial_merge_size": 2,
}
TIED = {"tie_word_embeddings": True}
GLM4V_WRAPPER = Wrapper(text="glm4v_text", tower=glm4v, images=merged_patches, vision_defaults=GLM4V, ties_as_text=True)

MERGING_WRAPPERS: Mapping[str, Wrapper] = {
    "glm4v": GLM4V_WRAPPER,
    "glm46v": GLM4V_WRAPPER,
    "glm4v_moe": Wrapper(
        text="glm4v_moe_text", tower=glm4v, images=merged_patches, vision_defaults=GLM4V, ties_as_text=True
    ),
    "exaone4_5": Wrapper(text="exaone4", tower=exaone, images=merged_patches, vision_defaults=EXAONE),
    "kimi_k25": Wrapper(text="deepseek_v3", tower=kimi, images=kimi_patches, vision_defaults=KIMI, defaults=TIED),
    "ovis2": Wrapper(text="qwen2", tower=ovis2, images=strided_tiles, vision_defaults=OVIS2, defaults=TIED),
    "paddleocr_vl": Wrapper(
        text="paddleocr_vl_text",
        tower=paddle,
        images=merged_patches,
        vision_defaults=PADDLE,
        defaults=TIED,
        ties_as_text=True,
    ),
}
