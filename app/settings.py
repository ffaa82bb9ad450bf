"""What an operator may set, read once from the environment; values that would be unsafe stop the start."""

import ipaddress
import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from limits import parse as parse_rate
from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

ENV_PREFIX: Final = "VRAM_FIT_"
_LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_FRAME_ANCESTOR = re.compile(r"'(self|none)'|\*|https?://(\*\.)?[A-Za-z0-9.-]+(:(\d{1,5}|\*))?")
_HOST_NAME = re.compile(r"\*|(\*\.)?[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\]")
_ORIGIN = re.compile(r"\*|https?://[A-Za-z0-9.-]+(:\d{1,5})?")

MIN_KEY_CHARACTERS: Final = 20
_KEY = re.compile(rf"[A-Za-z0-9._~+/=-]{{{MIN_KEY_CHARACTERS},200}}")

Words = Annotated[tuple[str, ...], NoDecode]
"""A list written with commas or spaces in one environment variable."""


class Profile(StrEnum):
    """``test`` alone lets the model hub be a plain-HTTP server on this machine."""

    PRODUCTION = "production"
    TEST = "test"


class Settings(BaseSettings):
    """Every setting, frozen. Each is read from ``VRAM_FIT_<NAME>``; the first three also without the prefix."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_file=".env",
        frozen=True,
        extra="ignore",
        populate_by_name=True,
        env_ignore_empty=True,
    )

    # The server
    database_url: str = Field(
        "sqlite:///data/vram-fit.db", repr=False, validation_alias=AliasChoices("VRAM_FIT_DATABASE_URL", "DATABASE_URL")
    )
    host: str = Field("127.0.0.1", validation_alias=AliasChoices("VRAM_FIT_HOST", "HOST"))
    port: int = Field(8000, ge=0, le=65_535, validation_alias=AliasChoices("VRAM_FIT_PORT", "PORT"))
    workers: int = Field(1, ge=1, le=256)
    profile: Profile = Profile.PRODUCTION
    public_url: str | None = None
    """The address visitors use, without a trailing slash; None takes it from each request."""
    trusted_hosts: Words = ("*",)
    """Host names this service answers to; ``*`` answers to any."""
    trusted_proxies: Words = ("127.0.0.1",)
    """Addresses or networks whose ``X-Forwarded-*`` headers are believed."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"
    log_requests: bool = True
    """A line for each request, at level info; unexpected errors are logged in any case."""
    metrics_from: Words = ("127.0.0.0/8", "::1")
    """Addresses or networks that may read ``/metrics``; for others it does not exist."""
    traces_to: str | None = None
    """Where OpenTelemetry traces are sent over HTTP, such as ``http://collector:4318``; None records none."""
    traces_share: float = Field(1.0, ge=0, le=1)
    """Of the requests, how many are traced."""

    # Limits
    max_body_bytes: int = Field(128 * 1024, ge=4_096)
    """Largest body of a calculating endpoint; a ``config.json`` alone may have 64 KiB."""
    max_upload_bytes: int = Field(64 * 1024 * 1024, ge=4_096)
    """Largest price list an operator may upload."""
    max_stored_configs: int = Field(10_000, ge=1)
    """Pasted configurations kept; the least recently used go first."""
    rate_limit: str | None = "600/minute"
    """Requests per address, such as ``600/minute``; ``none`` is off."""
    rate_limit_exempt: Words = ("127.0.0.0/8", "::1")
    """Addresses or networks that are not counted unless they send a key: this machine, monitoring."""
    api_keys: tuple[SecretStr, ...] = Field((), repr=False)
    """Keys sent as ``Authorization: Bearer …``, as a JSON list; each has its own rate. A key not in it is refused."""
    rate_limit_key: str | None = "6000/minute"
    """Requests per key."""
    rate_limit_storage: str = Field("memory://", repr=False)
    """Where rates are counted: ``memory://`` or a ``redis://`` address shared by all replicas."""

    body_timeout_seconds: float = Field(15.0, gt=0, le=600)
    """How long a calculating endpoint waits for its body."""
    max_connections: int = Field(2_000, ge=10)
    """Beyond it a worker answers 503 at once."""
    drain_seconds: int = Field(20, ge=1, le=600)
    """How long a worker that is told to stop goes on with what it has begun."""

    # The market
    currency: str = Field("USD", pattern=r"^[A-Z]{3}$")
    offer_max_age_days: int = Field(365, ge=1)
    """Older offers are left out unless asked for."""
    include_spot: bool = False
    hide_samples: bool = False
    """Leave out the bundled public price points once real offers are loaded."""
    contact_url: str | None = None
    """Where "talk to us" leads."""
    browse_url: str | None = None
    """Where "see all servers" leads."""

    # The look
    brand_name: str = Field("VRAM Fit", min_length=1, max_length=60)
    brand_colour: str | None = Field(None, pattern=r"^#[0-9A-Fa-f]{6}$")
    brand_logo_url: str | None = None
    units: Literal["gb", "gib"] = "gib"
    locale: str = Field("en-GB", pattern=r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*$")

    # Who may use it from elsewhere
    frame_ancestors: Words = ("*",)
    """CSP sources that may frame the embedded pages; no other page may be framed."""
    cors_origins: Words = ("*",)
    """Origins whose scripts may read the public API; it never takes cookies."""

    # The model hub
    hub_url: str | None = "https://huggingface.co"
    """Where ``config.json`` is fetched from by id; ``none`` fetches nothing."""
    hub_token: SecretStr | None = None
    hub_timeout_seconds: float = Field(8.0, gt=0, le=60)
    hub_max_bytes: int = Field(256 * 1024, ge=1_024, le=8 * 1024 * 1024)
    hub_cache_days: float = Field(7.0, gt=0)

    # The catalogue
    catalogue_poll_seconds: float = Field(1.0, gt=0, le=60)
    """How often a replica looks whether the catalogue has changed."""

    # The operator's pages
    admin_enabled: bool = True
    session_hours: float = Field(8.0, gt=0, le=24 * 7)

    @field_validator(
        "trusted_hosts",
        "trusted_proxies",
        "frame_ancestors",
        "cors_origins",
        "metrics_from",
        "rate_limit_exempt",
        mode="before",
        check_fields=True,
    )
    @classmethod
    def _split_words(cls, value: object) -> object:
        return tuple(re.split(r"[\s,]+", value.strip())) if isinstance(value, str) else value

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: str) -> str:
        scheme, separator, rest = value.partition("://")
        if not separator:
            raise ValueError("must be an address such as sqlite:///data/vram-fit.db or postgresql://user@host/name")
        if scheme in {"postgres", "postgresql", "postgresql+psycopg"}:
            return f"postgresql+psycopg://{rest}"
        if scheme in {"sqlite", "sqlite+pysqlite"}:
            return f"sqlite://{rest}"
        raise ValueError(f"must begin with sqlite:// or postgresql://, not {scheme}://")

    @field_validator("public_url", "contact_url", "browse_url", "brand_logo_url", "hub_url", "traces_to")
    @classmethod
    def _web_address(cls, value: str | None) -> str | None:
        if value is None or value.lower() in {"", "none"}:
            return None
        parts = urlsplit(value)
        mail = parts.scheme == "mailto" and "@" in parts.path
        web = parts.scheme in {"http", "https"} and parts.hostname and not parts.username
        if not (mail or web) or re.search(r"[\s\"'<>\\]", value):
            raise ValueError("must be a plain http(s) address, without a user name, quotes or blanks")
        return value.rstrip("/")

    @field_validator("trusted_proxies")
    @classmethod
    def _proxies(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for word in value:
            if ipaddress.ip_network(word, strict=False).prefixlen == 0:
                raise ValueError("must not trust every address: any visitor could then claim any other's")
        return value

    @field_validator("metrics_from", "rate_limit_exempt")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for word in value:
            ipaddress.ip_network(word, strict=False)
        return value

    @field_validator("rate_limit", "rate_limit_key")
    @classmethod
    def _rate(cls, value: str | None) -> str | None:
        if value is None or value.lower() in {"", "none"}:
            return None
        try:
            parse_rate(value)
        except ValueError as error:
            raise ValueError("must be a rate such as 600/minute, or none") from error
        return value

    @field_validator("rate_limit_storage")
    @classmethod
    def _rate_storage(cls, value: str) -> str:
        if value == "memory://" or (urlsplit(value).scheme in {"redis", "rediss"} and urlsplit(value).hostname):
            return value
        raise ValueError("must be memory:// or an address such as redis://cache.internal:6379/0")

    @field_validator("api_keys")
    @classmethod
    def _long_keys(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if any(not _KEY.fullmatch(key.get_secret_value()) for key in value):
            raise ValueError(f"each needs at least {MIN_KEY_CHARACTERS} letters, digits or any of . _ ~ + / = -")
        return value

    @model_validator(mode="after")
    def _safe(self) -> Self:
        _require_all(_FRAME_ANCESTOR, self.frame_ancestors, "frame_ancestors", "https://shop.example or 'self'")
        _require_all(_HOST_NAME, self.trusted_hosts, "trusted_hosts", "fit.example.com")
        _require_all(_ORIGIN, self.cors_origins, "cors_origins", "https://shop.example")
        hub = urlsplit(self.hub_url or "https://")
        local_test_hub = self.profile is Profile.TEST and hub.hostname in _LOOPBACK_NAMES
        if hub.scheme != "https" and not local_test_hub:
            raise ValueError("hub_url must be https (plain http only to this machine, in the test profile)")
        if self.profile is Profile.PRODUCTION and hub.hostname in _LOOPBACK_NAMES:
            raise ValueError("hub_url must not lead to this machine outside the test profile")
        public_host = urlsplit(self.public_url or "").hostname
        if public_host and not _is_named(public_host, self.trusted_hosts):
            raise ValueError(f"trusted_hosts must name {public_host}, the host of public_url")
        return self


def _is_named(host: str, names: Iterable[str]) -> bool:
    return any(name in {"*", host} or (name.startswith("*.") and host.endswith(name[1:])) for name in names)


def _require_all(pattern: re.Pattern[str], words: Iterable[str], name: str, example: str) -> None:
    for word in words:
        if not pattern.fullmatch(word):
            raise ValueError(f"{name}: {word!r} is not allowed; write for example {example}")
