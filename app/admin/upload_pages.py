"""Uploading price lists and currency rates: what a file would change is shown first, and applied when confirmed."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from app.admin import uploads
from app.admin.guard import AdminState, RefusedError, admin_of, require
from app.admin.keys import KeyHolder, Scope
from app.admin.page_parts import Anybody, OfferKeeper, RateKeeper, file_of, go, lines, read_form, show, text_of
from app.admin.views import HOME, Cell, Field, Form, Table, choices, columns, price_text, server_text
from app.catalogue.changes import Difference, Mode
from app.catalogue.facts import Offer
from app.catalogue.importing import FileFormat, ImportRefusedError, ImportReport, import_offers, read_price_list
from app.catalogue.offer_files import FileError
from app.catalogue.rates import RatesReport, import_rates
from app.web.components import Fact, Tag

router = APIRouter(prefix=HOME, include_in_schema=False)

UPLOAD: Final = f"{HOME}/upload"
LISTED_CHANGES: Final = 200
BIG_CHANGE: Final = Decimal("0.3")
"""A price that moves by more than this share is pointed out: it may be a slip."""
_DONE: Final = {"imported": "Imported.", "dropped": "The upload was dropped; nothing was changed."}


@router.get("/upload")
def upload_page(request: Request, holder: OfferKeeper, done: str = "") -> Response:
    """Where a price list is chosen."""
    return _upload_page(request, holder, done=_DONE.get(done, ""))


@router.get("/rates")
def rates_page(request: Request, holder: RateKeeper, done: str = "") -> Response:
    """The rates that count, and where a list of them is chosen."""
    return _rates_page(request, holder, done=_DONE.get(done, ""))


@router.post("/upload")
async def upload(request: Request, holder: Anybody) -> Response:
    """Show what a file would change. It changes nothing until that is confirmed."""
    is_rates = request.query_params.get("kind") == "rates"
    require(holder, Scope.RATES if is_rates else Scope.OFFERS)
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise RefusedError(415, "Send the file as a form does.")
    form = await read_form(request)
    name, content = await file_of(form, "file")
    options = {
        "kind": "rates" if is_rates else "offers",
        "format": text_of(form, "format") or ("json" if name.lower().endswith(".json") else "csv"),
        "provider": text_of(form, "provider"),
        "mode": text_of(form, "mode") or Mode.MERGE.value,
    }
    return await run_in_threadpool(_preview, request, holder, options, content)


@router.post("/upload/{upload_id}")
def confirm(request: Request, upload_id: str, holder: Anybody) -> Response:
    """Apply a file whose difference was shown, or show it again where it is another by now."""
    state = admin_of(request)
    waiting = uploads.take(state.database, holder, upload_id)
    if waiting is None:
        raise RefusedError(404, "This upload is not kept any more. Send the file again.")
    require(holder, Scope(str(waiting.options["kind"])))
    planned = _import(state, holder, waiting.options, waiting.content, dry_run=True)
    if uploads.digest(_change(planned)) != waiting.shown:
        note = "The catalogue has changed since this was shown. This is what would change now."
        return _preview(request, holder, waiting.options, waiting.content, errors=(note,))
    _import(state, holder, waiting.options, waiting.content, dry_run=False)
    uploads.drop(state.database, holder, upload_id)
    state.refresh()
    return go(f"{_home_of(waiting.options)}?done=imported")


@router.post("/upload/{upload_id}/drop")
def drop(request: Request, upload_id: str, holder: Anybody) -> Response:
    """Forget a file."""
    state = admin_of(request)
    waiting = uploads.take(state.database, holder, upload_id)
    uploads.drop(state.database, holder, upload_id)
    return go(f"{_home_of(waiting.options) if waiting else UPLOAD}?done=dropped")


def _home_of(options: Mapping[str, Any]) -> str:
    return f"{HOME}/rates" if options["kind"] == "rates" else UPLOAD


def _import(
    state: AdminState, holder: KeyHolder, options: Mapping[str, Any], content: bytes, *, dry_run: bool
) -> ImportReport | RatesReport:
    """Raises ``FileError`` and ``ImportRefusedError``."""
    today: date = state.today()
    if options["kind"] == "rates":
        is_json = options["format"] == FileFormat.JSON
        return import_rates(state.database, content, is_json=is_json, actor=holder.actor, today=today, dry_run=dry_run)
    if options["format"] not in set(FileFormat) or options["mode"] not in set(Mode):
        raise FileError("its format or mode is not one that is offered")
    return import_offers(
        state.database,
        read_price_list(content, FileFormat(options["format"])),
        provider=options["provider"],
        mode=Mode(options["mode"]),
        actor=holder.actor,
        today=today,
        dry_run=dry_run,
    )


def _change(report: ImportReport | RatesReport) -> Difference | RatesReport:
    return report.difference if isinstance(report, ImportReport) else report


def _preview(
    request: Request, holder: KeyHolder, options: Mapping[str, Any], content: bytes, errors: tuple[str, ...] = ()
) -> Response:
    state = admin_of(request)
    page = _rates_page if options["kind"] == "rates" else _upload_page
    try:
        report = _import(state, holder, options, content, dry_run=True)
    except FileError as error:
        return page(request, holder, options=options, errors=(f"This file cannot be used: {error}.",), status=422)
    except ImportRefusedError as error:
        return page(request, holder, options=options, errors=lines(error.errors), status=422)
    change = _change(report)
    is_empty = change.is_empty if isinstance(change, Difference) else not change.changed
    forms: tuple[Form, ...] = ()
    if not is_empty:
        shown = uploads.digest(change)
        name = uploads.keep(state.database, holder, options=options, content=content, shown=shown)
        forms = (
            Form(action=f"{UPLOAD}/{name}", button="Apply this"),
            Form(action=f"{UPLOAD}/{name}/drop", button="Drop it", is_quiet=True),
        )
    facts, table, left_out = _described(report)
    return show(
        request,
        holder,
        "What would change",
        status=409 if errors else 200,
        lead="Nothing would change." if is_empty else "Nothing is changed until you apply it.",
        errors=(*errors, *left_out),
        facts=facts,
        forms=forms,
        tables=(table,) if table.rows else (),
    )


def _described(report: ImportReport | RatesReport) -> tuple[tuple[Fact, ...], Table, tuple[str, ...]]:
    if isinstance(report, RatesReport):
        rows = tuple(
            (
                Cell(text=currency),
                Cell(text=f"{before:f}" if before is not None else "none", is_number=True),
                Cell(text=f"{after:f}", is_number=True, tag=_big(before, after)),
            )
            for currency, (before, after) in report.changed.items()
        )
        names = columns("Currency", "Before", f"One {report.rates.base} is now", numbers=("Before",))
        table = Table(title="Rates", headings=names, rows=rows, empty="")
        return (Fact(label="Base", value=report.rates.base or ""),), table, ()
    change = report.difference
    facts = (
        Fact(label="Added", value=f"{len(change.added):,}"),
        Fact(label="Changed", value=f"{len(change.changed):,}"),
        Fact(label="Withdrawn", value=f"{len(change.withdrawn):,}"),
        Fact(label="Unchanged", value=f"{change.unchanged:,}"),
    )
    pairs: list[tuple[Offer | None, Offer | None]] = [
        *((offer, None) for offer in change.withdrawn),
        *change.changed,
        *((None, offer) for offer in change.added),
    ]
    more = len(pairs) - LISTED_CHANGES
    table = Table(
        title="Offers",
        lead=f"The first {LISTED_CHANGES}; {more:,} more are not listed." if more > 0 else "",
        headings=columns("Server", "Region", "Before", "After", numbers=("Before", "After")),
        rows=tuple(_change_row(before, after) for before, after in pairs[:LISTED_CHANGES]),
        empty="",
    )
    return facts, table, lines(f"Left out: {reason}" for reason in report.left_out)


def _change_row(before: Offer | None, after: Offer | None) -> tuple[Cell, ...]:
    known = after or before
    assert known is not None
    tag = None
    if before is not None and after is not None and (before.currency, before.period) == (after.currency, after.period):
        tag = _big(before.amount, after.amount)
    return (
        Cell(text=server_text(known), detail=known.sku or known.id),
        Cell(text=known.region or ""),
        Cell(text=price_text(before) if before else "new", is_number=True),
        Cell(text=price_text(after) if after else "withdrawn", is_number=True, tag=tag),
    )


def _big(before: Decimal | None, after: Decimal) -> Tag | None:
    if not before or abs(after - before) <= BIG_CHANGE * before:
        return None
    return Tag(tone="tight", text=f"{(after / before - 1) * 100:+.0f} %")


def _upload_page(
    request: Request,
    holder: KeyHolder,
    *,
    options: Mapping[str, Any] | None = None,
    errors: tuple[str, ...] = (),
    done: str = "",
    status: int = 200,
) -> Response:
    given = options or {}
    kinds = (("", "by the file’s name"), ("csv", "CSV"), ("json", "JSON"), ("gpuhunt", "gpuhunt’s CSV"))
    modes = (("merge", "keep those not listed"), ("replace", "withdraw those not listed"))
    form = Form(
        action=UPLOAD,
        button="Show what would change",
        has_file=True,
        fields=(
            Field(name="provider", label="Provider", value=str(given.get("provider", "")), is_required=True),
            Field(name="mode", label="Other offers of this provider", choices=choices(modes, given.get("mode", ""))),
            Field(name="format", label="Written as", choices=choices(kinds, "")),
            Field(name="file", label="Price list", kind="file", is_required=True),
        ),
    )
    lead = "A CSV or JSON list of one provider: all of it is taken or, if a row is wrong, nothing."
    return show(request, holder, "Upload", lead=lead, status=status, done=done, errors=errors, forms=(form,))


def _rates_page(
    request: Request,
    holder: KeyHolder,
    *,
    options: Mapping[str, Any] | None = None,
    errors: tuple[str, ...] = (),
    done: str = "",
    status: int = 200,
) -> Response:
    rates = admin_of(request).snapshot().rates
    kinds = tuple((kind, kind.upper()) for kind in ("csv", "json"))
    form = Form(
        action=f"{UPLOAD}?kind=rates",
        button="Show what would change",
        has_file=True,
        fields=(
            Field(name="format", label="Written as", choices=choices(kinds, str((options or {}).get("format", "csv")))),
            Field(name="file", label="Rates", kind="file", is_required=True),
        ),
    )
    table = Table(
        title="Rates that count",
        headings=columns("Currency", f"One {rates.base or 'unit'} is", numbers=(f"One {rates.base or 'unit'} is",)),
        rows=tuple(
            (Cell(text=currency), Cell(text=f"{rate:f}", is_number=True))
            for currency, rate in sorted(rates.per_base.items())
        ),
        empty="None are loaded, so nothing is ranked across currencies.",
        lead=f"Of {rates.observed_on}." if rates.observed_on else "",
    )
    lead = "A list with the columns base, currency, rate, observed_on and perhaps source."
    return show(
        request, holder, "Rates", lead=lead, status=status, done=done, errors=errors, forms=(form,), tables=(table,)
    )
