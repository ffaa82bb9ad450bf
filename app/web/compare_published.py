"""The article's tables as the comparison page shows them: each figure explained, each claim answered."""

import math
from dataclasses import dataclass
from typing import Final

from app.catalogue.snapshot import Snapshot
from app.memory.inputs import MethodKind
from app.units import GB
from app.web.article import CHECKPOINTED, PLAIN, POLICIES, Cell, PolicyFigure, article, cells, published_rows
from app.web.article_claims import METRICS, Evidence, Standing, findings, gather, speed_findings
from app.web.charts import percent
from app.web.components import Tag
from app.web.formatting import Formatter
from app.web.links import page_link
from app.web.wording import METHODS

SCALE_GB: Final = (4, 1000)
"""The dumbbell's logarithmic scale."""

GRID_GB: Final = (10, 100, 1000)


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedCell:
    """One published figure, ours, and the policy that explains it. The ``x`` are places on the logarithmic scale."""

    method: str
    published: str
    plain: str
    checkpointed: str
    plain_url: str
    explained: str
    is_explained: bool
    published_x: str
    plain_x: str
    checkpointed_x: str
    low_x: str
    high_x: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedGroup:
    """One model of the published table."""

    name: str
    detail: str
    cells: tuple[PublishedCell, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyRow:
    """One model and method under every policy, in the order of the head; None marks the figure within the tolerance."""

    name: str
    published: str
    figures: tuple[tuple[str, bool], ...]
    """Each figure, and whether it comes within the tolerance of the published one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimView:
    """A claim, how it stands, and why."""

    quote: str
    tag: Tag
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TableRow:
    """A row of plain texts with its head."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedView:
    """Everything about the article, made once for a catalogue and a reader."""

    setting: str
    grid: tuple[tuple[str, str], ...]
    groups: tuple[PublishedGroup, ...]
    policies: tuple[str, ...]
    policy_rows: tuple[PolicyRow, ...]
    policies_text: str
    explained_text: str
    speed_setting: str
    speed_rows: tuple[TableRow, ...]
    quality_setting: str
    quality_rows: tuple[TableRow, ...]
    guide: tuple[TableRow, ...]
    claims: tuple[ClaimView, ...]


def scale_x(size_bytes: int) -> str:
    """The place of a size on the logarithmic scale, kept within it."""
    low, high = SCALE_GB
    share = math.log(max(size_bytes / GB, low) / low) / math.log(high / low)
    return percent(min(share, 1.0))


def _named(figure: PolicyFigure, fmt: Formatter) -> str:
    return f"{fmt.gettext(figure.policy.name)} ({fmt.memory(figure.peak_bytes)})"


def explanation(cell: Cell, fmt: Formatter) -> str:
    """Which policies come within the tolerance of a published figure, or that none does and which are nearest."""
    _ = fmt.gettext
    if cell.matches:
        first, *others = cell.matches
        more = fmt.ngettext(" and {count} more", " and {count} more", len(others)).format(count=len(others))
        return _named(first, fmt) + (more if others else "")
    if cell.below is None or cell.above is None:
        nearest = cell.below or cell.above
        side = _("none; nearest {figure}, nothing above") if cell.below else _("none; nearest {figure}, nothing below")
        return side.format(figure=_named(nearest, fmt)) if nearest else _("none")
    return _("none; nearest below {below}, above {above}").format(
        below=_named(cell.below, fmt), above=_named(cell.above, fmt)
    )


def _published_cell(cell: Cell, slug: str, fmt: Formatter) -> PublishedCell:
    plain, checkpointed = cell.figure(PLAIN).peak_bytes, cell.figure(CHECKPOINTED).peak_bytes
    places = [cell.published_gb * GB, plain, checkpointed]
    return PublishedCell(
        method=fmt.gettext(METHODS[cell.method]),
        published=fmt.integer(cell.published_gb),
        plain=fmt.memory(plain),
        checkpointed=fmt.memory(checkpointed),
        plain_url=page_link({"model": slug, "method": cell.method, "stack": "plain"}),
        explained=explanation(cell, fmt),
        is_explained=bool(cell.matches),
        published_x=scale_x(places[0]),
        plain_x=scale_x(plain),
        checkpointed_x=scale_x(checkpointed),
        low_x=scale_x(min(places)),
        high_x=scale_x(max(places)),
    )


def published_view(snapshot: Snapshot, fmt: Formatter) -> PublishedView:
    """The article beside what the model computes. ``fmt`` must count in GB, as the article does."""
    _ = fmt.gettext
    groups: list[PublishedGroup] = []
    policy_rows: list[PolicyRow] = []
    explained = total = 0
    for row in published_rows():
        for slug in row.models:
            model = snapshot.model(slug)
            if model is None:
                continue
            found = cells(row, model.architecture)
            explained += sum(bool(cell.matches) for cell in found)
            total += len(found)
            groups.append(
                PublishedGroup(
                    name=model.name,
                    detail=_("{count} parameters, vocabulary {words}; published as {label}").format(
                        count=fmt.parameters(model.architecture.total_parameters),
                        words=fmt.integer(model.architecture.vocab_size),
                        label=row.label,
                    ),
                    cells=tuple(_published_cell(cell, slug, fmt) for cell in found),
                )
            )
            policy_rows += [_policy_row(model.name, cell, fmt) for cell in found]
    evidence = gather(snapshot)
    return PublishedView(
        setting=_(
            "Sequence 512, batch {batch}, rank 16 on attention. Published figures are the article’s; ours are what "
            "PyTorch allocates at the peak under a named policy. A card needs somewhat more."
        ).format(batch=_(article()["setting"]["batch_quote"])),
        grid=tuple((scale_x(size * GB), fmt.integer(size)) for size in GRID_GB),
        groups=tuple(groups),
        policies=tuple(_(policy.name) for policy in POLICIES),
        policy_rows=tuple(policy_rows),
        policies_text=_(
            "Fused and foreach are AdamW’s two implementations; 4 × 1 is micro-batch 4, 1 × 4 is micro-batch 1 with "
            "four accumulated. Mixed precision keeps what is trained in float32, and with QLoRA upcasts what is not "
            "quantised."
        ),
        explained_text=_("{explained} of {total} published figures come within 5% of one of these policies.").format(
            explained=explained, total=total
        ),
        speed_setting=_(article()["speed"]["setting"]),
        speed_rows=_speed_rows(evidence, fmt),
        quality_setting=_(article()["quality"]["setting"]),
        quality_rows=_quality_rows(fmt),
        guide=tuple(
            TableRow(name=_(METHODS[MethodKind(entry["method"])]), values=(_(entry["when"]),))
            for entry in article()["guide"]
        ),
        claims=tuple(
            ClaimView(quote=_(finding.quote), tag=_standing_tag(finding.standing, fmt), text=finding.text)
            for finding in findings(evidence, fmt)
        ),
    )


def _policy_row(name: str, cell: Cell, fmt: Formatter) -> PolicyRow:
    return PolicyRow(
        name=f"{name}, {fmt.gettext(METHODS[cell.method])}",
        published=fmt.integer(cell.published_gb),
        figures=tuple((fmt.memory(figure.peak_bytes), figure in cell.matches) for figure in cell.figures),
    )


def _standing_tag(standing: Standing, fmt: Formatter) -> Tag:
    _ = fmt.gettext
    tone, text = {
        Standing.HOLDS: ("fits", _("Holds")),
        Standing.PARTLY: ("tight", _("In part")),
        Standing.FAILS: ("no", _("Does not hold")),
    }[standing]
    return Tag(tone=tone, text=text)


def _speed_rows(evidence: Evidence, fmt: Formatter) -> tuple[TableRow, ...]:
    _ = fmt.gettext
    model = article()["speed"]["model"]
    rows = []
    for row in speed_findings():
        if row.implied_tokens_per_example is None:
            published = _("not on one card")
            needed = evidence.estimates[model, row.method, PLAIN].required_bytes
            follows = _("needs {needed} of the {usable} GB that the card gives").format(
                needed=fmt.memory(needed), usable=fmt.memory(evidence.card.usable_bytes)
            )
        else:
            published = _("about {rate} tokens/s, about {minutes} min").format(
                rate=row.tokens_per_second, minutes=row.minutes
            )
            follows = _("together they mean {tokens} tokens an example").format(
                tokens=fmt.decimal(row.implied_tokens_per_example, 0)
            )
        rows.append(TableRow(name=_(METHODS[row.method]), values=(published, follows)))
    return tuple(rows)


def _quality_rows(fmt: Formatter) -> tuple[TableRow, ...]:
    rows = []
    full = next(row for row in article()["quality"]["rows"] if row["method"] == "full")
    for row in article()["quality"]["rows"]:
        name = fmt.gettext(METHODS[MethodKind(row["method"])])
        if row["rank"] is not None:
            name = fmt.gettext("{method}, rank {rank}").format(method=name, rank=row["rank"])
        share = sum(row[metric] for metric in METRICS) / sum(full[metric] for metric in METRICS)
        rows.append(
            TableRow(
                name=name,
                values=(*(fmt.percent(row[metric] / 100) for metric in METRICS), fmt.percent(share, 1)),
            )
        )
    return tuple(rows)
