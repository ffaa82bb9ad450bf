"""Where the parts meet: settings, catalogue, services, routers and what runs around every request."""

import gc
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from sqlalchemy import Engine
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route
from starlette.types import ASGIApp

from app import __version__
from app.admin.api import UPLOADS
from app.admin.attempts import Attempts
from app.admin.guard import AdminState
from app.admin.install import install as install_admin
from app.api import accuracy, dataset, docs, errors, health, lists, runs, serve
from app.api.error_page import error_page
from app.api.metrics import metrics_router
from app.api.openapi import PROBLEM_SCHEMA
from app.api.state import AppState, ConfigStore
from app.catalogue.asked import Asked
from app.catalogue.configs import StoredConfigs
from app.catalogue.database import Database
from app.catalogue.hub import HubModels
from app.catalogue.hub_client import HubClient
from app.catalogue.service import CatalogueService
from app.catalogue.snapshot import Snapshot
from app.ops.allocator import GivingBack
from app.ops.body_limit import BodyLimit
from app.ops.late import Endpoint, Late
from app.ops.rate_store import RateStore, rate_store
from app.ops.surround import outermost, rate_limit
from app.services.lengths import PATH as DATASET_PATH
from app.services.policy import Policy
from app.settings import Settings
from app.web import dataset_pages, landing_pages, oembed, orders, pages, serving_pages
from app.web.embed import builder
from app.web.embed import routes as embeds
from app.web.kept_pages import KeptPages, SendKept
from app.web.language import LanguagePrefix
from app.web.warm import Warming

logger = logging.getLogger(__name__)

API_PREFIX: Final = "/api/v1"

MCP_PATH: Final = "/mcp"

PUBLIC_UPLOADS: Final = {DATASET_PATH: dataset_pages.MAX_UPLOAD_BYTES, dataset.PATH: dataset.MAX_BODY_BYTES}
"""Ends of the addresses (a page has one in each language) that take more than a calculation does, and how much."""

DESCRIPTION: Final = """GPU memory, speed and cost of a fine-tuning run, and which card to rent for it.

Bytes are integers; GB is 10⁹ and GiB 2³⁰ bytes. Money is a decimal string with its currency. A field that is `null` is
not given. Errors are `application/problem+json` (RFC 9457).
"""


def service() -> FastAPI:
    """The application as a server runs it, by the environment's settings."""
    return create_app(warms_up=True)


def create_app(
    settings: Settings | None = None,
    *,
    snapshot: Snapshot | None = None,
    configs: ConfigStore | None = None,
    today: Callable[[], date] | None = None,
    warms_up: bool = False,
) -> FastAPI:
    """The whole application.

    With ``snapshot`` (and ``configs``) it needs no database, which is how tests run it; ``today`` replaces the clock.
    One that ``warms_up`` makes in the background what its first visitors would wait for.
    """
    settings = settings or Settings()
    catalogue: CatalogueService | None = None
    hub: HubModels | None = None
    if snapshot is None or configs is None:
        database = Database(settings.database_url)
        configs = configs or StoredConfigs(database, limit=settings.max_stored_configs)
        hub = _hub(settings, database)
        if snapshot is None:
            catalogue = CatalogueService(database, poll_seconds=settings.catalogue_poll_seconds)
    parts = _parts(settings, catalogue, snapshot, configs, hub, today or _utc_today)
    tools = Late(lambda: _tools(parts))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        giving_back = GivingBack()
        giving_back.start()  # in each worker, before it has other threads
        if catalogue is not None:
            catalogue.start()
        parts.asked.start()
        # What is loaded by now stays: the collector need not walk the catalogue again and again.
        gc.collect()
        gc.freeze()
        warming = Warming(settings.locale, parts.snapshot)
        if warms_up:
            warming.start()
        async with tools.running():
            yield
        if warms_up:
            warming.stop()
        giving_back.stop()
        parts.asked.stop()
        if hub is not None:
            hub.close()
        if catalogue is not None:
            catalogue.stop()

    app = FastAPI(
        title="VRAM Fit",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        redoc_url=None,
        docs_url=None,
        generate_unique_id_function=lambda route: route.name,
        # Traces and metrics are ours (app/ops), with no address, query or value in them.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.parts = parts
    _include(app)
    if catalogue is not None and settings.admin_enabled:
        install_admin(app, _admin(settings, catalogue, parts))
    rates = rate_store(settings.rate_limit_storage)
    app.include_router(metrics_router(settings, catalogue, parts.snapshot, rates))
    app.router.routes.append(Route(MCP_PATH, tools, methods=["POST"]))
    embedded = embeds.Installed(app, parts)
    errors.install(app, error_page)
    _surround(app, settings, embedded, rates, catalogue.database.engine if catalogue is not None else None)
    _describe(app)
    return app


def _parts(
    settings: Settings,
    catalogue: CatalogueService | None,
    snapshot: Snapshot | None,
    configs: ConfigStore,
    hub: HubModels | None,
    today: Callable[[], date],
) -> AppState:
    def current() -> Snapshot:
        if catalogue is not None:
            return catalogue.snapshot
        assert snapshot is not None
        return snapshot

    def missing() -> str | None:
        if catalogue is not None and not catalogue.state.is_healthy:
            return "The database cannot be reached; answers come from the catalogue as last read."
        return None if current().models and current().gpus else "The catalogue is empty: run vram-fit catalogue load."

    policy = Policy(
        currency=settings.currency,
        offer_max_age_days=settings.offer_max_age_days,
        include_spot=settings.include_spot,
        include_samples=not settings.hide_samples,
        contact_url=settings.contact_url,
        public_url=settings.public_url,
        stored_config=configs.get,
        hub=hub.lookup if hub is not None else None,
    )
    asked = Asked(catalogue.database if catalogue is not None else None, today)
    return AppState(
        settings=settings, snapshot=current, today=today, configs=configs, policy=policy, asked=asked, ready=missing
    )


def _hub(settings: Settings, database: Database) -> HubModels | None:
    if settings.hub_url is None:
        return None
    client = HubClient(
        base_url=settings.hub_url,
        token=settings.hub_token.get_secret_value() if settings.hub_token else None,
        timeout_seconds=settings.hub_timeout_seconds,
        max_bytes=settings.hub_max_bytes,
    )
    return HubModels(client, database, cache_days=settings.hub_cache_days, limit=settings.max_stored_configs)


def _tools(parts: AppState) -> Endpoint:
    # Its SDK takes as long to load as everything else of the service that is not the framework.
    from app.mcp import McpEndpoint

    return McpEndpoint(parts)


def _admin(settings: Settings, catalogue: CatalogueService, parts: AppState) -> AdminState:
    return AdminState(
        settings=settings,
        database=catalogue.database,
        snapshot=parts.snapshot,
        refresh=catalogue.refresh,
        today=parts.today,
        attempts=Attempts(),
    )


def _include(app: FastAPI) -> None:
    api = APIRouter(prefix=API_PREFIX)
    for router in (runs.router, serve.router, dataset.router, lists.router, accuracy.router, health.router):
        api.include_router(router)
    app.include_router(api)
    app.include_router(health.router, include_in_schema=False)
    app.include_router(docs.router)
    for router in (
        pages.router,
        landing_pages.router,
        serving_pages.router,
        dataset_pages.router,
        builder.router,
        oembed.router,
        orders.router,
    ):
        app.include_router(router)


def _surround(
    app: FastAPI, settings: Settings, embedded: embeds.Installed, rates: RateStore, engine: Engine | None
) -> None:
    """Pure ASGI around everything, the outermost last."""

    def limit_of(path: str) -> int:
        if path in UPLOADS:
            return settings.max_upload_bytes
        return next((size for end, size in PUBLIC_UPLOADS.items() if path.endswith(end)), settings.max_body_bytes)

    app.add_middleware(LanguagePrefix, default_locale=settings.locale)
    parts: AppState = app.state.parts
    counted = rate_limit(settings, rates)

    def kept(around: ASGIApp) -> ASGIApp:
        return embedded.first(KeptPages(around, parts, counted))

    app.add_middleware(SendKept, parts=parts)
    app.add_middleware(BodyLimit, limit_of=limit_of, timeout_seconds=settings.body_timeout_seconds)
    app.add_middleware(counted)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=list(settings.cors_origins),
        allow_methods=["GET", "POST"],
        allow_headers=["Content-Type", "Authorization", "If-None-Match"],
        expose_headers=["ETag", "X-Request-Id", "RateLimit", "RateLimit-Policy", "Retry-After"],
    )
    outermost(app, settings, prefix=API_PREFIX, direct=embeds.FIRST, kept=kept, engine=engine)


def _describe(app: FastAPI) -> None:
    """Add the problem document's schema to the OpenAPI document."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        document.setdefault("components", {}).setdefault("schemas", {})["Problem"] = dict(PROBLEM_SCHEMA)
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _utc_today() -> date:
    return datetime.now(UTC).date()
