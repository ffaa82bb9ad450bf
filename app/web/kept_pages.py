"""Pages that were made before: sent again before a route is looked up, for as long as what they are made of stays."""

from collections.abc import Callable, Hashable, Mapping
from functools import partial
from typing import Any, Final

from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.state import AppState
from app.web.embed.kept import KeptAnswer, KeptAnswers, Made, names_origin

KEEP: Final = "keep_page"
"""Under which a request's scope carries what keeps the page that answers it."""
_KEPT: Final = "kept_page"
"""Under which it carries the page that was kept."""
ELSEWHERE: Final = ("/api/", "/static/", "/admin")
"""What is never such a page, and need not be looked up."""
MAX_KEPT_BYTES: Final = 8 * 1024 * 1024
"""Of bodies: some 300 landing pages, or 100 calculators. Most results are asked for once, and would only fill more."""


class KeptPage(KeptAnswer):
    """A page with the route that made it, under which requests are counted, and the run it was asked with."""

    __slots__ = ("asked", "route")

    def __init__(self, made: Made, *, route: Any, asked: Mapping[str, str] | None) -> None:
        super().__init__(made)
        self.route = route
        self.asked = asked


class KeptPages:
    """Goes around the framework's own stack: sends kept pages, and lets routes keep theirs.

    ``counted`` goes around what is sent here, since it passes the rest by. Requests of scripts on other sites (they
    name their origin) go through all of it, up to :class:`SendKept`. The key knows everything a page is made of:
    address with its language, host, catalogue and day. The operator's settings do not change while a process runs.
    """

    def __init__(self, app: ASGIApp, parts: AppState, counted: Callable[[ASGIApp], ASGIApp]) -> None:
        self.app = app
        self._parts = parts
        self._answers = KeptAnswers(MAX_KEPT_BYTES)
        self._send = counted(SendKept(app, parts))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with a kept page, or pass the request on."""
        if scope["type"] != "http" or scope["method"] not in {"GET", "HEAD"} or scope["path"].startswith(ELSEWHERE):
            await self.app(scope, receive, send)
            return
        key = self._key(scope)
        kept = self._answers.get(key)
        if not isinstance(kept, KeptPage):
            scope[KEEP] = partial(self._answers.put, key)
            await self.app(scope, receive, send)
            return
        scope[_KEPT] = kept
        await (self.app if names_origin(scope) else self._send)(scope, receive, send)

    def _key(self, scope: Scope) -> Hashable:
        host = b""
        for name, value in scope["headers"]:
            if name == b"host":
                host = value
                break
        parts = self._parts
        return scope["path"], scope["query_string"], scope["scheme"], host, parts.snapshot().version, parts.today()


class SendKept:
    """Sends the page that was found for a request, if one was."""

    def __init__(self, app: ASGIApp, parts: AppState) -> None:
        self.app = app
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the kept page, or pass the request on."""
        kept: KeptPage | None = scope.get(_KEPT)
        if kept is None:
            await self.app(scope, receive, send)
            return
        scope["route"] = kept.route
        if kept.asked is not None:
            self._parts.asked.run(kept.asked, self._parts.snapshot())
        await kept.send(scope, send)
