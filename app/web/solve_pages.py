"""The route of the inverse questions' page."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.state import state_of
from app.web.answer import choices
from app.web.pages import cached, page_context
from app.web.solve import PATH, solve_page
from app.web.solve_answer import answers
from app.web.static_files import READ
from app.web.templating import render

router = APIRouter(include_in_schema=False)


@router.api_route(PATH, methods=READ)
async def inverse_questions(request: Request) -> Response:
    """The largest, longest, highest or fewest; a question that cannot be read comes back with status 422."""
    parts = state_of(request)
    context = page_context(request, parts)

    def make() -> tuple[bytes, int]:
        snapshot, today = parts.snapshot(), parts.today()
        found = answers(request.query_params.multi_items(), snapshot, today, parts.policy)
        page = solve_page(context=context, found=found, choices=choices(snapshot, today))
        html = render("solve.html", page, context.fmt.translations).encode()
        return html, 200 if found.solved is not None else 422

    return await cached(request, parts, context, make)
