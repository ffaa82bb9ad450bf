"""An operator's brand colour, made readable: darkened for light pages, lightened for dark ones, until it contrasts."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

LEAST_CONTRAST: Final = 4.5
"""Of text on its ground: WCAG 2.2, success criterion 1.4.3, level AA."""

WHITE: Final = "#ffffff"
INK: Final = "#0b0e13"
LIGHT_SUNK: Final = "#eef1f5"
DARK_SUNK: Final = "#1a2029"
"""The grounds on which a link contrasts least, of ``--bg``, ``--surface`` and ``--sunk`` in ``static/app.css``."""

_STEPS: Final = 100
_HEX: Final = re.compile(r"#?([0-9A-Fa-f]{6})")


@dataclass(frozen=True, kw_only=True, slots=True)
class BrandColours:
    """The brand for each theme, and the text that stands on it. All are ``#rrggbb``."""

    light: str
    on_light: str
    dark: str
    on_dark: str

    @property
    def css(self) -> str:
        """The two custom properties that the style sheets take the brand from."""
        return (
            f":root{{--brand:light-dark({self.light},{self.dark});"
            f"--on-brand:light-dark({self.on_light},{self.on_dark})}}"
        )


def hex_digits(text: str) -> str | None:
    """The six digits of ``#rrggbb`` or ``rrggbb`` in lower case, or None where it is no colour."""
    found = _HEX.fullmatch(text.strip())
    return found[1].lower() if found else None


def _channels(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def luminance(colour: str) -> float:
    """Relative luminance from 0 to 1 (WCAG 2.2, "relative luminance")."""
    linear = [
        share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4
        for share in (channel / 255 for channel in _channels(colour))
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours, from 1 to 21 (WCAG 2.2, "contrast ratio")."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _mixed(colour: str, target: str, step: int) -> str:
    parts = zip(_channels(colour), _channels(target), strict=True)
    return "#" + "".join(f"{round(own + (goal - own) * step / _STEPS):02x}" for own, goal in parts)


def _until_readable(colour: str, target: str, ground: str) -> str:
    """The colour moved towards ``target`` no further than it takes to be read on ``ground``."""
    moved = (_mixed(colour, target, step) for step in range(_STEPS + 1))
    return next(candidate for candidate in moved if contrast(candidate, ground) >= LEAST_CONTRAST)


def _text_on(colour: str) -> str:
    return max((WHITE, INK), key=lambda text: contrast(text, colour))


@lru_cache(maxsize=1_024)
def brand_colours(digits: str) -> BrandColours:
    """The readable pair for a brand colour given as six hexadecimal digits."""
    light = _until_readable(f"#{digits}", "#000000", LIGHT_SUNK)
    dark = _until_readable(f"#{digits}", WHITE, DARK_SUNK)
    return BrandColours(light=light, on_light=_text_on(light), dark=dark, on_dark=_text_on(dark))


def brand_css_path(digits: str) -> str:
    """Where the two properties are served."""
    return f"/brand/{digits}.css"
