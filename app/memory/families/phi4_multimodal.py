"""Phi-4-multimodal: Phi-3's layers with a tower for images and one for sound.

From transformers 5.23 ``models/phi4_multimodal/``; the defaults are those of its configuration classes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from app.memory.architecture import Parameter
from app.memory.config import ConfigReader
from app.memory.families.family import Family
from app.memory.families.llama_like import LLAMA_LIKE
from app.memory.families.tower_parts import bare, encoder, layer_norm, linear
from app.memory.families.wrapper import Wrapper
from app.memory.images import ImageSizing, ImageTokens
from app.messages import mark

TILE_SIDE_PIXELS = 448
TILE_TOKENS, ROW_ENDS, MOST_TILES = 256, 16, 36
"""``size``, ``num_img_tokens`` and ``dynamic_hd`` of ``image_processing_phi4_multimodal.py``."""


def _eye(vision: ConfigReader, hidden_size: int) -> Iterator[Parameter]:
    """SigLIP's layers and pooling head, projected; two marks (``Phi4MultimodalImageEmbedding``)."""
    width, inner, patch = (vision.integer(key) for key in ("hidden_size", "intermediate_size", "patch_size"))
    yield from bare(vision.integer("num_channels") * patch * patch * width)
    yield from bare(width)
    yield from bare((vision.integer("image_size") // patch) ** 2 * width)
    yield from encoder(width, inner, vision.integer("num_hidden_layers"))
    yield from layer_norm(width, 2)
    yield from bare(width)
    yield from bare(3 * width * width)
    yield from bare(3 * width)
    yield from linear(width, width)
    yield from linear(width, inner)
    yield from linear(inner, width)
    yield from linear(width, hidden_size)
    yield from linear(hidden_size, hidden_size)
    yield from bare(width, 2)


def _conformer(audio: ConfigReader, width: int, blocks: int) -> Iterator[Parameter]:
    """``Phi4MultimodalAudioConformerEncoderLayer``: attention and a convolution between two gated MLPs."""
    inner, outer = audio.integer("intermediate_size"), audio.integer("ext_pw_out_channel")
    deep, separable = width * audio.integer("depthwise_multiplier"), audio.integer("depthwise_separable_out_channel")
    yield from linear(width, 2 * inner, 2 * blocks)
    yield from linear(inner, width, 2 * blocks)
    yield from linear(width, width, 4 * blocks)
    yield from layer_norm(width, 5 * blocks)
    yield from linear(width, 2 * outer, blocks)
    yield from bare(outer, 2 * blocks)
    yield from bare(deep * audio.integer("kernel_size"), blocks)
    yield from bare(deep, blocks)
    yield from linear(deep, separable, blocks)
    yield from linear(width, outer, blocks)


def _ear(audio: ConfigReader, hidden_size: int) -> Iterator[Parameter]:
    """Convolutions that halve time and bands, conformer layers, two projections (``Phi4MultimodalAudioEmbedding``)."""
    width, channels = audio.integer("hidden_size"), audio.integer("nemo_conv_channels")
    halvings, bands = audio.integer("time_reduction").bit_length() - 1, audio.integer("input_size")
    for _ in range(halvings):
        bands = (bands + 1) // 2
    yield from bare(9 * channels, halvings)
    yield from bare(channels, halvings)
    yield from linear(channels, channels, halvings - 1)
    yield from linear(channels * bands, width)
    distances = audio.integer("bias_max_distance") * (1 if audio.boolean("bias_symmetric") else 2)
    yield from bare(distances * audio.integer("num_attention_heads"))
    yield from _conformer(audio, width, audio.integer("num_blocks"))
    yield from linear(width * audio.integer("downsample_rate"), hidden_size, 2)
    yield from linear(hidden_size, hidden_size, 2)


def _eye_and_ear(vision: ConfigReader, whole: ConfigReader, hidden_size: int) -> Iterator[Parameter]:
    yield from _eye(vision, hidden_size)
    yield from _ear(ConfigReader(whole.section("audio_config") or {}, AUDIO), hidden_size)


def _tiles(vision: ConfigReader, whole: ConfigReader) -> ImageTokens:
    """The whole image, a separator and the tiles, each row ended; what only pads is left out."""
    overview = TILE_TOKENS + ROW_ENDS + 1
    return ImageTokens(
        sizing=ImageSizing.TILES,
        tokens=overview + TILE_TOKENS + ROW_ENDS,
        side_pixels=TILE_SIDE_PIXELS,
        tile_tokens=TILE_TOKENS,
        row_tokens=ROW_ENDS,
        max_tiles=MOST_TILES,
        max_tokens=overview + MOST_TILES * (TILE_TOKENS + ROW_ENDS),
        small_take_fewer=True,
    )


VISION = {"hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27, "num_channels": 3,
          "image_size": 448, "patch_size": 14}  # fmt: skip
AUDIO = {"hidden_size": 1024, "intermediate_size": 1536, "num_blocks": 24, "num_attention_heads": 16,
         "ext_pw_out_channel": 1024, "depthwise_separable_out_channel": 1024, "depthwise_multiplier": 1,
         "kernel_size": 3, "input_size": 80, "time_reduction": 8, "bias_max_distance": 1000,
         "nemo_conv_channels": 1024, "downsample_rate": 1}  # fmt: skip

PHI4_TEXT: Mapping[str, Family] = {
    "phi4_multimodal_text": replace(LLAMA_LIKE["phi3"], defaults={"num_key_value_heads": 8}),
}
PHI4_WRAPPER: Mapping[str, Wrapper] = {
    "phi4_multimodal": Wrapper(
        text="phi4_multimodal_text",
        tower=_eye_and_ear,
        images=_tiles,
        vision_defaults=VISION,
        notes=(mark("The towers for images and sound are frozen: they add their weights."),),
    ),
}
