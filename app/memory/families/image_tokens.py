"""How many tokens one image takes, by family, from the model's own configuration.

From transformers 5.23 ``models/<type>/processing_<type>.py`` and ``modeling_<type>.py``, named at each. What only a
processor's configuration says (the largest picture that Qwen's processors let through) is not in a ``config.json``.
"""

from collections.abc import Callable
from typing import Final

from app.memory.config import ConfigError, ConfigReader
from app.memory.images import REFERENCE_SIDE_PIXELS, ImageSizing, ImageTokens

Images = Callable[[ConfigReader, ConfigReader], ImageTokens]
"""An image's tokens by the vision configuration and the whole configuration."""

LLAMA4_MAX_TILES: Final = 16
"""``max_patches`` in ``image_processing_llama4.py``."""


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
    side, largest = vision.integer("patch_size") * whole.integer("spatial_merge_size", 2), vision.integer("image_size")
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
    patches = (side // vision.integer("patch_size")) ** 2
    tokens = patches // round(1 / shuffle_ratio(vision) ** 2)
    return ImageTokens(
        sizing=ImageSizing.TILES,
        tokens=tokens,
        side_pixels=side,
        max_tiles=LLAMA4_MAX_TILES,
        max_tokens=LLAMA4_MAX_TILES * (tokens + 1) + tokens,
    )


def shuffle_ratio(vision: ConfigReader) -> float:
    """How much of a side pixel shuffling leaves. Raises :class:`ConfigError` outside (0, 1]."""
    ratio = vision.number("pixel_shuffle_ratio", 0.5)
    if not 0.01 <= ratio <= 1:
        raise ConfigError("pixel_shuffle_ratio", "must be a share of a side", "from 0.01 to 1")
    return ratio


def beside_the_sequence(vision: ConfigReader, whole: ConfigReader) -> ImageTokens:
    """Mllama: cross-attention reads each tile's patches and its class token (``modeling_mllama.py``,
    ``num_patches``)."""
    side, tiles = vision.integer("image_size"), vision.integer("max_num_tiles")
    states = (side // vision.integer("patch_size")) ** 2 + 1
    return ImageTokens(
        sizing=ImageSizing.BESIDE,
        tokens=0,
        side_pixels=side,
        max_tiles=tiles,
        cross_attention_states=tiles * states,
    )
