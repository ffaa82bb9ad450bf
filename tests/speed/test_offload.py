"""Offloading to the host costs what published runs of it say, and the estimate says how sure that is."""

from functools import cache

import pytest

from app.memory.build import parse_config
from app.memory.inputs import Adapter, Batch, Checkpointing, Cluster, Method, MethodKind, Offload, Precision, Strategy
from app.services.calibration import bundled_calibration
from app.speed.estimate import Bound, SpeedEstimate, estimate_speed
from app.speed.offload import LINK_SHARE, SECONDS_PER_GRADIENT_BYTE, SPREAD
from benchmarks.speed.offload import Offloaded, best_paces, offloaded_runs
from benchmarks.speed.rows import devices

MODEL = parse_config(
    {
        "model_type": "llama",
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 32_000,
    }
)
BATCH = Batch(micro_batch_size=8, sequence_length=2048, gradient_checkpointing=Checkpointing.FULL)
FULL = Method(kind=MethodKind.FULL)
LORA = Method(kind=MethodKind.LORA, adapter=Adapter(rank=16))


@cache
def runs() -> tuple[Offloaded, ...]:
    return offloaded_runs()


def speed(offload: Offload, method: Method = FULL, num_gpus: int = 1) -> SpeedEstimate:
    strategy = Strategy.FSDP2 if num_gpus > 1 else Strategy.AUTO
    cluster = Cluster(num_gpus=num_gpus, strategy=strategy, offload=offload)
    found = estimate_speed(
        MODEL, method, Precision(), BATCH, cluster, devices()["a100-80gb-sxm"], calibration=bundled_calibration()
    )
    assert isinstance(found, SpeedEstimate)
    return found


def test_the_paces_are_those_of_the_published_runs() -> None:
    assert len(runs()) == 14
    assert best_paces(runs()) == pytest.approx((LINK_SHARE, SECONDS_PER_GRADIENT_BYTE))


def test_every_published_run_is_within_the_wider_interval() -> None:
    for item in runs():
        assert 1 / SPREAD < item.ratio < SPREAD, item.run.id


@pytest.mark.parametrize("method", [FULL, LORA], ids=["full", "lora"])
@pytest.mark.parametrize("num_gpus", [1, 4])
def test_what_leaves_the_card_takes_time(method: Method, num_gpus: int) -> None:
    seconds = {offload: speed(offload, method, num_gpus).step_seconds for offload in Offload}
    assert seconds[Offload.NONE] < seconds[Offload.OPTIMIZER] < seconds[Offload.BOTH]
    assert seconds[Offload.NONE] < seconds[Offload.PARAMETERS] <= seconds[Offload.BOTH]


def test_the_parts_sum_to_the_step_and_name_the_optimizer_once() -> None:
    found = speed(Offload.BOTH)
    assert sum(seconds for _, seconds in found.breakdown) == pytest.approx(found.step_seconds)
    assert [name for name, _ in found.breakdown].count("optimizer") == 1
    gradient_bytes = 2 * MODEL.total_parameters
    assert dict(found.breakdown)["optimizer"] == pytest.approx(gradient_bytes * SECONDS_PER_GRADIENT_BYTE)
    copied = 3 * gradient_bytes / (devices()["a100-80gb-sxm"].pcie_bytes_per_second * LINK_SHARE)
    assert dict(found.breakdown)["communication"] == pytest.approx(copied)


def test_the_interval_is_wider_and_says_so() -> None:
    without, found = speed(Offload.NONE), speed(Offload.BOTH)
    wider = found.tokens_per_second_high / found.tokens_per_second
    assert wider == pytest.approx(SPREAD * without.tokens_per_second_high / without.tokens_per_second)
    assert any("host's memory" in line for line in found.assumptions)
    assert not any("host's memory" in line for line in without.assumptions)


def test_a_step_that_waits_for_its_copies_says_so() -> None:
    one = Batch(micro_batch_size=1, sequence_length=256)
    cluster = Cluster(offload=Offload.BOTH)
    found = estimate_speed(
        MODEL, FULL, Precision(), one, cluster, devices()["a100-80gb-sxm"], calibration=bundled_calibration()
    )
    assert isinstance(found, SpeedEstimate)
    assert found.bound_by is Bound.COMMUNICATION
