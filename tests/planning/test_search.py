"""The search itself: what it may choose, how much it tries, and that a chosen micro-batch is the largest."""

from dataclasses import replace

import pytest

from app.catalogue.snapshot import Snapshot
from app.memory.device import Verdict
from app.memory.estimate import estimate_memory, judge
from app.memory.inputs import Cluster, LossKernel, Strategy
from app.planning.search import Search
from app.planning.space import LARGEST_MICRO_BATCH, Asked, Lever, Way, lacks_kernels, most_evaluations, replicas, ways
from app.request import Run, resolve, to_groups
from app.services.calibration import bundled_calibration


def search(snapshot: Snapshot, model: str, method: str, *, sequences: int = 24, **changes: object) -> Search:
    found = snapshot.model(model)
    assert found is not None
    groups = to_groups(resolve(Run.model_validate({"model": model, "method": method})).run)
    asked = Asked(
        model_type=found.architecture.model_type,
        method=groups.method,
        precision=groups.precision,
        batch=groups.batch,
        cluster=groups.cluster,
        global_batch_size=sequences,
        counts=(1, 2, 3, 4, 5, 8),
    )
    return Search(
        architecture=found.architecture,
        asked=replace(asked, **changes),  # type: ignore[arg-type]
        job=groups.dataset,
        calibration=bundled_calibration(),
    )


@pytest.mark.parametrize("method", ["full", "lora", "qlora"])
@pytest.mark.parametrize("model", ["llama-3.2-1b", "llama-3-8b", "qwen2.5-14b"])
def test_the_micro_batch_is_the_largest_that_fits(snapshot: Snapshot, model: str, method: str) -> None:
    searched = search(snapshot, model, method)
    tried = 0
    for name in ("rtx-3060-12gb", "rtx-4090", "a100-80gb-sxm"):
        gpu = snapshot.gpu(name)
        assert gpu is not None
        for count in searched.counts():
            for plan in searched.plans(gpu.device, count, allow_tight=False):
                sizes = plan.way.micro_batches()
                larger = sizes[sizes.index(plan.batch.micro_batch_size) + 1 :][:1]
                for size, expected in ((plan.batch.micro_batch_size, True), *((size, False) for size in larger)):
                    batch = plan.way.at(size)
                    memory = estimate_memory(
                        searched.architecture,
                        plan.way.method,
                        searched.asked.precision,
                        batch,
                        plan.way.cluster,
                        device=gpu.device,
                    )
                    verdict, _ = judge(memory, gpu.device, plan.way.method, searched.asked.precision, batch)
                    assert (verdict is Verdict.FITS) is expected
                    tried += 1
                assert plan.global_batch_size == 24
    assert tried


def test_the_evaluations_stay_below_the_stated_ceiling(snapshot: Snapshot) -> None:
    searched = search(snapshot, "llama-3-8b", "full")
    workspaces = 2  # of cards before Hopper, and from Hopper on
    for gpu in snapshot.gpus:
        for count in searched.counts():
            list(searched.plans(gpu.device, count, allow_tight=True))
    assert 0 < searched.memory_evaluations <= workspaces * most_evaluations(searched.asked)


def test_counts_that_cannot_share_the_batch_drop_out(snapshot: Snapshot) -> None:
    assert search(snapshot, "llama-3-8b", "lora").counts() == (1, 2, 3, 4, 8)
    assert search(snapshot, "llama-3-8b", "lora", sequences=7).counts() == (1,)


def test_what_is_held_is_not_chosen(snapshot: Snapshot) -> None:
    held = frozenset(Lever)
    asked = search(snapshot, "llama-3-8b", "full", held=held, cluster=Cluster(strategy=Strategy.ZERO3)).asked
    (only,) = ways(asked, 4)
    assert only.cluster.strategy is Strategy.ZERO3
    assert only.method == asked.method
    assert only.micro_batches() == ((asked.batch.micro_batch_size,) if 6 % asked.batch.micro_batch_size == 0 else ())
    free = list(ways(search(snapshot, "llama-3-8b", "full").asked, 4))
    assert len(free) == 3 * 2 * 2 * 2


def test_liger_is_offered_only_where_it_runs(snapshot: Snapshot) -> None:
    olmoe = search(snapshot, "olmoe-1b-7b-0924", "lora").asked
    assert {way.batch.loss_kernel for way in ways(olmoe, 1)} == {olmoe.batch.loss_kernel}
    llama = search(snapshot, "llama-3-8b", "lora").asked
    fused = next(way.batch for way in ways(llama, 1) if way.batch.loss_kernel is LossKernel.LIGER)
    pascal, turing = snapshot.gpu("p40"), snapshot.gpu("t4")
    assert pascal is not None
    assert turing is not None
    assert lacks_kernels(pascal.device, fused)
    assert not lacks_kernels(turing.device, fused)


def test_an_endless_batch_does_not_make_an_endless_list(snapshot: Snapshot) -> None:
    asked = search(snapshot, "llama-3-8b", "lora", sequences=720_720).asked
    way: Way = next(iter(ways(asked, 1)))
    assert way.micro_batches()[-1] <= LARGEST_MICRO_BATCH
    assert list(way.micro_batches()) == [size for size in range(1, LARGEST_MICRO_BATCH + 1) if 720_720 % size == 0]


@pytest.mark.parametrize(
    ("cluster", "strategy", "expected"),
    [
        (Cluster(num_gpus=8), Strategy.FSDP2, 8),
        (Cluster(num_gpus=8, tensor_parallel=2), Strategy.FSDP2, 4),
        (Cluster(num_gpus=8, tensor_parallel=3), Strategy.FSDP2, 0),
        (Cluster(num_gpus=8), Strategy.DEVICE_MAP, 1),
    ],
)
def test_replicas_are_the_groups_that_see_different_sequences(
    cluster: Cluster, strategy: Strategy, expected: int
) -> None:
    assert replicas(cluster, strategy) == expected
