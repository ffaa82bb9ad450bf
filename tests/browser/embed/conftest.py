"""A real Chromium before a host page of another origin."""

import re
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request

from app.catalogue.snapshot import Snapshot
from tests.browser.embed.sites import HostSite, host_site, service

SHIFTS = """
window.shift = 0;
new PerformanceObserver((list) => { for (const e of list.getEntries()) window.shift += e.value; })
  .observe({ type: "layout-shift", buffered: true });
window.heard = [];
for (const name of ["ready", "resize", "result", "order_click"])
  addEventListener(`vram-fit:${name}`, (e) => window.heard.push([name, e.target.id, e.detail]));
"""
"""Seen by the host page from its first moment: how much moved, and what the widgets said."""

OpenTab = Callable[..., Page]


@pytest.fixture(scope="session")
def shop_order_url() -> str:
    """Where the shop takes orders; the tests answer for it."""
    return "https://shop.example/order/{gpu}?ref={ref}"


@pytest.fixture(scope="session")
def service_url(snapshot: Snapshot, shop_order_url: str) -> Iterator[str]:
    with service(snapshot, shop_order_url) as url:
        yield url


@pytest.fixture(scope="session")
def host(service_url: str) -> Iterator[HostSite]:
    with host_site(service_url) as site:
        yield site


@pytest.fixture
def open_tab(chromium: Browser, host: HostSite, service_url: str) -> Iterator[OpenTab]:
    """Opens an address; at the end no tab may have an error in its console or have asked a third party."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []
    allowed = {urlsplit(url).netloc for url in (host.url, service_url)}

    def complain(message: ConsoleMessage) -> None:
        # A run that cannot be read is answered with its form and 422, which Chromium notes for every such page.
        if message.type in {"error", "warning"} and "status of 422" not in message.text:
            complaints.append(f"{message.type}: {message.text}")

    def note(request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in {"http", "https"} and parts.netloc not in {*allowed, "shop.example"}:
            complaints.append(f"third party: {request.url}")

    def open_(url: str, *, width: int = 1280, height: int = 900, dark: bool = False, scripts: bool = True) -> Page:
        context = chromium.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            java_script_enabled=scripts,
        )
        contexts.append(context)
        context.set_default_timeout(10_000)
        context.route(
            re.compile(r"https://shop\.example/.*"),
            lambda route: route.fulfill(content_type="text/html", body="<!doctype html><title>Shop</title>"),
        )
        context.add_init_script(SHIFTS)
        page = context.new_page()
        page.on("console", complain)
        page.on("pageerror", lambda error: complaints.append(f"uncaught: {error}"))
        page.on("request", note)
        page.goto(url)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []
