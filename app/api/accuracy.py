"""``/accuracy``: how far the figures have been checked."""

import json
from functools import lru_cache
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from app.services.accuracy import accuracy

router = APIRouter(tags=["service"])

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["memory", "speed", "not_validated"],
    "properties": {
        "memory": {"type": "object", "description": "Traced and measured runs beside our estimates of them."},
        "speed": {"type": "object", "description": "Published step times beside predictions that had not seen them."},
        "not_validated": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["what", "why"],
                "properties": {"what": {"type": "string"}, "why": {"type": "string"}},
            },
        },
    },
}


@lru_cache(maxsize=1)
def _body() -> bytes:
    return json.dumps(accuracy(), ensure_ascii=False, separators=(",", ":")).encode()


@router.get(
    "/accuracy",
    summary="How accurate the figures are",
    response_model=None,
    responses={200: {"description": "The errors found.", "content": {"application/json": {"schema": SCHEMA}}}},
)
async def get_accuracy() -> Response:
    """Errors against traced and measured runs, the worst of them, and what has not been checked."""
    return Response(_body(), media_type="application/json", headers={"cache-control": "public, max-age=3600"})
