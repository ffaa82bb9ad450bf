"""``/healthz`` and ``/readyz``: is the process alive, and can it answer."""

from dataclasses import asdict, dataclass

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from app.api.openapi import problems
from app.api.state import state_of
from app.ops.problem import problem

router = APIRouter(tags=["service"])


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """Alive."""

    status: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Readiness:
    """Ready, and with which catalogue."""

    status: str
    catalogue: str
    models: int
    gpus: int
    offers: int


@router.get("/healthz", responses={200: {"model": Health}}, summary="Alive?", response_model=None)
async def healthz() -> Response:
    """Answers as long as the process runs."""
    return JSONResponse(asdict(Health(status="ok")), headers={"cache-control": "no-store"})


@router.get("/readyz", responses={200: {"model": Readiness}, **problems(503)}, summary="Ready?", response_model=None)
async def readyz(request: Request) -> Response:
    """Answers 200 once the catalogue is loaded and the database, if any, can be reached."""
    state = state_of(request)
    if missing := state.ready():
        return problem(503, missing)
    snapshot = state.snapshot()
    body = Readiness(
        status="ready",
        catalogue=snapshot.version,
        models=len(snapshot.models),
        gpus=len(snapshot.gpus),
        offers=snapshot.offer_count,
    )
    return JSONResponse(asdict(body), headers={"cache-control": "no-store"})
