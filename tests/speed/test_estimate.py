"""A speed from the bundled calibration: parts, bounds, intervals, and cards that cannot run."""

from dataclasses import replace
from math import isclose

import pytest

from app.catalogue.bundled import bundled_snapshot
from app.memory.build import parse_config
from app.memory.device import Device
from app.memory.inputs import (
    Adapter,
    AttentionImplementation,
    Batch,
    Checkpointing,
    Cluster,
    Method,
    MethodKind,
    Offload,
    Precision,
    PrecisionPolicy,
    Quantization,
    Strategy,
)
from app.services.calibration import bundled_calibration
from app.speed.estimate import Bound, SpeedEstimate, Unsupported, estimate_speed

SNAPSHOT = bundled_snapshot()
DEVICES = {gpu.slug: gpu.device for gpu in SNAPSHOT.gpus}
MISTRAL = parse_config(
    {
        "model_type": "mistral",
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 32000,
        "tie_word_embeddings": False,
    }
)
METHODS = {
    MethodKind.FULL: Method(kind=MethodKind.FULL),
    MethodKind.LORA: Method(kind=MethodKind.LORA, adapter=Adapter(rank=16)),
    MethodKind.QLORA: Method(kind=MethodKind.QLORA, adapter=Adapter(rank=16), quantization=Quantization()),
}
BATCH = Batch(micro_batch_size=4, sequence_length=2048, gradient_checkpointing=Checkpointing.FULL)
BF16 = Precision(policy=PrecisionPolicy.BF16)


def answer(
    gpu: str | Device = "a100-80gb-sxm",
    kind: MethodKind = MethodKind.LORA,
    batch: Batch = BATCH,
    precision: Precision = BF16,
    cluster: Cluster | None = None,
) -> SpeedEstimate | Unsupported:
    device = gpu if isinstance(gpu, Device) else DEVICES[gpu]
    return estimate_speed(
        MISTRAL, METHODS[kind], precision, batch, cluster or Cluster(), device, calibration=bundled_calibration()
    )


def speed(
    gpu: str | Device = "a100-80gb-sxm",
    kind: MethodKind = MethodKind.LORA,
    batch: Batch = BATCH,
    precision: Precision = BF16,
    cluster: Cluster | None = None,
) -> SpeedEstimate:
    found = answer(gpu, kind, batch, precision, cluster)
    assert isinstance(found, SpeedEstimate)
    return found


def unsupported(
    gpu: str | Device, kind: MethodKind = MethodKind.LORA, batch: Batch = BATCH, cluster: Cluster | None = None
) -> Unsupported:
    found = answer(gpu, kind, batch, cluster=cluster)
    assert isinstance(found, Unsupported)
    return found


@pytest.mark.parametrize("kind", MethodKind)
def test_the_breakdown_sums_to_the_step(kind: MethodKind) -> None:
    found = speed(kind=kind, batch=replace(BATCH, gradient_accumulation_steps=4))
    assert isclose(sum(seconds for _, seconds in found.breakdown), found.step_seconds)
    assert isclose(found.tokens_per_second * found.step_seconds, 4 * 4 * 2048)
    assert found.tokens_per_second_low < found.tokens_per_second < found.tokens_per_second_high


@pytest.mark.parametrize("kind", MethodKind)
def test_no_card_of_the_catalogue_beats_its_own_dense_rate(kind: MethodKind) -> None:
    answers = [answer(gpu.device, kind) for gpu in SNAPSHOT.gpus]
    speeds = [found for found in answers if isinstance(found, SpeedEstimate)]
    assert len(speeds) > 70
    assert all(0 < found.mfu <= found.hfu < 0.85 for found in speeds)


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [(MethodKind.FULL, 0.22, 0.27), (MethodKind.LORA, 0.29, 0.35), (MethodKind.QLORA, 0.29, 0.35)],
)
@pytest.mark.parametrize("gpu", ["a100-80gb-sxm", "h100-sxm", "rtx-3090"])
def test_checkpointing_costs_a_quarter_of_full_and_a_third_of_adapters(
    gpu: str, kind: MethodKind, low: float, high: float
) -> None:
    kept = speed(gpu, kind, replace(BATCH, gradient_checkpointing=Checkpointing.NONE))
    lost = 1 - speed(gpu, kind).tokens_per_second / kept.tokens_per_second
    assert low <= lost <= high


def test_qlora_approaches_lora_as_tokens_a_micro_step_grow() -> None:
    ratios = []
    for micro_batch_size in (1, 2, 4, 8, 32):
        batch = Batch(micro_batch_size=micro_batch_size, sequence_length=1024)
        ratios.append(
            speed(kind=MethodKind.QLORA, batch=batch).tokens_per_second / speed(batch=batch).tokens_per_second
        )
    assert ratios == sorted(ratios)
    assert ratios[0] < 0.75
    assert 0.95 < ratios[-1] < 1.0


def test_what_bounds_a_step() -> None:
    assert speed().bound_by is Bound.ARITHMETIC
    tiny = Batch(micro_batch_size=1, sequence_length=32)
    assert speed("h100-sxm", batch=tiny).bound_by is Bound.KERNEL_LAUNCHES
    names = [name for name, _ in speed("h100-sxm", batch=tiny).breakdown]
    assert "kernel_launches" in names
    assert any("launches kernels" in line for line in speed("h100-sxm", batch=tiny).assumptions)
    assert speed("rtx-3090", MethodKind.QLORA, replace(tiny, sequence_length=64)).bound_by in {
        Bound.MEMORY_BANDWIDTH,
        Bound.KERNEL_LAUNCHES,
    }


def test_a_card_without_bfloat16_is_unsupported_with_the_run_that_would_go() -> None:
    found = unsupported("t4")
    assert found.changes == {"precision": "fp16-mixed"}
    assert "bfloat16" in found.reason
    fp16 = speed("t4", precision=Precision(policy=PrecisionPolicy.FP16_MIXED))
    assert found.suggested == fp16
    assert fp16.tokens_per_second < speed("rtx-3090").tokens_per_second


def test_suggestions_add_up() -> None:
    flash = replace(BATCH, attention=AttentionImplementation.FLASH_ATTENTION_2)
    found = unsupported("t4", batch=flash)
    assert found.changes == {"precision": "fp16-mixed", "attention": "sdpa"}
    assert found.suggested is not None


def test_a_card_with_neither_half_precision_runs_float32() -> None:
    found = unsupported("p40")
    assert found.changes == {"precision": "fp32"}
    assert found.suggested is not None


def test_what_is_not_modelled_has_no_speed_and_says_why() -> None:
    to_a_disk = Cluster(offload=Offload.OPTIMIZER, offload_target="nvme")
    assert "offloading to a disk" in unsupported("h100-sxm", cluster=to_a_disk).reason
    assert "expert" in unsupported("h100-sxm", cluster=Cluster(num_gpus=2, expert_parallel=2)).reason
    without = replace(DEVICES["h100-sxm"], supports_bitsandbytes=False)
    assert "bitsandbytes" in unsupported(without, MethodKind.QLORA).reason
    assert "dense rate" in unsupported("gb10").reason


def test_a_card_nobody_measured_has_a_wider_interval_that_says_so() -> None:
    measured, guessed = speed("a100-80gb-sxm"), speed("rtx-5090")
    assert measured.calibration.measured
    assert not guessed.calibration.measured
    assert "Nobody" in guessed.assumptions[0]
    spreads = [found.tokens_per_second_high / found.tokens_per_second for found in (measured, guessed)]
    assert spreads[1] > spreads[0] * 1.1


def test_a_class_that_only_an_outlying_source_measured_says_so() -> None:
    found = speed("rtx-pro-6000")
    assert not found.calibration.measured
    assert "slow on every card" in found.assumptions[0]
    assert found.tokens_per_second_high / found.tokens_per_second > 1.5


def test_float32_accumulation_and_dense_rates_only() -> None:
    # GeForce cards halve the rate of float16 with float32 accumulation: 71 of the 142 TFLOP/s on an RTX 3090's label.
    found = speed("rtx-3090")
    flops = found.hfu * 71.2e12 * found.step_seconds
    assert flops > 6 * 7e9 * 4 * 2048
    assert speed(precision=Precision(policy=PrecisionPolicy.FP32)).tokens_per_second < 0.15 * speed().tokens_per_second


def test_data_parallel_gpus_add_up_and_device_map_does_not() -> None:
    one = speed(kind=MethodKind.LORA)
    four = speed(kind=MethodKind.LORA, cluster=Cluster(num_gpus=4, strategy=Strategy.DDP))
    assert 3.8 * one.tokens_per_second < four.tokens_per_second <= 4 * one.tokens_per_second
    mapped = speed(kind=MethodKind.LORA, cluster=Cluster(num_gpus=4, strategy=Strategy.DEVICE_MAP))
    assert mapped.tokens_per_second == one.tokens_per_second
    assert mapped.mfu == pytest.approx(one.mfu / 4)


def test_sharding_over_pcie_waits_for_weights() -> None:
    small = Batch(micro_batch_size=1, sequence_length=512)
    cluster = Cluster(num_gpus=2, strategy=Strategy.FSDP, interconnect="pcie")
    assert speed("rtx-3090", batch=small, cluster=cluster).bound_by is Bound.COMMUNICATION
    more = replace(small, micro_batch_size=64)
    assert speed("rtx-3090", batch=more, cluster=cluster).bound_by is Bound.ARITHMETIC


def test_padding_costs_attention() -> None:
    long = Batch(micro_batch_size=2, sequence_length=2048)
    assert speed(batch=replace(long, packing=False)).tokens_per_second < speed(batch=long).tokens_per_second


def test_every_calibrated_value_names_its_runs_and_sources() -> None:
    calibration = bundled_calibration()
    for value in calibration.classes.values():
        assert value.runs >= len(value.sources) >= 1
        assert 0.2 < value.fraction < 1.0
        assert 0.05 < value.log_deviation < 0.5
