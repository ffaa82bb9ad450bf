"""Towers around a text model that nobody described: known models under a name that nobody has heard of."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.memory.build import parse_config
from app.memory.config import ConfigError
from tests.memory.test_vision_towers import CONFIGS, COUNTED

TEXT: dict[str, Any] = {
    "model_type": "llama", "vocab_size": 1000, "hidden_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 512,
}  # fmt: skip
VISION: dict[str, Any] = {
    "hidden_size": 128, "intermediate_size": 304, "num_hidden_layers": 6, "patch_size": 14, "image_size": 56,
}  # fmt: skip
WHISPER_ENCODER = 636_968_960
"""``WhisperEncoder`` of Whisper large v3's shape, counted by transformers 5.23 on the meta device."""
MODELS = Path(__file__).parents[2] / "app/catalogue/data/models.json"
BARE = parse_config(TEXT).total_parameters


def with_sections(**sections: Any) -> dict[str, Any]:
    return {"model_type": "never_heard_of", "text_config": TEXT, **sections}


@pytest.mark.parametrize("name", ["llava-1.5-7b", "llava-siglip", "paligemma-3b", "idefics3-8b", "smolvlm-2.2b"])
def test_a_tower_counts_under_an_unknown_name(name: str) -> None:
    architecture = parse_config({**CONFIGS[name], "model_type": "never_heard_of", "text_config": _whole_text(name)})
    assert architecture.total_parameters == pytest.approx(COUNTED[name], rel=0.02)
    assert not architecture.recognised
    assert "is counted as a plain vision transformer" in architecture.notes[-1]


def _whole_text(name: str) -> dict[str, Any]:
    defaults = {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32}
    text = {**defaults, **CONFIGS[name]["text_config"]}
    if name in {"paligemma-3b", "internvl3-1b"}:
        text["tie_word_embeddings"] = True
    return text


def test_a_tower_is_frozen() -> None:
    architecture = parse_config(with_sections(vision_config=VISION))
    trained = sum(parameter.elements * parameter.count for parameter in architecture.trainable_parameters)
    assert trained == BARE < architecture.total_parameters


def test_more_layers_and_other_names_for_them_count() -> None:
    said = parse_config(with_sections(vision_config=VISION)).total_parameters
    other = {"embed_dim": 128, "mlp_ratio": 304 / 128, "depth": 6, "patch_size": 14, "image_size": [56, 56]}
    assert parse_config(with_sections(vision_config=other)).total_parameters == said
    deeper = parse_config(with_sections(vision_config={**VISION, "num_hidden_layers": 7})).total_parameters
    assert deeper - said == 4 * (128 * 128 + 128) + 2 * 128 * 304 + 304 + 128 + 4 * 128


def test_a_tower_for_sound_is_counted_as_whispers() -> None:
    sound = {"d_model": 1280, "encoder_layers": 32, "encoder_ffn_dim": 5120, "num_mel_bins": 128,
             "max_source_positions": 1500}  # fmt: skip
    architecture = parse_config(with_sections(audio_config=sound))
    projector = 1280 * 256 + 256 + 256 * 256 + 256
    # Whisper's keys have no bias
    assert architecture.total_parameters - BARE - projector - 32 * 1280 == WHISPER_ENCODER
    assert not architecture.recognised
    assert "audio_config is counted as Whisper's encoder of 32 layers" in architecture.notes[-1]


def test_two_towers_are_both_counted_and_both_told() -> None:
    sound = {"hidden_size": 64, "num_hidden_layers": 2}
    both = parse_config(with_sections(vision_config=VISION, audio_config=sound))
    one, other = (parse_config(with_sections(**{key: value})) for key, value in
                  (("vision_config", VISION), ("audio_config", sound)))  # fmt: skip
    assert both.total_parameters - BARE == one.total_parameters + other.total_parameters - 2 * BARE
    assert len(both.notes) == 2


@pytest.mark.parametrize(
    "section",
    [
        {"architecture": "mobilenetv5_300m_enc", "hidden_size": 2048},
        {"hidden_size": [96, 192], "depth": 2, "patch_size": 4},
        {"hidden_size": 96, "depth": [2, 6], "patch_size": 4},
        {"hidden_size": 96, "depth": 2},
        {"hidden_size": "wide", "depth": 2, "patch_size": 4},
        {"hidden_size": 96, "depth": 10**6, "patch_size": 4},
        {},
    ],
)
def test_a_tower_that_says_too_little_is_told_to_be_missing(section: dict[str, Any]) -> None:
    architecture = parse_config(with_sections(vision_config=section))
    assert architecture.total_parameters == BARE
    assert not architecture.recognised
    assert "the weights that its vision_config describes are not counted" in architecture.notes[-1]


def test_text_keys_beside_the_tower_are_read() -> None:
    """Phi-4 multimodal has no ``text_config``."""
    flat = {**TEXT, "vision_config": VISION}
    architecture = parse_config(flat)
    assert architecture.total_parameters > BARE
    assert not architecture.recognised


@pytest.mark.parametrize("value", [896, "large", [1], True])
def test_a_section_that_is_no_object_is_refused(value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(with_sections(vision_config=value))
    assert caught.value.field == "vision_config"


def test_a_text_model_alone_stays_recognised() -> None:
    assert parse_config({**TEXT, "vision_config": None}).recognised
    assert parse_config({"text_config": TEXT}).recognised


def test_what_surrounds_a_text_model_and_is_not_said_is_not_passed_over() -> None:
    """Fuyu's projection of image patches stands in no section of its own."""
    architecture = parse_config({"model_type": "never_heard_of", "text_config": TEXT})
    assert architecture.total_parameters == BARE
    assert not architecture.recognised
    assert "only the text model that it holds is counted" in architecture.notes[-1]


def test_no_catalogued_model_needs_the_guess() -> None:
    rows = json.loads(MODELS.read_text(encoding="utf-8"))["models"]
    towers = [row for row in rows if "vision_config" in row["config"]]
    assert towers
    assert all(parse_config(row["config"]).recognised for row in towers if row["verified"])
