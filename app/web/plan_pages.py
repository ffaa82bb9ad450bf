"""The route of the page that plans a job."""

from dataclasses import replace
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.state import state_of
from app.request import RecommendRequest, RequestError, parse_query
from app.services.recommend import recommend
from app.services.results import RecommendResult
from app.web.answer import DEFAULT_MODEL, choices, order_link
from app.web.pages import cached, page_context
from app.web.plan import PATH, plan_page
from app.web.small_form import small_form, texts_of
from app.web.static_files import READ
from app.web.templating import render

router = APIRouter(include_in_schema=False)

FIRST_VISIT: Final = {"model": DEFAULT_MODEL, "num_examples": "10000"}


@router.api_route(PATH, methods=READ)
async def plan(request: Request) -> Response:
    """What to rent for a job; a request that cannot be read comes back with its form and status 422."""
    parts = state_of(request)
    context = page_context(request, parts)

    def make() -> tuple[bytes, int]:
        snapshot, today = parts.snapshot(), parts.today()
        texts = texts_of(request.query_params.multi_items(), RecommendRequest) or dict(FIRST_VISIT)
        texts.setdefault("model", DEFAULT_MODEL)
        form = small_form(RecommendRequest, PATH, texts)
        given: RecommendRequest | None = None
        result: RecommendResult | None = None
        try:
            given = parse_query(texts.items(), model=RecommendRequest)
            result = recommend(given, snapshot, today, parts.policy)
            model = snapshot.model(given.model) if given.model else None
            form = replace(form, texts={**texts, "model": model.name}) if model else form
        except RequestError as problem:
            form = small_form(RecommendRequest, PATH, texts, problem.errors)
        offers = [option.offer for option in result.options] if result else []
        page = plan_page(
            context=context,
            form=form,
            choices=choices(snapshot, today),
            given=given,
            result=result,
            order={offer.id: order_link(offer) for offer in offers},
        )
        return render("plan.html", page, context.fmt.translations).encode(), 200 if result else 422

    return await cached(request, parts, context, make)
