"""The operator's pages of offers: the list, and one offer with its form and all its prices."""

import hashlib
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from app.admin.guard import AdminState, RefusedError, admin_of
from app.admin.keys import KeyHolder, Scope
from app.admin.page_parts import OfferKeeper, Reader, go, read_form, show, text_of
from app.admin.pages import ROWS, Offset, pager
from app.admin.schemas import offer_values
from app.admin.views import HOME, Cell, Field, Form, Table, choices, columns, moment, price_text, server_text
from app.catalogue import repository
from app.catalogue.facts import Commitment, Offer, Period
from app.catalogue.importing import ImportRefusedError, edit_offer, withdraw_offer
from app.web.components import Tag

router = APIRouter(prefix=HOME, include_in_schema=False)

_YES_NO: Final = (("", "not said"), ("true", "yes"), ("false", "no"))
_DONE: Final = {
    "saved": "Saved. The earlier price is in the history.",
    "same": "Nothing was changed.",
    "withdrawn": "Withdrawn. Its history stays.",
}
_EDITED: Final[tuple[tuple[str, str, str], ...]] = (
    ("amount", "Price of the whole server", ""),
    ("currency", "Currency", "Three letters, such as EUR."),
    ("period", "Each", ""),
    ("commitment", "Commitment", ""),
    ("minimum_term", "Minimum term", "Such as 3 months."),
    ("setup_fee", "Set-up fee", ""),
    ("tax_included", "Tax included", ""),
    ("in_stock", "In stock", ""),
    ("region", "Region", ""),
    ("observed_on", "Price seen on", "A day such as 2026-11-24."),
    ("order_url", "Order link", "May hold {gpu}, {ref} and {utm}."),
    ("cpu", "CPU", ""),
    ("cpu_count", "CPU cores", ""),
    ("memory_gb", "Main memory in GB", ""),
    ("disk", "Disk", ""),
    ("network", "Network", ""),
    ("software", "Preinstalled software", ""),
    ("note", "Note", ""),
)
_SELECTS: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "period": tuple((period.value, period.value) for period in Period),
    "commitment": tuple((kind.value, kind.value.replace("_", " ")) for kind in Commitment),
    "tax_included": _YES_NO,
    "in_stock": _YES_NO,
}


@router.get("/offers")
def offers(
    request: Request,
    holder: Reader,
    provider: Annotated[str, Query(max_length=80)] = "",
    q: Annotated[str, Query(max_length=120)] = "",
    offset: Offset = 0,
    done: str = "",
) -> Response:
    """Current offers, those with prices of their own first."""
    snapshot = admin_of(request).snapshot()
    words = q.lower().split()
    found = [
        offer
        for offer in snapshot.offers()
        if (not provider or offer.provider_slug == provider) and all(word in _searched(offer) for word in words)
    ]
    found.sort(key=lambda offer: (offer.is_sample, offer.provider, offer.gpu, offer.id))
    part = found[offset : offset + ROWS]
    path = f"{HOME}/offers?{urlencode({'provider': provider, 'q': q})}"
    table = Table(
        title="Current offers",
        headings=columns("Server", "Provider", "Region", "Commitment", "Seen on", "Price", numbers=("Price",)),
        rows=tuple(_offer_row(offer) for offer in part),
        empty="No offer is like that.",
        **pager(path, offset, len(part), len(found)),
    )
    named = [("", "all"), *sorted(snapshot.providers.items(), key=lambda pair: pair[1].lower())]
    search = Form(
        action=f"{HOME}/offers",
        button="Show",
        is_search=True,
        is_quiet=True,
        fields=(
            Field(name="provider", label="Provider", choices=choices(named, provider)),
            Field(name="q", label="Card, region, article number or id", value=q),
        ),
    )
    return show(request, holder, "Offers", done=_DONE.get(done, ""), forms=(search,), tables=(table,))


def _searched(offer: Offer) -> str:
    return f"{offer.gpu} {offer.region or ''} {offer.sku or ''} {offer.id} {offer.provider}".lower()


def _offer_row(offer: Offer) -> tuple[Cell, ...]:
    return (
        Cell(text=server_text(offer), url=f"{HOME}/offers/{offer.id}", detail=offer.sku or offer.id),
        Cell(text=offer.provider, tag=Tag(tone="info", text="sample") if offer.is_sample else None),
        Cell(text=offer.region or ""),
        Cell(text=offer.commitment.replace("_", " ")),
        Cell(text=str(offer.observed_on or "")),
        Cell(text=price_text(offer), is_number=True),
    )


# One offer


@router.get("/offers/{offer_id}")
def offer_page(request: Request, offer_id: str, holder: Reader, done: str = "") -> Response:
    """An offer's form and all its prices."""
    return _offer_page(request, holder, offer_id, done=_DONE.get(done, ""))


@router.post("/offers/{offer_id}")
async def save_offer(request: Request, offer_id: str, holder: OfferKeeper) -> Response:
    """Change what the form changed, unless somebody else changed the offer meanwhile."""
    form = await read_form(request)
    sent = {name: text_of(form, name) for name, _, _ in _EDITED if name in form}
    seen = text_of(form, "seen")
    return await run_in_threadpool(_save_offer, request, holder, offer_id, sent, seen)


def _save_offer(request: Request, holder: KeyHolder, offer_id: str, sent: Mapping[str, str], seen: str) -> Response:
    state = admin_of(request)
    current = _current(state, offer_id)
    if _seen(current) != seen:
        errors = ("Somebody changed this offer while the form was open. It shows the present values now.",)
        return _offer_page(request, holder, offer_id, errors=errors, status=409)
    before = _texts(current)
    changes = {name: text for name, text in sent.items() if text != before[name]}
    try:
        change = edit_offer(state.database, offer_id, changes, actor=holder.actor, today=state.today())
    except ImportRefusedError as error:
        wrong = {problem.field: problem.message for problem in error.errors}
        return _offer_page(request, holder, offer_id, sent=sent, wrong=wrong, status=422)
    state.refresh()
    return go(f"{HOME}/offers/{offer_id}?done={'saved' if change is not None and not change.is_empty else 'same'}")


@router.post("/offers/{offer_id}/withdraw")
def withdraw(request: Request, offer_id: str, holder: OfferKeeper) -> Response:
    """End its price."""
    state = admin_of(request)
    if not withdraw_offer(state.database, offer_id, actor=holder.actor):
        raise RefusedError(404, "There is no such offer.")
    state.refresh()
    return go(f"{HOME}/offers?done=withdrawn")


def _current(state: AdminState, offer_id: str) -> Offer:
    with state.database.reading() as session:
        offer = repository.read_offer(session, offer_id)
    if offer is None:
        raise RefusedError(404, "There is no such offer, or it was withdrawn.")
    return offer


def _seen(offer: Offer) -> str:
    return hashlib.sha256(repr(offer).encode()).hexdigest()


def _texts(offer: Offer) -> dict[str, str]:
    values = offer_values(offer)
    return {name: _text(values.get(name)) for name, _, _ in _EDITED}


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def _offer_page(
    request: Request,
    holder: KeyHolder,
    offer_id: str,
    *,
    sent: Mapping[str, str] | None = None,
    wrong: Mapping[str, str] | None = None,
    errors: tuple[str, ...] = (),
    done: str = "",
    status: int = 200,
) -> Response:
    state = admin_of(request)
    with state.database.reading() as session:
        records = repository.offer_history(session, offer_id)
    if not records:
        raise RefusedError(404, "There is no such offer.")
    newest = records[0].offer
    is_open = records[0].retired_at is None and Scope.OFFERS in holder.scopes
    table = Table(
        title="Prices",
        headings=columns("Price", "From (UTC)", "By", "Until (UTC)", "By", numbers=()),
        rows=tuple(
            (
                Cell(text=price_text(record.offer), detail=f"seen on {record.offer.observed_on or 'an unknown day'}"),
                Cell(text=moment(record.recorded_at)),
                Cell(text=record.recorded_by),
                Cell(text=moment(record.retired_at) or "current"),
                Cell(text=record.retired_by or ""),
            )
            for record in records
        ),
        empty="",
    )
    return show(
        request,
        holder,
        f"{server_text(newest)}, {newest.provider}",
        status=status,
        lead=f"Offer {offer_id}" + (f", article {newest.sku}" if newest.sku else ""),
        done=done,
        errors=errors,
        forms=(_edit_form(newest, sent or _texts(newest), wrong or {}),) if is_open else (),
        tables=(table,),
        last_form=Form(action=f"{HOME}/offers/{offer_id}/withdraw", button="Withdraw this offer", is_quiet=True)
        if is_open
        else None,
    )


def _edit_form(offer: Offer, texts: Mapping[str, str], wrong: Mapping[str, str]) -> Form:
    fields = tuple(
        Field(
            name=name,
            label=label,
            value=texts.get(name, ""),
            choices=choices(_SELECTS[name], texts.get(name, "")) if name in _SELECTS else (),
            hint=hint,
            error=wrong.get(name, ""),
        )
        for name, label, hint in _EDITED
    )
    return Form(action=f"{HOME}/offers/{offer.id}", button="Save", fields=fields, hidden=(("seen", _seen(offer)),))
