"""What one image takes of a sequence, by family, against figures read at a source."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.memory.build import parse_config
from app.memory.config import ConfigError
from app.memory.families import WRAPPERS
from app.memory.images import ImageSizing, ImageTokens

TEXT: dict[str, Any] = {
    "vocab_size": 32000, "hidden_size": 2048, "num_hidden_layers": 4, "num_attention_heads": 16,
    "num_key_value_heads": 8, "intermediate_size": 4096, "head_dim": 128, "num_experts": 4, "num_experts_per_tok": 2,
    "num_local_experts": 4, "moe_intermediate_size": 512, "shared_expert_intermediate_size": 512,
    "intermediate_size_mlp": 4096, "max_position_embeddings": 32768, "sliding_window": 1024,
    "linear_num_value_heads": 16, "linear_num_key_heads": 16, "linear_key_head_dim": 128, "linear_value_head_dim": 128,
    "linear_conv_kernel_dim": 4, "global_head_dim": 128,
}  # fmt: skip
VISION: dict[str, Any] = {
    "hidden_size": 512, "embed_dim": 512, "intermediate_size": 1024, "num_hidden_layers": 2, "depth": 2,
    "num_attention_heads": 8, "num_key_value_heads": 8, "head_dim": 64, "num_heads": 8,
}  # fmt: skip
MODELS = Path(__file__).parents[2] / "app/catalogue/data/models.json"


def images_of(model_type: str, vision: dict[str, Any], **whole: Any) -> ImageTokens:
    text = {**TEXT, "model_type": WRAPPERS[model_type].text}
    found = parse_config(
        {"model_type": model_type, "text_config": text, "vision_config": {**VISION, **vision}, **whole}
    )
    assert found.image_tokens is not None
    return found.image_tokens


@pytest.mark.parametrize("model_type", sorted(WRAPPERS))
def test_every_model_that_sees_says_what_an_image_takes(model_type: str) -> None:
    images = images_of(model_type, {})
    assert images.tokens > 0 or images.cross_attention_states > 0
    assert images.max_tokens is None or images.max_tokens >= images.tokens
    assert images.sentence


def test_gemma_3_makes_256_tokens_of_every_image() -> None:
    """transformers 5.23 ``processing_gemma3.py``, ``image_seq_length``; its makers say the same of 896 × 896 pixels."""
    images = images_of("gemma3", {"image_size": 896, "patch_size": 14}, mm_tokens_per_image=256)
    assert (images.sizing, images.tokens, images.side_pixels) == (ImageSizing.FIXED, 256, 896)
    assert images_of("gemma3", {}, mm_tokens_per_image=64).tokens == 64


def test_gemma_4_scales_to_its_budget() -> None:
    """transformers 5.23 ``processing_gemma4.py``: 280 soft tokens unless the configuration says another number."""
    images = images_of("gemma4", {})
    assert (images.sizing, images.tokens, images.token_side_pixels) == (ImageSizing.BUDGET, 280, 48)
    assert images_of("gemma4", {}, vision_soft_tokens_per_image=1120).max_tokens == 1120


@pytest.mark.parametrize(("model_type", "side"), [("qwen2_vl", 28), ("qwen2_5_vl", 28), ("qwen3_vl", 32)])
def test_qwen_takes_a_token_a_merged_patch(model_type: str, side: int) -> None:
    """transformers 5.23 ``smart_resize``: 1,024 pixels round to 37 patches of 28, 1,369 tokens, or 32 of 32."""
    images = images_of(model_type, {})
    assert images.token_side_pixels == side
    assert images.tokens == {28: 1369, 32: 1024}[side]


def test_mistral_3_ends_each_row_of_merged_patches() -> None:
    """Mistral Small 3.1's configuration (1,540 pixels, patches of 14, two merged) gives 55 rows of 55 and an end."""
    images = images_of("mistral3", {"image_size": 1540, "patch_size": 14}, spatial_merge_size=2)
    assert (images.token_side_pixels, images.row_tokens, images.max_tokens) == (28, 1, 55 * 56)
    assert images.tokens == 37 * 38
    # Pixtral's patches of 16 are not merged
    assert images_of("mistral3", {"image_size": 1024, "patch_size": 16}, spatial_merge_size=1).tokens == 64 * 65


def test_llama_4_takes_144_tokens_a_tile() -> None:
    """transformers 5.23 ``processing_llama4.py``: 24 × 24 patches, four shuffled into one."""
    images = images_of("llama4", {"image_size": 336, "patch_size": 14, "pixel_shuffle_ratio": 0.5})
    assert (images.tokens, images.side_pixels, images.max_tiles) == (144, 336, 16)
    # each tile is followed by a separator, and all of them by the whole image
    assert images.max_tokens == 16 * 145 + 144


@pytest.mark.parametrize("ratio", [0, -0.5, 2, float("nan")])
def test_an_impossible_shuffle_is_refused(ratio: float) -> None:
    with pytest.raises(ConfigError) as caught:
        images_of("llama4", {"pixel_shuffle_ratio": ratio})
    assert caught.value.field == "pixel_shuffle_ratio"


def test_mllama_reads_images_beside_the_sequence() -> None:
    """Llama 3.2 Vision Instruct (560 pixels, four tiles): 1,601 states a tile, as ``vision_model.num_patches`` says."""
    images = images_of("mllama", {"image_size": 560, "patch_size": 14, "max_num_tiles": 4})
    assert (images.tokens, images.cross_attention_states) == (0, 4 * 1601)


def test_catalogued_models_that_see_have_their_tokens() -> None:
    rows = json.loads(MODELS.read_text())["models"]
    told = {row["slug"]: parse_config(row["config"]).image_tokens for row in rows}
    seeing = {row["slug"] for row in rows if "vision_config" in row["config"]}
    assert {slug for slug, images in told.items() if images} == seeing
    assert len(seeing) >= 19
