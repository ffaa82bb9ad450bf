"""How many tokens one image takes where it is laid over a grid of tiles, by family.

From transformers 5.23 ``models/<type>/processing_<type>.py`` and ``image_processing_<type>.py``, named at each.
"""

from collections.abc import Iterator
from dataclasses import replace
from math import sqrt
from typing import Final

from app.memory.config import ConfigError, ConfigReader, check_integer
from app.memory.families.image_tokens import llava_patches, patches
from app.memory.images import ImageSizing, ImageTokens

GRIDS: Final = "image_grid_pinpoints"
IDEFICS2_PARTS: Final = 4
"""``split_image`` in ``image_processing_idefics2.py``: quarters, beside the whole."""
GOT_OCR_MAX_TILES: Final = 12
"""``max_patches`` in ``image_processing_got_ocr2.py`` (Aya Vision's), ``image_processing_cohere2_vision.py`` and
``image_processing_ovis2.py``."""
LFM2_MAX_TILES: Final = 10
"""``max_tiles`` in ``image_processing_lfm2_vl.py``."""
LFM2_TILE_SIDE: Final = 512
"""``tile_size`` there."""
PERCEPTION_MAX_TILES: Final = 36
"""``max_num_tiles`` in ``image_processing_perception_lm.py``."""
SCALED_FROM: Final = 1.1
"""How far above its most patches LLaVA-OneVision begins to scale (``modeling_llava_onevision.py``)."""


def any_resolution(vision: ConfigReader, whole: ConfigReader) -> ImageTokens:
    """LLaVA-NeXT: the whole image, and over it the grid that suits it best, each row of patches ended by a token
    (``processing_llava_next.py``, ``_get_number_of_features``)."""
    return _over_grids(vision, whole, None)


def any_resolution_scaled(vision: ConfigReader, whole: ConfigReader) -> ImageTokens:
    """LLaVA-OneVision: the same, scaled down where it would be more than so many tiles
    (``processing_llava_onevision.py``)."""
    ratio = whole.text("vision_aspect_ratio", "anyres_max_9")
    most = ratio.removeprefix("anyres_max_")
    if not most.isdecimal() or not 1 <= int(most) <= 1000:
        raise ConfigError("vision_aspect_ratio", "must say the most tiles", "a text such as anyres_max_9")
    return _over_grids(vision, whole, int(most))


def _over_grids(vision: ConfigReader, whole: ConfigReader, most: int | None) -> ImageTokens:
    side = vision.integer("image_size")
    across = max(1, side // vision.integer("patch_size"))
    base = llava_patches(vision, whole)
    grids = [(max(1, height // side), max(1, width // side)) for height, width in _grids(whole)] or [(1, 1)]
    return replace(
        base,
        sizing=ImageSizing.TILES,
        tile_tokens=across * across,
        row_tokens=1,
        max_tiles=max(rows * columns for rows, columns in grids),
        max_tokens=base.tokens + max(_of_grid(rows, columns, across, most) for rows, columns in grids),
    )


def _of_grid(rows: int, columns: int, across: int, most: int | None) -> int:
    """Tokens of a grid of tiles that are ``across`` patches wide and high."""
    rows, columns = rows * across, columns * across
    ratio = sqrt(rows * columns / (most * across**2)) if most else 1.0
    if ratio > SCALED_FROM:
        rows, columns = int(rows // ratio), int(columns // ratio)
    return rows * columns + rows


def _grids(whole: ConfigReader) -> Iterator[tuple[int, int]]:
    grids = whole.raw(GRIDS)
    if not isinstance(grids, list | tuple):
        raise ConfigError(GRIDS, "must be a list of heights and widths", "a list such as [[336, 672], [672, 336]]")
    for grid in grids:
        if not isinstance(grid, list | tuple) or len(grid) != 2:
            raise ConfigError(GRIDS, "must be a list of heights and widths", "a list such as [[336, 672], [672, 336]]")
        yield check_integer(GRIDS, grid[0]), check_integer(GRIDS, grid[1])


def latents(vision: ConfigReader, whole: ConfigReader) -> ImageTokens:
    """Idefics 2: so many latents an image, and each of its quarters, where it is split, with a mark between
    (``processing_idefics2.py``)."""
    section = ConfigReader(whole.section("perceiver_config") or {}, {})
    tokens = section.integer("resampler_n_latents", 64)
    return ImageTokens(
        sizing=ImageSizing.TILES,
        tokens=tokens,
        side_pixels=max(1, vision.integer("image_size") // 2),
        tile_tokens=tokens + 1,
        max_tiles=IDEFICS2_PARTS,
        max_tokens=tokens + IDEFICS2_PARTS * (tokens + 1),
    )


def _tiles(vision: ConfigReader, merged: int, *, marks: int, most: int) -> ImageTokens:
    """Tiles with ``marks`` tokens after each, and the whole image, made a tile too."""
    tokens = max(1, patches(vision) // merged**2)
    return ImageTokens(
        sizing=ImageSizing.TILES,
        tokens=tokens,
        side_pixels=vision.integer("image_size"),
        tile_tokens=tokens + marks,
        max_tiles=most,
        max_tokens=tokens + most * (tokens + marks),
    )


def marked_tiles(vision: ConfigReader, whole: ConfigReader) -> ImageTokens:
    """Aya Vision and Command A Vision: merged patches a tile, and a mark at each (``processing_aya_vision.py``,
    ``processing_cohere2_vision.py``)."""
    return _tiles(vision, whole.integer("downsample_factor", 2), marks=1, most=GOT_OCR_MAX_TILES)


def strided_tiles(vision: ConfigReader, whole: ConfigReader) -> ImageTokens:
    """Ovis 2: so many visual words a tile, and a mark that ends a row or a column (``processing_ovis2.py``)."""
    return _tiles(vision, vision.integer("hidden_stride", 1), marks=1, most=GOT_OCR_MAX_TILES)


def lfm2_tiles(vision: ConfigReader, whole: ConfigReader) -> ImageTokens:
    """LFM2-VL: merged patches of 512-pixel tiles, each with a mark; a small image keeps its size
    (``processing_lfm2_vl.py``)."""
    across = -(-(LFM2_TILE_SIDE // vision.integer("patch_size")) // whole.integer("downsample_factor", 2))
    tokens = across * across
    return ImageTokens(
        sizing=ImageSizing.TILES,
        tokens=tokens,
        side_pixels=LFM2_TILE_SIDE,
        tile_tokens=tokens + 1,
        max_tiles=LFM2_MAX_TILES,
        max_tokens=tokens + LFM2_MAX_TILES * (tokens + 1) + 1,
        small_take_fewer=True,
    )
