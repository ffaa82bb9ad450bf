"""Badges, charts, brand colours and fragments."""

import re
import struct
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from app.catalogue.snapshot import Snapshot
from app.main import create_app
from app.settings import Settings
from app.web.embed.colour import DARK_SUNK, INK, LIGHT_SUNK, WHITE, brand_colours, contrast
from app.web.embed.images import FONT_FILES
from app.web.embed.kept import KeptAnswer, KeptAnswers, Made
from app.web.embed.palette import palette
from tests.web.conftest import NoConfigs
from tests.web.embedding import with_order_links
from tests.web.reading import Page
from tests.web.test_embed_frames import visitor

RUN = "model=llama-3-8b&method=qlora&gpu=rtx-3090"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def shop(snapshot: Snapshot) -> Iterator[TestClient]:
    with visitor(with_order_links(snapshot)) as client:
        yield client


def svg(client: TestClient, path: str) -> ET.Element:
    response = client.get(path)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "image/svg+xml"
    assert response.headers["content-security-policy"] == "default-src 'none'; sandbox"
    return ET.fromstring(response.text)


def size_of(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


@given(st.integers(min_value=0, max_value=0xFFFFFF))
def test_every_brand_colour_can_be_read_in_both_themes(number: int) -> None:
    colours = brand_colours(f"{number:06x}")
    assert contrast(colours.light, LIGHT_SUNK) >= 4.5
    assert contrast(colours.dark, DARK_SUNK) >= 4.5
    assert contrast(colours.light, colours.on_light) >= 4.5
    assert contrast(colours.dark, colours.on_dark) >= 4.5


def test_a_colour_that_reads_well_is_left_alone() -> None:
    assert brand_colours("b4400f").light == "#b4400f"
    assert brand_colours("7ddf64").dark == "#7ddf64"
    assert (contrast(WHITE, "#000000"), contrast(WHITE, WHITE)) == (21, 1)


def test_the_grounds_are_those_of_the_style_sheet() -> None:
    light, dark = palette(is_dark=False), palette(is_dark=True)
    assert (light["sunk"], dark["sunk"]) == (LIGHT_SUNK, DARK_SUNK)
    assert light["on-brand"] == WHITE
    assert dark["on-brand"] == INK


@pytest.mark.parametrize(
    ("path", "status"), [("/brand/B4400F.css", 200), ("/brand/nocolour.css", 404), ("/brand/b4400.css", 404)]
)
def test_the_brand_is_a_style_sheet_of_two_properties(shop: TestClient, path: str, status: int) -> None:
    response = shop.get(path)
    assert response.status_code == status
    if status == 200:
        assert response.text == (":root{--brand:light-dark(#b4400f,#c7704b);--on-brand:light-dark(#ffffff,#0b0e13)}")
        assert len(response.content) < 100


def test_the_badge_says_run_need_and_verdict(shop: TestClient) -> None:
    root = svg(shop, f"/badge.svg?{RUN}")
    run, need, verdict = (text.text or "" for text in root.iter(f"{SVG}text"))
    assert run == "Llama 3 8B QLoRA"
    assert re.fullmatch(r"\d+\.\d GiB", need)
    assert verdict == "fits RTX 3090"
    assert root.attrib["aria-label"] == f"{run} · {need} · {verdict}"
    texts = [text.text for text in svg(shop, "/badge.svg?model=llama-3-8b&method=qlora&units=gb").iter(f"{SVG}text")]
    assert (texts[1] or "").endswith(" GB")
    assert (texts[2] or "").startswith("fits a ")


def test_a_badge_of_a_wrong_run_is_a_badge_that_says_so(shop: TestClient) -> None:
    response = shop.get("/badge.svg?model=lama-3-9q")
    assert response.status_code == 422
    assert response.headers["content-type"] == "image/svg+xml"
    assert "not in the catalogue" in response.text


@pytest.mark.parametrize("chart", ["memory", "speed"])
@pytest.mark.parametrize("look", ["", "&theme=dark&brand=7ddf64", "&units=gb&locale=fr"])
def test_charts_have_resolved_colours_and_the_pages_figures(shop: TestClient, chart: str, look: str) -> None:
    path = f"/charts/{chart}.svg?{RUN}{look}"
    root = svg(shop, path)
    assert root.attrib["viewBox"] == "0 0 1200 630"
    text = shop.get(path).text
    assert "var(" not in text
    assert "light-dark" not in text
    assert "class=" not in text
    assert root.attrib["aria-label"]
    needed = re.search(r"needs ([\d.,]+) of", Page(shop.get(f"/embed/result?{RUN}{look}").text).one("h1").text)
    assert needed
    if chart == "memory":
        assert f"needs {needed[1]} of" in root.attrib["aria-label"]


def test_the_parts_drawn_add_up_to_the_total_drawn(shop: TestClient) -> None:
    root = svg(shop, "/charts/memory.svg?model=llama-3-8b&method=full&gpu=a100-80gb-sxm")
    drawn = list(root.iter(f"{SVG}text"))
    legend = [
        0 if text.text.startswith("<") else float(text.text)
        for text in drawn
        if text.attrib["y"] == "531" and text.text
    ]
    total = next(found for text in drawn if (found := re.match(r"Needs ([\d.]+)", text.text or "")))
    assert len(legend) >= 5
    assert sum(legend) == pytest.approx(float(total[1]))


@pytest.mark.parametrize(("query", "size"), [("", (1200, 630)), ("&width=600", (600, 315))])
@pytest.mark.parametrize("chart", ["memory", "speed"])
def test_charts_are_drawn_as_png(shop: TestClient, chart: str, query: str, size: tuple[int, int]) -> None:
    response = shop.get(f"/charts/{chart}.png?{RUN}{query}")
    assert response.headers["content-type"] == "image/png"
    assert size_of(response.content) == size
    # Letters were drawn: without the font the picture would be bars alone, a quarter of the size.
    assert len(response.content) > 10_000 * size[0] / 1200


def test_the_fonts_come_with_the_program() -> None:
    assert all(Path(name).is_file() for name in FONT_FILES)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/charts/memory.png?model=lama-3-9q", 422),
        (f"/charts/memory.png?{RUN}&width=99999", 422),
        (f"/charts/memory.png?{RUN}&width=-1", 422),
        (f"/charts/other.svg?{RUN}", 404),
        ("/charts/speed.svg?model=llama-3-70b&method=full&sequence_length=65536", 422),
    ],
)
def test_a_chart_that_cannot_be_drawn_is_a_problem(shop: TestClient, path: str, status: int) -> None:
    response = shop.get(path)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "query", ["model=llama-3-8b", "models=llama-3-8b,mistral-7b-v0.1", "model=llama-3-8b&rows=cards"]
)
def test_a_fragment_is_a_table_and_nothing_else(shop: TestClient, query: str) -> None:
    response = shop.get(f"/fragments/table?{query}&ref=partner")
    assert response.status_code == 200
    page = Page(response.text)
    assert response.text.startswith("<figure")
    assert page.one("table")
    assert page.one("caption").text
    assert {element.tag for element in page.elements} <= {
        "figure", "table", "caption", "thead", "tbody", "tr", "th", "td", "a", "small", "figcaption",
    }  # fmt: skip
    assert all(link.startswith("http://testserver/") for link in page.attribute("a", "href"))
    assert not re.search(r"style=|<script|on\w+=", response.text)
    again = shop.get(f"/fragments/table?{query}&ref=partner", headers={"if-none-match": response.headers["etag"]})
    assert again.status_code == 304


def test_a_fragment_of_a_wrong_run_is_a_problem(shop: TestClient) -> None:
    response = shop.get("/fragments/table?model=lama-3-9q")
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"


def test_frames_and_fragments_show_the_same_figures(shop: TestClient) -> None:
    frame = Page(shop.get("/embed/table?model=llama-3-8b").text)
    fragment = Page(shop.get("/fragments/table?model=llama-3-8b").text)
    figures = [re.search(r"[\d.]+ of [\d.]+", cell.text) for cell in fragment.all("td")]
    shown = frame.one("table").text
    assert len([found for found in figures if found]) == 3
    assert all(found[0] in shown for found in figures if found)


def test_kept_answers_stay_within_their_bytes_and_drop_the_oldest() -> None:
    kept = KeptAnswers(max_bytes=2_500)
    for name in ("a", "b", "c"):
        kept.put(name, KeptAnswer(Made(body=name.encode() * 1_000, media_type="image/png")))
    assert kept.get("a") is None
    assert kept.get("b") is not None
    assert kept.get("c") is not None


def test_a_frame_follows_the_catalogue_and_the_day(snapshot: Snapshot) -> None:
    days = [date(2026, 11, 24)]
    app = create_app(Settings(), snapshot=with_order_links(snapshot), configs=NoConfigs(), today=lambda: days[-1])
    with TestClient(app) as client:
        path = f"/embed/result?{RUN}"
        assert "Order RTX 3090" in client.get(path).text
        days.append(date(2028, 11, 24))
        # Two years on every dated price is too old to count.
        assert "24\u00a0May\u00a02026" not in client.get(path).text
