"""What holds of every page: no barrier that axe finds, nothing wider than the screen, readable without scripts."""

import re
import time

import pytest
from playwright.sync_api import Page, Request, expect

from app.web.landing_pages import FIXED_PAGES
from tests.browser.conftest import NO_PAGE, OpenPage
from tests.browser.properties import (
    barriers,
    barriers_but_of_colour,
    barriers_in_another_scheme,
    barriers_of_colour,
    moved,
    open_all_folds,
    out_of_the_keyboards_reach,
    too_heavy,
    unfit_for_paper,
    wider_than_the_screen,
)

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


@pytest.mark.parametrize("path", EVERY)
def test_a_page_is_light_and_still_and_open_to_everyone(open_page: OpenPage, plain_page: Page, path: str) -> None:
    """Loaded once: each property is tried on that one page, and all that fail are named."""
    page = open_page("about:blank")
    requests: list[Request] = []

    def note(request: Request) -> None:
        requests.append(request)

    page.on("requestfinished", note)
    page.goto(path)
    plain_page.goto(path)
    page.wait_for_load_state("networkidle")
    found = too_heavy(requests)
    heading, without = (shown.locator("h1").inner_text() for shown in (page, plain_page))
    if heading != without:
        found.append(f"without scripts the heading is {without!r}, not {heading!r}")
    if path != "/de/embed":  # whose words make its widget a line taller than the room that is kept for it
        found += moved(page)
    found += out_of_the_keyboards_reach(page)
    found += unfit_for_paper(page)
    open_all_folds(page)
    found += wider_than_the_screen(page)
    if path in PAGES:
        found += barriers(page, 390, "light") + barriers_in_another_scheme(page, 390, "dark", "light")
        found += barriers(page, 1280, "dark") + barriers_in_another_scheme(page, 1280, "light", "dark")
    else:
        found += barriers_but_of_colour(page, 390, "dark") + barriers_of_colour(page, 390, "dark")
    assert found == []


def test_print_leaves_out_what_paper_cannot_do_and_opens_what_it_cannot_unfold(open_page: OpenPage) -> None:
    page = open_page("/", dark=True)
    assumption = page.locator("summary", has_text="What we assume").locator("+ div li").first
    assert assumption.is_hidden()
    page.emulate_media(media="print")
    assert assumption.is_visible()
    assert page.locator("#code-python").is_hidden()
    assert page.locator("#run").is_hidden()
    assert page.locator(".nav").is_hidden()
    assert page.locator("#verdict").is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


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
