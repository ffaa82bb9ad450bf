"""The pages' routes: read the query, build the view model, render, keep."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from app.api.state import AppState, state_of
from app.catalogue.snapshot import Snapshot
from app.web.answer import answer, card_labels, choices, own_comparison
from app.web.calculator import calculator_page
from app.web.compare import compare_page
from app.web.compare_published import PublishedView, published_view
from app.web.embed.colour import brand_css_path
from app.web.embed.discovery import discovery_url
from app.web.embed.kept import KeptAnswer, Made
from app.web.formatting import Formatter, MemoryUnit
from app.web.kept_pages import KEEP, KeptPage
from app.web.language import formatter, language_of, locale_of, unit_of
from app.web.paste import PATH as PASTE_PATH
from app.web.paste import read_form, store
from app.web.shell import PageContext
from app.web.static_files import READ
from app.web.static_files import router as static_router
from app.web.templating import render
from app.web.turn_to import turn_to

router = APIRouter(include_in_schema=False)

HTML = "text/html; charset=utf-8"


def page_context(request: Request, parts: AppState, *, unit: str | None = None) -> PageContext:
    """Who is asking, and how the operator wants it to look."""
    settings = parts.settings
    asked_unit = unit or unit_of(request.query_params.get("units"), settings.units)
    base_url = settings.public_url or str(request.base_url)
    language = request.scope.get("language") or language_of(settings.locale)
    return PageContext(
        fmt=formatter(locale_of(language, settings.locale), asked_unit),
        base_url=base_url.rstrip("/"),
        brand_name=settings.brand_name,
        brand_logo_url=settings.brand_logo_url or "",
        brand_css_url=brand_css_path(settings.brand_colour.removeprefix("#").lower()) if settings.brand_colour else "",
        preferences={"units": asked_unit} if asked_unit != settings.units and unit is None else {},
        language=language,
        default_locale=settings.locale,
        query=request.url.query if request.method != "POST" else "",
    )


class Page(Response):
    """A page ready to send, plain or compressed, with a tag by which a browser may ask whether it still holds."""

    def __init__(self, answer: KeptAnswer) -> None:
        super().__init__(status_code=answer.status)
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        await self._answer.send(scope, send)


def respond(body: bytes, status: int = 200) -> Page:
    """A page that browsers keep but ask about."""
    return Page(KeptAnswer(Made(body=body, media_type=HTML, status=status, max_age_seconds=0)))


async def cached(
    request: Request,
    parts: AppState,
    context: PageContext,
    make: Callable[[], tuple[bytes, int]],
    asked: Mapping[str, str] | None = None,
) -> Response:
    """Make a page, and keep it for whoever asks the same; ``asked`` is the run to count each time."""
    body, status = await run_in_threadpool(make)
    made = Made(body=body, media_type=HTML, status=status, max_age_seconds=0)
    page = KeptPage(made, route=request.scope.get("route"), asked=asked)
    keep: Callable[[KeptPage], None] | None = request.scope.get(KEEP)
    # A page about a pasted configuration ends when the configuration is dropped; an error page is not worth keeping.
    if keep is not None and status == 200 and "config:" not in request.url.query.lower().replace("%3a", ":"):
        keep(page)
    return Page(page)


@router.api_route("/", methods=READ)
async def calculator(request: Request) -> Response:
    """The calculator; a run that cannot be read comes back as the filled form with status 422."""
    parts = state_of(request)
    context = page_context(request, parts)
    parts.asked.run(request.query_params, parts.snapshot())

    def make() -> tuple[bytes, int]:
        snapshot, today = parts.snapshot(), parts.today()
        found = answer(request.query_params.multi_items(), snapshot, today, parts.policy, context.preferences)
        page_url = context.absolute(f"/?{request.url.query}" if request.url.query else "/")
        page = calculator_page(
            context=context,
            state=found.state,
            choices=choices(snapshot, today),
            outcome=found.outcome,
            oembed_url=discovery_url(page_url, context.base_url),
        )
        if found.outcome is not None:
            turns = turn_to(parts.settings, found.outcome, context.fmt)
            page = replace(page, verdict=replace(page.verdict, actions=(*turns, *page.verdict.actions)))
        status = 200 if found.outcome is not None else 422
        return render("calculator.html", page, context.fmt.translations).encode(), status

    return await cached(request, parts, context, make, asked=dict(request.query_params))


@router.post(PASTE_PATH)
async def paste_config(request: Request) -> Response:
    """Keep a pasted configuration and show its run; one that cannot be read comes back with what is wrong."""
    parts = state_of(request)
    context = page_context(request, parts)
    sent = read_form(await request.body())
    pasted, model = await run_in_threadpool(store, sent, parts, context.fmt)
    if model:
        return RedirectResponse(f"/?{pasted.address(model)}", status_code=303)

    def make() -> bytes:
        snapshot, today = parts.snapshot(), parts.today()
        found = answer(parse_qsl(sent.query), snapshot, today, parts.policy, context.preferences)
        page = calculator_page(
            context=context,
            state=found.state,
            choices=choices(snapshot, today),
            outcome=found.outcome,
            oembed_url="",
            pasted=pasted,
        )
        return render("calculator.html", page, context.fmt.translations).encode()

    return respond(await run_in_threadpool(make), 422)


def published(snapshot: Snapshot, fmt: Formatter) -> PublishedView:
    """The article's part of the page: the same for every visitor until the catalogue changes."""
    return snapshot.derived((published, fmt), lambda: published_view(snapshot, fmt))


@router.api_route("/compare", methods=READ)
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
            published=published(snapshot, context.fmt),
        )
        asked = f"/compare?{request.url.query}" if request.url.query else "/compare"
        oembed_url = discovery_url(context.absolute(asked), context.base_url)
        page = replace(page, meta=replace(page.meta, oembed_url=oembed_url))
        return render("compare.html", page, context.fmt.translations).encode(), 200 if own.problem is None else 422

    return await cached(request, parts, context, make)


router.include_router(static_router)
