"""``/estimate``, ``/estimate/batch``, ``/compare``, ``/recommend`` and ``/solve``: a run in, figures out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from app.api.body import read_json
from app.api.examples import COMPARE_EXAMPLES, ESTIMATE_EXAMPLES, RECOMMEND_EXAMPLES, SOLVE_EXAMPLES, named
from app.api.openapi import body_schema, json_body, problems, query_parameters
from app.api.serialise import Serialiser
from app.api.state import AppState, state_of
from app.ops.metrics import count_estimate
from app.request import (
    CompareRequest,
    FieldError,
    GpuListing,
    RecommendRequest,
    RequestError,
    Run,
    SolveRequest,
    parse_json,
    parse_query,
)
from app.services.compare import compare
from app.services.estimate import estimate
from app.services.lookup import CONFIG_PREFIX, asks_hub, config_hash
from app.services.recommend import recommend
from app.services.results import CompareResult, EstimateResult, RecommendResult
from app.services.solve import solve
from app.services.solved import SolveResult

router = APIRouter(tags=["runs"])

MAX_BATCH: Final = 100
JSON: Final = "application/json"
GET_PROBLEMS: Final = problems(422)
POST_PROBLEMS: Final = problems(400, 413, 415, 422)

BATCH_ITEM: Final = {
    "type": "object",
    "description": "A run as /estimate takes it; answered by itself if it has errors.",
}

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchEntry:
    """One run of a batch: its estimate, or what was wrong with it."""

    estimate: EstimateResult | None
    errors: tuple[FieldError, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchResult:
    """The results of a batch, in its order."""

    results: tuple[BatchEntry, ...]


_ESTIMATE: Final = Serialiser[EstimateResult](EstimateResult)
_COMPARE: Final = Serialiser[CompareResult](CompareResult)
_RECOMMEND: Final = Serialiser[RecommendResult](RecommendResult)
_SOLVE: Final = Serialiser[SolveResult](SolveResult)
_BATCH: Final = Serialiser[BatchResult](BatchResult)


def _answered(serialise: Serialiser[Result], result: Result) -> Response:
    return Response(serialise(result), media_type=JSON)


def _body(model: type[Run], examples: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {"requestBody": json_body(body_schema(model), named(examples))}


def _query(model: type[Run], examples: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {"parameters": query_parameters(model, example=next(iter(examples.values())))}


async def _answer_run(request: Request, run: Run) -> Response:
    """On the event loop, since it takes well under a millisecond; beside it where cards, SQL or the hub are asked."""
    state = state_of(request)
    asks_much = (
        run.gpus is not GpuListing.NONE
        or run.config is not None
        or CONFIG_PREFIX in (run.model or "").lower()
        or asks_hub(run.model, state.snapshot(), state.policy)
    )
    result = await run_in_threadpool(_estimated, state, run) if asks_much else _estimated(state, run)
    return _answered(_ESTIMATE, result)


def _estimated(state: AppState, run: Run) -> EstimateResult:
    snapshot = state.snapshot()
    method = run.method.value if "method" in run.model_fields_set else None
    state.asked.run({"model": run.model, "method": method, "gpu": run.gpu}, snapshot)
    result = estimate(run, snapshot, state.today(), state.policy)
    count_estimate(result.run.method)
    if run.config is not None:
        state.configs.put(config_hash(run.config), run.config)
    return result


@router.post(
    "/estimate",
    responses={200: {"model": EstimateResult}, **POST_PROBLEMS},
    openapi_extra=_body(Run, ESTIMATE_EXAMPLES),
    summary="What one run takes",
    response_model=None,
)
async def post_estimate(request: Request) -> Response:
    """GPU memory of a fine-tuning run by phase and component, a verdict for a card, and the cards that hold it."""
    return await _answer_run(request, parse_json(await read_json(request)))


@router.get(
    "/estimate",
    responses={200: {"model": EstimateResult}, **GET_PROBLEMS},
    openapi_extra=_query(Run, ESTIMATE_EXAMPLES),
    summary="What one run takes",
    response_model=None,
)
async def get_estimate(request: Request) -> Response:
    """The same as the POST, as an address that can be kept: only what was given is in it."""
    return await _answer_run(request, parse_query(request.query_params.multi_items()))


@router.post(
    "/estimate/batch",
    responses={200: {"model": BatchResult}, **POST_PROBLEMS},
    openapi_extra={
        "requestBody": json_body(
            {
                "type": "object",
                "required": ["runs"],
                "additionalProperties": False,
                "properties": {"runs": {"type": "array", "minItems": 1, "maxItems": MAX_BATCH, "items": BATCH_ITEM}},
            },
            named({"Two runs": {"runs": list(ESTIMATE_EXAMPLES.values())[:2]}}),
        )
    },
    summary="Up to 100 runs at once",
    response_model=None,
)
async def post_batch(request: Request) -> Response:
    """Each run is answered by itself: a wrong one does not spoil the others. Cards are listed only where asked."""
    state, runs = state_of(request), _runs(await read_json(request))
    result = await run_in_threadpool(lambda: BatchResult(results=tuple(_entry(state, run) for run in runs)))
    return _answered(_BATCH, result)


def _runs(payload: Any) -> list[Any]:
    if not isinstance(payload, Mapping) or set(payload) != {"runs"}:
        raise RequestError(FieldError(field="body", message="must be an object with the one field runs."))
    runs = payload["runs"]
    if not isinstance(runs, list) or not 1 <= len(runs) <= MAX_BATCH:
        raise RequestError(
            FieldError(field="runs", message="must be a list of runs.", allowed=f"1 to {MAX_BATCH} runs")
        )
    for place, run in enumerate(runs):
        if not isinstance(run, Mapping):
            raise RequestError(FieldError(field=f"runs.{place}", message="must be an object.", allowed="a run"))
    return runs


def _entry(state: AppState, payload: Mapping[str, Any]) -> BatchEntry:
    try:
        run = parse_json({"gpus": GpuListing.NONE.value, **payload})
        return BatchEntry(estimate=_estimated(state, run), errors=())
    except RequestError as problem:
        return BatchEntry(estimate=None, errors=problem.errors)


@router.get(
    "/compare",
    responses={200: {"model": CompareResult}, **GET_PROBLEMS},
    openapi_extra=_query(CompareRequest, COMPARE_EXAMPLES),
    summary="Methods × models",
    response_model=None,
)
async def get_compare(request: Request) -> Response:
    """Every model under every method."""
    given = parse_query(request.query_params.multi_items(), model=CompareRequest)
    return await _asked(request, _COMPARE, given, compare)


@router.post(
    "/compare",
    responses={200: {"model": CompareResult}, **POST_PROBLEMS},
    openapi_extra=_body(CompareRequest, COMPARE_EXAMPLES),
    summary="Methods × models",
    response_model=None,
)
async def post_compare(request: Request) -> Response:
    """Every model under every method."""
    return await _asked(request, _COMPARE, parse_json(await read_json(request), model=CompareRequest), compare)


@router.get(
    "/recommend",
    responses={200: {"model": RecommendResult}, **GET_PROBLEMS},
    openapi_extra=_query(RecommendRequest, RECOMMEND_EXAMPLES),
    summary="Which server to rent",
    response_model=None,
)
async def get_recommend(request: Request) -> Response:
    """The servers that hold the run, cheapest first within each price period."""
    given = parse_query(request.query_params.multi_items(), model=RecommendRequest)
    return await _asked(request, _RECOMMEND, given, recommend)


@router.post(
    "/recommend",
    responses={200: {"model": RecommendResult}, **POST_PROBLEMS},
    openapi_extra=_body(RecommendRequest, RECOMMEND_EXAMPLES),
    summary="Which server to rent",
    response_model=None,
)
async def post_recommend(request: Request) -> Response:
    """The servers that hold the run, cheapest first within each price period, and why the other cards do not."""
    return await _asked(request, _RECOMMEND, parse_json(await read_json(request), model=RecommendRequest), recommend)


@router.get(
    "/solve",
    responses={200: {"model": SolveResult}, **GET_PROBLEMS},
    openapi_extra=_query(SolveRequest, SOLVE_EXAMPLES),
    summary="The largest, longest, highest or fewest",
    response_model=None,
)
async def get_solve(request: Request) -> Response:
    """The furthest value of one field with which the run fits a card (``gpu``), a ``budget`` or both."""
    given = parse_query(request.query_params.multi_items(), model=SolveRequest)
    return await _asked(request, _SOLVE, given, solve)


@router.post(
    "/solve",
    responses={200: {"model": SolveResult}, **POST_PROBLEMS},
    openapi_extra=_body(SolveRequest, SOLVE_EXAMPLES),
    summary="The largest, longest, highest or fewest",
    response_model=None,
)
async def post_solve(request: Request) -> Response:
    """The furthest value of one field with which the run fits, what limits it, and that the next does not fit.

    Sequence lengths are exact to the token, the fewest GPUs to the card. With a ``budget`` and no ``gpu`` every card
    with an offer is considered; the answer names the cheapest on which it holds.
    """
    return await _asked(request, _SOLVE, parse_json(await read_json(request), model=SolveRequest), solve)


async def _asked(
    request: Request, serialise: Serialiser[Result], given: Any, service: Callable[..., Result]
) -> Response:
    """Many estimates at once are computed beside the event loop."""
    state = state_of(request)
    result = await run_in_threadpool(service, given, state.snapshot(), state.today(), state.policy)
    if given.config is not None:
        state.configs.put(config_hash(given.config), given.config)
    return _answered(serialise, result)
