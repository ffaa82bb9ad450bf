"""What must hold of every run: more of anything never takes less memory, and parts sum to totals."""

from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from app.memory.estimate import largest_micro_batch
from app.memory.optimizers import OPTIMIZERS, SMALLEST_8BIT_TENSOR
from app.memory.result import Component, MemoryEstimate
from app.units import GIB
from tests.memory.runs import estimate

HEAD_DIM = 16

FAMILIES = ("llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "phi3")
LARGEST_MICRO_BATCH = 65_536
KEEPS_8BIT_STATE = frozenset(name for name in OPTIMIZERS if "8bit" in name)

configs = st.builds(
    lambda family, kv_heads, group, hidden, intermediate, layers, vocabulary, tied, window: {
        "model_type": family,
        "hidden_size": 64 * hidden,
        "intermediate_size": 64 * intermediate,
        "num_hidden_layers": layers,
        "num_attention_heads": kv_heads * group,
        "num_key_value_heads": kv_heads,
        "head_dim": HEAD_DIM,
        "vocab_size": vocabulary,
        "tie_word_embeddings": tied,
        "sliding_window": window,
    },
    st.sampled_from(FAMILIES),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(1, 8),
    st.integers(1, 16),
    st.integers(1, 6),
    st.integers(100, 50_000),
    st.booleans(),
    st.none() | st.integers(64, 2048),
)

runs = st.fixed_dictionaries(
    {
        "micro_batch_size": st.integers(1, 64),
        "sequence_length": st.integers(1, 4096),
        "lora_rank": st.integers(1, 256),
        "method": st.sampled_from(["full", "lora", "qlora"]),
        "precision": st.sampled_from(["bf16", "bf16-mixed", "fp16-mixed", "fp32"]),
        "optimizer": st.sampled_from(sorted(OPTIMIZERS)),
        "gradient_accumulation_steps": st.sampled_from([1, 4]),
        "gradient_checkpointing": st.sampled_from(["none", "full", "selective"]),
        "attention": st.sampled_from(["sdpa", "eager", "flash_attention_2"]),
        "loss_kernel": st.sampled_from(["standard", "liger", "chunked"]),
        "packing": st.booleans(),
        "keep_logits": st.booleans(),
        "lora_target_modules": st.sampled_from(["attention", "all-linear", "qv"]),
        "lora_dropout": st.sampled_from([0.0, 0.05]),
        "use_dora": st.booleans(),
        "adapter_dtype": st.sampled_from(["auto", "float32", "bfloat16"]),
        "upcast_non_quantized": st.booleans(),
        "max_grad_norm": st.sampled_from([0.0, 1.0]),
    }
)

many = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def of(config: dict[str, Any], run: dict[str, Any], **changes: Any) -> MemoryEstimate:
    asked = {**run, **changes}
    if asked["method"] == "full":
        asked = {name: value for name, value in asked.items() if not name.startswith(("lora", "use_dora", "adapter"))}
    if asked["method"] != "qlora":
        asked.pop("upcast_non_quantized")
    return estimate(config, include_workspaces=True, **asked)


def summed(components: tuple[Component, ...]) -> int:
    return sum(component.bytes for component in components)


@many
@given(configs, runs)
def test_parts_sum_to_totals(config: dict[str, Any], run: dict[str, Any]) -> None:
    result = of(config, run)
    assert result.peak_allocated_bytes == max(phase.bytes for phase in result.phases)
    assert result.peak_phase in {phase.name for phase in result.phases if phase.bytes == result.peak_allocated_bytes}
    for phase in result.phases:
        assert summed(phase.components) == phase.bytes
        assert all(component.bytes > 0 for component in phase.components)
    assert summed(result.components) == result.peak_allocated_bytes
    assert result.peak_allocated_bytes + summed(result.overheads) == result.required_bytes
    counts = result.parameters
    assert counts.total == counts.trainable + counts.frozen
    assert 0 < counts.active <= counts.total


@many
@given(configs, runs)
def test_figures_are_ordered_and_within_their_intervals(config: dict[str, Any], run: dict[str, Any]) -> None:
    result = of(config, run)
    assert result.peak_allocated_bytes <= result.peak_reserved_bytes <= result.required_bytes
    for value, interval in (
        (result.peak_allocated_bytes, result.peak_allocated),
        (result.peak_reserved_bytes, result.peak_reserved),
        (result.required_bytes, result.required),
    ):
        assert interval.low_bytes <= value <= interval.high_bytes


@many
@given(configs, runs, st.integers(1, 64))
def test_memory_never_falls_as_the_batch_grows(config: dict[str, Any], run: dict[str, Any], more: int) -> None:
    larger = of(config, run, micro_batch_size=run["micro_batch_size"] + more)
    assert larger.peak_allocated_bytes >= of(config, run).peak_allocated_bytes


@many
@given(configs, runs, st.integers(1, 4096))
def test_memory_never_falls_as_the_sequence_grows(config: dict[str, Any], run: dict[str, Any], more: int) -> None:
    longer = of(config, run, sequence_length=run["sequence_length"] + more)
    assert longer.peak_allocated_bytes >= of(config, run).peak_allocated_bytes


@many
@given(configs, runs, st.integers(1, 128))
def test_memory_never_falls_as_the_rank_grows(config: dict[str, Any], run: dict[str, Any], more: int) -> None:
    """But for 8-bit state, which small tensors keep in 32 bits: from 4,096 elements on it takes less."""
    run = {**run, "method": "lora" if run["method"] == "full" else run["method"]}
    if run["optimizer"] in KEEPS_8BIT_STATE:
        run["lora_rank"] += SMALLEST_8BIT_TENSOR // (HEAD_DIM)  # every A and B is beyond the threshold
    larger = of(config, run, lora_rank=run["lora_rank"] + more)
    assert larger.peak_allocated_bytes >= of(config, run).peak_allocated_bytes


@many
@given(configs, runs, st.integers(1, 4))
def test_memory_never_falls_as_layers_are_added(config: dict[str, Any], run: dict[str, Any], more: int) -> None:
    deeper = {**config, "num_hidden_layers": config["num_hidden_layers"] + more}
    assert of(deeper, run).peak_allocated_bytes >= of(config, run).peak_allocated_bytes


@many
@given(configs, runs, st.integers(2, 4))
def test_memory_never_falls_as_the_model_grows_wider(config: dict[str, Any], run: dict[str, Any], factor: int) -> None:
    """But for 8-bit state, where a matrix of fewer than 4,096 elements grows beyond them."""
    if run["optimizer"] in KEEPS_8BIT_STATE:
        run = {**run, "optimizer": "adamw_torch_fused"}
    wider = {
        **config,
        "hidden_size": factor * config["hidden_size"],
        "intermediate_size": factor * config["intermediate_size"],
        "num_attention_heads": factor * config["num_attention_heads"],
        "num_key_value_heads": factor * config["num_key_value_heads"],
    }
    assert of(wider, run).peak_allocated_bytes >= of(config, run).peak_allocated_bytes


@many
@given(configs, runs, st.integers(1, 8))
def test_memory_never_falls_as_the_vocabulary_grows(config: dict[str, Any], run: dict[str, Any], factor: int) -> None:
    larger = {**config, "vocab_size": config["vocab_size"] * factor}
    assert of(larger, run).peak_allocated_bytes >= of(config, run).peak_allocated_bytes


@many
@given(configs, runs)
def test_quantising_the_base_never_takes_more_for_what_is_kept_throughout(
    config: dict[str, Any], run: dict[str, Any]
) -> None:
    run = {**run, "upcast_non_quantized": False, "precision": "bf16"}
    kept = {}
    for method in ("lora", "qlora"):
        phases = of(config, run, method=method).phases
        kept[method] = sum(
            component.bytes for component in phases[0].components if component.name in {"weights", "quantisation_state"}
        )
    # tiny matrices are rounded up to blocks, each with its own scales: a few KiB a layer
    assert kept["qlora"] <= kept["lora"] + 16 * 4 * 512 * config["num_hidden_layers"]


@many
@given(configs, runs, st.integers(1, 80))
def test_the_largest_micro_batch_fits_and_the_next_does_not(
    config: dict[str, Any], run: dict[str, Any], gib: int
) -> None:
    """Under Liger's loss, whose tile grows in steps, a few more may fit."""
    usable_bytes = gib * GIB
    found = largest_micro_batch(of(config, run), usable_bytes)
    assume(0 < found < LARGEST_MICRO_BATCH)
    assert of(config, run, micro_batch_size=found).required_bytes <= usable_bytes
    if run["loss_kernel"] != "liger":
        assert of(config, run, micro_batch_size=found + 1).required_bytes > usable_bytes
