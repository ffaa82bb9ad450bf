"""The inverse questions' page: its figures are the API's, its links lead where they say, its form keeps the run."""

from collections.abc import Mapping
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from fastapi.testclient import TestClient

from tests.web.reading import Element, Page

RUN: Mapping[str, str] = {"model": "llama-3-8b", "method": "qlora", "gpu": "rtx-4090"}
UNKNOWNS = ("micro_batch_size", "sequence_length", "lora_rank", "num_gpus", "model")


def read(site: TestClient, query: Mapping[str, str], status: int = 200) -> Page:
    response = site.get(f"/solve?{urlencode(query)}")
    assert response.status_code == status
    return Page(response.text)


def rows(page: Page) -> list[str]:
    """The table of all five questions, a row a text."""
    return [row for row in page.html.split("<tr") if 'scope="row"' in row]


def control(page: Page, name: str) -> Element:
    (found,) = [element for element in page.elements if element.attributes.get("name") == name]
    return found


@pytest.mark.parametrize("unknown", UNKNOWNS)
def test_the_heading_is_the_api_s_answer(site: TestClient, unknown: str) -> None:
    page = read(site, {**RUN, "unknown": unknown})
    answer = site.get(f"/api/v1/solve?{urlencode({**RUN, 'unknown': unknown})}").json()
    value = answer["model"]["name"] if unknown == "model" else f"{answer['answer']:,}"
    heading = page.one("h1").text
    assert value in heading or (unknown == "num_gpus" and heading == "One RTX 4090 is enough")
    assert len(rows(page)) == 5


def test_every_question_of_the_table_is_the_same_run_asked_that_way(site: TestClient) -> None:
    page = read(site, {**RUN, "unknown": "micro_batch_size", "sequence_length": "2048"})
    for unknown, row in zip(UNKNOWNS, rows(page), strict=True):
        asked = {**RUN, "sequence_length": "2048", "unknown": unknown}
        answer = site.get(f"/api/v1/solve?{urlencode(asked)}").json()
        value = answer["model"]["name"] if unknown == "model" else f"{answer['answer']:,}"
        assert f">{value}</a>" in row


def test_the_answer_opens_in_the_calculator_and_fits_there(site: TestClient) -> None:
    page = read(site, {**RUN, "unknown": "sequence_length"})
    (link,) = [element for element in page.all("a") if element.text == "Open in the calculator"]
    calculator = Page(site.get(link.attributes["href"]).text)
    assert calculator.one("h1").text.startswith("Fits a 24\u00a0GB card")
    asked = parse_qs(urlsplit(link.attributes["href"]).query)
    longer = {name: values[0] for name, values in asked.items()}
    longer["sequence_length"] = str(int(longer["sequence_length"]) + 1)
    assert "Fits" not in Page(site.get(f"/?{urlencode(longer)}").text).one("h1").text


def test_what_the_form_has_no_control_for_is_sent_along(site: TestClient) -> None:
    given = {**RUN, "unknown": "micro_batch_size", "loss_kernel": "liger", "micro_batch_size": "3", "units": "gb"}
    page = read(site, given)
    hidden = {
        element.attributes["name"]: element.attributes["value"]
        for element in page.all("input")
        if element.attributes.get("type") == "hidden"
    }
    assert hidden == {"loss_kernel": "liger", "micro_batch_size": "3", "units": "gb"}
    assert "GiB" not in page.by_id("verdict").text


def test_a_budget_names_card_price_and_seller(site: TestClient) -> None:
    asked = {"model": "llama-3-8b", "method": "lora", "unknown": "micro_batch_size", "budget": "3"}
    page = read(site, asked)
    answer = site.get(f"/api/v1/solve?{urlencode(asked)}").json()
    assert answer["cost"]["offer"]["provider"] in page.by_id("verdict").text
    assert control(page, "budget").attributes["value"] == "3"
    assert "Budget USD" in page.by_id("run").text


def test_a_run_that_never_fits_shows_the_change_that_helps(site: TestClient) -> None:
    asked = {**RUN, "method": "lora", "stack": "plain", "gpu": "rtx-4080", "unknown": "micro_batch_size"}
    page = read(site, asked)
    assert page.one("h1").text == "Not even the smallest micro-batch fits"
    (chip,) = [element for element in page.all("a") if element.attributes.get("class") == "chip"]
    assert chip.attributes["href"].startswith("/solve?")
    assert "method=qlora" in chip.attributes["href"]
    helped = Page(site.get(chip.attributes["href"]).text)
    assert helped.one("h1").text.startswith("Micro-batch ")


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"model": "lama-3-8b"}, "model", "not in the catalogue"),
        ({"unknown": "epochs"}, "unknown", "not one of the choices"),
        ({"budget": "much"}, "budget", "not a number"),
        ({"sequence_length": "0"}, "sequence_length", "too small"),
        ({"method": "full", "unknown": "lora_rank"}, "unknown", "full fine-tuning"),
    ],
)
def test_what_cannot_be_read_comes_back_as_it_was_written(
    site: TestClient, changes: dict[str, str], field: str, said: str
) -> None:
    asked = {**RUN, "unknown": "micro_batch_size", **changes}
    page = read(site, asked, 422)
    assert said in page.by_id(f"f-{field}-error").text
    assert said in page.by_id("verdict").text
    assert control(page, "model").attributes["value"] == asked["model"]


def test_a_suggested_name_stays_on_the_page(site: TestClient) -> None:
    page = read(site, {**RUN, "model": "lama-3-8b", "unknown": "micro_batch_size"}, 422)
    links = [element for element in page.all("a") if "f-model-error" in element.inside]
    assert links
    assert all(link.attributes["href"].startswith("/solve?") for link in links)


def test_the_page_is_found(site: TestClient) -> None:
    page = read(site, {})
    (canonical,) = [link for link in page.all("link") if link.attributes.get("rel") == "canonical"]
    assert canonical.attributes["href"].endswith("/solve")
    assert "/solve</loc>" in site.get("/sitemap.xml").text
    assert "/solve" in page.attribute("a", "href")
    (description,) = [meta for meta in page.all("meta") if meta.attributes.get("name") == "description"]
    assert 80 <= len(description.attributes["content"]) <= 220


@pytest.mark.parametrize(
    ("gpu", "text"), [("rtx-4090", "The most that fits"), ("rtx-3080-10gb", "Fewest of this card")]
)
def test_the_calculator_leads_here_with_its_run(site: TestClient, gpu: str, text: str) -> None:
    run = {"model": "llama-3-8b", "method": "lora", "gpu": gpu, "precision": "fp16-mixed"}
    page = Page(site.get(f"/?{urlencode(run)}").text)
    links = [link for link in page.all("a") if link.attributes["href"].startswith("/solve?") and text in link.text]
    assert len(links) == 1
    asked = parse_qs(urlsplit(links[0].attributes["href"]).query)
    assert {name: asked[name] for name in run} == {name: [value] for name, value in run.items()}
    assert site.get(links[0].attributes["href"]).status_code == 200
