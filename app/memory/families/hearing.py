"""Models that hear: Qwen's Omni, whose thinker is counted.

From transformers 5.23 ``models/<type>/``; the defaults are those of its configuration classes.
"""

from collections.abc import Iterator, Mapping

from app.memory.architecture import Parameter
from app.memory.config import ConfigReader
from app.memory.families.image_tokens import merged_patches
from app.memory.families.tower_parts import bare, encoder, layer_norm, linear
from app.memory.families.vision import QWEN3_VISION, qwen2_5_vision, qwen_vision
from app.memory.families.wrapper import Wrapper
from app.messages import mark

NOTES = (
    mark("The towers for images and sound are frozen: they add their weights."),
    mark("Only the part that reads and writes text is counted (the “thinker”); what speaks is left out."),
)


def _whisper(audio: ConfigReader, *, key_bias: bool) -> Iterator[Parameter]:
    """The layers of Whisper's encoder and the norm after them."""
    width, layers = audio.integer("d_model"), audio.integer("encoder_layers")
    yield from encoder(width, audio.integer("encoder_ffn_dim"), layers, attention_bias=False)
    yield from bare(width, (4 if key_bias else 3) * layers)
    yield from layer_norm(width)


def qwen2_5_omni(vision: ConfigReader, whole: ConfigReader, hidden_size: int) -> Iterator[Parameter]:
    """``modeling_qwen2_5_omni.py``: Whisper's encoder without positions and biases of keys, Qwen2.5-VL's tower."""
    audio = ConfigReader(whole.section("audio_config") or {}, AUDIO)
    width, out = audio.integer("d_model"), audio.integer("output_dim")
    yield from bare(3 * audio.integer("num_mel_bins") * width)
    yield from bare(3 * width * width)
    yield from bare(width, 2)
    yield from bare(2 * out)
    yield from _whisper(audio, key_bias=False)
    yield from linear(width, out)
    yield from qwen2_5_vision(vision, whole, hidden_size)


def qwen3_omni(vision: ConfigReader, whole: ConfigReader, hidden_size: int) -> Iterator[Parameter]:
    """``modeling_qwen3_omni_moe.py``: three convolutions before Whisper's layers, Qwen3-VL's tower."""
    audio = ConfigReader(whole.section("audio_config") or {}, AUDIO)
    width, channels = audio.integer("d_model"), audio.integer("downsample_hidden_size")
    bins = audio.integer("num_mel_bins")
    for _ in range(3):
        bins = (bins + 1) // 2
    yield from bare(9 * channels)
    yield from bare(9 * channels * channels, 2)
    yield from bare(channels, 3)
    yield from linear(channels * bins, width, bias=False)
    yield from _whisper(audio, key_bias=True)
    yield from linear(width, width)
    yield from linear(width, audio.integer("output_dim"))
    yield from qwen_vision(vision, whole, hidden_size)


AUDIO = {
    "d_model": 1280,
    "encoder_layers": 32,
    "encoder_ffn_dim": 5120,
    "num_mel_bins": 128,
    "output_dim": 3584,
    "downsample_hidden_size": 480,
}
QWEN2_5_OMNI = {
    "depth": 32,
    "hidden_size": 3584,
    "intermediate_size": 3420,
    "out_hidden_size": 3584,
    "patch_size": 14,
    "temporal_patch_size": 2,
    "spatial_merge_size": 2,
}
QWEN2_5_THINKER = Wrapper(
    text="qwen2_5_omni_text",
    tower=qwen2_5_omni,
    images=merged_patches,
    vision_defaults=QWEN2_5_OMNI,
    defaults={"tie_word_embeddings": False},
    notes=NOTES,
)
QWEN3_THINKER = Wrapper(
    text="qwen3_omni_moe_text",
    tower=qwen3_omni,
    images=merged_patches,
    vision_defaults={**QWEN3_VISION, "out_hidden_size": 3584, "deepstack_visual_indexes": (8, 16, 24)},
    notes=NOTES,
)

HEARING_WRAPPERS: Mapping[str, Wrapper] = {
    "qwen2_5_omni": QWEN2_5_THINKER,
    "qwen2_5_omni_thinker": QWEN2_5_THINKER,
    "qwen3_omni_moe": QWEN3_THINKER,
    "qwen3_omni_moe_thinker": QWEN3_THINKER,
}
