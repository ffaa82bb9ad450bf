"""What ranks hold in real runs of several processes is what the model says, to the byte."""

from collections.abc import Sequence

import pytest

from app.units import ALLOCATION_BLOCK_BYTES
from benchmarks.accuracy.ranks.cases import cases
from benchmarks.accuracy.real_ranks import RankComparison, compare_ranks


@pytest.fixture(scope="module")
def compared() -> Sequence[RankComparison]:
    return tuple(compare_ranks())


def test_the_reference_has_every_case(compared: Sequence[RankComparison]) -> None:
    assert {item.case for item in compared} == set(cases())
    assert all(len(item.ranks) == item.case.num_gpus for item in compared)


def test_parameters_gradients_and_optimizer_state_agree_to_the_byte(compared: Sequence[RankComparison]) -> None:
    for item in compared:
        assert item.ours == item.ranks[0], item.case


def test_no_other_rank_holds_more_but_for_rounding(compared: Sequence[RankComparison]) -> None:
    for item in compared:
        for rank in item.ranks:
            for name, size in rank.items():
                assert size <= item.ours[name] + item.storages[name] * ALLOCATION_BLOCK_BYTES, item.case


def test_sharded_runs_hold_less_than_replicated_ones(compared: Sequence[RankComparison]) -> None:
    totals = {item.case: sum(item.ranks[0].values()) for item in compared}
    for item in compared:
        case = item.case
        if case.strategy == "ddp":
            continue
        [replicated] = [
            total
            for other, total in totals.items()
            if (other.strategy, other.method, other.precision, other.num_gpus)
            == ("ddp", case.method, case.precision, case.num_gpus)
        ]
        assert totals[case] < replicated
