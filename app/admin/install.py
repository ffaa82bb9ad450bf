"""Puts the operator's side into the application: its routes, and what its errors look like."""

import logging
from typing import Any, Final

from fastapi import FastAPI, Request
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import Response

from app.admin import api, offer_pages, pages, upload_pages
from app.admin.guard import NOT_KEPT, AdminState, RefusedError
from app.admin.page_parts import SIGN_IN, SignInNeededError, go, refused_page
from app.admin.views import HOME
from app.catalogue.importing import ImportRefusedError
from app.catalogue.offer_files import FileError
from app.ops.problem import problem

logger = logging.getLogger(__name__)

LISTED_ERRORS: Final = 200
AWAY: Final = "The database cannot be reached or refused the change. Nothing was changed."


def install(app: FastAPI, state: AdminState) -> None:
    """Add the routes and error handlers."""
    app.state.admin = state
    app.include_router(api.router, prefix=api.API_PREFIX)
    for router in (pages.router, offer_pages.router, upload_pages.router):
        app.include_router(router)
    app.add_exception_handler(SignInNeededError, _sign_in_needed)
    app.add_exception_handler(RefusedError, _refused)
    app.add_exception_handler(ImportRefusedError, _bad_rows)
    app.add_exception_handler(FileError, _bad_file)
    app.add_exception_handler(SQLAlchemyError, _database_away)


def _is_page(request: Request) -> bool:
    return request.url.path == HOME or request.url.path.startswith(f"{HOME}/")


async def _sign_in_needed(_: Request, __: Exception) -> Response:
    return go(SIGN_IN)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    if _is_page(request):
        return refused_page(request, error)
    return problem(error.status, error.detail, headers=error.headers)


async def _bad_rows(_: Request, error: Exception) -> Response:
    assert isinstance(error, ImportRefusedError)
    entries: list[dict[str, Any]] = []
    for entry in error.errors[:LISTED_ERRORS]:
        shown: dict[str, Any] = {"row": entry.row, "field": entry.field, "message": entry.message}
        if entry.suggestions:
            shown["suggestions"] = list(entry.suggestions)
        entries.append(shown)
    count = len(error.errors)
    detail = f"{error.errors[0]}. Nothing was changed." if count == 1 else f"{count} errors. Nothing was changed."
    return problem(422, detail, title="The list has rows with errors", errors=entries)


async def _bad_file(request: Request, error: Exception) -> Response:
    if _is_page(request):
        return refused_page(request, RefusedError(400, f"This list cannot be used: {error}. Nothing was changed."))
    return problem(400, f"This list cannot be used: {error}. Nothing was changed.")


async def _database_away(request: Request, error: Exception) -> Response:
    logger.error("the database refused an operator's request", exc_info=error)
    if _is_page(request):
        return refused_page(request, RefusedError(503, AWAY))
    return problem(503, AWAY, headers={"retry-after": "5", **NOT_KEPT})
