"""Routes of the pages that search engines find, their lists, the site map and the robots' rules."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final
from xml.sax.saxutils import escape

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from app.api.state import AppState, state_of
from app.catalogue.facts import CatalogueGpu, CatalogueModel
from app.catalogue.snapshot import Snapshot
from app.memory.inputs import MethodKind
from app.request import GpuListing, Run
from app.services.estimate import Advice, Outlook, estimate, outlook
from app.services.results import EstimateResult
from app.web.answer import answer, card_labels
from app.web.calculator import method_cards
from app.web.cards_page import cards_page
from app.web.cards_view import CARDS_PATH
from app.web.glossary import glossary_page
from app.web.landing import Market, popular
from app.web.landing_best import best_gpu_page
from app.web.landing_gpu import gpu_page
from app.web.landing_index import gpus_index, models_index
from app.web.landing_model import model_page
from app.web.pages import cached, page_context
from app.web.plan import PATH as PLAN_PATH
from app.web.plan_pages import router as plan_router
from app.web.question_pages import PATHS as QUESTION_PATHS
from app.web.question_pages import router as question_router
from app.web.shell import PageContext
from app.web.solve import PATH as SOLVE_PATH
from app.web.solve_pages import router as solve_router
from app.web.speed import speed_page
from app.web.static_files import READ
from app.web.templating import render

router = APIRouter(include_in_schema=False)
router.include_router(question_router)
router.include_router(plan_router)
router.include_router(solve_router)

LENGTHS: Final = (512, 1024, 2048, 4096, 8192)
RELATED: Final = 8


def _market(parts: AppState) -> Market:
    snapshot = parts.snapshot()
    return Market(snapshot=snapshot, today=parts.today(), policy=parts.policy, labels=card_labels(snapshot))


def _runs(model: str, length: int) -> list[Run]:
    fields = {"model": model, "sequence_length": length, "gpus": GpuListing.NONE}
    return [Run.model_validate({**fields, "method": kind}) for kind in MethodKind]


def _estimates(market: Market, model: str, length: int) -> list[EstimateResult]:
    return [estimate(run, market.snapshot, market.today, market.policy) for run in _runs(model, length)]


def _outlooks(market: Market, model: str, length: int) -> list[Outlook]:
    return [
        outlook(run, market.snapshot, market.today, market.policy, advice=Advice.NONE) for run in _runs(model, length)
    ]


@router.api_route("/models", methods=READ)
async def models(request: Request) -> Response:
    """Every model's page."""
    parts = state_of(request)
    context = page_context(request, parts)
    page = partial(models_index, context, parts.snapshot())
    return await cached(request, parts, context, lambda: (_html("list.html", page(), context), 200))


@router.api_route("/models/{name:path}", methods=READ)
async def model(request: Request, name: str) -> Response:
    """How much memory one model takes; a Hugging Face id or an alias leads to the model's own address."""
    parts = state_of(request)
    found = parts.snapshot().model(name)
    if found is None:
        raise HTTPException(404)
    if found.slug != name:
        return RedirectResponse(f"/models/{found.slug}", status_code=301)
    context = page_context(request, parts)
    return await cached(request, parts, context, lambda: (_model_html(found, _market(parts), context), 200))


def _model_html(model: CatalogueModel, market: Market, context: PageContext) -> bytes:
    pairs = [("model", model.slug), ("method", MethodKind.QLORA.value)]
    found = answer(pairs, market.snapshot, market.today, market.policy, {})
    if found.outcome is None:
        raise HTTPException(404)
    page = model_page(
        context=context,
        model=model,
        outcome=found.outcome,
        methods=method_cards(found.outcome, context.fmt),
        by_length=[
            (length, _estimates(market, model.slug, length))
            for length in LENGTHS
            if length <= (model.architecture.max_position_embeddings or length)
        ],
        related=_related_models(model, market.snapshot),
    )
    return _html("model.html", page, context)


def _related_models(model: CatalogueModel, snapshot: Snapshot) -> list[CatalogueModel]:
    family = [other for other in snapshot.models if other.family == model.family and other.slug != model.slug]
    return sorted(family, key=lambda other: abs(other.total_parameters - model.total_parameters))[:RELATED]


@router.api_route("/gpus", methods=READ)
async def gpus(request: Request) -> Response:
    """Every card's page."""
    parts = state_of(request)
    context = page_context(request, parts)
    return await cached(
        request, parts, context, lambda: (_html("list.html", gpus_index(context, _market(parts)), context), 200)
    )


@router.api_route("/gpus/{name}", methods=READ)
async def gpu(request: Request, name: str) -> Response:
    """What one card can fine-tune; an alias leads to the card's own address."""
    parts = state_of(request)
    found = parts.snapshot().gpu(name)
    if found is None:
        raise HTTPException(404)
    if found.slug != name:
        return RedirectResponse(f"/gpus/{found.slug}", status_code=301)
    context = page_context(request, parts)
    return await cached(request, parts, context, lambda: (_gpu_html(found, _market(parts), context), 200))


def _gpu_html(gpu: CatalogueGpu, market: Market, context: PageContext) -> bytes:
    near = sorted(
        (other for other in market.snapshot.gpus if other.slug != gpu.slug),
        key=lambda other: abs(other.device.memory_bytes - gpu.device.memory_bytes),
    )
    page = gpu_page(context=context, gpu=gpu, market=market, related=near[:RELATED])
    return _html("gpu.html", page, context)


@router.api_route("/best-gpu", methods=READ)
async def best_gpu(request: Request) -> Response:
    """The cheapest card for each usual model by each method."""
    parts = state_of(request)
    context = page_context(request, parts)

    def make() -> tuple[bytes, int]:
        market = _market(parts)
        results = [(model, _outlooks(market, model.slug, 512)) for model in popular(market.snapshot)]
        return _html("best-gpu.html", best_gpu_page(context=context, market=market, results=results), context), 200

    return await cached(request, parts, context, make)


@router.api_route("/glossary", methods=READ)
async def glossary(request: Request) -> Response:
    """What the words mean."""
    parts = state_of(request)
    context = page_context(request, parts)
    return await cached(request, parts, context, lambda: (_html("glossary.html", glossary_page(context), context), 200))


@router.api_route("/speed", methods=READ)
async def speed(request: Request) -> Response:
    """Time and cost of a run by card."""
    return await _of_a_run(request, "speed.html", speed_page)


@router.api_route(CARDS_PATH, methods=READ)
async def cards(request: Request) -> Response:
    """Every card against a run."""
    return await _of_a_run(request, "cards.html", cards_page)


async def _of_a_run(request: Request, template: str, view: Callable[..., object]) -> Response:
    """A page about the run of its address; one that cannot be read is sent to the calculator, which says why."""
    parts = state_of(request)
    context = page_context(request, parts)
    pairs = request.query_params.multi_items()
    found = await run_in_threadpool(answer, pairs, parts.snapshot(), parts.today(), parts.policy, context.preferences)
    outcome = found.outcome
    if outcome is None:
        return RedirectResponse(f"/?{request.url.query}", status_code=303)

    def make() -> tuple[bytes, int]:
        return _html(template, view(context=context, outcome=outcome), context), 200

    return await cached(request, parts, context, make)


def _html(template: str, page: object, context: PageContext) -> bytes:
    return render(template, page, context.fmt.translations).encode()


FIXED_PAGES = (
    "/",
    "/compare",
    *QUESTION_PATHS,
    "/models",
    "/gpus",
    "/best-gpu",
    "/speed",
    CARDS_PATH,
    PLAN_PATH,
    SOLVE_PATH,
    "/serve",
    "/dataset",
    "/glossary",
    "/embed",
    "/docs",
)


def _addresses(snapshot: Snapshot) -> Iterable[str]:
    yield from FIXED_PAGES
    yield from (f"/models/{model.slug}" for model in snapshot.models)
    yield from (f"/gpus/{gpu.slug}" for gpu in snapshot.gpus)


@router.api_route("/sitemap.xml", methods=READ)
async def site_map(request: Request) -> Response:
    """Every page worth finding, by its canonical address."""
    parts = state_of(request)
    context = page_context(request, parts)
    places = "".join(_places(context, path) for path in _addresses(parts.snapshot()))
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:xhtml="http://www.w3.org/1999/xhtml">\n'
        f"{places}</urlset>\n"
    )
    return Response(text, media_type="application/xml", headers={"cache-control": "public, max-age=3600"})


def _places(context: PageContext, path: str) -> str:
    """A page's entry in each of its languages, each naming them all."""
    pages = context.in_every_language(path)
    others = "".join(
        f'<xhtml:link rel="alternate" hreflang="{page.language}" href="{escape(page.canonical_url)}"/>'
        for page in pages
    )
    addresses = [page.canonical_url for page in pages] or [context.absolute(path)]
    return "".join(f"<url><loc>{escape(address)}</loc>{others}</url>\n" for address in addresses)


@router.api_route("/robots.txt", methods=READ)
async def robots(request: Request) -> Response:
    """Search engines may read the pages; runs, frames and order links are endless or not theirs to follow."""
    context = page_context(request, state_of(request))
    rules = (
        "User-agent: *",
        "Allow: /static/",
        "Disallow: /api/",
        "Disallow: /go/",
        "Disallow: /embed/",
        "Disallow: /*?",
    )
    text = "\n".join((*rules, f"Sitemap: {context.absolute('/sitemap.xml')}", ""))
    return Response(text, media_type="text/plain", headers={"cache-control": "public, max-age=3600"})
