"""What must hold of an open page, each as the list of what does not: one load of a page answers for all of them."""

from collections.abc import Mapping
from typing import Any, Final

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Request

from tests.browser.conftest import AXE

HEIGHT: Final = 900
HEAVIEST_BYTES: Final = 60_000
A4_WIDTH: Final = 794
"""At 96 dots an inch."""
WIDTHS: Final = (320, 390, 768, 1024, 1152, 1280, 1920)
ON_COLOUR: Final = ("color-contrast", "link-in-text-block")
AXE_ON_COLOUR: Final = AXE | {"runOnly": {"type": "rule", "values": list(ON_COLOUR)}}
AXE_BUT_COLOUR: Final = AXE | {"rules": {rule: {"enabled": False} for rule in ON_COLOUR}}
FOCUSABLE: Final = "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex]"

_RUN_AXE: Final = """
async ([options, isOnePerLook]) => {
  const found = await axe.run(isOnePerLook ? { include: onePerLook() } : document, options);
  return found.violations.map((rule) => [rule.id, rule.nodes.slice(0, 3).map((node) => node.html.slice(0, 200))]);
}
"""
_LOOKS: Final = """
() => {
  const own = (style) =>
    [style.color, style.fontSize, style.fontWeight, style.textDecorationLine, style.position].join();
  const behind = (style) => [style.backgroundColor, style.backgroundImage, style.opacity, style.filter].join();
  // Elements with text of their own whose text and everything behind it look alike have the same contrast.
  window.onePerLook = () => {
    const found = new Map();
    const grounds = new Map([[null, ""]]);
    const ground = (element) => {
      if (!grounds.has(element))
        grounds.set(element, ground(element.parentElement) + behind(getComputedStyle(element)) + element.tagName);
      return grounds.get(element);
    };
    for (const element of document.querySelectorAll("body *")) {
      if (![...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim())) continue;
      if (!element.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
      const around = element.parentElement;
      const look = [own(getComputedStyle(element)), own(getComputedStyle(around)), ground(element)].join();
      if (!found.has(look)) found.set(look, element);
    }
    return [...found.values()];
  };
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


def barriers(page: Page, width: int, scheme: str) -> list[str]:
    """What axe finds on a screen of that width in that colour scheme, by all its rules on everything."""
    _show(page, width, scheme)
    return _axe(page, width, scheme, AXE)


def barriers_of_colour(page: Page, width: int, scheme: str) -> list[str]:
    """What axe's rules on colour find, on one element of each look.

    They take four fifths of its time, most of that on rows of tables that look alike.
    """
    _show(page, width, scheme)
    return _axe(page, width, scheme, AXE_ON_COLOUR)


def barriers_in_another_scheme(page: Page, width: int, scheme: str, looked_through: str) -> list[str]:
    """What is found in a second scheme after :func:`barriers`: nothing but colours changes, and they are tried."""
    _show(page, width, looked_through)
    before = page.evaluate(_LAYOUT)
    _show(page, width, scheme)
    after = page.evaluate(_LAYOUT)
    unlike = [f"at {width} px {scheme} is laid out unlike {looked_through}"] if after != before else []
    return unlike + barriers_of_colour(page, width, scheme)


def barriers_but_of_colour(page: Page, width: int, scheme: str) -> list[str]:
    """What all other rules of axe find."""
    _show(page, width, scheme)
    return _axe(page, width, scheme, AXE_BUT_COLOUR)


def _show(page: Page, width: int, scheme: str) -> None:
    _resize(page, width)
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")


def _axe(page: Page, width: int, scheme: str, options: Mapping[str, object]) -> list[str]:
    page.evaluate("(script) => window.axe || eval(script)", Axe().axe_script)
    page.evaluate(_LOOKS)
    found = page.evaluate(_RUN_AXE, [options, options is AXE_ON_COLOUR])
    return [f"axe at {width} px, {scheme}: {rule} {nodes}" for rule, nodes in found]
