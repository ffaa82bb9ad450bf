"""Every error as a problem document: what the services raise, what the framework raises, and what nobody expected."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from app.messages import mark, message
from app.ops.problem import problem
from app.request import FieldError, RequestError

logger = logging.getLogger(__name__)

HtmlError = Callable[[Request, int, str], Response]

_DETAILS: Mapping[int, str] = {
    404: mark("There is nothing at this address."),
    405: mark("This address does not take this method."),
}

_LIST_MESSAGES: Mapping[str, str] = {
    "extra_forbidden": "is not a filter of this list.",
    "greater_than_equal": "must be at least {ge}.",
    "less_than_equal": "must be at most {le}.",
    "int_parsing": "is not a whole number.",
    "int_parsing_size": "is not a whole number of a size that can be read.",
    "float_parsing": "is not a number.",
    "bool_parsing": "is neither true nor false.",
    "enum": "must be {expected}.",
    "literal_error": "must be {expected}.",
}
"""What a list's query can have wrong with it, by pydantic's name for it."""


class ApiError(Exception):
    """A problem with a status of its own (400, 404, 406, 415…)."""

    def __init__(
        self, status: int, detail: str, *, suggestions: tuple[str, ...] = (), field: str | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.suggestions = suggestions
        self.field = field


def request_problem(error: RequestError) -> Response:
    """The 422 of a request with wrong fields."""
    entries = []
    for entry in error.errors:
        shown: dict[str, Any] = {"field": entry.field, "message": entry.message}
        if entry.allowed:
            shown["allowed"] = entry.allowed
        if entry.suggestions:
            shown["suggestions"] = list(entry.suggestions)
        entries.append(shown)
    count = len(entries)
    detail = f"{entries[0]['field']} {entries[0]['message']}" if count == 1 else f"{count} fields need another value."
    return problem(422, detail, title="The request has fields with errors", errors=entries)


def install(app: FastAPI, html_error: HtmlError | None = None) -> None:
    """Register the handlers. ``html_error`` renders what pages show; addresses under ``/api/`` get documents."""

    async def on_request_error(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestError)
        return request_problem(error)

    async def on_api_error(_: Request, error: Exception) -> Response:
        assert isinstance(error, ApiError)
        entries = []
        if error.field:
            entries = [{"field": error.field, "message": error.detail, "suggestions": list(error.suggestions)}]
        return problem(error.status, error.detail, errors=entries)

    async def on_invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return request_problem(RequestError(*map(_field_error, error.errors())))

    async def on_http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        detail = _DETAILS.get(error.status_code, str(error.detail))
        if html_error is not None and wants_page(request):
            return html_error(request, error.status_code, detail)
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers["allow"] = _allowed_methods(request) or headers.get("Allow", "GET")
            headers.pop("Allow", None)
        return problem(error.status_code, detail, headers=headers)

    async def on_anything(request: Request, error: Exception) -> Response:
        request_id = getattr(request.state, "request_id", "unknown")
        logger.error("request failed", exc_info=error, extra={"request_id": request_id, "path": request.url.path})
        detail = message("Something went wrong on our side; it is logged under {request}.", request=request_id)
        if html_error is not None and wants_page(request):
            return html_error(request, 500, detail)
        return problem(500, detail)

    handlers: Mapping[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
        RequestError: on_request_error,
        ApiError: on_api_error,
        RequestValidationError: on_invalid,
        HTTPException: on_http_error,
        Exception: on_anything,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


def _allowed_methods(request: Request) -> str:
    """Every method of a documented address: the framework names only those of the first route that matched."""
    operations = request.app.openapi()["paths"].get(request.url.path, {})
    return ", ".join(sorted(method.upper() for method in operations))


def _field_error(detail: Mapping[str, Any]) -> FieldError:
    """What FastAPI found wrong with a list's query."""
    place = [str(part) for part in detail["loc"] if part not in {"query", "path", "body"}]
    known, said = _LIST_MESSAGES.get(str(detail["type"])), str(detail["msg"])
    message = known.format(**detail.get("ctx", {})) if known else f"{said[:1].lower()}{said[1:]}."
    return FieldError(field=".".join(place) or "query", message=message)


def wants_page(request: Request) -> bool:
    """Whether an error at this address is shown to a person."""
    return not request.url.path.startswith("/api/") and "text/html" in request.headers.get("accept", "")
