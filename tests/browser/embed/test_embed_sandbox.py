"""Sandboxed frames, and WordPress's: scripts alone, an origin of nobody, no forms."""

import re
import urllib.request
from html import escape

import pytest
from playwright.sync_api import Frame, Page, expect

from tests.browser.embed.conftest import OpenTab
from tests.browser.embed.sites import HostSite
from tests.browser.embed.test_embed_hosts import RUN, content_height, frame_of, settle
from tests.web.embedding import RECEIVER, WordPress

pytestmark = pytest.mark.browser

SECRET = "a1B2c3D4e5"
PAGE = "/?model=llama-3-8b&method=qlora&gpu=rtx-3090&ref=harbour"


def visit(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as response:
        text: str = response.read().decode()
    return text


def wordpress_post(host: HostSite, service_url: str, address: str, path: str, content_width: int = 600) -> str:
    """An article in which the author put an address on a line of its own."""
    wordpress = WordPress(visit=visit, content_width=content_width)
    answer = wordpress.fetch(wordpress.discover(service_url + address))
    host.scripts["/wp-embed.js"] = RECEIVER
    markup = wordpress.filtered(answer["html"], SECRET)
    return host.page(
        path, f'<figure class="wp-block-embed">{markup}</figure>', head='<script src="/wp-embed.js"></script>'
    )


def embedded(page: Page) -> Frame:
    handle = page.wait_for_selector("iframe.wp-embedded-content")
    assert handle is not None
    frame = handle.content_frame()
    assert frame is not None
    frame.wait_for_selector("h1")
    return frame


def frame_height(page: Page) -> int:
    return int(page.get_attribute("iframe.wp-embedded-content", "height") or 0)


def wait_for_height(page: Page, frame: Frame) -> None:
    for _attempt in range(100):
        if frame_height(page) == min(1000, content_height(frame)):
            return
        page.wait_for_timeout(30)
    raise AssertionError(f"{frame_height(page)} px for a content of {content_height(frame)}")


@pytest.mark.parametrize("width", [1280, 390])
def test_a_wordpress_article_shows_the_result_at_its_height(
    host: HostSite, open_tab: OpenTab, service_url: str, width: int
) -> None:
    address = wordpress_post(host, service_url, PAGE, "/wp-result", min(600, width - 32))
    page = open_tab(address, width=width)
    frame = embedded(page)
    expect(frame.locator("h1")).to_contain_text("Fits a 24")
    assert frame.evaluate("self.origin") == "null"
    assert frame.evaluate("getComputedStyle(document.querySelector('.wid')).borderTopStyle") == "solid"
    wait_for_height(page, frame)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_its_order_link_opens_through_our_own_host(host: HostSite, open_tab: OpenTab, service_url: str) -> None:
    page = open_tab(wordpress_post(host, service_url, PAGE, "/wp-order"))
    frame = embedded(page)
    wait_for_height(page, frame)
    through: list[str] = []
    page.on("request", lambda request: through.append(request.url))
    frame.locator("a.btn.go").click()
    page.wait_for_url("https://shop.example/**")
    assert page.url == "https://shop.example/order/rtx-3090?ref=harbour"
    assert any(url.startswith(f"{service_url}/go/") for url in through)


def test_a_tall_table_is_cut_at_what_wordpress_allows(host: HostSite, open_tab: OpenTab, service_url: str) -> None:
    many = "llama-3-8b,mistral-7b-v0.1,qwen2.5-14b,llama-3-70b,qwen2.5-7b,qwen2.5-72b,llama-3.1-8b,qwen3-8b,qwen3-14b"
    page = open_tab(wordpress_post(host, service_url, f"/embed/table?models={many}", "/wp-table", 300), width=320)
    frame = embedded(page)
    wait_for_height(page, frame)
    assert content_height(frame) > 400
    assert frame_height(page) <= 1000


def test_the_calculator_answers_where_forms_are_blocked(host: HostSite, open_tab: OpenTab, service_url: str) -> None:
    page = open_tab(wordpress_post(host, service_url, "/embed/calculator?model=llama-3-8b&gpu=rtx-3090", "/wp-calc"))
    frame = embedded(page)
    wait_for_height(page, frame)
    frame.get_by_label("Full").check()
    page.wait_for_function("true")
    expect(frame.locator("h1")).to_contain_text("Does not fit")
    assert f"secret={SECRET}" in frame.url
    wait_for_height(page, frame)
    frame.get_by_label("Sequence length").fill("4096")
    frame.get_by_role("button", name="Update").click()
    expect(frame.locator(".answer .by")).to_contain_text("4,096 tokens")


def test_a_sandboxed_frame_without_any_secret_renders_and_resizes(
    host: HostSite, open_tab: OpenTab, service_url: str
) -> None:
    query = "model=llama-3-8b&method=qlora&gpu=rtx-3090"
    inner = (
        f'<iframe sandbox="allow-scripts" src="{escape(f"{service_url}/embed/result?{query}")}" '
        'width="100%" height="300" title="Result"></iframe>'
    )
    script = f'<script async src="{service_url}/embed.js"></script>'
    page = open_tab(host.page("/sandbox", f'<div id="w" data-vram-fit {RUN}>{inner}</div>{script}'))
    frame = frame_of(page)
    assert frame.evaluate("self.origin") == "null"
    settle(page, frame)
    assert page.locator("#w iframe").count() == 1
    assert re.search("Fits a 24", frame.text_content("h1") or "")


def test_a_stranger_who_knows_the_secret_is_still_not_the_frame(
    host: HostSite, open_tab: OpenTab, service_url: str
) -> None:
    page = open_tab(wordpress_post(host, service_url, PAGE, "/wp-spoof"))
    frame = embedded(page)
    wait_for_height(page, frame)
    before = frame_height(page)
    page.evaluate("(secret) => postMessage({ message: 'height', value: 300, secret }, '*')", SECRET)
    page.wait_for_timeout(200)
    assert frame_height(page) == before
