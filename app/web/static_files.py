"""Style sheet, scripts and icon: read once, kept by browsers for a year under the digest in their address."""

import gzip
import mimetypes
from functools import cache
from typing import Final

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from app.web.templating import STATIC, asset

router = APIRouter(include_in_schema=False)

READ: Final = ["GET", "HEAD"]
"""What pages and files answer to."""

KEPT_FOR_A_YEAR = "public, max-age=31536000, immutable"
ASKED_AGAIN = "public, max-age=300"


@cache
def _content(name: str) -> bytes:
    return (STATIC / name).read_bytes()


@cache
def _compressed(name: str) -> bytes:
    return gzip.compress(_content(name), mtime=0)


@cache
def _names() -> frozenset[str]:
    return frozenset(str(path.relative_to(STATIC)) for path in STATIC.rglob("*") if path.is_file())


@router.api_route("/static/{name:path}", methods=READ)
async def static_file(request: Request, name: str) -> Response:
    """One of the files that exist at start; any other name is 404."""
    if name not in _names():
        raise HTTPException(404)
    is_versioned = asset(name).endswith(f"?{request.url.query}") and bool(request.url.query)
    headers = {"cache-control": KEPT_FOR_A_YEAR if is_versioned else ASKED_AGAIN, "vary": "accept-encoding"}
    body = _content(name)
    if "gzip" in request.headers.get("accept-encoding", ""):
        body, headers["content-encoding"] = _compressed(name), "gzip"
    return Response(body, media_type=mimetypes.guess_type(name)[0] or "application/octet-stream", headers=headers)
