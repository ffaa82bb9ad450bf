"""What holds of every page: no barrier that axe finds, nothing wider than the screen, readable without scripts."""

import re
import time

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from app.web.landing_pages import FIXED_PAGES
from tests.browser.conftest import AXE, NO_PAGE, OpenPage

pytestmark = pytest.mark.browser

SAMPLES = (
    "/?model=llama-3-70b&method=full&gpu=rtx-3090",
    "/?micro_batch_size=0",
    "/models/llama-3-8b",
    "/gpus/rtx-3090",
    "/plan?model=llama-3-70b&budget=200&deadline_hours=48&num_examples=20000",
    "/solve?unknown=sequence_length&gpu=rtx-3090",
    NO_PAGE,
)
PAGES = (*(path for path in FIXED_PAGES if path != "/docs"), *SAMPLES)
GERMAN = tuple(f"/de{path}" for path in PAGES)
EVERY = (*PAGES, "/docs", *GERMAN)


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
        found = Axe().run(page, options=AXE)
        violations = found.response["violations"]
        assert violations == [], (
            width,
            scheme,
            [(item["id"], [node["html"][:200] for node in item["nodes"][:3]]) for item in violations],
        )


@pytest.mark.parametrize("path", GERMAN)
def test_axe_finds_nothing_in_german(open_page: OpenPage, path: str) -> None:
    page = open_page(path, width=390, dark=True)
    open_all_folds(page)
    violations = Axe().run(page, options=AXE).response["violations"]
    assert violations == [], [(item["id"], [node["html"][:200] for node in item["nodes"][:3]]) for item in violations]


@pytest.mark.parametrize("path", EVERY)
def test_nothing_is_wider_than_the_screen(open_page: OpenPage, path: str) -> None:
    page = open_page(path, width=320)
    open_all_folds(page)
    for width in (320, 390, 768, 1024, 1152, 1920):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width, width


@pytest.mark.parametrize("path", EVERY)
def test_a_page_reads_the_same_without_scripts(open_page: OpenPage, path: str) -> None:
    assert (
        open_page(path, scripts=False).locator("h1").inner_text()
        == open_page(path, scripts=True).locator("h1").inner_text()
    )


FOCUSABLE = "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0'], [tabindex='-1']"


@pytest.mark.parametrize("path", ["/docs", *PAGES])
def test_the_keyboard_alone_reaches_and_shows_everything(open_page: OpenPage, path: str) -> None:
    page = open_page(path)
    names = page.evaluate(
        """(selector) => {
          const radios = new Set();
          return [...document.querySelectorAll(selector)].filter((element) => {
            const isShown = element.checkVisibility({ visibilityProperty: true });
            if (element.tabIndex < 0 || element.disabled || !isShown) return false;
            if (element.type !== "radio") return true;
            if (radios.has(element.name)) return false;
            return radios.add(element.name);
          }).length;
        }""",
        FOCUSABLE,
    )
    reached, unseen = 0, []
    for _press in range(names + 2):
        page.keyboard.press("Tab")
        found = page.evaluate(
            """() => {
              const element = document.activeElement;
              if (!element || element === document.body) return null;
              const style = getComputedStyle(element.type === "radio" ? element.parentElement : element);
              // The focus within a frame is its own page's to show.
              const isFrame = element.tagName === "IFRAME";
              const shown = isFrame || style.outlineStyle !== "none" || style.boxShadow !== "none";
              return [element.outerHTML.slice(0, 120), shown];
            }"""
        )
        if found is None:
            break
        reached += 1
        if not found[1]:
            unseen.append(found[0])
    assert reached >= names, "the focus did not come to everything"
    assert unseen == [], "the focus cannot be seen"


@pytest.mark.parametrize("path", PAGES)
def test_a_page_may_be_printed(open_page: OpenPage, path: str) -> None:
    page = open_page(path, width=794, dark=True)  # A4 at 96 dots an inch
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("document.documentElement.scrollWidth") <= 794
    assert page.locator("h1").is_visible()
    assert page.locator(".nav").is_hidden()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_print_leaves_out_what_paper_cannot_do(open_page: OpenPage) -> None:
    page = open_page("/", dark=True)
    page.emulate_media(media="print")
    assert page.locator("#run").is_hidden()
    assert page.locator(".nav").is_hidden()
    assert page.locator("#verdict").is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


@pytest.mark.parametrize("path", [*PAGES, "/docs", "/de/", "/de/compare"])
def test_a_page_weighs_little_and_stays_where_it_is(open_page: OpenPage, path: str) -> None:
    page = open_page("about:blank")
    sizes: list[int] = []
    page.on("requestfinished", lambda request: sizes.append(request.sizes()["responseBodySize"]))
    page.goto(path)
    page.wait_for_load_state("networkidle")
    assert 0 < sum(sizes) <= 60_000
    if path != "/embed":  # whose preview takes its height from the widget in it
        assert page.evaluate("window.shift") == 0


def test_the_language_is_chosen_by_a_link_that_keeps_the_run(open_page: OpenPage) -> None:
    page = open_page("/?model=llama-3-8b&method=qlora&gpu=rtx-3090", width=390)
    page.locator("#f-micro_batch_size").fill("8")
    expect(page).to_have_url(re.compile("micro_batch_size=8"))
    page.get_by_role("link", name="Deutsch").click()
    expect(page).to_have_url(re.compile(r"/de/\?.*micro_batch_size=8"))
    expect(page.locator("h1")).to_contain_text("Passt auf eine Karte mit 24")
    page.get_by_role("button", name="Aktualisieren").click()
    expect(page).to_have_url(re.compile(r"/de/\?.*micro_batch_size=8"))
    page.get_by_role("link", name="Beste GPU").click()
    expect(page).to_have_url(re.compile("/de/best-gpu$"))


@pytest.mark.parametrize(("path", "words"), [("/", "Compare .* cards"), ("/de/", ".* Karten vergleichen")])
def test_a_stranger_on_a_phone_comes_to_a_card_and_its_price_in_three_taps(
    open_page: OpenPage, path: str, words: str
) -> None:
    started = time.monotonic()
    page = open_page(path, width=390)
    page.locator("#preset-links a").filter(has_text="24").click()
    page.locator("label", has_text=re.compile("^LoRA$")).click()
    expect(page.locator("h1")).to_contain_text("17")
    page.get_by_role("link", name=re.compile(words)).click()
    first = page.locator("#cards tbody tr").first
    expect(first).to_be_in_viewport()
    assert re.search(r"(US\$[\d.]+ an hour|[\d,]+\s\$ pro Stunde)", first.inner_text())
    assert time.monotonic() - started < 10
