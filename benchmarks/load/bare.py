"""A bare Starlette application that answers with the bytes of a file: what the embeds are measured against."""

import os
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

BODIES: Final = "VRAM_FIT_BENCHMARK_BODIES"
"""Names the folder with one file for each body, by number."""


def application() -> Starlette:
    """``/0``, ``/1``… answer with the files of that name; no middleware."""
    bodies = {path.name: path.read_bytes() for path in Path(os.environ[BODIES]).iterdir()}

    async def body(request: Request) -> Response:
        return Response(bodies[request.path_params["name"]], media_type="text/html")

    return Starlette(routes=[Route("/{name}", body)])
