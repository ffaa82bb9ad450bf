"""Where to turn when no offer that holds a run can be ordered: the operator's contact page, and all servers."""

from collections.abc import Iterable

from app.services.results import HOLDS, OfferReport
from app.settings import Settings
from app.web.components import Link
from app.web.formatting import Formatter
from app.web.orders import browse_path, contact_path
from app.web.outcome import Outcome


def orderable(offers: Iterable[OfferReport | None]) -> bool:
    """Whether any of these offers leads to an order page."""
    return any(offer is not None and offer.order_url for offer in offers)


def turn_to(settings: Settings, outcome: Outcome, fmt: Formatter) -> tuple[Link, ...]:
    """Links to what the operator has set, the first marked; none where a card that holds the run can be ordered.

    They lead through this host, the only one that a sandboxed frame's links may name.
    """
    if orderable(card.offer for card in outcome.cards if card.verdict in HOLDS):
        return ()
    _ = fmt.gettext
    links = []
    if settings.contact_url:
        links.append(Link(text=_("Ask us about this run"), url=contact_path(outcome.chosen), is_current=True))
    if settings.browse_url:
        links.append(Link(text=_("See all servers"), url=browse_path(), is_current=not links))
    return tuple(links)
