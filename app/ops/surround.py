"""Puts together what runs around every request, in its order."""

from collections.abc import Callable
from functools import partial

from fastapi import FastAPI
from sqlalchemy import Engine
from starlette.types import ASGIApp

from app.ops.headers import StandardHeaders
from app.ops.logs import RequestLog
from app.ops.observe import Observe
from app.ops.rate_limit import Limits, RateLimit, limits_of
from app.ops.rate_store import RateStore
from app.ops.routes import RouteNames
from app.ops.trusted_hosts import TrustedHosts
from app.settings import Settings

Around = Callable[[ASGIApp], ASGIApp]
"""Goes around an application, as middleware does."""


def outermost(
    app: FastAPI,
    settings: Settings,
    *,
    prefix: str,
    direct: frozenset[str],
    kept: Around,
    engine: Engine | None = None,
) -> None:
    """Go around all of ``app``, its answer to an unexpected error included, which ``add_middleware`` does not.

    ``kept`` answers what needs nothing of the framework. ``engine`` is whose statements are traced, where traces are
    switched on.
    """
    build: Callable[[], ASGIApp] = app.build_middleware_stack
    names = RouteNames(prefix=prefix, direct=direct)
    traced = _tracing(settings, names, engine) if settings.traces_to else None

    def stack() -> ASGIApp:
        inner = kept(build())
        if "*" not in settings.trusted_hosts:
            inner = TrustedHosts(inner, settings.trusted_hosts)
        log = RequestLog(settings.log_format) if settings.log_requests else None
        observed: ASGIApp = Observe(inner, names=names, log=log)
        if traced is not None:
            observed = traced(observed)
        return StandardHeaders(observed, is_https=(settings.public_url or "").startswith("https:"))

    app.build_middleware_stack = stack  # type: ignore[method-assign]


def _tracing(settings: Settings, names: RouteNames, engine: Engine | None) -> Around:
    # Imported when asked for: its packages need not be installed, and are not loaded for nothing.
    from app.ops.tracing import Traced, provider_of, trace_database

    provider = provider_of(settings)
    if engine is not None:
        trace_database(engine, provider)
    return lambda app: Traced(app, provider, names)


def rate_limit(settings: Settings, store: RateStore) -> Around:
    """Counts requests where the settings set a limit, all of one ``store`` together."""
    keys = [key.get_secret_value() for key in settings.api_keys]
    limits: Limits = limits_of(settings.rate_limit, settings.rate_limit_key, keys, settings.rate_limit_exempt)
    if limits.per_address or limits.keys:
        return partial(RateLimit, limits=limits, store=store)
    return lambda app: app
