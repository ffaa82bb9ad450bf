"""Everything requests read: an immutable, indexed picture of the catalogue in memory.

Use it so (no database needed; the service holds one that it swaps when the catalogue changes)::

    snapshot = Snapshot.bundled()
    snapshot.version                             # "bundled-2026-11-23-…", or the number of the catalogue's version
    snapshot.model("llama 3 8b").architecture    # slug, Hugging Face id, alias or short form → CatalogueModel | None
    snapshot.resolve_model("x/llama-3-8b-GGUF")  # the same with a note on what was assumed
    snapshot.search_models("qwen 14b instruct")  # best first; nearest_models("lama 3 8b") for "did you mean"
    snapshot.gpu("rtx-4090").device              # CatalogueGpu | None; snapshot.gpu("A100 SXM4 80GB") works too
    snapshot.gpus                                # all, smallest memory first
    market = OfferFilter(today=date.today())     # no spot, at most 365 days old, undated included
    snapshot.offers_for("rtx-4090", market)      # hourly before monthly, one currency at a time, cheapest card first
    snapshot.best_offers_for("rtx-4090", market) # the cheapest of each kind: period, currency, cards, terms
    snapshot.offer(offer_id)                     # Offer | None
    snapshot.rates.convert(amount, source="EUR", target="USD")   # Decimal | None

``best_offers_for`` is what planning wants: its length does not grow with the number of offers.
"""

import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from typing import Any, Final, TypeVar

from app.catalogue.facts import CatalogueGpu, CatalogueModel, Commitment, Offer, Period, Rates
from app.catalogue.search import Entry, NameIndex
from app.messages import message

_CACHED_SELECTIONS: Final = 4_096
_CONVERTED_SUFFIX: Final = re.compile(
    r"[-_.](unsloth-)?(bnb-)?(4bit|8bit|gguf|awq|gptq|int4|int8|fp8|mlx|exl2)\b.*$", re.IGNORECASE
)


@dataclass(frozen=True, kw_only=True, slots=True)
class OfferFilter:
    """Which offers count. ``today`` is always given, never taken from a clock here."""

    today: date
    include_spot: bool = False
    include_samples: bool = True
    include_out_of_stock: bool = False
    max_age_days: int | None = 365
    """Offers observed longer ago are left out; undated ones stay, to be labelled. None leaves none out."""
    region: str | None = None
    """A part of the region's name, in any case."""
    provider: str | None = None
    """A provider's slug or name."""
    currencies: frozenset[str] | None = None
    """Only offers priced in one of these currencies."""
    period: Period | None = None

    def admits(self, offer: Offer) -> bool:
        """Whether the offer passes every condition."""
        oldest = None if self.max_age_days is None else self.today - timedelta(days=self.max_age_days)
        return (
            (self.include_spot or offer.commitment is not Commitment.SPOT)
            and (self.include_samples or not offer.is_sample)
            and (self.include_out_of_stock or offer.in_stock is not False)
            and (oldest is None or offer.observed_on is None or offer.observed_on >= oldest)
            and (self.currencies is None or offer.currency in self.currencies)
            and (self.period is None or offer.period is self.period)
            and (self.provider is None or self.provider.lower() in {offer.provider_slug, offer.provider.lower()})
            and (self.region is None or self.region.lower() in (offer.region or "").lower())
        )


@dataclass(frozen=True, slots=True)
class Resolution:
    """A model found by what was typed, and what had to be assumed (None where nothing was)."""

    model: CatalogueModel
    note: str | None = None


Derived = TypeVar("Derived")
Name = TypeVar("Name", bound=Hashable)
Kept = TypeVar("Kept")
_Selections = dict[tuple[str, OfferFilter], tuple[Offer, ...]]


class Snapshot:
    """An immutable picture of the catalogue. Everything it returns is immutable too."""

    def __init__(
        self,
        *,
        version: str,
        models: Iterable[CatalogueModel],
        gpus: Iterable[CatalogueGpu],
        offers: Iterable[Offer],
        rates: Rates | None = None,
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        self.version: Final = version
        self.models: Final = tuple(sorted(models, key=lambda model: model.name.lower()))
        self.gpus: Final = tuple(sorted(gpus, key=lambda gpu: (gpu.device.memory_bytes, gpu.name)))
        self.rates: Final = rates or Rates()
        self._models = {model.slug: model for model in self.models}
        self._models_by_hub_id = {model.hub_id.lower(): model for model in self.models}
        self._model_names = NameIndex([_model_entry(model) for model in self.models], aliases)
        self._gpus = {gpu.slug: gpu for gpu in self.gpus}
        self._gpu_names = NameIndex([_gpu_entry(gpu) for gpu in self.gpus])
        self._offers = {offer.id: offer for offer in sorted(offers, key=_price_order)}
        self._offers_by_gpu: dict[str, list[Offer]] = {}
        for offer in self._offers.values():
            self._offers_by_gpu.setdefault(offer.gpu, []).append(offer)
        self._selected: _Selections = {}
        self._best: _Selections = {}
        self._derived: dict[Hashable, Any] = {}

    @staticmethod
    @cache
    def bundled() -> "Snapshot":
        """The catalogue that comes with the program, without any database."""
        from app.catalogue.bundled import bundled_snapshot  # it builds on this module

        return bundled_snapshot()

    # Models

    def model(self, text: str) -> CatalogueModel | None:
        """The model of this slug, Hugging Face id, name or short form."""
        found = self.resolve_model(text)
        return found.model if found else None

    def resolve_model(self, text: str) -> Resolution | None:
        """As :meth:`model`, with a note where a quantised or converted repository was taken for its base."""
        name = text.strip().lower()
        direct = self._models.get(name) or self._models_by_hub_id.get(name)
        if direct:
            return Resolution(direct)
        tail = name.rpartition("/")[2]
        for candidate in dict.fromkeys((name, tail)):
            if slug := self._model_names.resolve(candidate):
                return Resolution(self._models[slug])
        base = _CONVERTED_SUFFIX.sub("", tail)
        if base != tail and (slug := self._model_names.resolve(base)):
            model = self._models[slug]
            note = message(
                "{name} is a converted copy; the figures are those of {model}.", name=text.strip(), model=model.hub_id
            )
            return Resolution(model, note)
        return None

    def search_models(self, text: str, *, limit: int = 20) -> list[CatalogueModel]:
        """Models that fit what was typed, best first; an empty text finds nothing."""
        found = self.resolve_model(text)
        slugs = self._model_names.search(text, limit=limit)
        if found:
            slugs = list(dict.fromkeys([found.model.slug, *slugs]))[:limit]
        return [self._models[slug] for slug in slugs]

    def nearest_models(self, text: str, *, limit: int = 3) -> list[CatalogueModel]:
        """Models whose names look most like an unknown one, for suggestions."""
        return [self._models[slug] for slug in self._model_names.nearest(text.rpartition("/")[2], limit=limit)]

    # GPUs

    def gpu(self, text: str) -> CatalogueGpu | None:
        """The card of this slug, name or alias."""
        name = text.strip().lower()
        slug = name if name in self._gpus else self._gpu_names.resolve(name)
        return self._gpus[slug] if slug else None

    def search_gpus(self, text: str, *, limit: int = 20) -> list[CatalogueGpu]:
        """Cards that fit what was typed, best first."""
        return [self._gpus[slug] for slug in self._gpu_names.search(text, limit=limit)]

    def nearest_gpus(self, text: str, *, limit: int = 3) -> list[CatalogueGpu]:
        """Cards whose names look most like an unknown one, for suggestions."""
        return [self._gpus[slug] for slug in self._gpu_names.nearest(text, limit=limit)]

    # Offers

    def offer(self, offer_id: str) -> Offer | None:
        """The current price of one server, whatever its age."""
        return self._offers.get(offer_id)

    @property
    def offer_count(self) -> int:
        """How many offers there are, of every age and kind."""
        return len(self._offers)

    @property
    def providers(self) -> dict[str, str]:
        """Name of each provider that has an offer, by slug."""
        return {offer.provider_slug: offer.provider for offer in self._offers.values()}

    def offers(self, market: OfferFilter | None = None) -> Iterator[Offer]:
        """All offers that the filter admits: hourly before monthly, one currency at a time, cheapest card first."""
        return (offer for offer in self._offers.values() if market is None or market.admits(offer))

    def offers_for(self, gpu: str, market: OfferFilter) -> tuple[Offer, ...]:
        """As :meth:`offers`, of one card given by slug."""
        chosen = self._selected.get((gpu, market))
        if chosen is None:
            chosen = tuple(offer for offer in self._offers_by_gpu.get(gpu, ()) if market.admits(offer))
            _remember(self._selected, (gpu, market), chosen)
        return chosen

    def best_offers_for(self, gpu: str, market: OfferFilter) -> tuple[Offer, ...]:
        """The cheapest admitted offer of one card, given by slug, for each period, currency, number of cards a server,
        minimum term and set-up fee: which of these is the cheapest depends on how long it is rented."""
        chosen = self._best.get((gpu, market))
        if chosen is None:
            cheapest: dict[tuple[object, ...], Offer] = {}
            for offer in self._offers_by_gpu.get(gpu, ()):
                group = (
                    offer.period,
                    offer.currency,
                    offer.gpus_per_server,
                    offer.minimum_hours,
                    offer.setup_fee or 0,
                )
                if group not in cheapest and market.admits(offer):
                    cheapest[group] = offer
            chosen = tuple(cheapest.values())
            _remember(self._best, (gpu, market), chosen)
        return chosen

    def derived(self, name: Hashable, make: Callable[[], Derived]) -> Derived:
        """What a layer above makes of this snapshot, made once a name and forgotten with the snapshot."""
        found: Derived | None = self._derived.get(name)
        if found is None:
            found = make()
            _remember(self._derived, name, found)
        return found


def _remember(kept: dict[Name, Kept], name: Name, chosen: Kept) -> None:
    # Whoever invents filters may empty this cache, never grow it without bound.
    if len(kept) >= _CACHED_SELECTIONS:
        kept.clear()
    kept[name] = chosen


def _price_order(offer: Offer) -> tuple[object, ...]:
    return (offer.period, offer.currency, offer.hourly_amount_per_gpu, offer.gpus_per_server, offer.provider, offer.id)


def _model_entry(model: CatalogueModel) -> Entry:
    year_and_month = int((model.released or "0").replace("-", "").ljust(6, "0"))
    return Entry(
        slug=model.slug,
        names=(model.name, model.slug, model.hub_id.partition("/")[2]),
        words=(model.hub_id, model.family),
        rank=year_and_month,
    )


def _gpu_entry(gpu: CatalogueGpu) -> Entry:
    short = re.sub(r"^(GeForce|Tesla|Instinct|Radeon|Intel|NVIDIA)\s+", "", gpu.name)
    plain = re.sub(r"^(RTX|RX)\s+", "", short)
    return Entry(
        slug=gpu.slug,
        names=(gpu.name, gpu.slug, short, plain, *gpu.aliases),
        words=(gpu.device.vendor, gpu.device.architecture, f"{gpu.memory_gb.normalize():f}gb", gpu.memory_type),
        rank=gpu.release_year or 0,
    )
