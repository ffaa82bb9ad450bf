"""``/serve``: what serving the fine-tuned result takes, and the cheapest offer that holds it."""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from app.api.body import read_json
from app.api.examples import named
from app.api.openapi import body_schema, json_body, problems, query_parameters
from app.api.serialise import Serialiser
from app.api.state import state_of
from app.request import parse_json, parse_query
from app.request.serving import ServeRequest
from app.services.lookup import config_hash
from app.services.serving import serve
from app.services.serving_results import ServeResult

router = APIRouter(tags=["serving"])

SERVE_EXAMPLES: Final[Mapping[str, Mapping[str, Any]]] = {
    "A merged 8B on a 24 GB card": {"model": "llama-3-8b", "gpu": "rtx-4090", "context_length": 4096},
    "A 70B in 4 bits for 32 at once": {
        "model": "llama-3-70b",
        "serve_as": "awq",
        "concurrent_requests": 32,
        "gpu": "a100-80gb-sxm",
    },
    "Twenty tenants on one base": {
        "model": "mistral-7b-v0.1",
        "serve_as": "adapters",
        "adapters": 20,
        "lora_rank": 32,
        "lora_target_modules": "all-linear",
    },
}
_SERVE: Final = Serialiser[ServeResult](ServeResult)


async def _answer(request: Request, given: ServeRequest) -> Response:
    """Every card is looked at for every format, so beside the event loop."""
    state = state_of(request)
    result = await run_in_threadpool(serve, given, state.snapshot(), state.today(), state.policy)
    if given.config is not None:
        state.configs.put(config_hash(given.config), given.config)
    return Response(_SERVE(result), media_type="application/json")


@router.get(
    "/serve",
    responses={200: {"model": ServeResult}, **problems(422)},
    openapi_extra={"parameters": query_parameters(ServeRequest, example=next(iter(SERVE_EXAMPLES.values())))},
    summary="Serving the result",
    response_model=None,
)
async def get_serve(request: Request) -> Response:
    """Weights by format, cache by request, requests at once on a card, and the offers that serve them."""
    return await _answer(request, parse_query(request.query_params.multi_items(), model=ServeRequest))


@router.post(
    "/serve",
    responses={200: {"model": ServeResult}, **problems(400, 413, 415, 422)},
    openapi_extra={"requestBody": json_body(body_schema(ServeRequest), named(SERVE_EXAMPLES))},
    summary="Serving the result",
    response_model=None,
)
async def post_serve(request: Request) -> Response:
    """Weights by format, cache by request, requests at once on a card, and the offers that serve them."""
    return await _answer(request, parse_json(await read_json(request), model=ServeRequest))
