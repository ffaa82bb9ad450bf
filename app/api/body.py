"""Reading a JSON body: its type, its syntax, and nothing the models do not take."""

from typing import Any

from starlette.requests import Request

from app.api.errors import ApiError
from app.strict_json import read_strict_json


async def read_json(request: Request) -> Any:
    """The decoded body. Raises :class:`ApiError`: 415 for another type than JSON, 400 for malformed JSON."""
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type != "application/json" and not (
        media_type.startswith("application/") and media_type.endswith("+json")
    ):
        raise ApiError(415, "Send JSON with Content-Type: application/json.")
    try:
        return read_strict_json(await request.body())
    except ValueError as problem:
        raise ApiError(400, f"The body is not valid JSON: {problem}.") from None
