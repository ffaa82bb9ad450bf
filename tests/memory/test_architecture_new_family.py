"""A new family of experts and windows is data: a row of existing parts, counted and estimated like any other."""

from collections.abc import Mapping
from typing import Any

import pytest

from app.memory import build
from app.memory.architecture import NormKind, RouterKind
from app.memory.build import parse_config
from app.memory.estimate import estimate_memory
from app.memory.families import FAMILIES, Family
from app.memory.families.attention import PER_HEAD, AttentionStyle
from app.memory.families.mlp import ExpertStyle, GatedStyle, shared_by_count
from app.memory.families.plans import after_first_dense, by_layer_type, every_nth
from app.memory.inputs import Batch, Method, MethodKind, Precision
from app.memory.result import Interval, MemoryEstimate

MADE_UP = Family(
    norm=NormKind.RMS_SCALE_LAST,
    mixers={"full_attention": AttentionStyle(bias="attention_bias", norm=PER_HEAD)},
    mlps={
        "dense": GatedStyle(fused="gate_up_proj"),
        "sparse": ExpertStyle(router=RouterKind.SOFTMAX, shared=shared_by_count("n_shared_experts")),
    },
    plan=by_layer_type(every_nth(2), sparse=after_first_dense),
    defaults={"sliding_window": 256, "n_shared_experts": 1, "first_k_dense_replace": 1},
)
CONFIG = {
    "model_type": "made_up", "vocab_size": 1000, "hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 160, "moe_intermediate_size": 32, "num_experts": 8,
    "num_experts_per_tok": 2, "attention_bias": True,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _made_up_family(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "FAMILIES", {**FAMILIES, "made_up": MADE_UP})


DENSE = {key: value for key, value in CONFIG.items() if "expert" not in key}


def estimate(model_type: str, config: Mapping[str, Any] = CONFIG) -> MemoryEstimate:
    """Full fine-tuning of the made-up shape, read as ``model_type``."""
    batch = Batch(micro_batch_size=2, sequence_length=512)
    architecture = parse_config({**config, "model_type": model_type})
    return estimate_memory(architecture, Method(kind=MethodKind.FULL), Precision(), batch)


def test_it_is_counted_to_the_parameter() -> None:
    attention = 64 * 64 + 64 + 2 * (64 * 32 + 32) + 64 * 64 + 2 * 16
    expert = 3 * 64 * 32
    dense, sparse = 3 * 64 * 160, 8 * expert + 64 * 8 + expert
    expected = 2 * 1000 * 64 + 64 + 3 * (attention + 2 * 64) + dense + 2 * sparse
    architecture = parse_config(CONFIG)
    assert architecture.total_parameters == expected
    assert architecture.active_parameters == expected - 2 * 6 * expert
    assert architecture.windows == (256,)
    assert architecture.recognised


def test_it_is_estimated() -> None:
    found = estimate("made_up")
    assert found.peak_allocated_bytes > 8 * parse_config(CONFIG).total_parameters
    assert not found.warnings


def test_without_its_row_it_gets_a_warning_and_a_wide_interval() -> None:
    known, unknown = estimate("llama", DENSE), estimate("never_heard_of", DENSE)
    assert not parse_config({**DENSE, "model_type": "never_heard_of"}).recognised
    assert any("never_heard_of" in warning.text for warning in unknown.warnings)
    assert unknown.peak_allocated_bytes == known.peak_allocated_bytes
    assert width(unknown.peak_allocated) > 2 * width(known.peak_allocated)


def width(interval: Interval) -> int:
    return interval.high_bytes - interval.low_bytes
