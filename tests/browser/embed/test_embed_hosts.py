"""Widgets on a page of another origin with a strict policy."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Frame, Page, expect

from tests.browser.embed.conftest import OpenTab
from tests.browser.embed.sites import HostSite

pytestmark = pytest.mark.browser

RUN = 'data-model="llama-3-8b" data-method="qlora" data-gpu="rtx-3090"'
QUERY = "model=llama-3-8b&amp;method=qlora&amp;gpu=rtx-3090"
KINDS = {
    "result": RUN,
    "calculator": RUN,
    "table": 'data-model="llama-3-8b"',
}


def script(host: HostSite) -> str:
    return f'<script async src="{host.service_url}/embed.js"></script>'


def widget(kind: str, attributes: str, name: str = "w") -> str:
    return f'<div id="{name}" data-vram-fit data-kind="{kind}" {attributes}></div>'


def frame_of(page: Page, name: str = "w") -> Frame:
    """The widget's frame, once it has told its height."""
    page.wait_for_function("(id) => window.heard.some(([event, from]) => event === 'result' && from === id)", arg=name)
    handle = page.query_selector(f"#{name} iframe")
    assert handle is not None
    frame = handle.content_frame()
    assert frame is not None
    return frame


def height_of(page: Page, name: str = "w") -> float:
    return float(page.eval_on_selector(f"#{name} iframe", "(e) => e.getBoundingClientRect().height"))


def content_height(frame: Frame) -> int:
    return int(frame.evaluate("Math.ceil(document.documentElement.getBoundingClientRect().height)"))


def settle(page: Page, frame: Frame, name: str = "w") -> None:
    """Wait until the frame is as tall as what it shows."""
    for _attempt in range(100):
        if height_of(page, name) == content_height(frame):
            return
        page.wait_for_timeout(30)
    raise AssertionError(f"the frame is {height_of(page, name)} px, its content {content_height(frame)}")


def assert_no_sideways(page: Page, frame: Frame) -> None:
    for view in (page, frame):
        scroll, client = view.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert scroll <= client
    assert not frame.evaluate("document.documentElement.scrollHeight > document.documentElement.clientHeight")


def heard(page: Page) -> list[tuple[str, str, Any]]:
    found: list[tuple[str, str, Any]] = page.evaluate("window.heard")
    return found


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_stands_in_a_page_with_a_strict_policy(
    host: HostSite, open_tab: OpenTab, kind: str, width: int
) -> None:
    page = open_tab(host.page(f"/{kind}", script(host) + widget(kind, KINDS[kind])), width=width)
    frame = frame_of(page)
    settle(page, frame)
    assert_no_sideways(page, frame)
    expect(frame.locator("h1").first).to_be_visible()
    assert frame.evaluate("getComputedStyle(document.querySelector('.wid')).borderTopStyle") == "solid"
    assert page.locator("#w iframe").get_attribute("title")
    assert [event for event, _, _ in heard(page)][:3] == ["ready", "resize", "result"]


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("kind", KINDS)
def test_what_the_builder_gives_moves_nothing(
    host: HostSite, open_tab: OpenTab, service_url: str, kind: str, width: int
) -> None:
    builder = open_tab(f"{service_url}/embed?kind={kind}&model=llama-3-8b&method=qlora&gpu=rtx-3090")
    snippet = builder.locator("#code-html").text_content() or ""
    assert f"{service_url}/embed.js" in snippet
    # The widget stands where a sales page has it: under its headline and a few lines, with more below.
    lines = "<p>Bare-metal cards for training and serving. No queue, no shared memory, no surprise.</p>" * 3
    placed = snippet.replace("<div data-vram-fit", '<div id="w" data-vram-fit')
    page = open_tab(host.page(f"/snippet-{kind}", lines + placed + lines), width=width)
    frame = frame_of(page)
    settle(page, frame)
    page.wait_for_timeout(300)
    assert page.evaluate("window.shift") <= 0.05


def test_two_widgets_do_not_mix_up(host: HostSite, open_tab: OpenTab) -> None:
    body = widget("result", RUN, "first") + widget("table", 'data-model="mistral-7b-v0.1"', "second") + script(host)
    element = '<vram-fit id="third" kind="result" model="qwen2.5-14b" method="lora" gpu="l40s" ref="a"></vram-fit>'
    page = open_tab(host.page("/two", body + element))
    page.evaluate("scrollTo(0, 400)")
    frames = {name: frame_of(page, name) for name in ("first", "second", "third")}
    for name, frame in frames.items():
        settle(page, frame, name)
        assert_no_sideways(page, frame)
    assert "Llama 3 8B" in (frames["first"].text_content("article") or "")
    assert "Mistral 7B" in (frames["second"].text_content("h1") or "")
    assert "Qwen2.5 14B" in (frames["third"].text_content("article") or "")
    results = {source: detail["result"] for event, source, detail in heard(page) if event == "result"}
    assert results["first"]["verdict"]["gpu"] == "rtx-3090"
    assert results["third"]["method"] == "lora"
    assert results["first"]["required_bytes"] != results["third"]["required_bytes"]


def test_a_widget_far_below_waits_until_it_is_near(host: HostSite, open_tab: OpenTab) -> None:
    page = open_tab(host.page("/far", script(host) + '<div class="far"></div>' + widget("result", RUN)))
    page.wait_for_selector("#w iframe", state="attached")
    page.wait_for_timeout(400)
    assert page.locator("#w iframe").get_attribute("src") is None
    top = page.eval_on_selector("#w", "(e) => e.getBoundingClientRect().top + scrollY")
    page.evaluate("(y) => scrollTo(0, y)", top - 900 - 450)
    frame = frame_of(page)
    settle(page, frame)


def test_the_height_follows_the_width_and_the_content(host: HostSite, open_tab: OpenTab) -> None:
    page = open_tab(host.page("/grow", script(host) + widget("table", 'data-model="llama-3-8b"')))
    frame = frame_of(page)
    settle(page, frame)
    wide = height_of(page)
    page.set_viewport_size({"width": 390, "height": 900})
    page.wait_for_function("(h) => document.querySelector('#w iframe').getBoundingClientRect().height > h", arg=wide)
    settle(page, frame)
    page.set_viewport_size({"width": 1280, "height": 900})
    page.wait_for_function("(h) => document.querySelector('#w iframe').getBoundingClientRect().height === h", arg=wide)
    frame.evaluate("document.querySelector('.wid').append(document.querySelector('table').cloneNode(true))")
    settle(page, frame)
    assert height_of(page) > wide


def test_attributes_may_change_and_widgets_come_later(host: HostSite, open_tab: OpenTab) -> None:
    page = open_tab(host.page("/later", script(host)))
    page.wait_for_function("window.VramFit")
    page.evaluate(
        """() => {
          const e = document.createElement("vram-fit");
          e.id = "w";
          e.setAttribute("model", "llama-3-8b");
          e.setAttribute("method", "qlora");
          e.setAttribute("gpu", "rtx-3090");
          document.querySelector("main").append(e);
        }"""
    )
    frame = frame_of(page)
    assert "QLoRA" in (frame.text_content(".by") or "")
    page.evaluate("() => { window.heard = []; document.getElementById('w').setAttribute('method', 'full'); }")
    frame = frame_of(page)
    assert "Full" in (frame.text_content(".by") or "")
    settle(page, frame)


SPOOF = """
parent.postMessage({ source: "vram-fit", event: "resize", height: 77 }, "*");
parent.postMessage({ source: "vram-fit", event: "order_click", order: { offer: "forged" } }, "*");
"""


def test_a_message_from_another_window_is_ignored(host: HostSite, open_tab: OpenTab) -> None:
    host.scripts["/spoof.js"] = SPOOF
    spoof = host.page("/spoof", '<script src="/spoof.js"></script>')
    page = open_tab(host.page("/target", script(host) + widget("result", RUN)))
    frame = frame_of(page)
    settle(page, frame)
    before = height_of(page)
    page.evaluate("window.heard = []")
    other = page.context.new_page()
    other.close()
    # From the page itself, and from a window that it opened.
    page.evaluate("() => postMessage({ source: 'vram-fit', event: 'resize', height: 77 }, '*')")
    with page.expect_popup() as opened:
        page.evaluate(
            """(url) => {
              const popup = open(url);
              addEventListener("message", (e) => { window.spoofed = (window.spoofed || 0) + 1; });
            }""",
            spoof.replace("/spoof", "/opener"),
        )
    popup = opened.value
    popup.wait_for_load_state()
    popup.evaluate(SPOOF.replace("parent.", "opener."))
    page.wait_for_function("window.spoofed >= 2")
    assert height_of(page) == before
    assert heard(page) == []


def test_an_order_is_told_and_leads_through_our_own_host(host: HostSite, open_tab: OpenTab) -> None:
    attributes = f'{RUN} data-ref="harbour" data-utm-source="blog"'
    page = open_tab(host.page("/order", script(host) + widget("result", attributes)))
    frame = frame_of(page)
    button = frame.locator("a.btn.go")
    assert (button.get_attribute("href") or "").startswith("/go/")
    told: list[str] = []

    def hear(text: str) -> None:
        told.append(text)

    page.expose_function("tell", hear)
    page.evaluate("addEventListener('vram-fit:order_click', (e) => tell(JSON.stringify(e.detail)))")
    button.click()
    page.wait_for_url("https://shop.example/**")
    assert page.url == "https://shop.example/order/rtx-3090?ref=harbour&utm_source=blog"
    order = json.loads(told[0])["order"]
    assert order["gpu"] == "rtx-3090"
    assert set(order) == {"offer", "provider", "gpu", "price"}


@pytest.mark.parametrize(
    ("scheme", "dark", "theme", "expected"),
    [
        ("", False, "", "light"),
        ("", True, "", "light"),
        ("light dark", True, "", "dark"),
        ("dark", False, "", "dark"),
        ("", True, "auto", "dark"),
        ("", False, "dark", "dark"),
    ],
)
def test_a_widget_is_as_dark_as_its_page_or_as_told(
    host: HostSite, open_tab: OpenTab, scheme: str, dark: bool, theme: str, expected: str
) -> None:
    told = f' data-theme="{theme}"' if theme else ""
    meta = f'<meta name="color-scheme" content="{scheme}">' if scheme else ""
    page = open_tab(host.page("/theme", script(host) + widget("result", RUN + told), head=meta), dark=dark)
    frame = frame_of(page)
    colour = frame.evaluate("getComputedStyle(document.querySelector('.wid')).backgroundColor")
    assert colour == {"light": "rgb(255, 255, 255)", "dark": "rgb(18, 22, 29)"}[expected]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_shows_through_around_the_panel(host: HostSite, open_tab: OpenTab, theme: str) -> None:
    page = open_tab(host.page("/through", script(host) + widget("result", f'{RUN} data-theme="{theme}"')))
    frame = frame_of(page)
    settle(page, frame)
    page.locator("#w iframe").scroll_into_view_if_needed()
    box = page.locator("#w iframe").bounding_box()
    assert box is not None
    # The panel's corner is round: the pixel in the frame's corner is the host page's ground, #fbf6ec.
    shot = page.screenshot(clip={"x": box["x"], "y": box["y"], "width": 1, "height": 1})
    pixel = page.evaluate(
        """async (base64) => {
          const image = await createImageBitmap(await (new Response(
            Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)))).blob());
          const canvas = new OffscreenCanvas(1, 1).getContext("2d");
          canvas.drawImage(image, 0, 0);
          return [...canvas.getImageData(0, 0, 1, 1).data];
        }""",
        base64.b64encode(shot).decode(),
    )
    assert pixel[:3] == [0xFB, 0xF6, 0xEC]


def test_a_frame_alone_works_without_any_script(host: HostSite, open_tab: OpenTab, service_url: str) -> None:
    frame = f'<iframe id="f" src="{service_url}/embed/calculator?{QUERY}" width="400" height="900" title="x"></iframe>'
    page = open_tab(host.page("/alone", frame), scripts=False)
    inner = page.frame_locator("#f")
    expect(inner.locator("h1")).to_contain_text("Fits a 24")
    inner.get_by_label("Full").check()
    inner.get_by_role("button", name="Update").click()
    expect(inner.locator("h1")).to_contain_text("Does not fit")


def test_the_calculator_answers_in_its_own_frame(host: HostSite, open_tab: OpenTab) -> None:
    page = open_tab(host.page("/calc", script(host) + widget("calculator", f'{RUN} data-theme="dark" data-ref="h"')))
    frame = frame_of(page)
    page.evaluate("window.heard = []")
    frame.get_by_label("Full").check()
    frame = frame_of(page)
    assert "Does not fit" in (frame.text_content("h1") or "")
    assert "theme=dark" in frame.url
    assert "ref=h" in frame.url
    assert page.evaluate("history.length") <= 2
    settle(page, frame)
    page.evaluate("window.heard = []")
    frame.get_by_label("Model").fill("no such model")
    frame.get_by_label("Model").press("Enter")
    frame = frame_of(page)
    assert "cannot be computed" in (frame.text_content("h1") or "")
    settle(page, frame)


def test_the_guides_own_page_works_as_printed(host: HostSite, open_tab: OpenTab) -> None:
    guide = (Path(__file__).resolve().parents[3] / "docs" / "embedding.md").read_text(encoding="utf-8")
    printed = re.findall(r"```html\n(<!doctype html>.*?)```", guide, re.DOTALL)
    assert len(printed) == 1
    host.pages["/guide"] = printed[0].replace("https://fit.example.com", host.service_url)
    page = open_tab(host.url + "/guide")
    kinds = ["result", "table", "calculator"]
    for index, kind in enumerate(kinds):
        page.locator("[data-vram-fit]").nth(index).scroll_into_view_if_needed()
        inner = page.locator("[data-vram-fit] iframe").nth(index).content_frame
        expect(inner.locator("h1")).to_be_visible()
        assert f"/embed/{kind}?" in (page.locator("[data-vram-fit] iframe").nth(index).get_attribute("src") or "")
    page.wait_for_function("window.heard.filter(([event]) => event === 'result').length === 3")
