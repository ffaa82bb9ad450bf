"""What one image takes of a sequence: how many tokens, and what their number follows."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from app.messages import message

REFERENCE_SIDE_PIXELS: Final = 1024
"""The square whose tokens are told where an image keeps its own size; our choice, for a number to compare."""


class ImageSizing(StrEnum):
    """What the number of an image's tokens follows."""

    FIXED = "fixed"
    """Every image is made the same size."""
    BUDGET = "budget"
    """Every image is scaled to what the most tokens allow, in its own proportions."""
    RESOLUTION = "resolution"
    """An image keeps its size: so many pixels a token."""
    TILES = "tiles"
    """A large image is cut into tiles and also seen as a whole."""
    BESIDE = "beside"
    """Images stand beside the sequence and are read by cross-attention."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageTokens:
    """Tokens of one image in a sequence, without the one or two marks around it."""

    sizing: ImageSizing
    tokens: int
    """Of one square image of ``side_pixels``, or the most where its size does not matter; 0 beside the sequence."""
    side_pixels: int | None = None
    token_side_pixels: int | None = None
    """One token stands for a square of this side, where an image keeps its size."""
    row_tokens: int = 0
    """Tokens that end each row of them, or of tiles."""
    tile_tokens: int = 0
    """Tokens that each tile of a larger image adds, with what separates them."""
    max_tiles: int | None = None
    """Most tiles of ``side_pixels`` that an image is cut into."""
    max_tokens: int | None = None
    """Of the largest image, where the model's configuration or its processor's code bounds it."""
    cross_attention_states: int = 0
    """States of one image that cross-attention layers read, where images stand beside the sequence."""

    small_take_fewer: bool = False
    """An image smaller than a tile is not made as large as one."""

    @property
    def least(self) -> int:
        """Tokens that every image takes; 0 where a small one takes fewer than is known."""
        if self.small_take_fewer:
            return 0
        return self.tokens if self.sizing in {ImageSizing.FIXED, ImageSizing.TILES} else 0

    @property
    def sentence(self) -> str:
        """The same in words."""
        match self.sizing:
            case ImageSizing.FIXED:
                return message(
                    "One image takes {tokens} tokens of the sequence; sequence_length counts them.", tokens=self.tokens
                )
            case ImageSizing.BUDGET:
                return message(
                    "One image takes up to {tokens} tokens of the sequence; sequence_length counts them.",
                    tokens=self.tokens,
                )
            case ImageSizing.RESOLUTION:
                return message(
                    "One image takes a token of the sequence for each {token_side} × {token_side} pixels, {tokens} for "
                    "{side} × {side}; sequence_length counts them.",
                    token_side=self.token_side_pixels or 0,
                    tokens=self.tokens,
                    side=self.side_pixels or 0,
                )
            case ImageSizing.TILES:
                return message(
                    "One image takes {tokens} tokens of the sequence, a larger one {more} more for each of up to "
                    "{tiles} tiles of {side} × {side} pixels, {most} at most; sequence_length counts them.",
                    tokens=self.tokens,
                    more=self.tile_tokens,
                    tiles=self.max_tiles or 0,
                    side=self.side_pixels or 0,
                    most=self.max_tokens or 0,
                )
            case ImageSizing.BESIDE:
                return message(
                    "Images take no tokens of the sequence: cross-attention reads {states} states of each beside it, "
                    "whose memory is not counted.",
                    states=self.cross_attention_states,
                )
