"""The route of the page that sizes serving."""

from dataclasses import replace
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.state import state_of
from app.request import RequestError, parse_query
from app.request.serving import ServeRequest
from app.services.serving import PATH, serve
from app.services.serving_results import ServeResult
from app.web.answer import DEFAULT_MODEL, EXAMPLE, choices, order_link
from app.web.pages import cached, page_context
from app.web.serving import serve_page
from app.web.small_form import small_form, texts_of
from app.web.static_files import READ
from app.web.templating import render

router = APIRouter(include_in_schema=False)

FIRST_VISIT: Final = {"model": DEFAULT_MODEL, "gpu": EXAMPLE["gpu"]}


@router.api_route(PATH, methods=READ)
async def serve_result(request: Request) -> Response:
    """Serving a model; a request that cannot be read comes back with its form and status 422."""
    parts = state_of(request)
    context = page_context(request, parts)

    def make() -> tuple[bytes, int]:
        snapshot, today = parts.snapshot(), parts.today()
        texts = texts_of(request.query_params.multi_items(), ServeRequest) or dict(FIRST_VISIT)
        texts.setdefault("model", DEFAULT_MODEL)
        form = small_form(ServeRequest, PATH, texts)
        result: ServeResult | None = None
        try:
            given = parse_query(texts.items(), model=ServeRequest)
            result = serve(given, snapshot, today, parts.policy)
            form = replace(form, texts={**texts, "model": result.model.name})
        except RequestError as problem:
            form = small_form(ServeRequest, PATH, texts, problem.errors)
        offers = [option.offer for option in result.options] if result else []
        page = serve_page(
            context=context,
            form=form,
            choices=choices(snapshot, today),
            result=result,
            order={offer.id: order_link(offer) for offer in offers},
        )
        return render("serve.html", page, context.fmt.translations).encode(), 200 if result else 422

    return await cached(request, parts, context, make)
