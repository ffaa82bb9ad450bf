"""The pages on which method to choose: their figures are those the API gives for the same run."""

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.memory.inputs import MethodKind
from app.services.quality import bundled_quality, not_read, sources
from app.web.cards_view import a_card_of
from app.web.formatting import BRITISH, Formatter
from app.web.guide_case import guide
from app.web.guide_rules import TESTS
from tests.web.reading import Page

METHODS = "/compare/lora-vs-qlora-vs-full"
GIB = 2**30


def read(site: TestClient, path: str) -> Page:
    response = site.get(path)
    assert response.status_code == 200
    return Page(response.text)


def structured(page: Page) -> dict[str, Any]:
    (script,) = [script for script in page.all("script") if script.attributes.get("type") == "application/ld+json"]
    data: dict[str, Any] = json.loads(script.text)
    return data


@pytest.mark.parametrize("model", ["llama-3-8b", "qwen2.5-1.5b", "llama-3-70b"])
def test_the_three_methods_are_what_the_calculator_says(site: TestClient, model: str) -> None:
    page = read(site, f"{METHODS}?model={model}")
    heading = page.one("h1").text.replace("\u00a0", " ")
    for method in MethodKind:
        memory = site.get(f"/api/v1/estimate?model={model}&method={method}&gpus=none").json()["memory"]
        size = memory["required_bytes"] / GIB
        assert f" {size:.1f} GiB" in heading or f" {size:,.0f} GiB" in heading


def test_without_a_model_the_page_is_about_the_usual_one(site: TestClient) -> None:
    page = read(site, METHODS)
    assert "Llama 3 8B" in page.one("h1").text
    data = structured(page)
    assert data["@type"] == "FAQPage"
    assert len(data["mainEntity"]) >= 5
    for entry in data["mainEntity"]:
        assert entry["acceptedAnswer"]["text"] in page.by_id("main").text.replace("\u00a0", " ")


def test_the_parts_of_each_method_add_up_to_its_peak(site: TestClient) -> None:
    rows = [row for row in read(site, METHODS).html.split("<tr") if "<td" in row]
    start = next(index for index, row in enumerate(rows) if ">Weights<" in row)
    end = next(index for index, row in enumerate(rows) if ">Training peak<" in row)
    for column in range(3):
        cells = [row.split("<td")[column + 1].split(">", 1)[1].split("</td>")[0] for row in rows[start : end + 1]]
        *parts, peak = [cell.replace("\u00a0GiB", "") for cell in cells]
        small = sum(part.startswith("&lt;") for part in parts)
        total = sum(float(part) for part in parts if part[0].isdigit())
        assert total == pytest.approx(float(peak), abs=0.05 + 0.1 * small)


def test_a_run_that_cannot_be_read_goes_to_the_calculator(site: TestClient) -> None:
    found = site.get(f"{METHODS}?model=nothing-like-it", follow_redirects=False)
    assert (found.status_code, found.headers["location"]) == (303, "/?model=nothing-like-it")


def test_sizes_take_their_article() -> None:
    fmt = Formatter(locale=BRITISH)
    for size, article in (
        ("80", "an"),
        ("8", "an"),
        ("11", "an"),
        ("18", "an"),
        ("24", "a"),
        ("141", "a"),
        ("16", "a"),
    ):
        assert a_card_of(f"{size}\u00a0GB", fmt) == f"{article} {size}\u00a0GB card"


def test_the_accuracy_page_shows_the_bundled_figures(site: TestClient) -> None:
    memory = site.get("/api/v1/accuracy").json()["memory"]
    page = read(site, "/accuracy")
    everything = memory["traced"]["all"]
    assert f"{100 * everything['share_close']:.1f}%" in page.one("h1").text
    assert f"{everything['runs']:,}" in page.one("h1").text
    text = page.by_id("main").text
    for case in (*memory["traced"]["largest"][:5], *memory["measured"]["largest"][:5]):
        assert case["run"] in text
    for item in site.get("/api/v1/accuracy").json()["not_validated"]:
        assert item["why"] in text


def test_the_accuracy_figures_add_up(site: TestClient) -> None:
    body = site.get("/api/v1/accuracy").json()
    traced, measured = body["memory"]["traced"], body["memory"]["measured"]
    for option in ("method", "family"):
        groups = [group for group in traced["groups"] if group["option"] == option]
        assert sum(group["runs"] for group in groups) == traced["all"]["runs"]
        assert max(group["largest"] for group in groups) == traced["all"]["largest"]
    assert sum(g["runs"] for g in measured["groups"]) == sum(g["runs"] for g in measured["methods"])
    for part in (traced, measured):
        errors = [abs(case["error"]) for case in part["largest"]]
        assert errors == sorted(errors, reverse=True)
        for case in part["largest"]:
            assert case["error"] == pytest.approx(case["estimated_bytes"] / case["reference_bytes"] - 1, abs=1e-6)
    assert body["speed"]["all_sources"]["cells"] <= len(body["speed"]["cells"])


@pytest.mark.parametrize(
    ("model", "gpu", "method"),
    [("llama-3.2-1b", "h100-sxm", "full"), ("llama-3-8b", "rtx-3090", "lora"), ("llama-3-70b", "h100-sxm", "qlora")],
)
def test_the_guide_takes_what_can_learn_most_of_what_fits(site: TestClient, model: str, gpu: str, method: str) -> None:
    order = list(guide()["order"])
    fitting = [
        kind
        for kind in order
        if site.get(f"/api/v1/estimate?model={model}&gpu={gpu}&method={kind}").json()["verdict"]["status"] == "fits"
    ]
    assert fitting[0] == method
    heading = read(site, f"/guide?model={model}&gpu={gpu}").one("h1").text
    assert heading.startswith({"full": "Full", "lora": "LoRA", "qlora": "QLoRA"}[method])


def test_every_rule_has_a_source_and_is_applied_with_the_cases_numbers(site: TestClient) -> None:
    page = read(site, "/guide?model=llama-3-8b&gpu=rtx-3060-12gb")
    text = page.by_id("main").text
    assert {rule["test"] for rule in guide()["rules"]} == set(TESTS)
    for rule in guide()["rules"]:
        entry = page.by_id(rule["id"]).text
        assert rule["source"] in entry
        assert rule["url"] in page.attribute("a", "href")
        assert any(letter.isdigit() for letter in entry)
    assert "Your card is sold as 12\u00a0GB" in text


def test_where_nothing_fits_the_guide_says_so(site: TestClient) -> None:
    assert read(site, "/guide?model=llama-3-70b&gpu=rtx-3090").one("h1").text.startswith("No method surely fits")


def test_the_guide_shows_what_a_method_is_worth_with_its_spread_and_sources(site: TestClient) -> None:
    page = read(site, "/guide?model=llama-3-8b&gpu=rtx-4090")
    text = page.by_id("main").text
    for kind in (MethodKind.LORA, MethodKind.QLORA):
        quality = bundled_quality(kind)
        low, high = f"{100 * quality.share_of_full_low:.0f}", f"{quality.share_of_full_high:.0%}"
        assert f"{quality.share_of_full:.0%} {low}–{high}" in text.replace("\u2060", "")
        assert f"{quality.results} from {len(quality.sources)} sources" in text
    for source in sources():
        assert source.url in page.attribute("a", "href")
        assert source.title in text
    for entry in not_read():
        assert entry.what in text


def test_the_guide_says_what_more_adapters_cost_in_this_case(site: TestClient) -> None:
    page = read(site, "/guide?model=llama-3-8b&gpu=rtx-4090")
    run = {"model": "llama-3-8b", "gpu": "rtx-4090", "method": "lora"}
    suggestions = site.get("/api/v1/estimate", params=run).json()["suggestions"]
    wider = next(one for one in suggestions if "lora_target_modules" in one["changes"])
    assert f"{-wider['saves_bytes'] / GIB:.1f}\u00a0GiB more" in page.by_id("all-linear").text
    assert "rank 16 reached 72% to 102%" in page.by_id("rank").text
    wide = read(site, "/guide?model=llama-3-8b&gpu=rtx-4090&lora_target_modules=all-linear")
    assert "all linear layers." in wide.by_id("all-linear").text
