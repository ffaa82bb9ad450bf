"""Every traced run that a request can describe, against the product's own answer."""

from statistics import median

import pytest

from benchmarks.accuracy.comparison import compare, compare_all, is_supported
from benchmarks.accuracy.reference import Inexpressible, ReferenceCase, Source, load

CASES, LEFT_OUT = load((Source.CASES, Source.DENSE))
DENSE = [case for case in CASES if case.is_dense]

TOLERANCE = 0.01
MEDIAN_TOLERANCE = 0.001


@pytest.mark.parametrize("case", DENSE, ids=lambda case: f"{case.source}-{case.case_id}-{case.name}")
def test_a_traced_run_is_estimated_within_one_per_cent(case: ReferenceCase) -> None:
    comparison = compare(case)
    assert comparison.counts_agree
    assert abs(comparison.error) <= TOLERANCE


STACKS = load((Source.TRANSFORMERS_4, Source.TRANSFORMERS_4_48, Source.TRANSFORMERS_4_45, Source.TRL, Source.LIGER))[0]


@pytest.mark.parametrize("case", STACKS, ids=lambda case: f"{case.source}-{case.case_id}-{case.name}")
def test_other_stacks_are_estimated_within_one_per_cent(case: ReferenceCase) -> None:
    comparison = compare(case)
    assert comparison.counts_agree
    assert abs(comparison.error) <= TOLERANCE


def test_the_median_error_is_within_a_tenth_of_a_per_cent() -> None:
    for source in (Source.CASES, Source.DENSE):
        errors = [abs(item.error) for item in compare_all(case for case in DENSE if case.source is source)]
        assert median(errors) <= MEDIAN_TOLERANCE


def test_no_dense_run_is_left_out_but_for_its_optimizer() -> None:
    assert all(is_supported(case) for case in DENSE)
    assert all(
        isinstance(case, Inexpressible) and case.reason.startswith("optimizer adamw_forloop") for case in LEFT_OUT
    )
    assert len(LEFT_OUT) == 1


@pytest.mark.parametrize("source", [Source.CASES, Source.DENSE])
def test_the_parts_of_a_traced_peak_sum_to_it(source: Source) -> None:
    cases = [case for case in CASES if case.source is source]
    assert len(cases) >= 200
    for case in cases:
        assert sum(case.parts.values()) == case.peak_bytes == max(case.phase_bytes.values(), default=case.peak_bytes)
