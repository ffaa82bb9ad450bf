"""The published article: our figures against traced ones, and what its claims are held against."""

import pytest

from app.catalogue.snapshot import Snapshot
from app.memory.inputs import MethodKind
from app.units import GB
from app.web.article import (
    CHECKPOINTED,
    MIXED,
    PLAIN,
    POLICIES,
    PUBLISHED_METHODS,
    Cell,
    PolicyFigure,
    article,
    cells,
    explain,
    published_rows,
)
from app.web.article_claims import (
    CHECKS,
    Standing,
    findings,
    gather,
    quality_gaps,
    quality_shares,
    speed_findings,
)
from app.web.formatting import BRITISH, Formatter, MemoryUnit

FULL, LORA, QLORA = PUBLISHED_METHODS
TRACED_MODELS = ("mistral-7b-v0.1", "llama-3-8b", "llama-2-13b", "qwen2.5-14b", "llama-3-70b", "qwen2.5-72b")

TRACED_GB = {
    (FULL, PLAIN): (58.0, 64.6, 104.1, 118.2, 564.5, 581.7),
    (LORA, PLAIN): (25.0, 29.0, 41.3, 49.1, 192.4, 198.1),
    (QLORA, PLAIN): (14.7, 18.6, 22.5, 29.5, 90.8, 93.9),
    (LORA, CHECKPOINTED): (15.9, 19.9, 27.9, 34.5, 147.4, 152.3),
    (QLORA, CHECKPOINTED): (5.6, 9.5, 9.0, 14.9, 45.8, 48.1),
    (QLORA, MIXED): (7.0, 13.3, 11.0, 20.7, 55.2, 58.6),
}
"""Peaks of real training steps of the article's runs, traced on fake CUDA tensors (plain PyTorch and PEFT), in GB."""


@pytest.fixture(scope="module")
def computed(snapshot: Snapshot) -> dict[tuple[str, MethodKind], Cell]:
    found = {}
    for row in published_rows():
        for slug in row.models:
            model = snapshot.model(slug)
            assert model is not None
            for cell in cells(row, model.architecture):
                found[slug, cell.method] = cell
    return found


@pytest.mark.parametrize(("method", "policy"), list(TRACED_GB))
def test_our_figures_are_within_one_percent_of_the_traced(
    computed: dict[tuple[str, MethodKind], Cell], method: MethodKind, policy: str
) -> None:
    for slug, traced in zip(TRACED_MODELS, TRACED_GB[method, policy], strict=True):
        ours = computed[slug, method].figure(policy).peak_bytes / GB
        # A traced figure of one decimal is itself rounded by up to 0.05.
        assert abs(ours - traced) <= 0.01 * traced + 0.05, (slug, ours, traced)


def test_every_published_cell_is_there_for_every_model(computed: dict[tuple[str, MethodKind], Cell]) -> None:
    assert set(computed) == {(slug, method) for slug in TRACED_MODELS for method in PUBLISHED_METHODS}
    assert computed["llama-3-70b", FULL].published_gb == 700
    assert computed["llama-2-13b", QLORA].published_gb == computed["qwen2.5-14b", QLORA].published_gb == 22


@pytest.mark.parametrize("slug", ["mistral-7b-v0.1", "llama-3-8b", "llama-3-70b", "qwen2.5-72b"])
def test_foreach_explains_the_full_column(computed: dict[tuple[str, MethodKind], Cell], slug: str) -> None:
    assert {match.policy.optimizer for match in computed[slug, FULL].matches} == {"adamw_torch"}


def test_the_70b_qlora_figure_is_one_sequence_at_a_time(computed: dict[tuple[str, MethodKind], Cell]) -> None:
    names = [match.policy.name for match in computed["llama-3-70b", QLORA].matches]
    assert names == ["fused, 1 × 4", "foreach, 1 × 4"]


def test_policy_names_are_unique() -> None:
    assert len({policy.name for policy in POLICIES}) == len(POLICIES)


def test_a_figure_that_no_policy_explains_names_its_neighbours() -> None:
    figures = [PolicyFigure(policy, size * GB) for policy, size in zip(POLICIES, (80, 94, 107, 130), strict=False)]
    cell = explain(100, LORA, figures)
    assert cell.matches == ()
    assert cell.below == figures[1]
    assert cell.above == figures[2]
    near = explain(100, LORA, [*figures, PolicyFigure(POLICIES[4], 104 * GB)])
    assert [match.policy for match in near.matches] == [POLICIES[4]]
    assert explain(10, LORA, figures).below is None


def test_every_claim_is_answered(snapshot: Snapshot) -> None:
    assert [claim["id"] for claim in article()["claims"]] == list(CHECKS)
    found = findings(gather(snapshot), Formatter(locale=BRITISH, unit=MemoryUnit.GB))
    assert len({finding.text for finding in found}) == len(CHECKS)
    texts = {claim["id"]: finding for claim, finding in zip(article()["claims"], found, strict=True)}
    assert "5.0 times" in texts["weights_multiple"].text
    assert "4.0 times" in texts["weights_multiple"].text
    assert "7.4%" in texts["quality_share"].text
    assert "96.7–96.8%" in texts["quality_share"].text
    assert "26 GB does not fit the 25.4 GB" in texts["lora_24gb"].text
    assert texts["within"].standing is Standing.HOLDS
    assert all("{" not in finding.text for finding in found)


def test_the_published_speeds_imply_two_different_data_sets() -> None:
    full, lora, qlora = speed_findings()
    assert full.implied_tokens_per_example is None
    assert lora.implied_tokens_per_example == pytest.approx(544)
    assert qlora.implied_tokens_per_example == pytest.approx(345.6)


def test_the_published_quality_rows() -> None:
    assert quality_shares(QLORA, 16)[0] == pytest.approx(88 / 91)
    assert quality_gaps(LORA, 16) == (2, 2)
    assert quality_gaps(QLORA, 64) == (2, 2)
