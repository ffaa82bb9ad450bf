"""The badge: which run, what it needs, whether it fits, in one line for a README or a model card."""

from dataclasses import dataclass
from typing import Final

from app.memory.device import Verdict
from app.web.answer import Answer
from app.web.cards_view import card_size, short_card_name
from app.web.embed.palette import palette, text_on
from app.web.form import named_errors
from app.web.formatting import Formatter
from app.web.outcome import Outcome
from app.web.templating import render
from app.web.wording import METHODS, TONES, VERDICTS

HEIGHT: Final = 20
PADDING: Final = 6
LABEL: Final = "#2b3440"

_NARROW: Final = frozenset("fijlrtI1.,:;|!'()[]- \u00a0·")
_WIDE: Final = frozenset("mwMW@%GOQ")
_NARROW_PX, _USUAL_PX, _WIDE_PX = 4.4, 6.7, 9.2
"""Advance widths at 11 px, measured on Verdana and DejaVu Sans; ``textLength`` makes up for other fonts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BadgePart:
    """A coloured field of the badge with its words; pixels as numbers."""

    x: float
    width: float
    text_x: float
    text_width: float
    text: str
    fill: str
    ink: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Badge:
    """The whole badge; ``name`` is the same in words."""

    width: float
    height: int
    name: str
    parts: tuple[BadgePart, ...]


def text_width(text: str) -> float:
    """About how wide a text is at 11 px."""
    widths = (_NARROW_PX if c in _NARROW else _WIDE_PX if c in _WIDE else _USUAL_PX for c in text)
    return round(sum(widths), 1)


def badge_texts(outcome: Outcome, fmt: Formatter) -> tuple[str, str, str, str]:
    """Run, need, verdict, and the verdict's tone."""
    _ = fmt.gettext
    result = outcome.result
    run = f"{result.model.name} {_(METHODS[result.run.method])}"
    needs = fmt.memory_with_unit(result.memory.required_bytes).replace("\u00a0", " ")
    verdict = result.verdict
    if verdict is not None:
        card = short_card_name(verdict.gpu_name)
        pattern = {
            Verdict.FITS: _("fits {card}"),
            Verdict.TIGHT: _("tight on {card}"),
            Verdict.DOES_NOT_FIT: _("does not fit {card}"),
            Verdict.UNSUPPORTED: _("cannot run on {card}"),
        }[verdict.status]
        return run, needs, pattern.format(card=card), TONES[verdict.status]
    smallest = outcome.cards.smallest_that_fits
    if smallest is None:
        return run, needs, _("no single card"), "no"
    size = card_size(smallest.slug, smallest.memory_bytes, outcome.labels).replace("\u00a0", " ")
    return run, needs, _("fits a {size} card").format(size=size), "fits"


def badge_svg(found: Answer, fmt: Formatter) -> str:
    """The badge as SVG; a run that cannot be computed says so in red."""
    if found.outcome is None:
        errors = named_errors(found.state, fmt)
        texts: tuple[str, ...] = ("VRAM Fit", errors[0].text if errors else fmt.gettext(VERDICTS[Verdict.UNSUPPORTED]))
        tone = "no"
    else:
        *words, tone = badge_texts(found.outcome, fmt)
        texts = tuple(words)
    colours = palette(is_dark=False)
    fills = (LABEL, colours["mute"], colours[tone]) if len(texts) == 3 else (LABEL, colours[tone])
    parts = []
    x = 0.0
    for text, fill in zip(texts, fills, strict=True):
        wide = text_width(text)
        width = wide + 2 * PADDING
        parts.append(
            BadgePart(x=x, width=width, text_x=x + PADDING, text_width=wide, text=text, fill=fill, ink=text_on(fill))
        )
        x = round(x + width, 1)
    badge = Badge(width=x, height=HEIGHT, name=" · ".join(texts), parts=tuple(parts))
    return render("embed/badge.svg", badge, fmt.translations)
