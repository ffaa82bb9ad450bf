"""Reads a model's ``config.json`` from the hub: one host, no way off it, and limits on size and time.

The host comes from the settings alone; an id is only ever a path on it. Redirects are followed on that host only. The
whole reading has one deadline, however slowly the bytes drip, and a body is never decompressed.

Answers as huggingface_hub reads them (``utils/_http.py``): ``X-Error-Code`` tells a gated repository from a missing
one, ``X-Repo-Commit`` is the revision.
"""

import asyncio
import re
from collections.abc import Mapping
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from threading import Lock, Thread
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
from pydantic_core import from_json

from app import __version__
from app.catalogue.hub_answer import Conversion, Outcome, Reading, is_hub_id

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS: Final = 3
_REVISION: Final = re.compile(r"[0-9A-Za-z._-]{1,80}")
_CONVERTERS: Final[Mapping[str, Conversion]] = {
    "awq": Conversion.AWQ,
    "gptq": Conversion.GPTQ,
    "bitsandbytes": Conversion.BITSANDBYTES,
}
"""Ways of quantising after training: what is fine-tuned is the model that was quantised, not the copy."""
_LONG_KEYS: Final = frozenset({"quantization_config", "quantization", "id2label", "label2id"})
"""Parts of a configuration that say nothing about the shape, and may be as long as the rest together."""
MAX_CONFIG_BYTES: Final = 64 * 1024
_LONGEST_WAIT_SECONDS: Final = 600.0


class HubError(Exception):
    """The hub gave no usable answer."""

    def __init__(self, outcome: Outcome, wait_seconds: float | None = None) -> None:
        super().__init__(outcome)
        self.outcome = outcome
        self.wait_seconds = wait_seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class _Fetched:
    status: int
    headers: httpx.Headers
    content: bytes

    @property
    def error_code(self) -> str:
        return str(self.headers.get("x-error-code", ""))


class HubClient:
    """Asks one hub. Its connections live on a thread of their own, so that callers may be anywhere."""

    def __init__(
        self, *, base_url: str, token: str | None = None, timeout_seconds: float = 8.0, max_bytes: int = 256 * 1024
    ) -> None:
        self._base = httpx.URL(base_url.rstrip("/"))
        self._token = token
        self._timeout_seconds = timeout_seconds
        self._max_bytes = max_bytes
        self._lock = Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client: httpx.AsyncClient | None = None

    @property
    def host(self) -> str:
        """The hub's host name, for texts."""
        return self._base.host

    def read(self, hub_id: str) -> Reading:
        """What the hub has under an id. Never raises for anything that the hub does."""
        if not is_hub_id(hub_id):
            return Reading(hub_id=hub_id, outcome=Outcome.MISSING)
        future = asyncio.run_coroutine_threadsafe(self._read(hub_id), self._running())
        try:
            return future.result(self._timeout_seconds + 2)
        except HubError as error:
            return Reading(hub_id=hub_id, outcome=error.outcome, wait_seconds=error.wait_seconds)
        except (TimeoutError, FutureTimeoutError):
            future.cancel()
            return Reading(hub_id=hub_id, outcome=Outcome.SLOW)

    def close(self) -> None:
        """Close the connections and end the thread."""
        with self._lock:
            loop, client = self._loop, self._client
            self._loop = self._client = None
        if loop is not None:
            if client is not None:
                asyncio.run_coroutine_threadsafe(client.aclose(), loop).result(5)
            loop.call_soon_threadsafe(loop.stop)

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                Thread(target=self._loop.run_forever, name="hub", daemon=True).start()
                is_local = urlsplit(str(self._base)).hostname in _LOOPBACK
                self._client = httpx.AsyncClient(
                    follow_redirects=False,
                    timeout=self._timeout_seconds,
                    # A proxy that the operator's environment names is used, but never for a hub on this machine.
                    trust_env=not is_local,
                )
            return self._loop

    async def _read(self, hub_id: str) -> Reading:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._reading(hub_id)
        except (TimeoutError, httpx.TimeoutException):
            raise HubError(Outcome.SLOW) from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError):
            raise HubError(Outcome.UNREACHABLE) from None

    async def _reading(self, hub_id: str) -> Reading:
        config = await self._get(f"/{hub_id}/resolve/main/config.json")
        if config.status == 200:
            return await self._with_config(hub_id, config)
        if config.status == 404 and config.error_code != "RepoNotFound":
            return await self._without_config(hub_id)
        raise HubError(_refusal(config))

    async def _with_config(self, hub_id: str, fetched: _Fetched) -> Reading:
        content = _object(fetched.content)
        conversion = _conversion(content)
        base = await self._base_on_card(hub_id) if conversion else None
        return Reading(
            hub_id=hub_id,
            outcome=Outcome.FOUND,
            revision=_revision(fetched),
            base_hub_id=base,
            conversion=conversion,
            content=_shape(content),
        )

    async def _without_config(self, hub_id: str) -> Reading:
        adapter = await self._get(f"/{hub_id}/resolve/main/adapter_config.json")
        if adapter.status == 200:
            base = _object(adapter.content).get("base_model_name_or_path")
            return Reading(
                hub_id=hub_id,
                outcome=Outcome.NO_CONFIG,
                revision=_revision(adapter),
                base_hub_id=base if isinstance(base, str) and is_hub_id(base) else None,
                conversion=Conversion.ADAPTER,
            )
        card = await self._get(f"/api/models/{hub_id}")
        if card.status != 200:
            raise HubError(_refusal(card))
        about = _object(card.content)
        tags = {tag.lower() for tag in about.get("tags") or () if isinstance(tag, str)}
        conversion = Conversion.GGUF if "gguf" in tags else Conversion.MLX if "mlx" in tags else None
        return Reading(
            hub_id=hub_id,
            outcome=Outcome.NO_CONFIG,
            revision=_known_revision(about.get("sha")),
            base_hub_id=_base_of(about) if conversion else None,
            conversion=conversion,
        )

    async def _base_on_card(self, hub_id: str) -> str | None:
        """Which model a card says a copy was made of; a card that cannot be read says nothing."""
        card = await self._get(f"/api/models/{hub_id}")
        try:
            return _base_of(_object(card.content)) if card.status == 200 else None
        except HubError:
            return None

    async def _get(self, path: str) -> _Fetched:
        url = self._base.copy_with(path=self._base.path.rstrip("/") + path)
        headers = {"accept": "application/json", "accept-encoding": "identity", "user-agent": f"vram-fit/{__version__}"}
        if self._token:
            headers["authorization"] = f"Bearer {self._token}"
        client = self._client
        if client is None:
            raise HubError(Outcome.UNREACHABLE)
        for _ in range(_MOST_REDIRECTS + 1):
            async with client.stream("GET", url, headers=headers) as response:
                if response.status_code in _REDIRECTS:
                    url = self._on_this_host(response)
                    continue
                body = await self._body(response) if response.status_code == 200 else b""
                return _Fetched(status=response.status_code, headers=response.headers, content=body)
        raise HubError(Outcome.REDIRECTED)

    def _on_this_host(self, response: httpx.Response) -> httpx.URL:
        try:
            target = response.url.join(response.headers.get("location", ""))
        except (httpx.InvalidURL, ValueError):
            raise HubError(Outcome.REDIRECTED) from None
        same = (target.scheme, target.host, target.port) == (self._base.scheme, self._base.host, self._base.port)
        if not same or target.userinfo:
            raise HubError(Outcome.REDIRECTED)
        return target

    async def _body(self, response: httpx.Response) -> bytes:
        if response.headers.get("content-encoding", "identity") != "identity":
            raise HubError(Outcome.MALFORMED)
        if int(response.headers.get("content-length") or 0) > self._max_bytes:
            raise HubError(Outcome.TOO_LARGE)
        chunks = bytearray()
        async for chunk in response.aiter_raw():
            chunks += chunk
            if len(chunks) > self._max_bytes:
                raise HubError(Outcome.TOO_LARGE)
        return bytes(chunks)


def _refusal(fetched: _Fetched) -> Outcome:
    """What an answer without content means. Raises :class:`HubError` where the hub asks to wait."""
    status, code = fetched.status, fetched.error_code
    if status == 429:
        raise HubError(Outcome.BUSY, _wait_seconds(fetched.headers.get("retry-after", "")))
    if status in {401, 403} and code == "GatedRepo":
        return Outcome.GATED
    if status == 404 or code == "RepoNotFound":
        return Outcome.MISSING
    if status == 403:
        return Outcome.GATED
    if status == 401:
        return Outcome.NOT_ALLOWED
    return Outcome.UNREACHABLE


def _wait_seconds(text: str) -> float:
    return min(float(text), _LONGEST_WAIT_SECONDS) if re.fullmatch(r"\d{1,9}", text) else 60.0


def _object(content: bytes) -> dict[str, Any]:
    try:
        loaded = from_json(content, allow_inf_nan=False)
    except ValueError:
        raise HubError(Outcome.MALFORMED) from None
    if not isinstance(loaded, dict):
        raise HubError(Outcome.MALFORMED)
    return loaded


def _shape(content: Mapping[str, Any]) -> dict[str, Any]:
    shape = {name: value for name, value in content.items() if name not in _LONG_KEYS}
    if len(repr(shape)) > MAX_CONFIG_BYTES:
        raise HubError(Outcome.TOO_LARGE)
    return shape


def _conversion(content: Mapping[str, Any]) -> Conversion | None:
    quantised = content.get("quantization_config")
    method = quantised.get("quant_method") if isinstance(quantised, Mapping) else None
    if isinstance(method, str):
        return _CONVERTERS.get(method.lower())
    # mlx-lm writes the group size and the bits under this key (mlx_lm/utils.py).
    return Conversion.MLX if isinstance(content.get("quantization"), Mapping) else None


def _base_of(about: Mapping[str, Any]) -> str | None:
    """The one base model a card names; of a merge of several there is none."""
    card = about.get("cardData")
    named = card.get("base_model") if isinstance(card, Mapping) else None
    names = [named] if isinstance(named, str) else named if isinstance(named, list) else []
    return names[0] if len(names) == 1 and isinstance(names[0], str) and is_hub_id(names[0]) else None


def _revision(fetched: _Fetched) -> str | None:
    return _known_revision(fetched.headers.get("x-repo-commit"))


def _known_revision(text: object) -> str | None:
    return text if isinstance(text, str) and _REVISION.fullmatch(text) else None
