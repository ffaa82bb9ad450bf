"""The guide's case: one model on one card by every method, and the rules as data."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any, Final

from app.memory.device import Verdict
from app.memory.inputs import MethodKind
from app.services.cards import Cards
from app.services.results import Card, EstimateResult
from app.units import GIB
from app.web.formatting import Formatter

SMALL_CARD_BYTES: Final = 24 * GIB
"""The article's bound between a card for QLoRA and one for LoRA, as a card sold as 24 GB holds it."""
LARGE_MODEL: Final = 70 * 10**9
"""The article's bound for models that it gives to QLoRA in any case."""
DRIVER_TAKES: Final = 0.98
"""A driver shows a little less than the memory a card is sold with; this much of it still is that card."""


@lru_cache(maxsize=1)
def guide() -> Mapping[str, Any]:
    """The rules as bundled (``data/guide.json``)."""
    found: Mapping[str, Any] = json.loads(
        resources.files("app.web").joinpath("data/guide.json").read_text(encoding="utf-8")
    )
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One run by every method on one card."""

    model: str
    parameters: int
    card: Card
    size: str
    results: Mapping[MethodKind, EstimateResult]
    cards: Mapping[MethodKind, Cards]
    """The catalogue's, as each method finds them."""
    fmt: Formatter

    def on_card(self, kind: MethodKind) -> Card | None:
        """The card as that method finds it; None where it does not hold the run."""
        cards = self.cards.get(kind)
        return cards.by_slug.get(self.card.slug) if cards is not None else None

    def needs(self, kind: MethodKind) -> str:
        """What a card must have."""
        return self.fmt.memory_with_unit(self.results[kind].memory.required_bytes)

    @property
    def card_is_small(self) -> bool:
        """Whether the card is under the article's 24 GB."""
        return self.card.memory_bytes < DRIVER_TAKES * SMALL_CARD_BYTES

    @property
    def decision(self) -> MethodKind | None:
        """The first method in the guide's order that surely fits the card."""
        for name in guide()["order"]:
            kind = MethodKind(name)
            card = self.on_card(kind)
            if card is not None and card.verdict is Verdict.FITS:
                return kind
        return None
