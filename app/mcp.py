"""``/mcp``: the calculator as tools for language models, over the Model Context Protocol's streamable HTTP.

The tools take the API's own request and answer with its own result, so that neither is described twice. No session is
kept: any replica answers any call.
"""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
    ToolAnnotations,
)
from pydantic import TypeAdapter
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from app import __version__
from app.api.items import ModelItem, model_fields
from app.api.openapi import body_schema
from app.api.serialise import Serialiser
from app.api.state import AppState
from app.ops.metrics import count_estimate
from app.ops.problem import problem
from app.request import FieldError, GpuListing, RecommendRequest, RequestError, Run, SolveRequest, parse_json
from app.services.estimate import estimate
from app.services.recommend import recommend
from app.services.results import EstimateResult, RecommendResult
from app.services.solve import solve
from app.services.solved import SolveResult

PATH: Final = "/mcp"
MOST_OPTIONS: Final = 5
"""A model reads every word: what follows the best few options is on the API and the pages."""
MOST_MODELS: Final = 10

INSTRUCTIONS: Final = (
    "How much GPU memory a fine-tuning run of a language model takes, on which card it fits, how long it takes and "
    "what it costs. Find the model's name with find_model, then ask estimate for one card or recommend for the servers "
    "that hold the run; solve turns the question round: the largest batch, the longest sequence, the fewest cards. "
    "Bytes are integers; GiB is 2^30 bytes. Prices are dated; samples are marked is_sample."
)

_ESTIMATE: Final = Serialiser[EstimateResult](EstimateResult)
_RECOMMEND: Final = Serialiser[RecommendResult](RecommendResult)
_SOLVE: Final = Serialiser[SolveResult](SolveResult)
_MODELS: Final = TypeAdapter(list[ModelItem])
_READS_ONLY: Final = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Answering:
    tool: Tool
    answer: Callable[[AppState, Mapping[str, Any]], Any]


def _estimate(state: AppState, arguments: Mapping[str, Any]) -> Any:
    run = parse_json({"gpus": GpuListing.NONE.value, **arguments})
    state.asked.run({"model": run.model, "gpu": run.gpu}, state.snapshot())
    result = estimate(run, state.snapshot(), state.today(), state.policy)
    count_estimate(result.run.method)
    return json.loads(_ESTIMATE(result))


def _recommend(state: AppState, arguments: Mapping[str, Any]) -> Any:
    given = parse_json(arguments, model=RecommendRequest)
    result = recommend(given, state.snapshot(), state.today(), state.policy)
    shown = replace(result, options=result.options[:MOST_OPTIONS], rejected=result.rejected[:MOST_OPTIONS])
    return json.loads(_RECOMMEND(shown)) | {"options_in_all": len(result.options)}


def _solve(state: AppState, arguments: Mapping[str, Any]) -> Any:
    given = parse_json(arguments, model=SolveRequest)
    return json.loads(_SOLVE(solve(given, state.snapshot(), state.today(), state.policy)))


def _find_model(state: AppState, arguments: Mapping[str, Any]) -> Any:
    query = arguments.get("query")
    if set(arguments) != {"query"} or not isinstance(query, str) or not 0 < len(query) <= 200:
        raise RequestError(FieldError(field="query", message="must be a text of 1 to 200 characters."))
    snapshot = state.snapshot()
    found = snapshot.search_models(query, limit=MOST_MODELS) or snapshot.nearest_models(query)
    items = [ModelItem(**model_fields(model)) for model in found]
    return {"models": _MODELS.dump_python(items, mode="json")}


def _tool(
    name: str, description: str, schema: dict[str, Any], answer: Callable[[AppState, Mapping[str, Any]], Any]
) -> _Answering:
    tool = Tool(name=name, description=description, input_schema=schema, annotations=_READS_ONLY)
    return _Answering(tool=tool, answer=answer)


_TOOLS: Final = {
    entry.tool.name: entry
    for entry in (
        _tool(
            "estimate",
            "GPU memory of one fine-tuning run by phase and component, a verdict for a card (field gpu), speed, time "
            "and cost.",
            body_schema(Run),
            _estimate,
        ),
        _tool(
            "recommend",
            f"The best {MOST_OPTIONS} servers that hold a run, in order, and what would make other cards hold it.",
            body_schema(RecommendRequest),
            _recommend,
        ),
        _tool(
            "solve",
            "The largest micro_batch_size, sequence_length, lora_rank or model, or the smallest num_gpus (field "
            "unknown), with which a run fits a card (gpu), a budget or both, and what limits it.",
            body_schema(SolveRequest),
            _solve,
        ),
        _tool(
            "find_model",
            "Models of the catalogue by name, size or family. Their slug is what estimate and recommend take as model.",
            {
                "type": "object",
                "required": ["query"],
                "additionalProperties": False,
                "properties": {
                    "query": {"type": "string", "minLength": 1, "maxLength": 200, "examples": ["qwen 14b instruct"]}
                },
            },
            _find_model,
        ),
    )
}


class McpEndpoint:
    """The endpoint, an ASGI application that answers while :meth:`running`."""

    def __init__(self, state: AppState) -> None:
        self._state = state
        self._manager: StreamableHTTPSessionManager | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Answer calls until the context ends."""
        server: Server[Any] = Server(
            "vram-fit",
            version=__version__,
            title="VRAM Fit",
            instructions=INSTRUCTIONS,
            on_list_tools=self._list,
            on_call_tool=self._call,
        )
        manager = StreamableHTTPSessionManager(server, stateless=True, json_response=True)
        async with manager.run():
            self._manager = manager
            try:
                yield
            finally:
                self._manager = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._manager is None:
            await problem(503, "The service is starting or stopping.")(scope, receive, send)
            return
        await self._manager.handle_request(scope, receive, send)

    async def _list(self, _: ServerRequestContext[Any], __: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=[entry.tool for entry in _TOOLS.values()])

    async def _call(self, _: ServerRequestContext[Any], params: CallToolRequestParams) -> CallToolResult:
        entry = _TOOLS.get(params.name)
        if entry is None:
            return _failed(f"There is no tool of that name; there are {', '.join(_TOOLS)}.")
        try:
            answer = await run_in_threadpool(entry.answer, self._state, params.arguments or {})
        except RequestError as error:
            return _failed(" ".join(map(_sentence, error.errors)))
        text = json.dumps(answer, ensure_ascii=False, separators=(",", ":"))
        return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=answer)


def _failed(text: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True)


def _sentence(error: FieldError) -> str:
    allowed = f" Allowed: {error.allowed}." if error.allowed else ""
    nearest = f" Did you mean {', '.join(error.suggestions)}?" if error.suggestions else ""
    return f"{error.field} {error.message}{allowed}{nearest}"
