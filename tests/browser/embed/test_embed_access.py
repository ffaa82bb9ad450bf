"""Widgets and the builder for everyone: axe, keyboard, and what a page shows without a script."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.embed.conftest import OpenTab

pytestmark = pytest.mark.browser

RUN = "model=llama-3-8b&method=qlora&gpu=rtx-3090"
SHOWN = (
    f"/embed/result?{RUN}&brand=7ddf64",
    "/embed/result?model=llama-3-70b&method=full&gpu=rtx-3090",
    "/embed/result?model=lama-3-9q",
    f"/embed/calculator?{RUN}",
    "/embed/table?model=llama-3-8b&brand=b4400f",
    "/embed/table?models=llama-3-8b,mistral-7b-v0.1",
    "/embed/table?model=llama-3-8b&rows=cards",
    f"/embed?{RUN}",
)


@pytest.mark.parametrize(("width", "dark"), [(390, False), (1280, True)], ids=["phone-light", "desktop-dark"])
@pytest.mark.parametrize("path", SHOWN)
def test_axe_finds_nothing(open_tab: OpenTab, service_url: str, path: str, width: int, dark: bool) -> None:
    theme = "" if path.startswith("/embed?") else "&theme=auto"
    page = open_tab(service_url + path + theme, width=width, dark=dark)
    page.wait_for_timeout(200)
    found = Axe().run(page, options={"iframes": False, "resultTypes": ["violations"]})
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_builder_follows_its_form(open_tab: OpenTab, service_url: str) -> None:
    page = open_tab(f"{service_url}/embed?{RUN}")
    preview = page.frame_locator("#preview iframe")
    expect(preview.locator("h1")).to_contain_text("Fits a 24")
    page.get_by_label("Kind").select_option("table")
    expect(preview.locator("table")).to_be_visible()
    page.get_by_label("Theme").select_option("dark")
    expect(page.locator("#code-html")).to_contain_text('data-theme="dark"')
    expect(preview.locator("html[data-theme=dark]")).to_have_count(1)
    page.get_by_label("Model", exact=True).fill("mistral 7b v0.1")
    page.get_by_label("Model", exact=True).press("Enter")
    expect(preview.locator("h1")).to_contain_text("Mistral 7B")
    assert "kind=table" in page.url
    assert page.locator("[data-copy]").first.is_visible()


def test_the_builder_works_without_a_script(open_tab: OpenTab, service_url: str) -> None:
    page = open_tab(f"{service_url}/embed", scripts=False)
    page.get_by_label("Kind").select_option("calculator")
    page.get_by_role("button", name="Update").click()
    expect(page.locator("#code-html")).to_contain_text('data-kind="calculator"')
    expect(page.frame_locator("#preview iframe").locator("h1")).to_contain_text("Fits a 24")
