"""Routes of the pages that answer which method to choose, and how far to trust the answer."""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Final

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from app.api.state import AppState, state_of
from app.memory.inputs import MethodKind
from app.services.estimate import Advice
from app.web.accuracy import PATH as ACCURACY_PATH
from app.web.accuracy import accuracy_page
from app.web.answer import DEFAULT_MODEL, EXAMPLE, answer, choices
from app.web.guide import PATH as GUIDE_PATH
from app.web.guide import guide_page
from app.web.landing import popular
from app.web.landing_methods import PATH as METHODS_PATH
from app.web.landing_methods import method_links, methods_page
from app.web.outcome import Outcome
from app.web.pages import cached, page_context
from app.web.shell import PageContext
from app.web.static_files import READ
from app.web.templating import render

router = APIRouter(include_in_schema=False)

DEFAULTS: Final = {"model": DEFAULT_MODEL}
WITH_CARD: Final = {"model": DEFAULT_MODEL, "gpu": EXAMPLE["gpu"]}

PATHS = (METHODS_PATH, GUIDE_PATH, ACCURACY_PATH)
"""What the site map lists."""


async def _outcome(
    request: Request, parts: AppState, context: PageContext, defaults: Mapping[str, str] = DEFAULTS
) -> Outcome | None:
    """The run of the address by each method, with ``defaults`` for what it leaves out."""
    pairs = [(name, text) for name, text in request.query_params.multi_items() if name != "method" and text.strip()]
    given = {name for name, _text in pairs}
    pairs.extend((name, text) for name, text in defaults.items() if name not in given)
    asked: Iterable[tuple[str, str]] = [*pairs, ("method", MethodKind.QLORA.value)]
    ask = partial(answer, asked, parts.snapshot(), parts.today(), parts.policy, context.preferences)
    # The rules weigh what each method leaves room for.
    return (await run_in_threadpool(ask, advice_of_others=Advice.ALL)).outcome


@router.api_route(METHODS_PATH, methods=READ)
async def methods(request: Request) -> Response:
    """One model by the three methods; a run that cannot be read is sent to the calculator, which says why."""
    parts = state_of(request)
    context = page_context(request, parts)
    outcome = await _outcome(request, parts, context)
    if outcome is None:
        return RedirectResponse(f"/?{request.url.query}", status_code=303)

    def make() -> tuple[bytes, int]:
        snapshot = parts.snapshot()
        page = methods_page(
            context=context,
            outcome=outcome,
            models=tuple((model.name, model.slug) for model in snapshot.models),
            related=[(model.name, model.slug) for model in popular(snapshot)],
        )
        return render("methods.html", page, context.fmt.translations).encode(), 200

    return await cached(request, parts, context, make)


@router.api_route(ACCURACY_PATH, methods=READ)
async def accuracy(request: Request) -> Response:
    """How far the figures have been checked."""
    parts = state_of(request)
    context = page_context(request, parts)

    def make() -> tuple[bytes, int]:
        return render("accuracy.html", accuracy_page(context), context.fmt.translations).encode(), 200

    return await cached(request, parts, context, make)


@router.api_route(GUIDE_PATH, methods=READ)
async def guide(request: Request) -> Response:
    """Full, LoRA or QLoRA for one model and card; a run that cannot be read is sent to the calculator."""
    parts = state_of(request)
    context = page_context(request, parts)
    outcome = await _outcome(request, parts, context, WITH_CARD)
    if outcome is None or outcome.chosen_card is None:
        return RedirectResponse(f"/?{request.url.query}", status_code=303)

    def make() -> tuple[bytes, int]:
        snapshot = parts.snapshot()
        page = guide_page(
            context=context,
            outcome=outcome,
            methods=method_links(outcome, context.fmt),
            models=tuple((model.name, model.slug) for model in snapshot.models),
            cards=choices(snapshot, parts.today()).gpus,
        )
        return render("guide.html", page, context.fmt.translations).encode(), 200

    return await cached(request, parts, context, make)
