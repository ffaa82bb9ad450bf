"""DeepSpeed's own estimators agree with our model states on the part that they model."""

from collections.abc import Sequence

import pytest

from app.memory.result import PhaseName
from benchmarks.accuracy.deepspeed_estimators import EstimatorComparison, compare_estimators


@pytest.fixture(scope="module")
def compared() -> Sequence[EstimatorComparison]:
    return tuple(compare_estimators())


def test_states_on_a_card_agree(compared: Sequence[EstimatorComparison]) -> None:
    """4 models, three arrangements of cards, ZeRO-2 and 3, with and without offload: within 0.03 %, tensors padded."""
    assert len(compared) == 60
    for item in compared:
        assert item.states_difference == pytest.approx(0, abs=3e-4), item.row


def test_only_large_shards_are_updated_in_parts(compared: Sequence[EstimatorComparison]) -> None:
    for item in compared:
        shard = item.their_states_bytes / 18
        in_parts = item.row["strategy"] == "zero3" and item.row["offload"] == "none" and shard > 1e9
        assert (item.not_at_once_bytes > 0) == in_parts, item.row


def test_hosts_agree_but_for_the_copies_of_loading(compared: Sequence[EstimatorComparison]) -> None:
    """Under ZeRO-2 they also count a float32 copy of the model in every process, which is more than 16 bytes a
    parameter on more than four cards, and take the host for one."""
    for item in compared:
        row = item.row
        if row["offload"] == "none" or (row["strategy"] == "zero2" and row["gpus_per_node"] * row["nodes"] > 4):
            continue
        assert item.host_bytes == pytest.approx(row["host_bytes"], rel=3e-4), row


def test_what_they_leave_out_is_said_as_a_size(compared: Sequence[EstimatorComparison]) -> None:
    for item in compared:
        peak = item.estimate.peak_allocated_bytes
        assert item.left_out_bytes == peak - item.row["card_bytes"]
        if item.row["offload"] != "none":
            assert item.estimate.peak_phase is not PhaseName.OPTIMIZER_STEP
            assert item.left_out_bytes > 0
