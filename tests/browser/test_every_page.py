"""What holds of every page: no barrier that axe finds, nothing wider than the screen, readable without scripts."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.browser.conftest import OpenPage

pytestmark = pytest.mark.browser

PAGES = (
    "/",
    "/?model=llama-3-70b&method=full&gpu=rtx-3090",
    "/?micro_batch_size=0",
    "/compare",
    "/compare/lora-vs-qlora-vs-full",
    "/guide",
    "/accuracy",
    "/models/llama-3-8b",
    "/gpus/rtx-3090",
    "/best-gpu",
    "/gpus",
    "/speed",
    "/serve",
    "/dataset",
    "/plan",
    "/plan?model=llama-3-70b&budget=200&deadline_hours=48&num_examples=20000",
    "/glossary",
)
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def open_all_folds(page: Page) -> None:
    page.evaluate(
        "document.querySelectorAll('details').forEach(fold => { fold.removeAttribute('name'); fold.open = true; })"
    )


@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_nothing(open_page: OpenPage, path: str) -> None:
    page = open_page(path)
    open_all_folds(page)
    for width, scheme in ((390, "light"), (390, "dark"), (1280, "light"), (1280, "dark")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        found = Axe().run(page, options={"runOnly": {"type": "tag", "values": WCAG}})
        violations = found.response["violations"]
        assert violations == [], (
            width,
            scheme,
            [(item["id"], [node["html"][:200] for node in item["nodes"][:3]]) for item in violations],
        )


@pytest.mark.parametrize("path", PAGES)
def test_nothing_is_wider_than_the_screen(open_page: OpenPage, path: str) -> None:
    page = open_page(path, width=320)
    open_all_folds(page)
    for width in (320, 390, 768, 1024, 1152, 1920):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width, width


@pytest.mark.parametrize("path", PAGES)
def test_a_page_reads_the_same_without_scripts(open_page: OpenPage, path: str) -> None:
    assert (
        open_page(path, scripts=False).locator("h1").inner_text()
        == open_page(path, scripts=True).locator("h1").inner_text()
    )


def test_print_leaves_out_what_paper_cannot_do(open_page: OpenPage) -> None:
    page = open_page("/", dark=True)
    page.emulate_media(media="print")
    assert page.locator("#run").is_hidden()
    assert page.locator(".nav").is_hidden()
    assert page.locator("#verdict").is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_the_calculator_is_light(open_page: OpenPage) -> None:
    page = open_page("about:blank")
    sizes: list[int] = []
    page.on("requestfinished", lambda request: sizes.append(request.sizes()["responseBodySize"]))
    page.goto("/")
    page.wait_for_load_state("networkidle")
    assert 0 < sum(sizes) <= 60_000
