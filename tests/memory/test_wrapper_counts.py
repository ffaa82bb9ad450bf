"""Models with towers, counted whole by the library: weights to the last, tokens of images as their makers have them."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.memory.build import parse_config
from app.memory.config import ConfigError
from app.memory.families import WRAPPERS
from app.memory.images import ImageSizing

DATA = Path(__file__).parents[2] / "benchmarks/accuracy/data/wrapper_counts.jsonl"
ROWS: list[dict[str, Any]] = [json.loads(line) for line in DATA.read_text(encoding="utf-8").splitlines()]
CONFIGS: dict[str, dict[str, Any]] = {row["name"]: row["config"] for row in ROWS}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_weights_are_counted_to_the_last(row: dict[str, Any]) -> None:
    found = parse_config(row["config"])
    assert found.total_parameters == row["parameters"]
    trained = sum(parameter.elements * parameter.count for parameter in found.trainable_parameters)
    assert 0 < trained < found.total_parameters


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_whoever_sees_says_what_an_image_takes(row: dict[str, Any]) -> None:
    found = parse_config(row["config"])
    assert WRAPPERS[row["config"]["model_type"]].recognised
    assert found.image_tokens is not None
    assert found.image_tokens.tokens > 0
    assert found.image_tokens.max_tokens is None or found.image_tokens.max_tokens >= found.image_tokens.tokens


TOKENS = {
    # transformers 5.23 `processing_llava_next.py`: 576 of the whole; 2 × 2 tiles are 48 rows of 48 and an end
    "llava-v1.6-mistral-7b": (ImageSizing.TILES, 576, 576 + 48 * 49),
    # ten tiles of 27 × 27 one above the other, each row ended
    "granite-vision-shaped": (ImageSizing.TILES, 729, 729 + 27 * 271),
    # `processing_llava_onevision.py`: five rows of two tiles are the most that is not yet scaled down to nine
    "llava-onevision-qwen2-0.5b": (ImageSizing.TILES, 729, 729 + 10 * 729 + 5 * 27),
    # `processing_aya_vision.py`: (364 ÷ 28)² a tile
    "aya-vision-8b": (ImageSizing.TILES, 169, 169 + 12 * 170),
    # `processing_idefics2.py`, image_seq_len; four quarters more where images are split
    "idefics2-8b": (ImageSizing.TILES, 64, 64 + 4 * 65),
    # `processing_lfm2_vl.py`: 256 of 512 × 512 pixels
    "lfm2-vl-450m": (ImageSizing.TILES, 256, 256 + 10 * 257 + 1),
    # `processing_deepseek_vl.py`, num_image_tokens
    "deepseek-vl-1.3b": (ImageSizing.FIXED, 576, None),
    # `image_processing_phi4_multimodal.py`, num_img_tokens; most where 36 tiles stand one above the other
    "phi-4-multimodal-instruct": (ImageSizing.TILES, 256 + 1 + 256 + 16 + 16, 256 + 1 + 36 * (256 + 16) + 16),
    # `processing_glm4v.py`: a token for 28 × 28 pixels
    "glm-4.1v-9b": (ImageSizing.RESOLUTION, 37 * 37, None),
    # `processing_ovis2.py`, image_seq_length
    "ovis2-1b": (ImageSizing.TILES, 256, 256 + 12 * 257),
    # `configuration_video_llava.py`, image_seq_length
    "video-llava-7b": (ImageSizing.FIXED, 256, None),
}


@pytest.mark.parametrize("name", sorted(TOKENS))
def test_an_image_takes_what_its_makers_say(name: str) -> None:
    images = parse_config(CONFIGS[name]).image_tokens
    assert images is not None
    assert (images.sizing, images.tokens, images.max_tokens) == TOKENS[name]


@pytest.mark.parametrize("name", ["qwen2.5-omni-7b", "qwen3-omni-30b-a3b"])
def test_of_a_model_that_speaks_the_thinker_is_counted(name: str) -> None:
    thinker = CONFIGS[name]
    whole = {
        "model_type": thinker["model_type"].removesuffix("_thinker"),
        "thinker_config": thinker,
        "talker_config": {},
    }
    found = parse_config(whole)
    assert found == parse_config(thinker)
    assert any("what speaks is left out" in note for note in found.notes)


def test_a_small_image_need_not_fill_a_tile() -> None:
    small, whole = (parse_config(CONFIGS[name]).image_tokens for name in ("lfm2-vl-450m", "aya-vision-8b"))
    assert small is not None
    assert whole is not None
    assert (small.least, whole.least) == (0, 169)


@pytest.mark.parametrize(
    ("name", "change", "key"),
    [
        ("llava-next-made-up", {"image_grid_pinpoints": "all"}, "image_grid_pinpoints"),
        ("llava-next-made-up", {"image_grid_pinpoints": [[336]]}, "image_grid_pinpoints"),
        ("llava-next-made-up", {"image_grid_pinpoints": [[336, "wide"]]}, "image_grid_pinpoints"),
        ("llava-onevision-made-up", {"vision_aspect_ratio": "anyres_max_none"}, "vision_aspect_ratio"),
        ("aya-vision-made-up", {"downsample_factor": 0}, "downsample_factor"),
        ("idefics2-made-up", {"perceiver_config": 7}, "perceiver_config"),
        ("idefics2-made-up", {"perceiver_config": {"resampler_depth": -1}}, "resampler_depth"),
        ("lfm2-vl-made-up", {"vision_config": {"patch_size": 0}}, "patch_size"),
        ("kimi-k2.5-made-up", {"vision_config": {"merge_kernel_size": [2]}}, "merge_kernel_size"),
        ("kimi-k2.5-made-up", {"vision_config": {"merge_kernel_size": [0, 2]}}, "merge_kernel_size"),
        ("qwen2.5-omni-made-up", {"audio_config": [80]}, "audio_config"),
        ("qwen3-omni-made-up", {"audio_config": {"num_mel_bins": -1}}, "num_mel_bins"),
    ],
)
def test_mutilated_towers_are_refused(name: str, change: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config({**CONFIGS[name], **change})
    assert caught.value.field == key
