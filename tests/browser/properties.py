"""What must hold of an open page, each as the list of what does not: one load of a page answers for all of them."""

from typing import Any, Final

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Request

from tests.browser.conftest import AXE

HEIGHT: Final = 900
HEAVIEST_BYTES: Final = 60_000
A4_WIDTH: Final = 794
"""At 96 dots an inch."""
WIDTHS: Final = (320, 390, 768, 1024, 1152, 1280, 1920)
AXE_ON_COLOUR: Final = AXE | {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}
FOCUSABLE: Final = "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex]"

_RUN_AXE: Final = """
async (options) => {
  const found = await axe.run(options);
  return found.violations.map((rule) => [rule.id, rule.nodes.slice(0, 3).map((node) => node.html.slice(0, 200))]);
}
"""
_LAYOUT: Final = """
[...document.querySelectorAll("body *")].reduce(
  ([shown, width], element) => [
    shown + element.checkVisibility({ visibilityProperty: true, opacityProperty: true }),
    width + element.clientWidth,
  ],
  [0, 0],
)
"""
"""How many elements show, and the sum of their widths."""
_WATCH_FOCUS: Final = """
(selector) => {
  const radios = new Set();
  const wanted = [...document.querySelectorAll(selector)].filter((element) => {
    const isShown = element.checkVisibility({ visibilityProperty: true });
    if (element.tabIndex < 0 || element.disabled || !isShown) return false;
    if (element.type !== "radio") return true;
    if (radios.has(element.name)) return false;
    return radios.add(element.name);
  });
  const key = (element) => element.type === "radio" ? `radio ${element.name}` : element;
  const line = (element) => element.outerHTML.slice(0, 120);
  const missed = new Set(wanted.map(key));
  const unseen = [];
  // The focus within a frame is its own page's to show: nothing of it is heard here.
  addEventListener("focusin", ({ target }) => {
    missed.delete(key(target));
    const style = getComputedStyle(target.type === "radio" ? target.parentElement : target);
    if (style.outlineStyle === "none" && style.boxShadow === "none") unseen.push(line(target));
  });
  window.focusSeen = () => ({ missed: wanted.filter((e) => missed.has(key(e))).map(line), unseen });
  return wanted.length;
}
"""


def open_all_folds(page: Page) -> None:
    """Show what is folded away, also where one fold closes another."""
    page.evaluate(
        "document.querySelectorAll('details').forEach(fold => { fold.removeAttribute('name'); fold.open = true; })"
    )


def _resize(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": HEIGHT})


def too_heavy(requests: list[Request]) -> list[str]:
    """Everything that was asked for to show the page, compressed as sent."""
    size = sum(request.sizes()["responseBodySize"] for request in requests)
    return [] if 0 < size <= HEAVIEST_BYTES else [f"{size:,} bytes were sent"]


def moved(page: Page) -> list[str]:
    """What moved without the visitor's doing."""
    shift = page.evaluate("window.shift")
    return [] if shift == 0 else [f"the page moved by {shift}"]


def out_of_the_keyboards_reach(page: Page) -> list[str]:
    """Tab held down from the top: what the focus does not come to, and where it cannot be seen."""
    left = page.evaluate(_WATCH_FOCUS, FOCUSABLE)
    seen: dict[str, Any] = {"missed": [], "unseen": []}
    while left > 0:
        # A frame's own stops come in between.
        for _repeat in range(left + 2):
            page.keyboard.down("Tab")
        page.keyboard.up("Tab")
        seen = page.evaluate("window.focusSeen()")
        if len(seen["missed"]) >= left:
            break
        left = len(seen["missed"])
    return [f"the focus does not come to {element}" for element in seen["missed"]] + [
        f"the focus cannot be seen at {element}" for element in seen["unseen"]
    ]


def unfit_for_paper(page: Page) -> list[str]:
    """Printed from a dark screen: white, no wider than A4, the heading there and the navigation not."""
    _resize(page, A4_WIDTH)
    page.emulate_media(media="print", color_scheme="dark")
    width, background = page.evaluate(
        "[document.documentElement.scrollWidth, getComputedStyle(document.body).backgroundColor]"
    )
    found = {
        f"{width} px wide on paper": width > A4_WIDTH,
        f"{background} on paper": background != "rgb(255, 255, 255)",
        "no heading on paper": not page.locator("h1").is_visible(),
        "navigation on paper": not page.locator(".nav").is_hidden(),
    }
    page.emulate_media(media="screen", color_scheme="light")
    return [words for words, is_so in found.items() if is_so]


def wider_than_the_screen(page: Page) -> list[str]:
    """What would have to be scrolled sideways, from the narrowest phone to a wide desktop."""
    found = []
    for width in WIDTHS:
        _resize(page, width)
        if (actual := page.evaluate("document.documentElement.scrollWidth")) > width:
            found.append(f"{actual} px wide on a screen of {width}")
    return found


def barriers(page: Page, width: int, scheme: str, *other_schemes: str) -> list[str]:
    """What axe finds on a screen of that width in one colour scheme by all its rules, and in others by those on colour.

    Axe takes longer than all else here, so what no colour can change is asked once; that nothing but colours changes is
    looked at too.
    """
    page.evaluate("(script) => window.axe || eval(script)", Axe().axe_script)
    _resize(page, width)
    found, layouts = [], []
    for shown in (scheme, *other_schemes):
        page.emulate_media(color_scheme="dark" if shown == "dark" else "light")
        layouts.append(page.evaluate(_LAYOUT))
        rules = page.evaluate(_RUN_AXE, AXE if shown == scheme else AXE_ON_COLOUR)
        found += [f"axe at {width} px, {shown}: {rule} {nodes}" for rule, nodes in rules]
    if any(layout != layouts[0] for layout in layouts):
        found.append(f"at {width} px the colour schemes {(scheme, *other_schemes)} are laid out unlike: {layouts}")
    return found
