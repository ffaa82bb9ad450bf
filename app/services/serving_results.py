"""What ``/serve`` answers, in response shapes. Bytes of a placement are those of one card."""

from dataclasses import dataclass
from decimal import Decimal

from app.memory.result import Notice
from app.request.serving import ServeAs, ServeRequest
from app.services.results import Links, ModelSummary, Money, OfferReport


@dataclass(frozen=True, kw_only=True, slots=True)
class CacheReport:
    """What one request keeps, on one card of however many hold the model."""

    bytes_per_token: int
    """Of a context shorter than every window."""
    bytes_per_token_beyond_windows: int
    state_low_bytes: int
    state_high_bytes: int
    """Of recurrent layers, whatever the length."""
    request_low_bytes: int
    request_high_bytes: int
    """At the context length asked for, in whole blocks."""
    block_tokens: int
    layers: int
    """That keep keys and values."""
    windowed_layers: int


@dataclass(frozen=True, kw_only=True, slots=True)
class AdapterReport:
    """One adapter: its own weights in 16 bits, and the slot that a server keeps for it."""

    parameters: int
    bytes: int
    slot_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightReport:
    """Weights by kind."""

    total_bytes: int
    packed_bytes: int
    scale_bytes: int
    zero_bytes: int
    index_bytes: int
    half_bytes: int
    float32_bytes: int
    bits_per_parameter: float


@dataclass(frozen=True, kw_only=True, slots=True)
class PlacementReport:
    """The model on ``cards`` of a kind, and the requests that it serves at once."""

    gpu: str
    gpu_name: str
    cards: int
    memory_bytes: int
    budget_bytes: int
    weights_bytes: int
    adapters_low_bytes: int
    adapters_high_bytes: int
    reserve_low_bytes: int
    reserve_high_bytes: int
    cache_low_bytes: int
    cache_high_bytes: int
    request_low_bytes: int
    request_high_bytes: int
    requests_low: int
    requests_high: int
    fits: bool
    """It surely serves what was asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServeOption:
    """An offer that surely serves what was asked for."""

    placement: PlacementReport
    offer: OfferReport
    monthly: Money
    """730 hours, or a month, of all its servers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FormatReport:
    """One way to serve the result."""

    serve_as: ServeAs
    weights: WeightReport
    one_card: PlacementReport | None
    """On a single one of the chosen card, whether or not it holds the model."""
    placement: PlacementReport | None
    """On the chosen card: the fewest cards that serve what was asked for, else as many as there may be."""
    reason: str
    """Why there is none on the chosen card."""
    cheapest: ServeOption | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ServeResult:
    """What serving takes, by format, and the offers for the chosen one, cheapest first."""

    model: ModelSummary
    request: ServeRequest
    parameters: int
    cache: CacheReport
    adapter: AdapterReport
    formats: tuple[FormatReport, ...]
    options: tuple[ServeOption, ...]
    assumptions: tuple[str, ...]
    warnings: tuple[Notice, ...]
    links: Links

    @property
    def chosen(self) -> FormatReport:
        """The format that was asked for."""
        return next(report for report in self.formats if report.serve_as is self.request.serve_as)


def monthly_order(option: ServeOption) -> tuple[Decimal, int, str]:
    """Cheapest first, then fewest cards."""
    return option.monthly.amount, option.placement.cards, option.placement.gpu
