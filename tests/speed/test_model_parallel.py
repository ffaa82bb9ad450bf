"""Models and sequences shared out among GPUs: against published runs, and against what the sharing must come to."""

from dataclasses import replace
from math import log
from statistics import median

import pytest

from app.memory.inputs import Batch, Cluster, Method, MethodKind, Precision, Strategy
from app.services.calibration import bundled_calibration
from app.speed.estimate import Bound, SpeedEstimate, Unsupported, estimate_speed
from app.speed.job import job_steps
from app.speed.model_parallel import WHOLE, part_of
from benchmarks.speed.model_parallel import shared_runs
from benchmarks.speed.models import architecture_of
from benchmarks.speed.rows import devices

H100 = devices()["h100-sxm"]
FULL = Method(kind=MethodKind.FULL)
BATCH = Batch(micro_batch_size=1, sequence_length=4096, gradient_accumulation_steps=8)


def speed(cluster: Cluster, batch: Batch = BATCH) -> SpeedEstimate:
    architecture = architecture_of("meta-llama/Llama-2-13b-hf")
    assert architecture is not None
    found = estimate_speed(architecture, FULL, Precision(), batch, cluster, H100, calibration=bundled_calibration())
    assert isinstance(found, SpeedEstimate)
    return found


def cluster(num_gpus: int = 8, **changes: int) -> Cluster:
    shared = changes.get("tensor_parallel", 1) * changes.get("pipeline_parallel", 1)
    strategy = Strategy.SINGLE if shared == num_gpus else Strategy.FSDP2
    return replace(Cluster(num_gpus=num_gpus, strategy=strategy), **changes)  # type: ignore[arg-type]


def test_published_runs_lie_where_the_interval_says() -> None:
    runs = shared_runs()
    assert len(runs) >= 14
    assert sum(run.is_within for run in runs) >= 0.8 * len(runs)
    assert median(abs(log(run.ratio)) for run in runs) < 0.15
    assert all(1 / 1.5 < run.ratio < 1.5 for run in runs)


def test_one_gpu_does_all_of_it() -> None:
    assert part_of(Cluster()) is WHOLE
    assert part_of(Cluster(num_gpus=4, strategy=Strategy.DDP)) is WHOLE


@pytest.mark.parametrize("name", ["tensor_parallel", "pipeline_parallel", "context_parallel"])
def test_sharing_is_faster_than_one_gpu_and_slower_than_as_many_alone(name: str) -> None:
    one = speed(Cluster(strategy=Strategy.SINGLE))
    shared = speed(cluster(4, **{name: 4}))
    assert one.tokens_per_second < shared.tokens_per_second < 4 * one.tokens_per_second
    assert sum(seconds for _, seconds in shared.breakdown) == pytest.approx(shared.step_seconds)
    assert 0 < shared.mfu < one.mfu


def test_a_pipeline_waits_at_its_ends() -> None:
    """Of m micro-steps and p stages a step takes m + p − 1."""
    few, many = (replace(BATCH, gradient_accumulation_steps=steps) for steps in (1, 64))
    stages = cluster(4, pipeline_parallel=4)
    slow, fast = speed(stages, few), speed(stages, many)
    assert slow.tokens_per_second * 3.5 < fast.tokens_per_second * (64 + 3) / 64
    assert slow.tokens_per_second_high / slow.tokens_per_second == pytest.approx(
        4 * 64 / 67 * fast.tokens_per_second_high / fast.tokens_per_second
    )
    assert any("pipeline of 4 stages" in line for line in slow.assumptions)


def test_tensor_parallelism_over_pcie_waits_for_its_exchange() -> None:
    linked = cluster(8, tensor_parallel=8)
    assert speed(replace(linked, interconnect="pcie")).bound_by is Bound.COMMUNICATION
    assert speed(linked).bound_by is not Bound.COMMUNICATION


def test_a_group_wider_than_a_server_goes_over_the_network() -> None:
    wide = cluster(16, tensor_parallel=16)
    assert speed(wide).tokens_per_second < speed(cluster(8, tensor_parallel=8)).tokens_per_second


def test_only_what_works_on_other_samples_counts_in_a_step() -> None:
    class Job:
        num_examples, tokens_per_example, epochs, max_steps = 4096, 4096, 1.0, None

    alone, shared = (job_steps(Job(), BATCH, each) for each in (cluster(8), cluster(8, tensor_parallel=2)))
    assert shared.optimizer_steps == 2 * alone.optimizer_steps
    assert shared.total_tokens == alone.total_tokens


def test_experts_that_are_shared_out_have_no_speed() -> None:
    architecture = architecture_of("meta-llama/Llama-2-13b-hf")
    assert architecture is not None
    found = estimate_speed(
        architecture, FULL, Precision(), BATCH, replace(cluster(8), expert_parallel=8), H100,
        calibration=bundled_calibration(),
    )  # fmt: skip
    assert isinstance(found, Unsupported)
    assert "expert" in found.reason
