"""What the services return: the shapes of the API's responses, which pages and embeds read as well.

Bytes are integers, money is ``Decimal`` with its currency, seconds are floats. The fields are the API contract's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final, Protocol

from app.catalogue.facts import Commitment, Period
from app.memory.device import Verdict
from app.memory.images import ImageTokens
from app.memory.result import Component, Notice, ParameterCounts, Phase, PhaseName
from app.request import FieldSource, Run
from app.speed.cost import shown_rate

FieldValue = str | int | float | bool | tuple[str, ...] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Money:
    """An amount and its ISO 4217 currency."""

    amount: Decimal
    currency: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Price:
    """An amount for each hour or month of a whole server."""

    amount: Decimal
    currency: str
    period: Period


@dataclass(frozen=True, kw_only=True, slots=True)
class ConvertedPrice:
    """A price in the currency that was asked for, at the operator's rate of a day."""

    amount: Decimal
    currency: str
    rate: Decimal
    """Units of ``currency`` for one of the price's own."""
    rate_observed_on: date

    @property
    def shown_rate(self) -> Decimal:
        """``rate`` rounded for reading."""
        return shown_rate(self.rate)


@dataclass(frozen=True, kw_only=True, slots=True)
class OfferReport:
    """A dated price of one server with ``gpus_per_server`` cards."""

    id: str
    provider: str
    gpu: str
    gpus_per_server: int
    price: Price
    hourly: Money
    """The price per hour; a month counts 730 hours (8,760 / 12)."""
    minimum_term: str | None
    tax_included: bool | None
    setup_fee: Money | None
    commitment: Commitment
    region: str | None
    in_stock: bool | None
    observed_on: date | None
    is_sample: bool
    source: str | None
    order_url: str | None
    converted: ConvertedPrice | None = None
    """``price`` in the currency asked for, where that is another one."""

    @property
    def comparable_amount(self) -> Decimal:
        """The price in the currency that an answer's offers are compared in."""
        return self.converted.amount if self.converted else self.price.amount


@dataclass(frozen=True, kw_only=True, slots=True)
class VerdictReport:
    """Whether the chosen card holds the run, in one sentence whose numbers are the result's."""

    status: Verdict
    sentence: str
    reason: str
    gpu: str
    gpu_name: str
    memory_bytes: int
    usable_bytes: int
    required_bytes: int
    headroom_bytes: int
    """Usable less required, signed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryReport:
    """Memory of one GPU, the fullest rank: ``components`` sum to the peak, with ``overheads`` to ``required_bytes``."""

    peak_allocated_bytes: int
    peak_allocated_low_bytes: int
    peak_allocated_high_bytes: int
    peak_reserved_bytes: int
    peak_reserved_low_bytes: int
    peak_reserved_high_bytes: int
    required_bytes: int
    required_low_bytes: int
    required_high_bytes: int
    coverage: float
    peak_phase: PhaseName
    components: tuple[Component, ...]
    overheads: tuple[Component, ...]
    phases: tuple[Phase, ...]
    host_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SpeedPart:
    """A named share of a step's time."""

    name: str
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class SpeedReport:
    """How fast a step runs on the chosen card, over all GPUs of the run."""

    tokens_per_second: float
    tokens_per_second_low: float
    tokens_per_second_high: float
    coverage: float
    step_seconds: float
    mfu: float | None
    hfu: float | None
    bound_by: str
    breakdown: tuple[SpeedPart, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class TimeReport:
    """How long the whole job takes."""

    total_tokens: int
    optimizer_steps: int
    total_seconds: float
    total_seconds_low: float
    total_seconds_high: float


@dataclass(frozen=True, kw_only=True, slots=True)
class CostReport:
    """What the job costs with one offer: whole months where it is let by the month, the minimum term at least."""

    amount: Decimal
    amount_low: Decimal
    amount_high: Decimal
    currency: str
    offer: OfferReport
    servers: int
    periods: Decimal
    """Hours or months paid for on each server."""
    period_amount: Decimal
    """What one hour or month of all the servers costs."""
    runs_in_periods: int
    """How many such jobs the paid time holds."""
    notes: tuple[str, ...]


HOLDS: Final = frozenset({Verdict.FITS, Verdict.TIGHT})
"""Verdicts of cards that hold a run."""


class Card(Protocol):
    """A card against a run, as views read it: a :class:`CardFit`, or one that works out what it is asked."""

    @property
    def slug(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def memory_bytes(self) -> int: ...
    @property
    def usable_bytes(self) -> int: ...
    @property
    def verdict(self) -> Verdict: ...
    @property
    def reason(self) -> str: ...
    @property
    def headroom_bytes(self) -> int: ...
    @property
    def max_micro_batch_size(self) -> int: ...
    @property
    def time(self) -> TimeReport | None: ...
    @property
    def cost(self) -> CostReport | None: ...
    @property
    def offer(self) -> OfferReport | None: ...
    @property
    def dearness(self) -> tuple[bool, Decimal, int]: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class CardFit:
    """One card of the catalogue against the run."""

    slug: str
    name: str
    memory_bytes: int
    usable_bytes: int
    verdict: Verdict
    reason: str
    headroom_bytes: int
    max_micro_batch_size: int
    """Largest micro-batch the card holds with everything else unchanged; 0 where not even one sequence fits."""
    min_gpus: int | None
    """The smallest number of these cards that holds the run, its states sharded; None where 64 do not."""
    speed: SpeedReport | None
    time: TimeReport | None
    cost: CostReport | None
    offer: OfferReport | None
    """The offer behind ``cost``; without one, the cheapest by the hour, or by the month where there is none."""

    @property
    def dearness(self) -> tuple[bool, Decimal, int]:
        """What sorts the cheapest first: cards with a job's cost by it, else by the price of an hour or a month of the
        server; smaller cards first."""
        price = self.offer.comparable_amount if self.offer else Decimal(0)
        return self.cost is None, self.cost.amount if self.cost else price, self.usable_bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Suggestion:
    """Changes to a run, one or several, that save memory or that its room on a card is good for."""

    changes: Mapping[str, FieldValue]
    """Fields to set; null takes one back that was given."""
    saves_bytes: int
    """Less than nothing for what room buys."""
    step_time_ratio: float | None
    """Time for the same tokens with the changes over the time without, on the chosen card."""
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Versions:
    """What the numbers were computed with."""

    memory_model: str
    speed_model: str | None
    catalogue: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Links:
    """Where the same result lives: as JSON and as a page."""

    self: str
    page: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSummary:
    """The model of a result."""

    slug: str
    name: str
    hf_id: str | None
    model_type: str
    recognised: bool
    max_position_embeddings: int | None
    image_tokens: ImageTokens | None = None
    """What one image takes of a sequence, where the model sees images."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EstimateResult:
    """Everything one estimate says. ``verdict`` is None without a chosen card."""

    verdict: VerdictReport | None
    model: ModelSummary
    run: Run
    field_sources: Mapping[str, FieldSource]
    ignored: tuple[str, ...]
    parameters: ParameterCounts
    memory: MemoryReport
    speed: SpeedReport | None
    time: TimeReport | None
    cost: CostReport | None
    gpus: tuple[CardFit, ...]
    suggestions: tuple[Suggestion, ...]
    assumptions: tuple[str, ...]
    warnings: tuple[Notice, ...]
    similar_measurements: tuple[Mapping[str, FieldValue], ...]
    versions: Versions
    links: Links


@dataclass(frozen=True, kw_only=True, slots=True)
class CompareRow:
    """One model trained by one method; ``error`` instead of an estimate where the run cannot be."""

    model: str
    method: str
    estimate: EstimateResult | None
    error: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class CompareResult:
    """Methods × models."""

    rows: tuple[CompareRow, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """Why an option or a decision is what it is."""

    code: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class QualityReport:
    """What the result is expected to score as a share of full fine-tuning's, by published comparisons."""

    share_of_full: float
    share_of_full_low: float
    share_of_full_high: float
    share_of_gain: float | None
    """The share of what training adds to the untuned model's score, over the comparisons that tell."""
    gain_sources: tuple[str, ...]
    coverage: float
    """Share of the comparisons that the range holds, each source with the same weight."""
    results: int
    sources: tuple[str, ...]
    note: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RecommendOption:
    """A server that holds the run, in the order of the objective within its price period."""

    position: int
    run: Run
    gpu: str
    gpu_name: str
    num_gpus: int
    offer: OfferReport
    verdict: Verdict
    memory: MemoryReport
    speed: SpeedReport | None
    time: TimeReport | None
    cost: CostReport | None
    quality: QualityReport | None
    reasons: tuple[Reason, ...]
    trade_off: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class RejectedCard:
    """A card that does not hold the run, and the smallest change that would make it."""

    gpu: str
    method: str
    reason: str
    fix: Suggestion | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """The method that the answer leads with, if any run is possible at all."""

    method: str | None
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class RecommendResult:
    """Which server to rent."""

    options: tuple[RecommendOption, ...]
    pareto: tuple[int, ...]
    rejected: tuple[RejectedCard, ...]
    decision: Decision
    evaluations: int
    contact_url: str | None
