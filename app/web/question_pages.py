"""Routes of the pages that answer which method to choose, and how far to trust the answer."""

from collections.abc import Iterable

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from app.api.state import AppState, state_of
from app.memory.inputs import MethodKind
from app.web.accuracy import PATH as ACCURACY_PATH
from app.web.accuracy import accuracy_page
from app.web.answer import DEFAULT_MODEL, answer
from app.web.landing import popular
from app.web.landing_methods import PATH as METHODS_PATH
from app.web.landing_methods import methods_page
from app.web.outcome import Outcome
from app.web.pages import cached, page_context
from app.web.shell import PageContext
from app.web.static_files import READ
from app.web.templating import render

router = APIRouter(include_in_schema=False)

PATHS = (METHODS_PATH, ACCURACY_PATH)
"""What the site map lists."""


async def _outcome(request: Request, parts: AppState, context: PageContext) -> Outcome | None:
    """The run of the address by each method; the usual model by QLoRA where it names none."""
    pairs = [pair for pair in request.query_params.multi_items() if pair[0] != "method"]
    if not any(name == "model" for name, _text in pairs):
        pairs.append(("model", DEFAULT_MODEL))
    asked: Iterable[tuple[str, str]] = [*pairs, ("method", MethodKind.QLORA.value)]
    found = await run_in_threadpool(answer, asked, parts.snapshot(), parts.today(), parts.policy, context.preferences)
    return found.outcome


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
