"""How many tokens one image takes, by family, from the model's own configuration.

From transformers 5.23 ``models/<type>/processing_<type>.py`` and ``modeling_<type>.py``, named at each. What only a
processor's configuration says (the largest picture that Qwen's processors let through) is not in a ``config.json``.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from app.memory.config import ConfigError, ConfigReader
from app.memory.images import REFERENCE_SIDE_PIXELS, ImageSizing, ImageTokens

Images = Callable[[ConfigReader, ConfigReader], ImageTokens]
"""An image's tokens by the vision configuration and the whole configuration."""

LLAMA4_MAX_TILES: Final = 16
"""``max_patches`` in ``image_processing_llama4.py``."""
IDEFICS_TILES_A_SIDE: Final = 4
"""``size`` over ``max_image_size`` in ``image_processing_idefics3.py``, as in SmolVLM's published configurations."""
INTERNVL_MAX_TILES: Final = 12
"""``max_patches`` in ``image_processing_got_ocr2.py``, which InternVL uses."""


def patches(vision: ConfigReader) -> int:
    """Patches of a square image of the tower's own size."""
    return (vision.integer("image_size") // vision.integer("patch_size")) ** 2


def pooled(vision: ConfigReader, whole: ConfigReader) -> ImageTokens:
    """Gemma 3: every image is resized and pooled to one number of tokens (``modeling_gemma3.py``, projector)."""
    side = vision.integer("image_size")
    return ImageTokens(sizing=ImageSizing.FIXED, tokens=whole.integer("mm_tokens_per_image", 256), side_pixels=side)


def within_budget(vision: ConfigReader, whole: ConfigReader) -> ImageTokens:
    """Gemma 4: an image is scaled to at most this many pooled patches (``image_processing_gemma4.py``)."""
    most = whole.integer("vision_soft_tokens_per_image", 280)
    return ImageTokens(
        sizing=ImageSizing.BUDGET,
        tokens=most,
        token_side_pixels=vision.integer("patch_size") * vision.integer("pooling_kernel_size", 3),
        max_tokens=most,
    )


def merged_patches(vision: ConfigReader, whole: ConfigReader) -> ImageTokens:
    """Qwen2-VL and later: merged patches of an image whose sides are rounded to them (``processing_qwen2_vl.py``)."""
    side = vision.integer("patch_size") * vision.integer("spatial_merge_size")
    across = max(1, round(REFERENCE_SIDE_PIXELS / side))
    return ImageTokens(
        sizing=ImageSizing.RESOLUTION,
        tokens=across * across,
        side_pixels=REFERENCE_SIDE_PIXELS,
        token_side_pixels=side,
    )


def rows_of_patches(vision: ConfigReader, whole: ConfigReader) -> ImageTokens:
    """Pixtral in Mistral 3: merged patches, sides rounded up, and a token that ends each row
    (``processing_pixtral.py``)."""
    return _in_rows(vision, merged=whole.integer("spatial_merge_size", 2))


def _in_rows(vision: ConfigReader, *, merged: int) -> ImageTokens:
    side, largest = vision.integer("patch_size") * merged, vision.integer("image_size")
    shown = min(REFERENCE_SIDE_PIXELS, largest)
    return ImageTokens(
        sizing=ImageSizing.RESOLUTION,
        tokens=_with_row_ends(shown, side),
        side_pixels=shown,
        token_side_pixels=side,
        row_tokens=1,
        max_tokens=_with_row_ends(largest, side),
    )


def _with_row_ends(image_side: int, token_side: int) -> int:
    across = -(-image_side // token_side)
    return across * (across + 1)


def shuffled_tiles(vision: ConfigReader, whole: ConfigReader) -> ImageTokens:
    """Llama 4: a tile's patches shuffled into fewer; each tile is followed by a separator, all by the whole image
    (``processing_llama4.py``, ``_prompt_split_image``)."""
    side = vision.integer("image_size")
    tokens = patches(vision) // round(1 / shuffle_ratio(vision) ** 2)
    return ImageTokens(
        sizing=ImageSizing.TILES,
        tokens=tokens,
        side_pixels=side,
        tile_tokens=tokens + 1,
        max_tiles=LLAMA4_MAX_TILES,
        max_tokens=LLAMA4_MAX_TILES * (tokens + 1) + tokens,
    )


def shuffle_ratio(reader: ConfigReader, key: str = "pixel_shuffle_ratio") -> float:
    """How much of a side pixel shuffling leaves. Raises :class:`ConfigError` where it cannot be."""
    ratio = reader.number(key, 0.5)
    if not 0.01 <= ratio <= 1:
        raise ConfigError(key, "must be a share of a side", "from 0.01 to 1")
    return ratio


def merged_into_one(whole: ConfigReader) -> int:
    """Patches that InternVL shuffles into one (``modeling_internvl.py``, projector)."""
    return int(1 / shuffle_ratio(whole, "downsample_ratio")) ** 2


def plain_patches(vision: ConfigReader, whole: ConfigReader) -> ImageTokens:
    """PaliGemma: every patch of the resized image (``configuration_paligemma.py``, ``num_image_tokens``)."""
    return ImageTokens(
        sizing=ImageSizing.FIXED, tokens=max(1, patches(vision)), side_pixels=vision.integer("image_size")
    )


def llava_patches(vision: ConfigReader, whole: ConfigReader) -> ImageTokens:
    """LLaVA: every patch; CLIP's class token only where all is taken; Pixtral in rows (``processing_llava.py``)."""
    tower = vision.text("model_type", "clip_vision_model")
    if tower == "pixtral":
        return _in_rows(vision, merged=1)
    found = plain_patches(vision, whole)
    everything = whole.text("vision_feature_select_strategy", "default") == "full"
    return replace(found, tokens=found.tokens + 1) if everything and tower == "clip_vision_model" else found


def idefics_tiles(vision: ConfigReader, whole: ConfigReader) -> ImageTokens:
    """Idefics 3 and SmolVLM: shuffled patches a tile, two marks before each and one behind each row of them
    (``processing_idefics3.py``)."""
    tokens = max(1, patches(vision) // whole.integer("scale_factor", 2) ** 2)
    tiles = IDEFICS_TILES_A_SIDE**2
    return ImageTokens(
        sizing=ImageSizing.TILES,
        tokens=tokens,
        side_pixels=vision.integer("image_size"),
        tile_tokens=tokens + 2,
        row_tokens=1,
        max_tiles=tiles,
        max_tokens=tiles * (tokens + 2) + IDEFICS_TILES_A_SIDE + tokens,
    )


def internvl_tiles(vision: ConfigReader, whole: ConfigReader) -> ImageTokens:
    """InternVL: shuffled patches a tile, and as many of the whole (``processing_internvl.py``)."""
    tokens = max(1, patches(vision) // merged_into_one(whole))
    return ImageTokens(
        sizing=ImageSizing.TILES,
        tokens=tokens,
        side_pixels=vision.integer("image_size"),
        tile_tokens=tokens,
        max_tiles=INTERNVL_MAX_TILES,
        max_tokens=(INTERNVL_MAX_TILES + 1) * tokens,
    )


def beside_the_sequence(vision: ConfigReader, whole: ConfigReader) -> ImageTokens:
    """Mllama: cross-attention reads each tile's patches and its class token (``modeling_mllama.py``,
    ``num_patches``)."""
    side, tiles = vision.integer("image_size"), vision.integer("max_num_tiles")
    states = patches(vision) + 1
    return ImageTokens(
        sizing=ImageSizing.BESIDE,
        tokens=0,
        side_pixels=side,
        max_tiles=tiles,
        cross_attention_states=tiles * states,
    )
