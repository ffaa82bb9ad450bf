"""Answers that are the same for everybody: rendered once, compressed once, sent many times."""

import gzip
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.ops.problem import problem

MAX_KEPT_BYTES: Final = 32 * 1024 * 1024
"""Of bodies a worker keeps: some 2,000 frames."""

_COMPRESSIBLE: Final = ("text/", "image/svg+xml", "application/json")
_GZIP_LEVEL: Final = 4
"""Half the time of level 6, and pages of 3 % more bytes."""
_COMPRESSED_SHARE: Final = 0.25
"""Of a body, at the most what pages and drawings compress to."""

RawHeaders = list[tuple[bytes, bytes]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """What a maker made: a body and what goes with it. ``keep`` is False where it may not be served again."""

    body: bytes
    media_type: str
    status: int = 200
    max_age_seconds: int = 300
    headers: Mapping[str, str] = field(default_factory=dict)
    keep: bool = True


class KeptAnswer:
    """A body ready to send, plain and compressed, with its tag."""

    __slots__ = (
        "_compressible",
        "_gzip_headers",
        "_gzipped",
        "_plain",
        "_plain_headers",
        "_tag_headers",
        "_typed",
        "size",
        "status",
        "tag",
    )

    def __init__(self, made: Made) -> None:
        self.status = made.status
        self._plain = made.body
        self.tag = f'"{hashlib.sha256(made.body).hexdigest()[:20]}"'.encode()
        fresh = f"public, max-age={made.max_age_seconds}" if made.status == 200 else "no-store"
        shared: RawHeaders = [(b"cache-control", fresh.encode()), (b"vary", b"Accept-Encoding, Origin")]
        if made.status == 200:
            shared.append((b"etag", self.tag))
        shared += [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in made.headers.items()]
        self._tag_headers = shared
        self._typed: RawHeaders = [*shared, (b"content-type", made.media_type.encode())]
        self._compressible = made.media_type.startswith(_COMPRESSIBLE)
        self._plain_headers: RawHeaders = [*self._typed, (b"content-length", str(len(made.body)).encode())]
        self._gzipped = b""
        self._gzip_headers: RawHeaders = []
        self.size = len(made.body) + (int(_COMPRESSED_SHARE * len(made.body)) if self._compressible else 0)

    def _compressed(self) -> tuple[bytes, RawHeaders]:
        """The body compressed, once somebody takes it so."""
        if not self._gzipped:
            # The same bytes give the same file: no time of compression in it.
            self._gzipped = gzip.compress(self._plain, _GZIP_LEVEL, mtime=0)
            length = str(len(self._gzipped)).encode()
            self._gzip_headers = [*self._typed, (b"content-encoding", b"gzip"), (b"content-length", length)]
        return self._gzipped, self._gzip_headers

    async def send(self, scope: Scope, send: Send) -> None:
        """Answer a request: 304 where its tag still holds, compressed where it may be."""
        accepts_gzip, tags = False, b""
        for name, value in scope["headers"]:
            if name == b"accept-encoding":
                accepts_gzip = b"gzip" in value
            elif name == b"if-none-match":
                tags = value
        if tags and self.status == 200 and self.tag in tags:
            await send({"type": "http.response.start", "status": 304, "headers": self._tag_headers})
            await send({"type": "http.response.body", "body": b""})
            return
        body, headers = self._plain, self._plain_headers
        if accepts_gzip and self._compressible:
            body, headers = self._compressed()
        await send({"type": "http.response.start", "status": self.status, "headers": list(headers)})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


class KeptAnswers:
    """The answers last asked for, up to a number of bytes."""

    def __init__(self, max_bytes: int = MAX_KEPT_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._answers: OrderedDict[Hashable, KeptAnswer] = OrderedDict()

    def get(self, key: Hashable) -> KeptAnswer | None:
        """The answer, or None where it has to be made."""
        found = self._answers.get(key)
        if found is not None:
            self._answers.move_to_end(key)
        return found

    def put(self, key: Hashable, answer: KeptAnswer) -> None:
        """Keep an answer; those asked for longest ago go."""
        replaced = self._answers.pop(key, None)
        self._bytes += answer.size - (replaced.size if replaced else 0)
        self._answers[key] = answer
        while self._bytes > self._max_bytes and self._answers:
            _, dropped = self._answers.popitem(last=False)
            self._bytes -= dropped.size


Make = Callable[[Request], Made]
KeyOf = Callable[[Scope], Hashable]


def full_key(scope: Scope, key: KeyOf) -> Hashable:
    """An address and what else its answer is made of."""
    return scope["path"], scope["query_string"], key(scope)


def names_origin(scope: Scope) -> bool:
    """Whether a script asks, perhaps one on another site: there are rules for its answers."""
    return any(name == b"origin" for name, _ in scope["headers"])


class KeptFirst:
    """Middleware that sends what is kept for some paths before anything looks for a route.

    Requests of scripts on other sites (they name their origin) go the long way, past the rules for those.
    """

    def __init__(self, app: ASGIApp, paths: frozenset[str], key: KeyOf, answers: KeptAnswers) -> None:
        self.app = app
        self._paths = paths
        self._key = key
        self._answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] in self._paths and scope["method"] in {"GET", "HEAD"}:
            answer = self._answers.get(full_key(scope, self._key))
            if answer is not None and not names_origin(scope):
                await answer.send(scope, send)
                return
        await self.app(scope, receive, send)


class KeptRoute:
    """An ASGI endpoint for GET and HEAD: what ``make`` returns is kept by ``key`` and all that the address says."""

    def __init__(self, make: Make, key: KeyOf, answers: KeptAnswers) -> None:
        self._make = make
        self._key = key
        self._answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in {"GET", "HEAD"}:
            response = problem(405, "This address does not take this method.", headers={"allow": "GET, HEAD"})
            await response(scope, receive, send)
            return
        key = full_key(scope, self._key)
        answer = self._answers.get(key)
        if answer is None:
            made = await run_in_threadpool(self._make, Request(scope))
            answer = KeptAnswer(made)
            if made.keep and made.status == 200:
                self._answers.put(key, answer)
        await answer.send(scope, send)
