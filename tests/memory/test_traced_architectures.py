"""Traced runs of families beyond the plain dense decoder, against the product's own answer."""

from collections import defaultdict
from statistics import median

import pytest

from benchmarks.accuracy.comparison import compare, compare_all, is_supported
from benchmarks.accuracy.reference import ReferenceCase, Source, load

ARCHITECTURES, LEFT_OUT = load((Source.ARCHITECTURES, Source.HELD_OUT))
EXPERTS = tuple(case for case in load((Source.CASES,))[0] if not case.is_dense)
CASES = (*ARCHITECTURES, *EXPERTS)

TOLERANCE = 0.02
MEDIAN_TOLERANCE = 0.003


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.source}-{case.case_id}-{case.name}")
def test_a_traced_architecture_is_estimated_within_two_per_cent(case: ReferenceCase) -> None:
    comparison = compare(case)
    assert comparison.counts_agree
    assert abs(comparison.error) <= TOLERANCE


def test_no_architecture_is_left_out() -> None:
    assert not LEFT_OUT
    assert all(is_supported(case) for case in CASES)
    assert len(CASES) >= 120
    assert len({case.config["model_type"] for case in CASES}) >= 50


def test_the_median_error_is_within_three_tenths_of_a_per_cent() -> None:
    by_family: defaultdict[str, list[float]] = defaultdict(list)
    for comparison in compare_all(CASES):
        by_family[comparison.case.config["model_type"]].append(abs(comparison.error))
    for family, errors in sorted(by_family.items(), key=lambda item: -max(item[1])):
        print(f"{family:20} {len(errors):3} runs, median {median(errors):.3%}, largest {max(errors):.3%}")
    assert median(error for errors in by_family.values() for error in errors) <= MEDIAN_TOLERANCE
