"""``/metrics``: for Prometheus, from the addresses that the settings name."""

from collections.abc import Callable
from datetime import UTC, datetime

from fastapi import APIRouter, HTTPException, Request
from starlette.responses import Response

from app.catalogue.service import CatalogueService
from app.catalogue.snapshot import Snapshot
from app.ops.addresses import caller, is_within, networks
from app.ops.metrics import CONTENT_TYPE, Exposition, State
from app.ops.rate_store import RateStore
from app.settings import Settings


def metrics_router(
    settings: Settings, catalogue: CatalogueService | None, snapshot: Callable[[], Snapshot], store: RateStore
) -> APIRouter:
    """The route over these parts."""
    router = APIRouter(include_in_schema=False)
    allowed = networks(settings.metrics_from)

    def state() -> State:
        current, seen = snapshot(), catalogue.state if catalogue else None
        now = datetime.now(UTC)
        return State(
            snapshot_age_seconds=(now - seen.loaded_at).total_seconds() if seen else None,
            checked_seconds_ago=(now - seen.checked_at).total_seconds() if seen else None,
            is_database_up=seen.is_healthy if seen else None,
            models=len(current.models),
            gpus=len(current.gpus),
            offers=current.offer_count,
            is_rate_limit_store_up=store.is_up,
        )

    exposition = Exposition(state)

    @router.get("/metrics")
    async def metrics(request: Request) -> Response:
        address = caller(request.scope)
        if address is None or not is_within(address, allowed):
            raise HTTPException(404)
        return Response(exposition.text(), headers={"cache-control": "no-store"}, media_type=CONTENT_TYPE)

    return router
