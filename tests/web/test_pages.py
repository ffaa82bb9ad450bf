"""The pages as any visitor gets them: without a script."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi.testclient import TestClient

from tests.web.reading import Page

PAGES = (
    "/",
    "/?model=mistral-7b-v0.1&method=full&gpu=h100-sxm",
    "/?model=llama-3-70b&method=full",
    "/compare",
    "/models",
    "/models/llama-3-8b",
    "/gpus",
    "/gpus/rtx-3090",
    "/best-gpu",
    "/speed",
    "/serve",
    "/dataset",
    "/glossary",
)


def read(site: TestClient, path: str, status: int = 200) -> Page:
    response = site.get(path)
    assert response.status_code == status, response.text[:500]
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    return Page(response.text)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_has_one_heading_a_title_a_description_and_a_canonical_address(site: TestClient, path: str) -> None:
    page = read(site, path)
    assert page.one("h1").text.strip()
    assert page.one("title").text.endswith("VRAM Fit")
    described = {element.attributes.get("name"): element.attributes.get("content") for element in page.all("meta")}
    assert 50 < len(described["description"] or "") < 200
    (canonical,) = [link for link in page.all("link") if link.attributes.get("rel") == "canonical"]
    assert canonical.attributes["href"] == f"http://testserver{urlsplit(path).path}"


@pytest.mark.parametrize("path", PAGES)
def test_a_page_obeys_its_own_security_policy(site: TestClient, path: str) -> None:
    page = read(site, path)
    assert not [element for element in page.elements if "style" in element.attributes or element.tag == "style"]
    assert not [element for element in page.elements if any(name.startswith("on") for name in element.attributes)]
    for script in page.all("script"):
        # Structured data is not a script: browsers run nothing of it.
        if script.attributes.get("type") != "application/ld+json":
            assert script.attributes["src"].startswith("/static/")
            assert not script.text.strip()


@pytest.mark.parametrize("path", PAGES)
def test_ids_are_unique_and_every_reference_has_its_target(site: TestClient, path: str) -> None:
    page = read(site, path)
    ids = [element.attributes["id"] for element in page.elements if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    for name in ("for", "aria-labelledby", "aria-describedby", "list"):
        for element in page.elements:
            assert set(element.attributes.get(name, "").split()) <= set(ids), (element.tag, element.attributes)
    for address in page.attribute("a", "href"):
        if address.startswith("#"):
            assert address[1:] in ids


@pytest.mark.parametrize("path", ["/", "/compare", "/models/llama-3-8b", "/gpus/rtx-3090", "/best-gpu"])
def test_every_internal_link_of_a_page_answers(site: TestClient, path: str) -> None:
    page = read(site, path)
    addresses = {address.split("#")[0] for address in page.attribute("a", "href") if address.startswith("/")}
    addresses |= {address for address in page.attribute("link", "href") if address.startswith("/")}
    addresses |= set(page.attribute("script", "src"))
    assert len(addresses) > 10
    for address in sorted(addresses):
        assert site.get(address).status_code == 200, address


def test_the_first_visit_shows_qlora_of_llama_3_beside_the_other_methods(site: TestClient) -> None:
    page = read(site, "/")
    assert page.by_id("f-model").attributes["value"] == "Llama 3 8B"
    heads = [element.text.strip() for element in page.all("h3")]
    assert heads == ["Full", "LoRA", "QLoRA"]
    (checked,) = [box for box in page.all("input") if "checked" in box.attributes]
    assert checked.attributes["value"] == "qlora"


def test_the_verdict_is_one_sentence_whose_numbers_are_the_results(site: TestClient) -> None:
    page = read(site, "/")
    result = site.get("/api/v1/estimate?model=llama-3-8b&method=qlora&gpu=rtx-3090").json()
    gib = 2**30
    needs, usable = result["memory"]["required_bytes"] / gib, result["verdict"]["usable_bytes"] / gib
    sentence = page.one("h1").text
    pattern = r"Fits a 24\xa0GB card: needs ([\d.]+) of the ([\d.]+)\xa0GiB it gives, ([\d.]+) to spare"
    shown = re.fullmatch(pattern, sentence)
    assert shown, sentence
    assert float(shown[1]) == pytest.approx(needs, abs=0.051)
    assert float(shown[2]) == pytest.approx(usable, abs=0.051)
    assert float(shown[3]) == pytest.approx(float(shown[2]) - float(shown[1]))


def test_a_run_that_does_not_fit_says_by_how_much_and_what_would_help(site: TestClient) -> None:
    page = read(site, "/?model=llama-3-8b&method=full&gpu=rtx-3090")
    assert re.match(
        r"Does not fit a 24\xa0GB card: needs [\d.]+\xa0GiB, [\d.]+ more than the 23\.\d it gives", page.one("h1").text
    )
    assert "Make it fit" in page.by_id("less").text


def test_without_a_card_the_verdict_names_the_smallest_that_holds_the_run(site: TestClient) -> None:
    assert re.match(r"Fits a \d+\xa0GB card: needs", read(site, "/?model=llama-3-8b&method=qlora").one("h1").text)
    nothing = read(site, "/?model=llama-3-70b&method=full")
    assert "more than any single card here gives" in nothing.one("h1").text
    assert "It takes at least" in nothing.by_id("cards").text


@pytest.mark.parametrize(
    ("query", "field", "words"),
    [
        ("lora_rank=0", "lora_rank", "is too small. It takes a whole number from 1 to 4,096. You wrote “0”."),
        ("sequence_length=-5", "sequence_length", "is too small"),
        ("micro_batch_size=abc", "micro_batch_size", "is not a whole number"),
        ("r=1e99", "lora_rank", "Rank"),
        ("model=lama+3+8b", "model", "Did you mean"),
        ("gpu=rtx-3900", "gpu", "is not in the catalogue"),
        ("precision=bf17", "precision", "is not one of the choices"),
        ("method=full&quantization=nf4", "quantization", "contradicts method full"),
        ("stack=nothing", "stack", "is not a known stack"),
    ],
)
def test_bad_input_comes_back_with_the_message_at_the_field(
    site: TestClient, query: str, field: str, words: str
) -> None:
    page = read(site, f"/?{query}", status=422)
    assert words in page.by_id(f"f-{field}-error").text
    assert page.by_id(f"f-{field}").attributes["aria-invalid"] == "true"
    assert "needs another look" in page.one("h1").text
    typed = parse_qs(query)
    control = page.by_id(f"f-{field}")
    if control.tag == "input":
        assert control.attributes["value"] in {text for texts in typed.values() for text in texts}


def test_an_unknown_model_offers_the_nearest_as_links(site: TestClient) -> None:
    page = read(site, "/?model=lama+3+8b&method=qlora", status=422)
    links = [link for link in page.all("a") if "f-model-error" in link.inside]
    assert "/?model=llama-3-8b&method=qlora" in [link.attributes["href"] for link in links]


def test_unknown_query_keys_are_ignored(site: TestClient) -> None:
    assert read(site, "/?utm_source=mail").one("h1").text == read(site, "/").one("h1").text


def test_a_form_sent_whole_leads_to_a_short_permalink(site: TestClient) -> None:
    page = read(
        site,
        "/?model=Llama+3+8B&method=qlora&sequence_length=512&micro_batch_size=4&gpu=rtx-3090&lora_rank=&epochs=3&strategy=",
    )
    assert (
        page.by_id("permalink").attributes["value"] == "http://testserver/?model=llama-3-8b&method=qlora&gpu=rtx-3090"
    )
    assert page.by_id("verdict").attributes["data-permalink"] == "/?model=llama-3-8b&method=qlora&gpu=rtx-3090"


def test_the_curl_call_gives_the_same_numbers(site: TestClient) -> None:
    page = read(site, "/?model=llama-3-8b&method=lora&gpu=l4&sequence_length=2048&units=gb")
    address = page.by_id("code-curl").text.removeprefix("curl 'http://testserver").removesuffix("'")
    memory = site.get(address).json()["memory"]
    assert f"{memory['required_bytes'] / 1e9:.1f}" in page.one("h1").text


def test_a_page_counts_in_one_unit(site: TestClient) -> None:
    def figures_in(text: str, unit: str) -> int:
        return len(re.findall(rf"\d\.\d[\s\xa0]{unit}\b", text))

    in_gib = read(site, "/").by_id("main").text
    assert figures_in(in_gib, "GiB") > 10
    assert figures_in(in_gib, "GB") == 0
    page = read(site, "/?model=llama-3-8b&method=qlora&units=gb")
    assert figures_in(page.by_id("main").text, "GB") > 10
    assert figures_in(page.by_id("main").text, "GiB") == 0
    assert all("units=gb" in link for link in page.attribute("a", "href") if link.startswith("/?"))
    assert figures_in(read(site, "/compare").by_id("main").text, "GiB") == 0


def test_the_parts_shown_add_up_to_what_the_card_must_have(site: TestClient) -> None:
    page = read(site, "/")
    rows = [row.text for row in page.all("tr") if re.search(r"(of the peak|[<\d])", row.text)]
    table = next(element for element in page.all("table") if element.attributes.get("class") == "parts")
    numbers = re.findall(r"(?<![\d.,])(< 0\.1|\d+\.\d)(?=\s)", table.text)
    *parts, total = numbers
    assert rows
    assert sum(round(10 * float(part)) for part in parts if not part.startswith("<")) == round(10 * float(total))


def test_hourly_and_monthly_prices_stand_apart(site: TestClient) -> None:
    page = read(site, "/?model=llama-3-8b&method=qlora&currency=GBP")
    tables = [table for table in page.all("table") if "cards" in table.attributes.get("class", "")]
    for table in tables:
        assert not ("an hour" in table.text and "a month" in table.text)


def test_pages_say_how_long_they_hold(site: TestClient) -> None:
    first = site.get("/")
    again = site.get("/", headers={"if-none-match": first.headers["etag"]})
    assert again.status_code == 304
    style = next(link for link in Page(first.text).attribute("link", "href") if "app.css" in link)
    assert "immutable" in site.get(style).headers["cache-control"]
    assert site.get("/static/../pyproject.toml").status_code == 404
    assert site.get("/static/nothing.css").status_code == 404


def test_the_style_sheet_and_the_scripts_are_small(site: TestClient) -> None:
    import gzip

    assert len(site.get("/static/app.css").content) < 20_000
    for script in ("calculator.js", "model-search.js"):
        assert len(gzip.compress(site.get(f"/static/{script}").content)) < 5_000


def test_the_comparison_shows_every_published_cell(site: TestClient) -> None:
    page = read(site, "/compare")
    table = next(element for element in page.all("table") if "cmp" in element.attributes.get("class", ""))
    figures = {cell.text for cell in page.all("td") if "mute" in cell.attributes.get("class", "")}
    for figure in ("72", "26", "13", "80", "28", "14", "140", "45", "22", "700", "180", "52", "720", "185", "54"):
        assert figure in figures
    assert "none; nearest below" in table.text
    assert "foreach, 4 × 1 (72.4)" in table.text


def test_the_comparison_takes_the_visitors_models(site: TestClient) -> None:
    page = read(site, "/compare?models=Qwen2.5+14B&models=&models=llama-3-8b&sequence_length=2048")
    first = next(element for element in page.all("table") if "dense" in element.attributes.get("class", ""))
    assert "Qwen2.5 14B" in first.text
    assert "Llama 3 8B" in first.text
    assert "Mistral" not in first.text
    wrong = read(site, "/compare?models=nothing-like-it-9000", status=422)
    assert "is not in the catalogue" in wrong.by_id("main").text


@pytest.mark.parametrize("path", ["/", "/compare", "/models/llama-3-8b", "/static/app.css"])
def test_a_checker_may_ask_for_the_head_alone(site: TestClient, path: str) -> None:
    response = site.head(path)
    assert response.status_code == 200
    assert response.content == b""


def test_what_would_make_it_fit_does_when_it_is_clicked(site: TestClient) -> None:
    page = read(site, "/?model=llama-3-8b&method=lora&stack=plain&gpu=rtx-3090")
    chips = [link for link in page.all("a") if "chip" in link.attributes.get("class", "")]
    assert len(chips) >= 3
    assert read(site, chips[0].attributes["href"]).one("h1").text.startswith("Fits")


def test_the_room_on_a_card_is_offered_for_a_click(site: TestClient) -> None:
    page = read(site, "/?model=llama-3-8b&method=qlora&gpu=rtx-4090")
    texts = [link.text for link in page.all("a") if "chip" in link.attributes.get("class", "")]
    assert any("Turn off gradient checkpointing" in text and "faster" in text for text in texts)
    assert any("Sequences of" in text for text in texts)
