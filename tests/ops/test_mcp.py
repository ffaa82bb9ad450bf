"""The tools for language models, asked by the protocol's own client over HTTP."""

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from mcp import Client
from mcp.types import CallToolResult, TextContent

RUN = {"model": "llama-3-8b", "method": "qlora", "gpu": "rtx-4090"}


def _call(service: str, tool: str, arguments: Mapping[str, Any]) -> CallToolResult:
    async def ask() -> CallToolResult:
        async with Client(f"{service}/mcp") as client:
            result = await client.call_tool(tool, dict(arguments))
            assert isinstance(result, CallToolResult)
            return result

    return asyncio.run(ask())


def _text(result: CallToolResult) -> str:
    content = result.content[0]
    assert isinstance(content, TextContent)
    return content.text


def test_the_tools_describe_the_request_of_the_api(service: str) -> None:
    async def ask() -> dict[str, Any]:
        async with Client(f"{service}/mcp") as client:
            return {tool.name: tool.input_schema for tool in (await client.list_tools()).tools}

    schemas = asyncio.run(ask())
    assert set(schemas) == {"estimate", "recommend", "solve", "find_model"}
    assert {"model", "method", "gpu", "lora_rank"} <= set(schemas["estimate"]["properties"])


def test_estimate_answers_as_the_api_does(service: str) -> None:
    answer = _call(service, "estimate", RUN)
    assert not answer.is_error
    api = httpx.post(f"{service}/api/v1/estimate", json=RUN | {"gpus": "none"}).json()
    assert answer.structured_content == api


def test_recommend_gives_the_first_options(service: str) -> None:
    answer = _call(service, "recommend", {"model": "llama-3-8b", "method": "qlora"}).structured_content
    assert answer is not None
    api = httpx.post(f"{service}/api/v1/recommend", json={"model": "llama-3-8b", "method": "qlora"}).json()
    assert 0 < len(answer["options"]) <= 5
    assert answer["options"] == api["options"][: len(answer["options"])]
    assert answer["options_in_all"] == len(api["options"])


def test_solve_answers_as_the_api_does(service: str) -> None:
    question = RUN | {"unknown": "micro_batch_size"}
    answer = _call(service, "solve", question).structured_content
    assert answer is not None
    assert answer == httpx.post(f"{service}/api/v1/solve", json=question).json()
    assert answer["answer"] > 1


def test_a_found_model_can_be_estimated(service: str) -> None:
    found = _call(service, "find_model", {"query": "qwen2.5 14b instruct"}).structured_content
    assert found is not None
    slug = found["models"][0]["slug"]
    assert slug == "qwen2.5-14b-instruct"
    assert not _call(service, "estimate", {"model": slug}).is_error


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("estimate", {"model": "lama-3-8b"}, "Did you mean llama-3-8b"),
        ("estimate", {"model": "llama-3-8b", "lora_rank": 0}, "lora_rank"),
        ("estimate", {"model": "llama-3-8b", "epoch": 1}, "epochs"),
        ("recommend", {}, "model"),
        ("solve", RUN, "unknown"),
        ("find_model", {"query": ""}, "query"),
        ("find_model", {}, "query"),
        ("nothing", {}, "no tool of that name"),
    ],
)
def test_a_wrong_argument_is_named(service: str, tool: str, arguments: dict[str, Any], said: str) -> None:
    answer = _call(service, tool, arguments)
    assert answer.is_error
    assert said in _text(answer)


def test_nothing_is_streamed_to_a_get(service: str) -> None:
    assert httpx.get(f"{service}/mcp", headers={"accept": "text/event-stream"}).status_code == 405
