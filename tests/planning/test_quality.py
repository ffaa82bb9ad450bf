"""What published comparisons say of a method: the bundled rows, and how they are brought together."""

from collections.abc import Iterable

import pytest

from app.memory.inputs import Adapter, LoraTargetPreset, MethodKind
from app.planning.quality import (
    SUPERVISED,
    QualityResult,
    Source,
    Task,
    by_task,
    compared_ranks,
    expected_quality,
    spread,
)
from app.services.quality import (
    bundled_quality,
    bundled_results,
    findings,
    not_read,
    quality_of,
    quality_report,
)
from tools.quality_table import PAGE, page

LORA, QLORA, FULL = MethodKind.LORA, MethodKind.QLORA, MethodKind.FULL


def source(name: str) -> Source:
    return Source(name=name, authors=name, title=name, year=2024, url="https://example.org", read="here")


def result(
    share: float, of: str = "one", *, method: MethodKind = LORA, task: Task = Task.CODE, rank: int | None = None
) -> QualityResult:
    return QualityResult(
        source=source(of),
        place="table 1",
        model="a model",
        task=task,
        data="data",
        metric="score",
        method=method,
        score=share * 50,
        against=FULL,
        reference=50,
        rank=rank,
    )


def results(*shares: float, of: str = "one") -> Iterable[QualityResult]:
    return [result(share, of) for share in shares]


def test_full_fine_tuning_is_what_others_are_compared_with() -> None:
    quality = bundled_quality(FULL)
    assert (quality.share_of_full_low, quality.share_of_full, quality.share_of_full_high) == (1, 1, 1)


def test_a_method_is_not_worth_more_than_one_that_can_learn_more() -> None:
    full, lora, qlora = (bundled_quality(kind).share_of_full for kind in (FULL, LORA, QLORA))
    assert full > lora > qlora > 0.9


@pytest.mark.parametrize("kind", [LORA, QLORA])
def test_several_sources_stand_behind_an_expected_quality_and_its_spread_shows(kind: MethodKind) -> None:
    quality = bundled_quality(kind)
    assert len(quality.sources) >= 3
    assert quality.results >= 20
    assert quality.share_of_full_low < quality.share_of_full < quality.share_of_full_high
    assert quality.share_of_full_low < 1 < quality.share_of_full_high, "the sources disagree, and that is shown"
    assert all(name in quality.note for name in quality.sources)


def test_a_long_table_counts_no_more_than_a_short_one() -> None:
    assert spread([*results(*[0.5] * 50), *results(0.9, of="two"), *results(1.0, of="three")])[1] == pytest.approx(0.9)


def test_the_range_holds_four_fifths_of_the_weight() -> None:
    shares = [number / 100 for number in range(1, 101)]
    assert spread(results(*shares)) == pytest.approx((0.10, 0.50, 0.90))


def test_only_direct_comparisons_of_supervised_runs_count() -> None:
    rows = [
        result(0.9),
        result(0.1, task=Task.CONTINUED_PRETRAINING),
        result(0.2, method=QLORA),
    ]
    assert expected_quality(LORA, rows).share_of_full == pytest.approx(0.9)
    assert expected_quality(LORA, rows, task=Task.CONTINUED_PRETRAINING).share_of_full == pytest.approx(0.1)
    with pytest.raises(ValueError, match="no published result"):
        expected_quality(QLORA, rows, task=Task.NARROW)


def test_lora_falls_behind_on_code_and_most_in_continued_pretraining() -> None:
    told = by_task(LORA, bundled_results())
    assert told[Task.INSTRUCTIONS].share_of_full > 0.99
    assert told[Task.CONTINUED_PRETRAINING].share_of_full < told[Task.CODE].share_of_full < 0.9
    assert set(told) >= SUPERVISED


def test_a_higher_rank_comes_nearer_where_one_source_compares_ranks() -> None:
    ranks = compared_ranks(bundled_results())
    assert list(ranks) == [16, 64, 256]
    lows = [min(row.share for row in rows) for rows in ranks.values()]
    assert lows == sorted(lows)


def test_an_adapter_adds_what_is_known_of_its_rank_and_targets() -> None:
    low = quality_of(LORA, Adapter(rank=8, targets=LoraTargetPreset.ATTENTION))
    high = quality_of(LORA, Adapter(rank=512, targets=LoraTargetPreset.ALL_LINEAR))
    assert "rank 16 reached 72 to 102 %" in low.note
    assert "attention alone" in low.note
    assert "rank 256 reached" in high.note
    assert "attention alone" not in high.note
    assert low.share_of_full == high.share_of_full == bundled_quality(LORA).share_of_full


def test_a_task_without_results_is_answered_by_all_of_them() -> None:
    assert Task.NARROW not in by_task(QLORA, bundled_results())
    assert quality_of(QLORA, None, Task.NARROW).results == bundled_quality(QLORA).results


def test_a_share_of_what_was_learnt_is_told_only_where_something_was() -> None:
    gsm8k = next(row for row in bundled_results() if row.source.name == "biderman-2024" and row.place == "table S7")
    assert gsm8k.share_of_gain == pytest.approx((0.580 - 0.145) / (0.642 - 0.145))
    barely = next(row for row in bundled_results() if row.model == "Llama 2 70B" and row.metric.startswith("MMLU"))
    assert barely.untuned is not None
    assert barely.share_of_gain is None
    assert bundled_quality(QLORA).gain_sources == ("Ivison et al. 2023",)


def test_every_row_is_a_comparison_with_its_place_at_a_public_address() -> None:
    for row in bundled_results():
        assert row.place
        assert row.source.url.startswith("https://")
        assert row.source.read
        assert row.method is not row.against
        assert 0.5 < row.share < 1.3
    assert len({(row.source.name, row.place, row.model, row.metric, row.data, row.method, row.rank, row.against)
                for row in bundled_results()}) == len(bundled_results())  # fmt: skip


def test_what_could_not_be_read_is_said() -> None:
    assert {"Anyscale", "Raschka"} <= {entry.what.partition(",")[0] for entry in not_read()}
    assert {finding.about for finding in findings()} >= {"rank", "targets", "forgetting"}


def test_the_report_carries_what_a_reader_needs_to_judge() -> None:
    report = quality_report(bundled_quality(QLORA))
    assert report.coverage == 0.8
    assert report.sources == bundled_quality(QLORA).sources
    assert report.share_of_full_low < report.share_of_full


def test_the_page_of_results_is_what_the_data_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m tools.quality_table"
