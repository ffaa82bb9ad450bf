"""A real Chromium before the real service: its own process and its own SQLite file."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright

from tests.conftest import TODAY, missing

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
START_SECONDS = 120

SHIFTS = """
window.shift = 0;
new PerformanceObserver((list) => { for (const entry of list.getEntries()) window.shift += entry.value; })
  .observe({ type: "layout-shift", buffered: true });
"""
"""Adds up what moves without the visitor's doing."""

SERVE = f"""
import sys, uvicorn
from datetime import date
from app.main import create_app
app = create_app(today=lambda: date({TODAY.year}, {TODAY.month}, {TODAY.day}))
uvicorn.run(app, port=int(sys.argv[1]), access_log=False, log_level="warning")
"""
"""As the command serves, but on the tests' day: a bundled price must not age while the tests stay."""

WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
AXE = {"runOnly": {"type": "tag", "values": WCAG}, "resultTypes": ["violations"]}
"""Which rules axe tries; of those that hold it names one element, not every one, which took most of its time."""

OpenPage = Callable[..., Page]

NO_PAGE = "/no-such-page"


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The system's Chromium; none is downloaded."""
    path = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    if path is None:
        missing("Chromium", "apt-get install chromium")
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def live_site(sqlite_templates: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the service over the bundled catalogue."""
    folder: Path = tmp_path_factory.mktemp("site")
    shutil.copy(sqlite_templates["bundled"], folder / "catalogue.db")
    port = _free_port()
    database = f"sqlite:///{folder / 'catalogue.db'}"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VRAM_FIT_")}
    environment |= {"DATABASE_URL": database, "VRAM_FIT_LOG_LEVEL": "warning"}
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-c", SERVE, str(port)]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(command, env=environment, stdout=log, stderr=log) as process,
    ):
        try:
            _wait_for(url + "/readyz", process)
            yield url
        finally:
            process.terminate()
            process.wait(10)


def _wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, "the service ended while it started"
        try:
            with urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return
        except (URLError, OSError):
            time.sleep(0.1)
    pytest.fail(f"the service did not answer within {START_SECONDS} s")


@pytest.fixture
def open_page(chromium: Browser, live_site: str) -> Iterator[OpenPage]:
    """Opens a path; at the end no page may have an error in its console or have asked a third party."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []
    host = urlsplit(live_site).netloc

    def complain(message: ConsoleMessage) -> None:
        # Chromium notes every answer of 422, with which a form that cannot be read comes back, and the one page that
        # is asked for although it is not there.
        is_expected = "status of 422" in message.text or message.location["url"].endswith(NO_PAGE)
        if message.type in {"error", "warning"} and not is_expected:
            complaints.append(f"{message.type}: {message.text}")

    def note(request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in {"http", "https"} and parts.netloc != host:
            complaints.append(f"third party: {request.url}")

    def open_(path: str, *, width: int = 1280, dark: bool = False, scripts: bool = True) -> Page:
        context = chromium.new_context(
            base_url=live_site,
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
            java_script_enabled=scripts,
        )
        contexts.append(context)
        context.set_default_timeout(10_000)
        if scripts:
            context.add_init_script(SHIFTS)
        page = context.new_page()
        page.on("console", complain)
        page.on("pageerror", lambda error: complaints.append(f"uncaught: {error}"))
        page.on("request", note)
        page.goto(path)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture(scope="session")
def plain_page(chromium: Browser, live_site: str) -> Iterator[Page]:
    """A tab without scripts, in which a test opens what it likes."""
    context = chromium.new_context(base_url=live_site, java_script_enabled=False)
    context.set_default_timeout(10_000)
    yield context.new_page()
    context.close()
