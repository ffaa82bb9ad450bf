"""What the documents name exists."""

import re
from pathlib import Path

import pytest

from app.settings import ENV_PREFIX, Settings

ROOT = Path(__file__).parents[2]
SECURITY = (ROOT / "docs/security.md").read_text(encoding="utf-8")
GUIDE = (ROOT / "docs/operators-guide.md").read_text(encoding="utf-8")
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)(?:::(test_\w+))?`", SECURITY)))


@pytest.mark.parametrize(("file", "test"), TESTS)
def test_every_answer_to_a_risk_is_shown_by_a_test(file: str, test: str) -> None:
    source = (ROOT / file).read_text(encoding="utf-8")
    assert f"def {test}(" in source if test else "def test_" in source


def test_every_setting_that_is_named_exists() -> None:
    known = {f"{ENV_PREFIX}{name.upper()}" for name in Settings.model_fields}
    named = set(re.findall(rf"{ENV_PREFIX}[A-Z_]+", SECURITY + GUIDE))
    assert len(named) > 10
    assert named <= known


def test_every_metric_that_is_named_is_exposed() -> None:
    source = "".join((ROOT / f"app/ops/{name}.py").read_text(encoding="utf-8") for name in ("metrics",))
    for name in set(re.findall(r"vram_fit_([a-z_]+)", SECURITY + GUIDE)):
        assert re.sub(r"_(total|bucket)$", "", name) in source


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#:]+)\)", SECURITY + GUIDE))))
def test_every_link_leads_somewhere(link: str) -> None:
    assert (ROOT / "docs" / link).exists()


def test_every_risk_has_its_test() -> None:
    rows = [line.strip("|").split(" | ") for line in SECURITY.splitlines() if line.startswith("| ")]
    risks = [row for row in rows if row[0].strip() not in {"risk", "attack"}]
    assert [row[0].split()[0] for row in risks[:10]] == [str(number) for number in range(1, 11)]
    assert len(risks) > 25
    for risk, _answer, test in risks:
        assert "`tests/" in test, risk
