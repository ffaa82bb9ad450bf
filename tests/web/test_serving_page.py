"""The page about serving, as any visitor gets it: without a script."""

import re

import pytest
from fastapi.testclient import TestClient

from tests.web.reading import Page


def read(site: TestClient, path: str, status: int = 200) -> Page:
    response = site.get(path)
    assert response.status_code == status, response.text[:500]
    return Page(response.text)


def test_the_first_visit_says_how_many_requests_a_24_gb_card_serves(site: TestClient) -> None:
    page = read(site, "/serve")
    assert re.fullmatch(r"8 requests at once take 2\xa0×\xa0RTX 3090", page.one("h1").text)
    result = site.get("/api/v1/serve?model=llama-3-8b&gpu=rtx-3090").json()
    one = next(report["one_card"] for report in result["formats"] if report["serve_as"] == "merged")
    assert f"One alone holds {one['requests_low']}–{one['requests_high']}." in page.one("main").text


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("model=llama-3-8b&serve_as=awq&gpu=rtx-4090", "One RTX 4090 serves 8 requests at once"),
        ("model=llama-3-8b&gpu=", "requests at once take"),
        ("model=llama-3-70b&gpu=rtx-3090&concurrent_requests=500", "do not serve 500 requests at once"),
        ("model=llama-3-8b&gpu=mi300x&serve_as=gptq", "This card cannot serve it"),
        ("model=deepseek-v3-671b", "No server with a price here serves"),
    ],
)
def test_the_verdict_answers_what_was_asked(site: TestClient, query: str, sentence: str) -> None:
    assert sentence in read(site, f"/serve?{query}").one("h1").text


def test_the_parts_of_a_card_add_up_as_shown(site: TestClient) -> None:
    text = site.get("/serve?model=llama-3-8b&serve_as=adapters&gpu=a100-80gb-sxm").text
    (table,) = re.findall(r'<table class="parts".*?</table>', text, re.DOTALL)
    *parts, total = [float(figure) for figure in re.findall(r'<td class="num">([\d.]+)</td>', table)]
    assert len(parts) == 5
    assert sum(parts) == pytest.approx(total) == pytest.approx(80.0, abs=0.5)


def test_a_wrong_field_comes_back_in_the_form(site: TestClient) -> None:
    page = read(site, "/serve?model=lama+3+8b&context_length=-4", 422)
    assert "is too small" in page.by_id("f-context_length-error").text
    page = read(site, "/serve?model=lama+3+8b", 422)
    assert "Did you mean" in page.by_id("f-model-error").text
    assert page.by_id("f-model").attributes["value"] == "lama 3 8b"


def test_unknown_keys_and_other_names_are_taken(site: TestClient) -> None:
    page = read(site, "/serve?model=llama-3-8b&max_model_len=4096&utm_source=x")
    assert page.by_id("f-context_length").attributes["value"] == "4096"


def test_every_link_of_the_page_answers(site: TestClient) -> None:
    page = read(site, "/serve")
    addresses = {address for address in page.attribute("a", "href") if address.startswith("/serve")}
    assert len(addresses) > 8
    for address in sorted(addresses):
        assert site.get(address).status_code == 200, address
    assert "/serve</loc>" in site.get("/sitemap.xml").text
