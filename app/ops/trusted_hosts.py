"""Refuse host names that are not ours, so that no answer, link or cache can be made to carry another's."""

from collections.abc import Sequence
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from app.ops.problem import problem

ANY_HOST: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"""What load balancers and monitoring ask by address."""


class TrustedHosts:
    """Answers 400 to a host outside ``hosts``: names, or ``*.`` before one for all below it."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str]) -> None:
        self.app = app
        self._names = frozenset(host.lower() for host in hosts)
        self._endings = tuple(host[1:].lower() for host in hosts if host.startswith("*."))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in ANY_HOST or self._is_trusted(_host(scope)):
            await self.app(scope, receive, send)
        else:
            await problem(400, "This service does not answer to that host name.")(scope, receive, send)

    def _is_trusted(self, host: str) -> bool:
        return host in self._names or bool(self._endings and host.endswith(self._endings))


def _host(scope: Scope) -> str:
    values = [value for name, value in scope["headers"] if name == b"host"]
    if len(values) != 1:
        return ""
    host = str(values[0].decode("latin-1").lower())
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
