"""``/api/v1/admin/…``: what the command line does to prices, rates and keys, for whoever has a key for it."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from app.admin.guard import admin_of, bearer
from app.admin.keys import KeyHolder, KeyRefusedError, Scope, create_key, list_keys, revoke_key
from app.admin.records import AskedCount, AuditRecord, Listed, asked_for, audit
from app.admin.schemas import (
    KeyMade,
    Keys,
    OffersChanged,
    OfferState,
    PastPrice,
    RatesChanged,
    key_made,
    offer_state,
    offers_changed,
    past_price,
    rates_changed,
)
from app.api.body import read_json
from app.api.errors import ApiError
from app.api.openapi import problems
from app.catalogue import repository
from app.catalogue.bundled import slugify
from app.catalogue.changes import Mode
from app.catalogue.importing import (
    FileFormat,
    edit_offer,
    export_offers,
    import_offers,
    read_price_list,
    withdraw_offer,
)
from app.catalogue.rates import import_rates
from app.request import FieldError, RequestError

API_PREFIX: Final = "/api/v1"
PREFIX: Final = f"{API_PREFIX}/admin"
UPLOADS: Final = frozenset({f"{PREFIX}/offers", f"{PREFIX}/rates", "/admin/upload"})
"""Addresses that take a whole price list."""
CSV: Final = "text/csv"
JSON: Final = "application/json"

router = APIRouter(prefix="/admin", tags=["admin"], responses=problems(401, 403, 422, 429, 503))

Reader = Annotated[KeyHolder, Depends(bearer(Scope.READ))]
OfferKeeper = Annotated[KeyHolder, Depends(bearer(Scope.OFFERS))]
RateKeeper = Annotated[KeyHolder, Depends(bearer(Scope.RATES))]
KeyKeeper = Annotated[KeyHolder, Depends(bearer(Scope.KEYS))]


def _body(*kinds: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    shapes: dict[str, Any] = {JSON: {"schema": dict(schema)}, CSV: {"schema": {"type": "string"}}}
    return {"requestBody": {"required": True, "content": {kind: shapes[kind] for kind in kinds}}}


_LIST: Final = {"type": "array", "items": {"type": "object"}}
_ROWS: Final = {"anyOf": [_LIST, {"type": "object", "required": ["offers"], "properties": {"offers": _LIST}}]}


class OffersQuery(BaseModel):
    """How a price list is taken."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    provider: str = Field(min_length=1, max_length=80, description="Whose offers these are.")
    mode: Mode = Field(Mode.MERGE, description="replace also withdraws what the list does not name.")
    format: FileFormat | None = Field(None, description="Taken from Content-Type unless given.")
    observed_on: date | None = Field(None, description="The day of rows that state none.")
    dry_run: bool = Field(False, description="Tell the difference and change nothing.")


class RatesQuery(BaseModel):
    """How a list of rates is taken."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dry_run: bool = Field(False, description="Tell the difference and change nothing.")


class ExportQuery(BaseModel):
    """Which offers are exported, and how."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    provider: str | None = Field(None, max_length=80, description="Only this provider's offers.")
    format: FileFormat = Field(FileFormat.CSV, description="csv or json.")
    samples: bool = Field(False, description="Also the bundled samples.")


class NewKeyBody(BaseModel):
    """A key to make."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=120)
    scopes: tuple[Scope, ...] = Field(min_length=1)


@router.put(
    "/offers",
    name="put_offers",
    responses=problems(400, 413, 415),
    openapi_extra=_body(CSV, JSON, schema=_ROWS),
    summary="Bring in a price list",
)
async def put_offers(request: Request, query: Annotated[OffersQuery, Query()], holder: OfferKeeper) -> OffersChanged:
    """All of a provider's list or, if a row is wrong, nothing; each wrong row is named. The same list again changes
    nothing.
    """
    state = admin_of(request)
    content_format = query.format or _format(request)
    content = await request.body()

    def run() -> OffersChanged:
        report = import_offers(
            state.database,
            read_price_list(content, content_format),
            provider=query.provider,
            mode=query.mode,
            actor=holder.actor,
            today=state.today(),
            observed_on=query.observed_on,
            dry_run=query.dry_run,
        )
        state.refresh()
        return offers_changed(report)

    return await run_in_threadpool(run)


@router.get(
    "/offers",
    name="export_offers",
    responses={200: {"content": {CSV: {"schema": {"type": "string"}}}}},
    response_class=Response,
    summary="Export offers as a price list",
)
def get_offers(request: Request, query: Annotated[ExportQuery, Query()], _: Reader) -> Response:
    """A list that a PUT takes back unchanged."""
    if query.format is FileFormat.GPUHUNT:
        raise RequestError(FieldError(field="format", message="cannot be written.", allowed="csv or json"))
    provider = slugify(query.provider) if query.provider else None
    with admin_of(request).database.reading() as session:
        offers = repository.read_offers(session, provider=provider, samples=None if query.samples else False)
    wanted = sorted(offers, key=lambda offer: (offer.provider, offer.gpu, offer.id))
    media_type = JSON if query.format is FileFormat.JSON else CSV
    return Response(export_offers(wanted, query.format), media_type=media_type, headers=_file(query.format))


@router.patch(
    "/offers/{offer_id}",
    name="patch_offer",
    responses=problems(400, 404, 413, 415),
    openapi_extra=_body(JSON, schema={"type": "object"}),
    summary="Change one offer",
)
async def patch_offer(request: Request, offer_id: str, holder: OfferKeeper) -> OfferState:
    """Change columns of a price list by name; null clears one. The earlier price stays as history."""
    state, changes = admin_of(request), await read_json(request)
    if not isinstance(changes, Mapping):
        raise RequestError(FieldError(field="body", message="must be an object of columns and values."))
    # A number is taken as it was written, not as a float that is near it.
    texts = {name: str(value) if isinstance(value, float) else value for name, value in changes.items()}

    def run() -> OfferState:
        change = edit_offer(state.database, offer_id, texts, actor=holder.actor, today=state.today())
        if change is None:
            raise ApiError(404, "There is no such offer.")
        state.refresh()
        with state.database.reading() as session:
            offer = repository.read_offer(session, offer_id)
        if offer is None:
            raise ApiError(404, "This offer was withdrawn meanwhile.")
        return offer_state(offer)

    return await run_in_threadpool(run)


@router.delete(
    "/offers/{offer_id}", name="delete_offer", status_code=204, responses=problems(404), summary="Withdraw one offer"
)
def delete_offer(request: Request, offer_id: str, holder: OfferKeeper) -> None:
    """End its price; its history stays."""
    state = admin_of(request)
    if not withdraw_offer(state.database, offer_id, actor=holder.actor):
        raise ApiError(404, "There is no such offer.")
    state.refresh()


@router.get("/offers/{offer_id}/history", name="offer_history", responses=problems(404), summary="All its prices")
def get_history(request: Request, offer_id: str, _: Reader) -> tuple[PastPrice, ...]:
    """Newest first, with who recorded each and when."""
    with admin_of(request).database.reading() as session:
        records = repository.offer_history(session, offer_id)
    if not records:
        raise ApiError(404, "There is no such offer.")
    return tuple(past_price(record) for record in records)


@router.put(
    "/rates",
    name="put_rates",
    responses=problems(400, 413, 415),
    openapi_extra=_body(CSV, JSON, schema=_LIST),
    summary="Bring in currency rates",
)
async def put_rates(request: Request, query: Annotated[RatesQuery, Query()], holder: RateKeeper) -> RatesChanged:
    """Rates against one base currency; earlier ones stay as history."""
    state, is_json = admin_of(request), _format(request) is FileFormat.JSON
    content = await request.body()

    def run() -> RatesChanged:
        report = import_rates(
            state.database,
            content,
            is_json=is_json,
            actor=holder.actor,
            today=state.today(),
            dry_run=query.dry_run,
        )
        state.refresh()
        return rates_changed(report)

    return await run_in_threadpool(run)


@router.get("/keys", name="list_keys", summary="All keys")
def get_keys(request: Request, _: KeyKeeper) -> Keys:
    """What each opens and when it was used last; never the key itself."""
    return Keys(items=tuple(list_keys(admin_of(request).database)))


_NEW_KEY: Final = TypeAdapter(NewKeyBody)


@router.post(
    "/keys",
    name="create_key",
    status_code=201,
    responses=problems(400, 413, 415),
    openapi_extra=_body(JSON, schema=NewKeyBody.model_json_schema()),
    summary="Make a key",
)
async def post_key(request: Request, holder: KeyKeeper) -> KeyMade:
    """It can open no more than the key that makes it, and is told only now."""
    try:
        body = _NEW_KEY.validate_python(await read_json(request))
    except ValidationError as problem:
        raise RequestError(*(_field_error(entry) for entry in problem.errors())) from None
    database = admin_of(request).database
    try:
        made = await run_in_threadpool(
            lambda: create_key(database, name=body.name, scopes=body.scopes, actor=holder.actor, within=holder)
        )
    except KeyRefusedError as error:
        raise RequestError(FieldError(field="scopes", message=str(error))) from None
    return key_made(made)


@router.delete("/keys/{key_id}", name="revoke_key", status_code=204, responses=problems(404), summary="Revoke a key")
def delete_key(request: Request, key_id: str, holder: KeyKeeper) -> None:
    """Take it back for good; whoever is signed in with it is signed out."""
    if revoke_key(admin_of(request).database, key_id, actor=holder.actor) is None:
        raise ApiError(404, "There is no such key.")


class PartQuery(BaseModel):
    """Which part of a list."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: int = Field(100, ge=1, le=500, description="Most items returned.")
    offset: int = Field(0, ge=0, le=10**9, description="Items left out before the first.")


@router.get("/audit", name="audit_trail", summary="Who changed what, when")
def get_audit(request: Request, query: Annotated[PartQuery, Query()], _: Reader) -> Listed[AuditRecord]:
    """Newest first."""
    return audit(admin_of(request).database, limit=query.limit, offset=query.offset)


class AskedQuery(BaseModel):
    """Since when."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    since: date = Field(date(2000, 1, 1), description="The first day that counts.")


@router.get("/asked-for", name="asked_for", summary="What people asked for")
def get_asked_for(request: Request, query: Annotated[AskedQuery, Query()], _: Reader) -> tuple[AskedCount, ...]:
    """Models, methods, cards and searches that found nothing, the most frequent first; nothing about who asked."""
    return tuple(asked_for(admin_of(request).database, since=query.since, limit_of_each=100))


def _format(request: Request) -> FileFormat:
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type == CSV:
        return FileFormat.CSV
    if media_type == JSON:
        return FileFormat.JSON
    raise ApiError(415, "Send a price list with Content-Type: text/csv or application/json.")


def _file(file_format: FileFormat) -> dict[str, str]:
    return {"content-disposition": f'attachment; filename="offers.{file_format}"', "cache-control": "no-store"}


def _field_error(entry: Any) -> FieldError:
    place = ".".join(str(part) for part in entry["loc"]) or "body"
    message = str(entry["msg"])
    return FieldError(field=place, message=f"{message[:1].lower()}{message[1:]}.")
