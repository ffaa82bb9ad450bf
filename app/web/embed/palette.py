"""The style sheet's colours, resolved for one theme: pictures that leave this site cannot look custom properties up."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Final

from app.web.embed.colour import INK, WHITE, brand_colours, contrast
from app.web.templating import STATIC

_PAIR: Final = re.compile(r"(?:--|\.)([\w-]+)(?::|\{fill:)light-dark\((#[0-9a-fA-F]{3,6}),(#[0-9a-fA-F]{3,6})\)")


def _full(colour: str) -> str:
    return colour if len(colour) == 7 else "#" + "".join(2 * digit for digit in colour[1:])


@cache
def _pairs() -> Mapping[str, tuple[str, str]]:
    sheet = (STATIC / "app.css").read_text(encoding="utf-8")
    return {name: (_full(light), _full(dark)) for name, light, dark in _PAIR.findall(sheet)}


@cache
def palette(*, is_dark: bool, brand: str = "") -> Mapping[str, str]:
    """Every colour token of ``static/app.css`` as ``#rrggbb``, with the brand's own where one is given."""
    colours = {name: pair[is_dark] for name, pair in _pairs().items()}
    if brand:
        own = brand_colours(brand)
        colours["brand"], colours["on-brand"] = (own.dark, own.on_dark) if is_dark else (own.light, own.on_light)
    return colours


def text_on(colour: str) -> str:
    """White or ink, whichever reads better on a colour."""
    return max((WHITE, INK), key=lambda text: contrast(text, colour))
