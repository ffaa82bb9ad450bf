"""What the operator decides about every answer: currency, which offers count, where people may turn."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from app.catalogue.hub_answer import HubLookup
from app.catalogue.snapshot import OfferFilter, Snapshot
from app.request import Run
from app.services.market import Market, market_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """The operator's choices. ``stored_config`` returns a pasted configuration by its hash, or None."""

    currency: str = "USD"
    offer_max_age_days: int | None = 365
    include_spot: bool = False
    include_samples: bool = True
    contact_url: str | None = None
    public_url: str | None = None
    """This site as its visitors address it; None where links are relative."""
    stored_config: Callable[[str], Mapping[str, Any] | None] = lambda _: None
    hub: HubLookup | None = None
    """Looks up a model that is not in the catalogue by its id on the hub; may take seconds. None where it may not."""

    def market(self, run: Run, snapshot: Snapshot, today: date) -> Market:
        """The offers that count for a run with every field filled in, compared in its currency."""
        currency = run.currency or self.currency
        offers = OfferFilter(
            today=today,
            include_spot=run.spot or self.include_spot,
            include_samples=self.include_samples,
            max_age_days=self.offer_max_age_days,
            region=run.region,
            provider=run.provider,
            currencies=snapshot.rates.comparable_with(currency),
        )
        return market_of(snapshot, offers, currency)


DEFAULT_POLICY = Policy()
