"""The page about lengths, as any visitor gets it: without a script, with what they paste or upload."""

import json

import pytest
from fastapi.testclient import TestClient

from tests.web.reading import Page

JSONL = "\n".join(json.dumps({"messages": [{"role": "user", "content": "x" * size}]}) for size in (40, 400, 4000))


def read(site: TestClient, path: str, status: int = 200) -> Page:
    response = site.get(path)
    assert response.status_code == status, response.text[:500]
    return Page(response.text)


def post(site: TestClient, status: int = 200, file: tuple[str, bytes] | None = None, **fields: str) -> Page:
    files = {"file": file or ("", b"")}
    response = site.post("/dataset", data=fields, files=files, follow_redirects=False)
    assert response.status_code == status, response.text[:500]
    return Page(response.text)


def test_the_first_visit_names_the_batch_to_plan_for(site: TestClient) -> None:
    page = read(site, "/dataset")
    assert page.one("h1").text.startswith("Plan for batches of 8 × 4,096\xa0tokens; ")
    same = site.get("/api/v1/dataset-shape?tokens_per_example=350&p95=1200&max_tokens=4096&micro_batch_size=8").json()
    assert f"{round(100 * same['padding_share'])}% of the work is padding" in page.one("h1").text


def test_the_answer_leads_into_the_calculator_with_the_lengths_filled_in(site: TestClient) -> None:
    page = read(site, "/dataset?tokens_per_example=300&p95=900&max_tokens=2000&sequence_length=1024&model=llama-3-8b")
    padded = next(link for link in page.attribute("a", "href") if "packing=false" in link)
    calculator = read(site, padded)
    assert calculator.by_id("f-sequence_length").attributes["value"] == "1024"
    assert calculator.by_id("f-num_examples").attributes["value"] == "1000"
    assert 200 < int(calculator.by_id("f-tokens_per_example").attributes["value"]) < 300
    assert any("packing=true" in link for link in page.attribute("a", "href"))


def test_a_pasted_list_takes_the_place_of_the_figures(site: TestClient) -> None:
    page = post(site, lengths="10, 10\n100", micro_batch_size="2", model="llama-3-8b")
    assert page.one("h1").text == "Plan for batches of 2 × 100\xa0tokens; 43% of the work is padding"
    assert "3 lengths: mean 40, 95th percentile 100, longest 100\xa0tokens." in page.one("main").text
    assert page.by_id("f-lengths").text == "10, 10\n100"


def test_an_uploaded_file_is_measured_with_its_range(site: TestClient) -> None:
    page = post(site, file=("data.jsonl", JSONL.encode()), micro_batch_size="1")
    assert "3 examples measured: mean 375–479, 95th percentile 1,005–1,285" in page.one("main").text
    assert "1,285" in page.one("h1").text


def test_lines_that_cannot_be_read_are_named(site: TestClient) -> None:
    page = post(site, file=("data.jsonl", b'{"text": "fine enough"}\n{"text": oops}\n'))
    assert "Line 2:" in page.one("main").text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x1f\x8b" + b"\x00" * 100, "is compressed"),
        (b"[" * 100_000, "no line that can be read"),
        (b"<script>alert(1)</script>", "no line that can be read"),
    ],
)
def test_a_file_that_cannot_be_used_comes_back_with_the_reason(site: TestClient, content: bytes, words: str) -> None:
    page = post(site, 422, file=("data.jsonl", content))
    assert words in page.by_id("f-file-error").text
    assert "<script>alert" not in page.html


def test_a_list_that_cannot_be_read_stands_in_the_form_again(site: TestClient) -> None:
    page = post(site, 422, lengths="10, ten")
    assert "number 2 is “ten”" in page.by_id("f-lengths-error").text
    assert page.by_id("f-lengths").text == "10, ten"


def test_figures_that_contradict_come_back_in_the_form(site: TestClient) -> None:
    page = read(site, "/dataset?tokens_per_example=900&p95=300&max_tokens=2000", 422)
    assert "is below the mean" in page.by_id("f-p95_tokens_per_example-error").text


def test_figures_alone_are_sent_on_to_their_address(site: TestClient) -> None:
    response = site.post(
        "/dataset",
        data={"tokens_per_example": "300", "p95_tokens_per_example": "900", "max_tokens_per_example": "2000"},
        files={"file": ("", b"")},
        follow_redirects=False,
    )
    assert response.status_code == 303
    assert response.headers["location"] == (
        "/dataset?tokens_per_example=300&p95_tokens_per_example=900&max_tokens_per_example=2000"
    )


def test_large_bodies_and_other_kinds_are_refused(site: TestClient) -> None:
    page = site.post("/dataset", files={"file": ("data.jsonl", b"x" * (4 * 1024 * 1024))})
    assert page.status_code == 413
    assert site.post("/dataset", content=b"{}", headers={"content-type": "application/json"}).status_code == 415
    assert site.post("/dataset", data={"lengths": "1"}).status_code == 415


def test_nothing_that_is_sent_is_kept(site: TestClient) -> None:
    post(site, lengths="77 777 7777")
    assert "7,777" not in read(site, "/dataset").one("main").text


def test_what_is_wrong_is_said_in_the_reader_s_language(site: TestClient) -> None:
    response = site.post("/de/dataset", data={"lengths": "10, zehn"}, files={"file": ("", b"")})
    assert response.status_code == 422
    error = Page(response.text).by_id("f-lengths-error").text
    assert "Nummer 2 ist „zehn“" in error
    assert "1 bis 100.000 ganze Zahlen" in error
