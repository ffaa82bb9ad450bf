"""What a person sees where an address leads nowhere or something went wrong."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fastapi import Request
from starlette.responses import Response

from app.api.state import state_of
from app.messages import mark
from app.web.components import PageMeta
from app.web.pages import HTML, page_context
from app.web.shell import page_meta
from app.web.templating import render

_TITLES: Final[Mapping[int, str]] = {
    404: mark("There is nothing here"),
    405: mark("This page cannot be used that way"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ErrorPage:
    """Everything the page shows."""

    meta: PageMeta
    title: str
    detail: str


def error_page(request: Request, status: int, detail: str) -> Response:
    """The page for a status, with the site's navigation around it."""
    context = page_context(request, state_of(request))
    _ = context.fmt.gettext
    title, detail = _(_TITLES.get(status, mark("Something went wrong"))), _(detail)
    page = ErrorPage(
        meta=page_meta(context, path=request.url.path, title=title, description=detail), title=title, detail=detail
    )
    body = render("error.html", page, context.fmt.translations)
    return Response(body, status_code=status, media_type=HTML, headers={"cache-control": "no-store"})
