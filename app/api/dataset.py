"""``/dataset-shape``: what the lengths of the examples do to batches."""

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
from app.request.dataset import MAX_LENGTHS, DatasetRequest
from app.request.model import MAX_SEQUENCE_TOKENS
from app.services.lengths import Known, dataset_shape, known_figures
from app.services.lengths_results import DatasetShapeResult
from app.services.lookup import config_hash
from app.services.text_lengths import checked_lengths

PATH: Final = "/dataset-shape"
MAX_BODY_BYTES: Final = 1024 * 1024
"""Room for 100,000 lengths and a configuration."""
router = APIRouter(tags=["data"])

SHAPE_EXAMPLES: Final[Mapping[str, Mapping[str, Any]]] = {
    "Three figures": {
        "tokens_per_example": 350,
        "p95_tokens_per_example": 1200,
        "max_tokens_per_example": 4096,
        "micro_batch_size": 4,
        "model": "llama-3-8b",
        "method": "qlora",
        "gpu": "rtx-3090",
    },
    "A list of lengths, cut at 1,024": {
        "lengths": [112, 87, 540, 1630, 203, 95, 318, 77],
        "micro_batch_size": 2,
        "sequence_length": 1024,
    },
}
_SHAPE: Final = Serialiser[DatasetShapeResult](DatasetShapeResult)


def _body() -> dict[str, Any]:
    schema = body_schema(DatasetRequest)
    item = {"type": "integer", "minimum": 1, "maximum": MAX_SEQUENCE_TOKENS}
    schema["properties"]["lengths"] = {
        "description": "Tokens of each example, in any order, instead of the three figures.",
        "anyOf": [{"type": "array", "minItems": 1, "maxItems": MAX_LENGTHS, "items": item}, {"type": "null"}],
    }
    return json_body(schema, named(SHAPE_EXAMPLES))


async def _answer(request: Request, given: DatasetRequest, lengths: object = None) -> Response:
    state = state_of(request)

    def shape() -> DatasetShapeResult:
        known = known_figures(given) if lengths is None else Known(listed=checked_lengths(lengths))
        return dataset_shape(given, known, state.snapshot(), state.today(), state.policy)

    result = await run_in_threadpool(shape)
    if given.config is not None:
        state.configs.put(config_hash(given.config), given.config)
    return Response(_SHAPE(result), media_type="application/json")


@router.get(
    PATH,
    responses={200: {"model": DatasetShapeResult}, **problems(422)},
    openapi_extra={"parameters": query_parameters(DatasetRequest, example=next(iter(SHAPE_EXAMPLES.values())))},
    summary="What the lengths of examples do",
    response_model=None,
)
async def get_dataset_shape(request: Request) -> Response:
    """From mean, 95th percentile and longest: the batch that decides, the padding, and what packing saves."""
    return await _answer(request, parse_query(request.query_params.multi_items(), model=DatasetRequest))


@router.post(
    PATH,
    responses={200: {"model": DatasetShapeResult}, **problems(400, 413, 415, 422)},
    openapi_extra={"requestBody": _body()},
    summary="What the lengths of examples do",
    response_model=None,
)
async def post_dataset_shape(request: Request) -> Response:
    """The same from three figures or from a list of lengths: the batch that decides, the padding, and packing."""
    body = await read_json(request)
    lengths = body.pop("lengths", None) if isinstance(body, dict) else None
    return await _answer(request, parse_json(body, model=DatasetRequest), lengths)
