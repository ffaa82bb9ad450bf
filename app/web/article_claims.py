"""The article's other tables and claims, each beside what follows from its own figures and the model's."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from app.catalogue.snapshot import Snapshot
from app.memory.device import Device
from app.memory.estimate import estimate_memory, largest_micro_batch
from app.memory.inputs import (
    Adapter,
    Batch,
    Checkpointing,
    Method,
    MethodKind,
    Precision,
    PrecisionPolicy,
    Quantization,
)
from app.memory.result import ComponentName, MemoryEstimate
from app.units import GB
from app.web.article import CHECKPOINTED, MIXED, PLAIN, POLICIES, PublishedRow, article, estimate_under, published_rows
from app.web.formatting import Formatter, bounds

SMALL, MIDDLE, LARGE = "mistral-7b-v0.1", "llama-3-8b", "llama-3-70b"
CONSUMER_CARD: Final = "rtx-3090"


class Standing(StrEnum):
    """How a claim stands up."""

    HOLDS = "holds"
    PARTLY = "partly"
    FAILS = "fails"


@dataclass(frozen=True, slots=True)
class Finding:
    """A claim as published and what follows."""

    quote: str
    standing: Standing
    text: str


@dataclass(frozen=True, slots=True)
class SpeedFinding:
    """A row of the article's speed table, and what its own figures imply: tokens an example where both are given."""

    method: MethodKind
    tokens_per_second: int | None
    minutes: int | None
    implied_tokens_per_example: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """What the claims are held against, computed once: estimates by model, method and policy, and a 24 GB card."""

    estimates: Mapping[tuple[str, MethodKind, str], MemoryEstimate]
    card: Device
    rows: tuple[PublishedRow, ...]
    largest_batches: Mapping[MethodKind, int]
    """The largest micro-batch of 512 tokens that the card holds of an 8B model, checkpointed, by method."""

    def peak(self, model: str, method: MethodKind, policy: str) -> int:
        """Bytes allocated at the peak."""
        return self.estimates[model, method, policy].peak_allocated_bytes

    def published(self, model: str, method: MethodKind) -> int:
        """The article's figure in GB."""
        return next(row for row in self.rows if model in row.models).gigabytes[method]


def gather(snapshot: Snapshot) -> Evidence:
    """Run the model for everything the claims speak of. Raises ``KeyError`` for what the catalogue lacks."""
    card = snapshot.gpu(CONSUMER_CARD)
    if card is None:
        raise KeyError(CONSUMER_CARD)
    wanted = [policy for policy in POLICIES if policy.name in {PLAIN, CHECKPOINTED, MIXED}]
    estimates = {}
    for slug in (SMALL, MIDDLE, LARGE):
        model = snapshot.model(slug)
        if model is None:
            raise KeyError(slug)
        for kind in MethodKind:
            for policy in wanted:
                estimates[slug, kind, policy.name] = estimate_under(policy, model.architecture, kind)
    middle = snapshot.model(MIDDLE)
    assert middle is not None
    return Evidence(
        estimates=estimates,
        card=card.device,
        rows=published_rows(),
        largest_batches={
            kind: largest_micro_batch(
                _checkpointed_on(card.device, middle.architecture, kind), card.device.usable_bytes
            )
            for kind in (MethodKind.LORA, MethodKind.QLORA)
        },
    )


def _checkpointed_on(card: Device, architecture: Any, kind: MethodKind) -> MemoryEstimate:
    setting = article()["setting"]
    return estimate_memory(
        architecture,
        Method(
            kind=kind,
            adapter=Adapter(rank=setting["lora_rank"]),
            quantization=Quantization() if kind is MethodKind.QLORA else None,
        ),
        Precision(policy=PrecisionPolicy.BF16),
        Batch(
            micro_batch_size=1,
            sequence_length=setting["sequence_length"],
            gradient_checkpointing=Checkpointing.FULL,
        ),
        device=card,
    )


def speed_findings() -> tuple[SpeedFinding, ...]:
    """The article's speed table with the tokens an example that its tokens a second and minutes imply."""
    speed = article()["speed"]
    examples_seen = speed["num_examples"] * speed["epochs"]
    return tuple(
        SpeedFinding(
            method=MethodKind(row["method"]),
            tokens_per_second=row["tokens_per_second"],
            minutes=row["minutes"],
            implied_tokens_per_example=row["tokens_per_second"] * row["minutes"] * 60 / examples_seen
            if row["tokens_per_second"] and row["minutes"]
            else None,
        )
        for row in speed["rows"]
    )


METRICS: Final = ("accuracy", "reasoning", "instructions")


def quality_row(method: MethodKind, rank: int | None) -> Mapping[str, int]:
    """One row of the article's quality table."""
    rows: list[dict[str, Any]] = article()["quality"]["rows"]
    return next(row for row in rows if row["method"] == method.value and row["rank"] == rank)


def quality_shares(method: MethodKind, rank: int) -> tuple[float, float]:
    """The lowest and highest share of full fine-tuning's quality over the metrics."""
    full, row = quality_row(MethodKind.FULL, None), quality_row(method, rank)
    shares = [row[metric] / full[metric] for metric in METRICS]
    return min(shares), max(shares)


def quality_gaps(method: MethodKind, rank: int) -> tuple[int, int]:
    """The smallest and largest gap to full fine-tuning in points over the metrics."""
    full, row = quality_row(MethodKind.FULL, None), quality_row(method, rank)
    gaps = [full[metric] - row[metric] for metric in METRICS]
    return min(gaps), max(gaps)


def _savings(evidence: Evidence, fmt: Formatter) -> tuple[Standing, str]:
    def published_cut(method: MethodKind) -> tuple[str, str]:
        cuts = [1 - row.gigabytes[method] / row.gigabytes[MethodKind.FULL] for row in evidence.rows]
        return bounds(fmt.percent(min(cuts)), fmt.percent(max(cuts)))

    def our_cut(method: MethodKind, policy: str) -> tuple[str, str]:
        cuts = [
            1 - evidence.peak(slug, method, policy) / evidence.peak(slug, MethodKind.FULL, policy)
            for slug in (SMALL, MIDDLE, LARGE)
        ]
        return bounds(fmt.percent(min(cuts)), fmt.percent(max(cuts)))

    _ = fmt.gettext
    lora, qlora = published_cut(MethodKind.LORA), published_cut(MethodKind.QLORA)
    ours = [
        our_cut(method, policy) for policy in (PLAIN, CHECKPOINTED) for method in (MethodKind.LORA, MethodKind.QLORA)
    ]
    return Standing.PARTLY, _(
        "Its own table says {lora[0]}–{lora[1]} and {qlora[0]}–{qlora[1]}. We compute {a[0]}–{a[1]} and {b[0]}–{b[1]} "
        "without checkpointing, {c[0]}–{c[1]} and {d[0]}–{d[1]} with it."
    ).format(lora=lora, qlora=qlora, a=ours[0], b=ours[1], c=ours[2], d=ours[3])


def _weights_multiple(evidence: Evidence, fmt: Formatter) -> tuple[Standing, str]:
    _ = fmt.gettext
    weights = 2 * evidence.estimates[SMALL, MethodKind.FULL, PLAIN].parameters.total
    return Standing.PARTLY, _(
        "Mistral 7B’s 16-bit weights are {weights} GB. The published {published} GB is {own} times that; pure bf16 "
        "with fused AdamW takes {plain} times, mixed precision with float32 weights and state {mixed} times."
    ).format(
        weights=fmt.memory(weights),
        published=evidence.published(SMALL, MethodKind.FULL),
        own=fmt.decimal(evidence.published(SMALL, MethodKind.FULL) * GB / weights),
        plain=fmt.decimal(evidence.peak(SMALL, MethodKind.FULL, PLAIN) / weights),
        mixed=fmt.decimal(evidence.peak(SMALL, MethodKind.FULL, MIXED) / weights),
    )


def _lora_24gb(evidence: Evidence, fmt: Formatter) -> tuple[Standing, str]:
    _ = fmt.gettext
    plain = evidence.estimates[SMALL, MethodKind.LORA, PLAIN]
    checkpointed = evidence.estimates[SMALL, MethodKind.LORA, CHECKPOINTED]
    fits = checkpointed.required_bytes <= evidence.card.usable_bytes < plain.required_bytes
    return (Standing.PARTLY if fits else Standing.FAILS), _(
        "Its own {published} GB does not fit the {usable} GB that such a card gives. We compute {plain} GB needed "
        "without checkpointing, {checkpointed} GB with it: only then is there headroom."
    ).format(
        published=evidence.published(SMALL, MethodKind.LORA),
        usable=fmt.memory(evidence.card.usable_bytes),
        plain=fmt.memory(plain.required_bytes),
        checkpointed=fmt.memory(checkpointed.required_bytes),
    )


def _consumer_70b(evidence: Evidence, fmt: Formatter) -> tuple[Standing, str]:
    def cards(size_bytes: int) -> int:
        return -(-size_bytes // evidence.card.usable_bytes)

    _ = fmt.gettext
    checkpointed = evidence.peak(LARGE, MethodKind.QLORA, CHECKPOINTED)
    plain = evidence.peak(LARGE, MethodKind.QLORA, PLAIN)
    own = evidence.published(LARGE, MethodKind.QLORA)
    return Standing.PARTLY, _(
        "With QLoRA and checkpointing: {checkpointed} GB, so {few} cards of 24 GB at the very least if it divided "
        "evenly. The article’s {own} GB takes {own_cards}; without checkpointing {plain} GB take {many}."
    ).format(
        checkpointed=fmt.memory(checkpointed),
        few=cards(checkpointed),
        own=own,
        own_cards=cards(own * GB),
        plain=fmt.memory(plain),
        many=cards(plain),
    )


def _int4(evidence: Evidence, fmt: Formatter) -> tuple[Standing, str]:
    def cut(slug: str) -> str:
        parts = {part.name: part.bytes for part in evidence.estimates[slug, MethodKind.QLORA, PLAIN].components}
        held = parts[ComponentName.WEIGHTS] + parts.get(ComponentName.QUANTISATION_STATE, 0)
        whole = 2 * (counts := evidence.estimates[slug, MethodKind.QLORA, PLAIN].parameters).total - 2 * counts.adapter
        return fmt.percent(1 - held / whole)

    return Standing.PARTLY, fmt.gettext(
        "True of the weights that are quantised. Embeddings and output layer stay at 16 bits and the scales take room: "
        "in all {small} for Mistral 7B, {middle} for Llama 3 8B, {large} for Llama 3 70B."
    ).format(small=cut(SMALL), middle=cut(MIDDLE), large=cut(LARGE))


def _adam(evidence: Evidence, fmt: Formatter) -> tuple[Standing, str]:
    estimate = evidence.estimates[SMALL, MethodKind.FULL, PLAIN]
    # Held from the first step on, so every phase has it.
    state = max(
        part.bytes
        for phase in estimate.phases
        for part in phase.components
        if part.name is ComponentName.OPTIMIZER_STATE
    )
    return Standing.PARTLY, fmt.gettext(
        "Two values a parameter, yes, but not gradients: the running averages of the gradient and of its square. In "
        "bf16 that is {share} bytes a trained parameter, {state} GB for Mistral 7B, beside the gradients themselves."
    ).format(share=fmt.decimal(state / estimate.parameters.trainable), state=fmt.memory(state))


def _quality_share(evidence: Evidence, fmt: Formatter) -> tuple[Standing, str]:
    large = evidence.published(LARGE, MethodKind.QLORA) / evidence.published(LARGE, MethodKind.FULL)
    small = evidence.published(SMALL, MethodKind.QLORA) / evidence.published(SMALL, MethodKind.FULL)
    lora = evidence.published(SMALL, MethodKind.LORA) / evidence.published(SMALL, MethodKind.FULL)
    qlora, loras = (
        bounds(*(fmt.percent(share, 1) for share in quality_shares(method, 16)))
        for method in (MethodKind.QLORA, MethodKind.LORA)
    )
    return Standing.PARTLY, fmt.gettext(
        "Its own rank-16 rows give {low}–{high} for QLoRA and {lora_low}–{lora_high} for LoRA. Its own memory table "
        "gives QLoRA {large} of full for 70B and {small} for 7B, and LoRA {lora} for 7B."
    ).format(
        low=qlora[0],
        high=qlora[1],
        lora_low=loras[0],
        lora_high=loras[1],
        large=fmt.percent(large, 1),
        small=fmt.percent(small),
        lora=fmt.percent(lora),
    )


def _rank(_evidence: Evidence, fmt: Formatter) -> tuple[Standing, str]:
    def recovered(method: MethodKind) -> str:
        return fmt.percent(1 - quality_gaps(method, 64)[1] / quality_gaps(method, 16)[1])

    return Standing.PARTLY, fmt.gettext(
        "Its own rows: {lora} of the gap with LoRA ({lora16} points to {lora64}), {qlora} with QLoRA ({qlora16} to "
        "{qlora64}). Rounded figures of one task cannot say more."
    ).format(
        lora=recovered(MethodKind.LORA),
        lora16=quality_gaps(MethodKind.LORA, 16)[1],
        lora64=quality_gaps(MethodKind.LORA, 64)[1],
        qlora=recovered(MethodKind.QLORA),
        qlora16=quality_gaps(MethodKind.QLORA, 16)[1],
        qlora64=quality_gaps(MethodKind.QLORA, 64)[1],
    )


def _within(_evidence: Evidence, fmt: Formatter) -> tuple[Standing, str]:
    gaps = [quality_gaps(method, rank) for method in (MethodKind.LORA, MethodKind.QLORA) for rank in (16, 64)]
    low, high = min(gap[0] for gap in gaps), max(gap[1] for gap in gaps)
    standing = Standing.HOLDS if low >= 1 and high <= 3 else Standing.PARTLY
    return standing, fmt.gettext(
        "Its own table: {low} to {high} points below full, on all three metrics of one task."
    ).format(low=low, high=high)


def _wall_clock(evidence: Evidence, fmt: Formatter) -> tuple[Standing, str]:
    lora, qlora = (row for row in speed_findings() if row.method is not MethodKind.FULL)
    return Standing.PARTLY, fmt.gettext(
        "Its own QLoRA does fewer tokens a second ({qlora} against {lora}); its minutes suit {qlora_tokens} tokens an "
        "example, LoRA’s {lora_tokens}, so the two rows are not one job. The larger batch is real: a 24 GB card holds "
        "{qlora_batch} sequences of 512 tokens with QLoRA of Llama 3 8B, {lora_batch} with LoRA, both checkpointed."
    ).format(
        qlora=qlora.tokens_per_second,
        lora=lora.tokens_per_second,
        qlora_tokens=fmt.decimal(qlora.implied_tokens_per_example or 0, 0),
        lora_tokens=fmt.decimal(lora.implied_tokens_per_example or 0, 0),
        qlora_batch=fmt.integer(evidence.largest_batches[MethodKind.QLORA]),
        lora_batch=fmt.integer(evidence.largest_batches[MethodKind.LORA]),
    )


CHECKS: Final[Mapping[str, Callable[[Evidence, Formatter], tuple[Standing, str]]]] = {
    "savings": _savings,
    "weights_multiple": _weights_multiple,
    "lora_24gb": _lora_24gb,
    "consumer_70b": _consumer_70b,
    "int4": _int4,
    "adam": _adam,
    "quality_share": _quality_share,
    "rank": _rank,
    "within": _within,
    "wall_clock": _wall_clock,
}
"""What each claim of ``article.json`` is held against, by its id."""


def findings(evidence: Evidence, fmt: Formatter) -> tuple[Finding, ...]:
    """Every claim with how it stands, in the article's order. ``fmt`` counts in GB."""
    found = []
    for claim in article()["claims"]:
        standing, text = CHECKS[claim["id"]](evidence, fmt)
        found.append(Finding(quote=claim["quote"], standing=standing, text=text))
    return tuple(found)
