"""``/models``, ``/gpus`` and ``/offers``: the catalogue as it is now."""

from decimal import Decimal
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from pydantic import Field, TypeAdapter
from starlette.responses import Response

from app.api.errors import ApiError
from app.api.items import GpuDetail, GpuItem, ModelDetail, ModelItem, gpu_fields, model_fields
from app.api.openapi import problems
from app.api.pages import CSV, Page, PageQuery, answer, cache_headers, entity_tag, not_modified
from app.api.state import AppState, state_of
from app.catalogue.facts import CatalogueGpu, CatalogueModel, Offer, Period
from app.catalogue.snapshot import OfferFilter, Snapshot
from app.services.lookup import find_gpu
from app.services.market import offer_report
from app.services.results import OfferReport

router = APIRouter(tags=["catalogue"])

_MODEL_PAGE: Final = TypeAdapter(Page[ModelItem])
_GPU_PAGE: Final = TypeAdapter(Page[GpuItem])
_OFFER_PAGE: Final = TypeAdapter(Page[OfferReport])
_MODEL: Final = TypeAdapter(ModelDetail)
_GPU: Final = TypeAdapter(GpuDetail)

Text = Annotated[str | None, Field(max_length=200)]


class ModelQuery(PageQuery):
    """Which models."""

    q: Text = Field(None, description="Part of a name, best matches first.", examples=["qwen 14b"])
    family: Text = Field(None, description="Only this family.")
    model_type: Text = Field(None, description="Only this Hugging Face model type.")
    min_parameters: int | None = Field(None, ge=0, le=10**15, description="Fewest parameters.")
    max_parameters: int | None = Field(None, ge=0, le=10**15, description="Most parameters.")


class GpuQuery(PageQuery):
    """Which cards."""

    q: Text = Field(None, description="Part of a name, best matches first.", examples=["a100"])
    vendor: Text = Field(None, description="Only this vendor.")
    segment: Text = Field(None, description="Only consumer, workstation or datacenter cards.")
    min_memory_gb: float | None = Field(None, ge=0, le=10**6, description="Least memory as sold.")
    max_memory_gb: float | None = Field(None, ge=0, le=10**6, description="Most memory as sold.")


class OfferQuery(PageQuery):
    """Which offers."""

    gpu: Text = Field(None, description="Only this card.", examples=["rtx-4090"])
    provider: Text = Field(None, description="Only this provider.")
    region: Text = Field(None, description="Part of a region's name.")
    currency: str | None = Field(None, pattern=r"^[A-Za-z]{3}$", description="Only prices in this currency.")
    period: Period | None = Field(None, description="Only prices by the hour or by the month.")
    spot: bool = Field(False, description="Include offers the provider may withdraw at any time.")
    max_age_days: int | None = Field(
        None, ge=1, le=100_000, description="Oldest observation; the operator's unless given."
    )
    min_gpus: int = Field(1, ge=1, le=100_000, description="Fewest cards in the server.")


def _listed(kind: type, what: str) -> dict[int | str, dict[str, object]]:
    csv_schema = {CSV: {"schema": {"type": "string"}}}
    return {
        200: {"model": Page[kind], "description": f"{what}, as JSON or CSV.", "content": csv_schema},  # type: ignore[valid-type]
        304: {"description": "Unchanged since the tag in If-None-Match."},
        **problems(422),
    }


@router.get("/models", responses=_listed(ModelItem, "Models"), summary="Models", response_model=None)
@router.get("/models.csv", include_in_schema=False, response_model=None)
async def list_models(request: Request, query: Annotated[ModelQuery, Query()]) -> Response:
    """The catalogue's models, searched and filtered."""
    state = state_of(request)
    snapshot = state.snapshot()
    found = _found_models(snapshot, query.q)
    if query.q and not found:
        state.asked.not_found(query.q)
    rows = [model for model in found if _model_passes(model, query)]
    return answer(
        request,
        rows,
        query,
        lambda row: ModelItem(**model_fields(row)),
        _MODEL_PAGE,
        entity_tag(request, snapshot.version),
    )


def _found_models(snapshot: Snapshot, text: str | None) -> list[CatalogueModel]:
    if text is None or not text.strip():
        return list(snapshot.models)
    return snapshot.search_models(text, limit=len(snapshot.models))


def _model_passes(model: CatalogueModel, query: ModelQuery) -> bool:
    return (
        (query.family is None or model.family.lower() == query.family.lower())
        and (query.model_type is None or model.model_type == query.model_type)
        and (query.min_parameters is None or model.total_parameters >= query.min_parameters)
        and (query.max_parameters is None or model.total_parameters <= query.max_parameters)
    )


@router.get(
    "/models/{slug:path}",
    responses={200: {"model": ModelDetail}, 304: {"description": "Unchanged."}, **problems(404, 422)},
    summary="One model",
    response_model=None,
)
async def show_model(request: Request, slug: str) -> Response:
    """One model by slug, Hugging Face id (with its slash) or short name."""
    snapshot = state_of(request).snapshot()
    model = snapshot.model(slug)
    if model is None:
        near = tuple(found.slug for found in snapshot.nearest_models(slug))
        raise ApiError(404, f"There is no model “{slug[:100]}” in the catalogue.", suggestions=near, field="slug")
    tag = entity_tag(request, snapshot.version)
    if unchanged := not_modified(request, tag):
        return unchanged
    body = _MODEL.dump_json(ModelDetail(**model_fields(model), config=dict(model.config)))
    return Response(body, media_type="application/json", headers=cache_headers(tag))


@router.get("/gpus", responses=_listed(GpuItem, "Cards"), summary="Cards", response_model=None)
@router.get("/gpus.csv", include_in_schema=False, response_model=None)
async def list_gpus(request: Request, query: Annotated[GpuQuery, Query()]) -> Response:
    """The catalogue's cards, smallest memory first, or best match first where ``q`` is given."""
    snapshot = state_of(request).snapshot()
    found = snapshot.search_gpus(query.q, limit=len(snapshot.gpus)) if query.q and query.q.strip() else snapshot.gpus
    rows = [gpu for gpu in found if _gpu_passes(gpu, query)]
    return answer(
        request, rows, query, lambda row: GpuItem(**gpu_fields(row)), _GPU_PAGE, entity_tag(request, snapshot.version)
    )


def _gpu_passes(gpu: CatalogueGpu, query: GpuQuery) -> bool:
    return (
        (query.vendor is None or gpu.device.vendor.lower() == query.vendor.lower())
        and (query.segment is None or gpu.device.segment.lower() == query.segment.lower())
        and (query.min_memory_gb is None or gpu.memory_gb >= Decimal(query.min_memory_gb))
        and (query.max_memory_gb is None or gpu.memory_gb <= Decimal(query.max_memory_gb))
    )


@router.get(
    "/gpus/{slug}",
    responses={200: {"model": GpuDetail}, 304: {"description": "Unchanged."}, **problems(404, 422)},
    summary="One card",
    response_model=None,
)
async def show_gpu(request: Request, slug: str) -> Response:
    """One card by slug or name, with its current offers."""
    state = state_of(request)
    snapshot = state.snapshot()
    gpu = snapshot.gpu(slug)
    if gpu is None:
        near = tuple(found.slug for found in snapshot.nearest_gpus(slug))
        raise ApiError(404, f"There is no card “{slug[:100]}” in the catalogue.", suggestions=near, field="slug")
    market = _market(
        state, OfferQuery.model_construct(**{name: field.default for name, field in OfferQuery.model_fields.items()})
    )
    tag = entity_tag(request, snapshot.version, market.today.isoformat())
    if unchanged := not_modified(request, tag):
        return unchanged
    detail = GpuDetail(
        **gpu_fields(gpu),
        memory_source=gpu.memory_source,
        usable_source=gpu.usable_source,
        rates_source=gpu.rates_source,
        offers=tuple(offer_report(offer) for offer in snapshot.offers_for(gpu.slug, market)),
    )
    return Response(_GPU.dump_json(detail), media_type="application/json", headers=cache_headers(tag))


@router.get("/offers", responses=_listed(OfferReport, "Offers"), summary="Offers", response_model=None)
@router.get("/offers.csv", include_in_schema=False, response_model=None)
async def list_offers(request: Request, query: Annotated[OfferQuery, Query()]) -> Response:
    """Dated prices: hourly before monthly, one currency at a time, cheapest card first."""
    state = state_of(request)
    snapshot = state.snapshot()
    market = _market(state, query)
    found = snapshot.offers_for(find_gpu(query.gpu, snapshot).slug, market) if query.gpu else snapshot.offers(market)
    rows: list[Offer] = [offer for offer in found if offer.gpus_per_server >= query.min_gpus]
    tag = entity_tag(request, snapshot.version, market.today.isoformat())
    return answer(request, rows, query, offer_report, _OFFER_PAGE, tag)


def _market(state: AppState, query: OfferQuery) -> OfferFilter:
    policy = state.policy
    return OfferFilter(
        today=state.today(),
        include_spot=query.spot or policy.include_spot,
        include_samples=policy.include_samples,
        max_age_days=query.max_age_days or policy.offer_max_age_days,
        region=query.region,
        provider=query.provider,
        currencies=frozenset({query.currency.upper()}) if query.currency else None,
        period=query.period,
    )
