"""The pages' routes: read the query, build the view model, render, keep."""

import hashlib
from collections.abc import Callable
from functools import lru_cache
from urllib.parse import quote

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.state import AppState, state_of
from app.catalogue.snapshot import Snapshot
from app.web.answer import answer, card_labels, choices, own_comparison
from app.web.cache import PageCache
from app.web.calculator import calculator_page
from app.web.compare import compare_page
from app.web.compare_published import PublishedView, published_view
from app.web.formatting import Formatter, MemoryUnit
from app.web.language import formatter, unit_of
from app.web.shell import PageContext
from app.web.static_files import router as static_router
from app.web.templating import render

router = APIRouter(include_in_schema=False)

HTML = "text/html; charset=utf-8"
_CACHE = PageCache()


def page_context(request: Request, parts: AppState, *, unit: str | None = None) -> PageContext:
    """Who is asking, and how the operator wants it to look."""
    settings = parts.settings
    asked_unit = unit or unit_of(request.query_params.get("units"), settings.units)
    base_url = settings.public_url or str(request.base_url)
    return PageContext(
        fmt=formatter(settings.locale, asked_unit),
        base_url=base_url.rstrip("/"),
        brand_name=settings.brand_name,
        preferences={"units": asked_unit} if asked_unit != settings.units and unit is None else {},
    )


def respond(request: Request, body: bytes, status: int = 200) -> Response:
    """A page with a tag by which a browser may ask whether it still holds."""
    tag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
    headers = {"etag": tag, "cache-control": "public, max-age=0, must-revalidate"}
    if status == 200 and request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(body, status_code=status, media_type=HTML, headers=headers)


def cached(request: Request, parts: AppState, context: PageContext, make: Callable[[], tuple[bytes, int]]) -> Response:
    """Answer from the cache, which knows everything a page is made of: address, catalogue, day, reader and host."""
    key = (
        request.url.path,
        request.url.query,
        parts.snapshot().version,
        parts.today(),
        context.base_url,
        context.fmt.unit,
        str(context.fmt.locale),
        context.brand_name,
    )
    body = _CACHE.get(key)
    if body is not None:
        return respond(request, body)
    body, status = make()
    # A page about a pasted configuration ends when the configuration is dropped; an error page is not worth keeping.
    if status == 200 and "config:" not in request.url.query.lower().replace("%3a", ":"):
        _CACHE.put(key, body)
    return respond(request, body, status)


@router.get("/")
async def calculator(request: Request) -> Response:
    """The calculator; a run that cannot be read comes back as the filled form with status 422."""
    parts = state_of(request)
    context = page_context(request, parts)

    def make() -> tuple[bytes, int]:
        snapshot, today = parts.snapshot(), parts.today()
        found = answer(request.query_params.multi_items(), snapshot, today, parts.policy, context.preferences)
        page_url = context.absolute(f"/?{request.url.query}" if request.url.query else "/")
        page = calculator_page(
            context=context,
            state=found.state,
            choices=choices(snapshot, today),
            outcome=found.outcome,
            oembed_url=context.absolute(f"/oembed?url={quote(page_url, safe='')}&format=json"),
        )
        status = 200 if found.outcome is not None else 422
        return render("calculator.html", page, context.fmt.translations).encode(), status

    return cached(request, parts, context, make)


@lru_cache(maxsize=8)
def _published(snapshot: Snapshot, fmt: Formatter) -> PublishedView:
    """The article's part of the page: the same for every visitor until the catalogue changes."""
    return published_view(snapshot, fmt)


@router.get("/compare")
async def compare_methods(request: Request) -> Response:
    """Methods × models; a query that cannot be read comes back with its form and status 422."""
    parts = state_of(request)
    context = page_context(request, parts, unit=MemoryUnit.GB)

    def make() -> tuple[bytes, int]:
        snapshot = parts.snapshot()
        own = own_comparison(request.query_params.multi_items(), snapshot, parts.today(), parts.policy)
        page = compare_page(
            context=context,
            own=own,
            names={model.slug: model.name for model in snapshot.models},
            labels=card_labels(snapshot),
            published=_published(snapshot, context.fmt),
        )
        return render("compare.html", page, context.fmt.translations).encode(), 200 if own.problem is None else 422

    return cached(request, parts, context, make)


router.include_router(static_router)
