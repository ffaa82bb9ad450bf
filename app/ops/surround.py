"""Puts together what runs around every request, in its order."""

from collections.abc import Callable

from fastapi import FastAPI
from starlette.types import ASGIApp

from app.ops.headers import StandardHeaders
from app.ops.logs import RequestLog
from app.ops.observe import Observe
from app.ops.rate_limit import Limits, RateLimit, limits_of
from app.ops.rate_store import RateStore
from app.ops.trusted_hosts import TrustedHosts
from app.settings import Settings


def outermost(app: FastAPI, settings: Settings, *, prefix: str, direct: frozenset[str]) -> None:
    """Go around all of ``app``, its answer to an unexpected error included, which ``add_middleware`` does not."""
    build: Callable[[], ASGIApp] = app.build_middleware_stack

    def stack() -> ASGIApp:
        inner = build()
        if "*" not in settings.trusted_hosts:
            inner = TrustedHosts(inner, settings.trusted_hosts)
        log = RequestLog(settings.log_format) if settings.log_requests else None
        observed = Observe(inner, prefix=prefix, direct=direct, log=log)
        return StandardHeaders(observed, is_https=(settings.public_url or "").startswith("https:"))

    app.build_middleware_stack = stack  # type: ignore[method-assign]


def add_rate_limit(app: FastAPI, settings: Settings, store: RateStore) -> None:
    """Count requests where the settings set a limit."""
    keys = [key.get_secret_value() for key in settings.api_keys]
    limits: Limits = limits_of(settings.rate_limit, settings.rate_limit_key, keys, settings.rate_limit_exempt)
    if limits.per_address or limits.keys:
        app.add_middleware(RateLimit, limits=limits, store=store)
