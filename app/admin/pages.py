"""The operator's pages that are not about prices: sign-in, overview, history, keys, audit trail, what was asked for."""

from datetime import timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from app.admin import records, sessions
from app.admin.guard import RefusedError, admin_of, key_holder, require_own_form
from app.admin.keys import KeyHolder, KeyInfo, KeyRefusedError, Scope, create_key, list_keys, revoke_key
from app.admin.page_parts import (
    SIGN_IN,
    Anybody,
    KeyKeeper,
    Reader,
    context_of,
    go,
    read_form,
    show,
    text_of,
    texts_of,
)
from app.admin.views import HOME, Cell, Choice, Field, Form, Table, columns, moment
from app.web.components import Fact

router = APIRouter(prefix=HOME, include_in_schema=False)

ROWS: Final = 50
DAYS: Final = 30
_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1"})

Offset = Annotated[int, Query(ge=0, le=10**9)]

SCOPE_TEXTS: Final = {
    Scope.READ: "see offers, history, audit trail and what was asked for",
    Scope.OFFERS: "change offers",
    Scope.RATES: "change currency rates",
    Scope.KEYS: "create and revoke keys",
}
KIND_TITLES: Final = {
    "model": "Models",
    "method": "Methods",
    "card": "Cards",
    "not_found": "Asked for and not in the catalogue",
}


def pager(path: str, offset: int, shown: int, total: int) -> dict[str, str]:
    """The links to the parts before and after, for a table."""
    join = "&" if "?" in path else "?"
    return {
        "previous_url": f"{path}{join}offset={max(0, offset - ROWS)}" if offset else "",
        "next_url": f"{path}{join}offset={offset + ROWS}" if offset + shown < total else "",
        "place": f"{offset + 1:,}–{offset + shown:,} of {total:,}" if shown else "",
    }


@router.get("/sign-in")
async def sign_in_page(request: Request) -> Response:
    """Where a key is entered."""
    return _sign_in(request)


@router.post("/sign-in")
async def sign_in(request: Request) -> Response:
    """Begin a session with a key."""
    require_own_form(request)
    text = text_of(await read_form(request), "key")
    try:
        holder = await key_holder(request, text)
    except RefusedError as error:
        return _sign_in(request, error)
    state = admin_of(request)
    old = sessions.token_of(request)
    if old:
        await run_in_threadpool(sessions.end, state.database, old)
    token = await run_in_threadpool(sessions.begin, state.database, holder, state.settings.session_hours)
    response = go(HOME)
    sessions.give(request, response, token)
    return response


@router.post("/sign-out")
async def sign_out(request: Request, _: Anybody) -> Response:
    """End the session, here and in the database."""
    await run_in_threadpool(sessions.end, admin_of(request).database, sessions.token_of(request))
    response = go(SIGN_IN)
    sessions.take_back(request, response)
    return response


def _sign_in(request: Request, error: RefusedError | None = None) -> Response:
    is_open = not sessions.is_https(request) and request.url.hostname not in _LOCAL
    warning = "This connection is not encrypted: whoever listens can read the key. Use HTTPS."
    hint = "vram-fit migrate printed the first one; vram-fit key create makes another."
    field = Field(name="key", label="Key", kind="password", is_required=True, hint=hint)
    return show(
        request,
        None,
        "Sign in",
        status=error.status if error else 200,
        headers=error.headers if error else None,
        errors=((error.detail,) if error else ()) + ((warning,) if is_open else ()),
        forms=(Form(action=SIGN_IN, button="Sign in", fields=(field,)),),
    )


@router.get("")
def overview(request: Request, holder: Anybody) -> Response:
    """What there is, and what changed last."""
    state = admin_of(request)
    snapshot, fmt = state.snapshot(), context_of(request).fmt
    samples = sum(offer.is_sample for offer in snapshot.offers())
    facts = (
        Fact(label="Version", value=snapshot.version),
        Fact(label="Offers", value=fmt.integer(snapshot.offer_count - samples), detail=f"and {samples:,} samples"),
        Fact(label="Providers", value=fmt.integer(len(snapshot.providers))),
        Fact(label="Models", value=fmt.integer(len(snapshot.models))),
        Fact(label="Cards", value=fmt.integer(len(snapshot.gpus))),
    )
    newest = records.versions(state.database, limit=5, offset=0) if Scope.READ in holder.scopes else None
    tables = (_versions("Last changes", newest.items),) if newest else ()
    return show(request, holder, "Overview", facts=facts, tables=tables)


@router.get("/history")
def history(request: Request, holder: Reader, offset: Offset = 0) -> Response:
    """Every version of the catalogue."""
    found = records.versions(admin_of(request).database, limit=ROWS, offset=offset)
    parts = pager(f"{HOME}/history", offset, len(found.items), found.total)
    lead = "Every change is a version; an offer’s own page has all its prices."
    return show(request, holder, "History", lead=lead, tables=(_versions("Versions", found.items, **parts),))


def _versions(title: str, items: tuple[records.VersionRecord, ...], **parts: str) -> Table:
    return Table(
        title=title,
        headings=columns("Version", "When (UTC)", "Who", "What"),
        rows=tuple(
            (Cell(text=str(item.number)), Cell(text=moment(item.at)), Cell(text=item.actor), Cell(text=item.summary))
            for item in items
        ),
        empty="Nothing was changed yet.",
        **parts,
    )


@router.get("/audit")
def audit_trail(request: Request, holder: Reader, offset: Offset = 0) -> Response:
    """Who changed what, when."""
    found = records.audit(admin_of(request).database, limit=ROWS, offset=offset)
    rows = tuple(
        (
            Cell(text=moment(item.at)),
            Cell(text=item.actor),
            Cell(text=item.action),
            Cell(text=item.subject, detail=_detail(item)),
            Cell(text=str(item.catalogue_version or "")),
        )
        for item in found.items
    )
    table = Table(
        title="Entries",
        headings=columns("When (UTC)", "Who", "Did", "To what", "Version"),
        rows=rows,
        empty="Nothing was done yet.",
        **pager(f"{HOME}/audit", offset, len(found.items), found.total),
    )
    return show(request, holder, "Audit trail", tables=(table,))


def _detail(item: records.AuditRecord) -> str:
    parts = [f"{value} {name}" for name, value in item.detail.items() if isinstance(value, int) and value]
    examples = item.detail.get("examples")
    if isinstance(examples, list):
        parts += [f"{entry['offer']}: {entry['from']} → {entry['to']}" for entry in examples[:3]]
    if isinstance(scopes := item.detail.get("scopes"), list):
        parts.append(", ".join(map(str, scopes)))
    return "; ".join(parts)


@router.get("/asked-for")
def asked_for(request: Request, holder: Reader) -> Response:
    """What people asked for in the last days, and which order links they followed."""
    state = admin_of(request)
    since = state.today() - timedelta(days=DAYS)
    counted = records.asked_for(state.database, since=since, limit_of_each=ROWS)
    tables = [
        Table(
            title=title,
            headings=columns("What", "Times", numbers=("Times",)),
            rows=tuple(
                (Cell(text=item.value), Cell(text=f"{item.times:,}", is_number=True))
                for item in counted
                if item.kind == kind
            ),
            empty="Nobody asked yet.",
        )
        for kind, title in KIND_TITLES.items()
    ]
    clicks = records.order_clicks(state.database, since=since, limit=ROWS)
    tables.append(
        Table(
            title="Order links followed",
            headings=columns("Offer", "Times", numbers=("Times",)),
            rows=tuple(
                (Cell(text=offer, url=f"{HOME}/offers/{offer}"), Cell(text=f"{times:,}", is_number=True))
                for offer, times in clicks
            ),
            empty="Nobody did yet.",
        )
    )
    lead = (
        f"Since {since}. Runs through the API and the calculator are counted as they were asked; a widget that was "
        "answered from a cache is not. Nothing is kept about who asked."
    )
    return show(request, holder, "Asked for", lead=lead, tables=tuple(tables))


@router.get("/keys")
def keys(request: Request, holder: KeyKeeper) -> Response:
    """All keys, and a form for another."""
    return _keys(request, holder)


@router.post("/keys")
async def create(request: Request, holder: KeyKeeper) -> Response:
    """Make a key and show it, once."""
    form = await read_form(request)
    asked = set(texts_of(form, "scopes"))
    state = admin_of(request)

    def make() -> Response:
        try:
            made = create_key(
                state.database,
                name=text_of(form, "name"),
                scopes=[scope for scope in Scope if scope in asked],
                actor=holder.actor,
                within=holder,
            )
        except KeyRefusedError as error:
            return _keys(request, holder, errors=(str(error),), name=text_of(form, "name"), chosen=asked)
        return _keys(request, holder, secret=made.text)

    return await run_in_threadpool(make)


@router.post("/keys/{key_id}/revoke")
def revoke(request: Request, key_id: str, holder: KeyKeeper) -> Response:
    """Take a key back."""
    if revoke_key(admin_of(request).database, key_id, actor=holder.actor) is None:
        raise RefusedError(404, "There is no such key.")
    return go(f"{HOME}/keys")


def _keys(
    request: Request,
    holder: KeyHolder,
    *,
    secret: str = "",
    errors: tuple[str, ...] = (),
    name: str = "",
    chosen: set[str] | None = None,
) -> Response:
    found = list_keys(admin_of(request).database)
    form = Form(
        action=f"{HOME}/keys",
        button="Create key",
        fields=(Field(name="name", label="Name", value=name, is_required=True, hint="History names it."),),
        checks_label="What it may do",
        checks=tuple(
            Choice(value=scope, text=SCOPE_TEXTS[scope], is_chosen=scope in (chosen or ()))
            for scope in Scope
            if scope in holder.scopes
        ),
    )
    table = Table(
        title="All keys",
        headings=columns("Name", "Opens", "Made (UTC)", "Last used (UTC)", "State"),
        rows=tuple(_key_row(key) for key in found),
        empty="There are no keys.",
    )
    return show(
        request,
        holder,
        "Keys",
        status=422 if errors else 200,
        secret=secret,
        errors=errors,
        forms=(form,),
        tables=(table,),
    )


def _key_row(key: KeyInfo) -> tuple[Cell, ...]:
    ended = key.revoked_at is not None
    return (
        Cell(text=key.name, detail=key.id),
        Cell(text=", ".join(key.scopes)),
        Cell(text=moment(key.created_at), detail=key.created_by),
        Cell(text=moment(key.last_used_at) or "never"),
        Cell(text=f"revoked {moment(key.revoked_at)}") if ended else Cell(revoke_url=f"{HOME}/keys/{key.id}/revoke"),
    )
