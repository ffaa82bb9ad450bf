"""Vision-language models of older kinds: weights as the library counts them, and the tokens of their images."""

from typing import Any

import pytest

from app.memory.build import parse_config
from app.memory.config import ConfigError
from app.memory.images import ImageSizing

CONFIGS: dict[str, dict[str, Any]] = {
    "llava-1.5-7b": {
        "model_type": "llava",
        "text_config": {"model_type": "llama", "vocab_size": 32064, "max_position_embeddings": 4096},
        "vision_config": {"model_type": "clip_vision_model", "hidden_size": 1024, "intermediate_size": 4096,
            "num_hidden_layers": 24, "num_attention_heads": 16, "image_size": 336, "patch_size": 14,
            "projection_dim": 768, "vocab_size": 32000},
    },
    "pixtral-12b": {
        "model_type": "llava",
        "vision_feature_layer": -1,
        "vision_feature_select_strategy": "full",
        "text_config": {"model_type": "mistral", "hidden_size": 5120, "head_dim": 128, "intermediate_size":
            14336, "num_hidden_layers": 40, "num_attention_heads": 32, "num_key_value_heads": 8,
            "vocab_size": 131072},
        "vision_config": {"model_type": "pixtral", "hidden_size": 1024, "intermediate_size": 4096,
            "num_hidden_layers": 24, "num_attention_heads": 16, "head_dim": 64, "image_size": 1024,
            "patch_size": 16},
    },
    "llava-siglip": {
        "model_type": "llava",
        "vision_feature_select_strategy": "full",
        "text_config": {"model_type": "qwen2", "hidden_size": 896, "intermediate_size": 4864,
            "num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2, "vocab_size":
            151936, "tie_word_embeddings": True},
        "vision_config": {"model_type": "siglip_vision_model", "hidden_size": 1152, "intermediate_size":
            4304, "num_hidden_layers": 26, "num_attention_heads": 16, "image_size": 384, "patch_size": 14,
            "vision_use_head": False},
    },
    "llava-siglip-head": {
        "model_type": "llava",
        "vision_feature_select_strategy": "full",
        "vision_feature_layer": [-2, -5],
        "text_config": {"model_type": "llama", "hidden_size": 256, "intermediate_size": 512,
            "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 1000},
        "vision_config": {"model_type": "siglip_vision_model", "hidden_size": 128, "intermediate_size": 304,
            "num_hidden_layers": 6, "num_attention_heads": 4, "image_size": 56, "patch_size": 14},
    },
    "paligemma-3b": {
        "model_type": "paligemma",
        "projection_dim": 2048,
        "text_config": {"model_type": "gemma", "hidden_size": 2048, "intermediate_size": 16384,
            "num_attention_heads": 8, "num_hidden_layers": 18, "num_key_value_heads": 1, "vocab_size":
            257216},
        "vision_config": {"model_type": "siglip_vision_model", "hidden_size": 1152, "intermediate_size":
            4304, "num_attention_heads": 16, "num_hidden_layers": 27, "patch_size": 14, "image_size": 224,
            "projection_dim": 2048, "vision_use_head": False},
    },
    "idefics3-8b": {
        "model_type": "idefics3",
        "scale_factor": 2,
        "text_config": {"model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336,
            "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size":
            128259},
        "vision_config": {"hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27,
            "num_attention_heads": 16, "image_size": 364, "patch_size": 14},
    },
    "smolvlm-2.2b": {
        "model_type": "smolvlm",
        "scale_factor": 3,
        "text_config": {"model_type": "llama", "hidden_size": 2048, "intermediate_size": 8192,
            "num_hidden_layers": 24, "num_attention_heads": 32, "num_key_value_heads": 32, "head_dim": 64,
            "vocab_size": 49280},
        "vision_config": {"hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27,
            "num_attention_heads": 16, "image_size": 384, "patch_size": 14},
    },
    "internvl3-1b": {
        "model_type": "internvl",
        "downsample_ratio": 0.5,
        "text_config": {"model_type": "qwen2", "hidden_size": 896, "intermediate_size": 4864,
            "num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2, "vocab_size":
            151674},
        "vision_config": {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
            "num_attention_heads": 16, "attention_bias": True, "image_size": [448, 448], "patch_size": [14,
            14]},
    },
    "internvl-norm": {
        "model_type": "internvl",
        "tie_word_embeddings": False,
        "text_config": {"model_type": "qwen2", "hidden_size": 256, "intermediate_size": 512,
            "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 1000},
        "vision_config": {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 3,
            "num_attention_heads": 4, "use_qk_norm": True, "norm_type": "rms_norm", "use_mean_pooling":
            False, "image_size": [448, 448], "patch_size": [14, 14]},
    },
}  # fmt: skip

COUNTED: dict[str, int] = {
    "llava-1.5-7b": 7_063_427_072,
    "pixtral-12b": 12_682_739_712,
    "llava-siglip": 893_617_312,
    "llava-siglip-head": 2_915_792,
    "paligemma-3b": 2_923_466_480,
    "idefics3-8b": 8_462_086_384,
    "smolvlm-2.2b": 2_246_784_880,
    "internvl3-1b": 802_293_120,
    "internvl-norm": 2_496_128,
}
"""Counted by transformers 5.23 on the meta device, from the same configurations."""


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_weights_are_counted_to_the_last(name: str) -> None:
    found = parse_config(CONFIGS[name])
    assert found.recognised
    assert found.total_parameters == COUNTED[name]
    trained = sum(parameter.elements * parameter.count for parameter in found.trainable_parameters)
    assert 0 < trained < found.total_parameters


TOKENS = {
    # transformers 5.23 `configuration_llava.py`, image_seq_length: (336 ÷ 14)²
    "llava-1.5-7b": (ImageSizing.FIXED, 576, None),
    # rows of 64 patches and a break, `processing_pixtral.py`
    "pixtral-12b": (ImageSizing.RESOLUTION, 64 * 65, 64 * 65),
    # (384 ÷ 14)²
    "llava-siglip": (ImageSizing.FIXED, 729, None),
    # `configuration_paligemma.py`, num_image_tokens: (224 ÷ 14)²
    "paligemma-3b": (ImageSizing.FIXED, 256, None),
    # `processing_idefics3.py`, image_seq_len of 364 pixels, and _get_num_multimodal_tokens for 4 × 4 tiles
    "idefics3-8b": (ImageSizing.TILES, 169, 16 * 171 + 4 + 169),
    # SmolVLM as announced in November 2024: 81 tokens for 384 × 384 pixels
    "smolvlm-2.2b": (ImageSizing.TILES, 81, 16 * 83 + 4 + 81),
    # `processing_internvl.py`, image_seq_length of a tile of 448 pixels
    "internvl3-1b": (ImageSizing.TILES, 256, 13 * 256),
}


@pytest.mark.parametrize("name", sorted(TOKENS))
def test_an_image_takes_what_its_makers_say(name: str) -> None:
    images = parse_config(CONFIGS[name]).image_tokens
    assert images is not None
    assert (images.sizing, images.tokens, images.max_tokens) == TOKENS[name]


def test_a_class_token_counts_where_everything_is_taken() -> None:
    images = parse_config({**CONFIGS["llava-1.5-7b"], "vision_feature_select_strategy": "full"}).image_tokens
    assert images is not None
    assert images.tokens == 577


@pytest.mark.parametrize(
    ("name", "change", "key"),
    [
        ("internvl3-1b", {"downsample_ratio": 0}, "downsample_ratio"),
        ("idefics3-8b", {"scale_factor": 0}, "scale_factor"),
        ("llava-1.5-7b", {"vision_config": {"patch_size": 0}}, "patch_size"),
        ("llava-1.5-7b", {"vision_config": {"model_type": 7}}, "model_type"),
        ("paligemma-3b", {"projection_dim": "wide"}, "projection_dim"),
    ],
)
def test_mutilated_towers_are_refused(name: str, change: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config({**CONFIGS[name], **change})
    assert caught.value.field == key
