"""The operator's pages in a real browser: nothing that axe finds, no script needed, cookies that no script reads."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from app.admin.keys import ALL_SCOPES, create_key
from app.catalogue.database import Database
from tests.browser.conftest import AXE
from tests.ops.serving import served

pytestmark = pytest.mark.browser

PATHS = ("", "/offers", "/upload", "/rates", "/history", "/asked-for", "/audit", "/keys")
PRICES = "sku,gpu,amount,currency,period,region\na,rtx-4090,0.35,USD,hour,London\n"


@pytest.fixture(scope="module")
def site(sqlite_templates: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The real command's address, and a key to it."""
    folder = tmp_path_factory.mktemp("admin")
    shutil.copy(sqlite_templates["bundled"], folder / "catalogue.db")
    url = f"sqlite:///{folder / 'catalogue.db'}"
    made = create_key(Database(url), name="tester", scopes=ALL_SCOPES, actor="tests")
    with served(url, folder, {"VRAM_FIT_HUB_URL": "none"}) as (address, _, _):
        yield address, made.text


@pytest.fixture
def signed_in(chromium: Browser, site: tuple[str, str]) -> Iterator[Page]:
    """A page after signing in, with scripts off: none is needed."""
    address, key = site
    context = chromium.new_context(base_url=address, viewport={"width": 1280, "height": 900}, java_script_enabled=False)
    context.set_default_timeout(10_000)
    page = context.new_page()
    page.goto("/admin")
    page.get_by_label("Key").fill(key)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Overview").wait_for()
    yield page
    context.close()


def test_a_price_list_is_looked_through_applied_and_edited(signed_in: Page, tmp_path: Path) -> None:
    prices = tmp_path / "prices.csv"
    prices.write_text(PRICES, encoding="utf-8")
    page = signed_in
    page.get_by_role("link", name="Upload").click()
    page.get_by_label("Provider", exact=True).fill("Example Hosting")
    page.get_by_label("Price list").set_input_files(prices)
    page.get_by_role("button", name="Show what would change").click()
    assert page.get_by_role("row", name="0.35 USD/hour").is_visible()
    page.get_by_role("button", name="Apply this").click()
    assert page.get_by_role("status").inner_text() == "Imported."
    page.goto("/admin/offers?provider=example-hosting")
    page.get_by_role("link", name="1 × rtx-4090").click()
    page.get_by_label("Price of the whole server").fill("0.41")
    page.get_by_role("button", name="Save").click()
    assert "Saved." in page.get_by_role("status").inner_text()
    page.get_by_role("button", name="Sign out").click()
    assert page.url.endswith("/admin/sign-in")
    page.goto("/admin/offers")
    assert page.url.endswith("/admin/sign-in")


def test_axe_finds_nothing_and_no_script_reads_the_cookie(signed_in: Page, chromium: Browser) -> None:
    cookies = signed_in.context.cookies()
    assert [(cookie["httpOnly"], cookie["sameSite"]) for cookie in cookies] == [(True, "Strict")]
    state = signed_in.context.storage_state()
    context = chromium.new_context(storage_state=state, base_url=signed_in.url.removesuffix("/admin"))
    page = context.new_page()
    for path in (*PATHS, "/sign-in"):
        page.goto(f"/admin{path}")
        assert page.evaluate("document.cookie") == ""
        for width, scheme in ((390, "dark"), (1280, "light")):
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            found = Axe().run(page, options=AXE)
            assert [(item["id"], item["nodes"][0]["html"][:200]) for item in found.response["violations"]] == [], path
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    context.close()


def test_another_site_s_form_does_nothing(signed_in: Page, chromium: Browser, site: tuple[str, str]) -> None:
    state = signed_in.context.storage_state()
    context = chromium.new_context(storage_state=state)
    page = context.new_page()
    form = f'<form action="{site[0]}/admin/sign-out" method="post"><button>Go</button></form>'
    page.route("http://elsewhere.example/**", lambda route: route.fulfill(body=form, content_type="text/html"))
    page.goto("http://elsewhere.example/")
    with page.expect_response("**/admin/sign-out") as answer:
        page.get_by_role("button").click()
    assert answer.value.status == 403
    page.goto(f"{site[0]}/admin")
    assert page.get_by_role("heading", name="Overview").is_visible()
    context.close()
