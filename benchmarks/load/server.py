"""The application with endpoints that compute nothing beside it: same process, settings, middleware and models."""

from typing import Any, Final

from fastapi import FastAPI
from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import Response

from app.api.body import read_json
from app.catalogue.snapshot import Snapshot
from app.main import create_app
from app.request import Run, parse_json
from app.services.estimate import estimate
from app.services.results import EstimateResult
from app.settings import Settings

DECLARED: Final = "/nothing/declared"
"""Reads and writes as FastAPI does it for declared models."""
LEAN: Final = "/nothing/lean"
"""Reads and writes as ``/estimate`` does it."""

SAMPLE: Final = {"model": "llama-3-8b", "method": "qlora", "gpu": "rtx-3090", "gpus": "none"}


class _NoConfigs:
    """A store that keeps nothing: no run of the load has a configuration."""

    def get(self, key: str) -> None:
        return None

    def put(self, key: str, config: Any) -> None:
        raise AssertionError("the load sends no configuration")


def application() -> FastAPI:
    """The service over the bundled catalogue, without a database, and the two endpoints that compute nothing."""
    app = create_app(Settings(_env_file=None), snapshot=Snapshot.bundled(), configs=_NoConfigs())
    parts = app.state.parts
    answer = estimate(parse_json(SAMPLE), parts.snapshot(), parts.today(), parts.policy)
    adapter = TypeAdapter(EstimateResult)

    @app.post(DECLARED)
    async def declared(run: Run) -> EstimateResult:
        return answer

    @app.post(LEAN)
    async def lean(request: Request) -> Response:
        parse_json(await read_json(request))
        return Response(adapter.dump_json(answer), media_type="application/json")

    return app
