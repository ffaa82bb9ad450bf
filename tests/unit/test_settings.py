"""What an operator may set, and what stops the start."""

import pytest
from pydantic import ValidationError

from app.settings import Profile, Settings


def _from_environment(monkeypatch: pytest.MonkeyPatch, **values: str) -> Settings:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return Settings(_env_file=None)


def test_the_defaults_are_safe_and_local(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _from_environment(monkeypatch)
    assert (settings.host, settings.port, settings.database_url) == ("127.0.0.1", 8000, "sqlite:///data/vram-fit.db")
    assert (settings.currency, settings.units, settings.offer_max_age_days) == ("USD", "gib", 365)
    assert not settings.include_spot


def test_the_three_plain_names_and_the_prefixed_ones_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _from_environment(
        monkeypatch,
        HOST="0.0.0.0",
        PORT="9000",
        DATABASE_URL="postgres://u@db/x",
        VRAM_FIT_CORS_ORIGINS="https://a.example, https://b.example",
        VRAM_FIT_CURRENCY="EUR",
        VRAM_FIT_HUB_URL="none",
    )
    assert (settings.host, settings.port) == ("0.0.0.0", 9000)
    assert settings.database_url == "postgresql+psycopg://u@db/x"
    assert settings.cors_origins == ("https://a.example", "https://b.example")
    assert settings.currency == "EUR"
    assert settings.hub_url is None


def test_it_is_frozen_and_shows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _from_environment(monkeypatch, DATABASE_URL="postgresql://u:secret1@db/x", VRAM_FIT_HUB_TOKEN="secret2")
    assert "secret" not in repr(settings)
    with pytest.raises(ValidationError):
        settings.port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://x"),
        ("DATABASE_URL", "catalogue.db"),
        ("VRAM_FIT_FRAME_ANCESTORS", "https://x.example; script-src *"),
        ("VRAM_FIT_FRAME_ANCESTORS", "javascript:"),
        ("VRAM_FIT_CORS_ORIGINS", "https://x.example/path"),
        ("VRAM_FIT_TRUSTED_HOSTS", "a b<c"),
        ("VRAM_FIT_TRUSTED_PROXIES", "0.0.0.0/0"),
        ("VRAM_FIT_TRUSTED_PROXIES", "*"),
        ("VRAM_FIT_HUB_URL", "http://hub.example"),
        ("VRAM_FIT_HUB_URL", "https://127.0.0.1"),
        ("VRAM_FIT_HUB_URL", "file:///etc/passwd"),
        ("VRAM_FIT_CONTACT_URL", "javascript:alert(1)"),
        ("VRAM_FIT_BROWSE_URL", "https://user@x.example"),
        ("VRAM_FIT_BRAND_LOGO_URL", 'https://x.example/"onerror="'),
        ("VRAM_FIT_BRAND_COLOUR", "red"),
        ("VRAM_FIT_CURRENCY", "usd"),
        ("VRAM_FIT_LOCALE", "../etc"),
        ("PORT", "70000"),
    ],
)
def test_an_unsafe_value_stops_the_start(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    with pytest.raises(ValidationError):
        _from_environment(monkeypatch, **{name: value})


def test_only_the_test_profile_takes_a_hub_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValidationError):
        _from_environment(monkeypatch, VRAM_FIT_HUB_URL="http://127.0.0.1:9000")
    settings = _from_environment(monkeypatch, VRAM_FIT_HUB_URL="http://127.0.0.1:9000", VRAM_FIT_PROFILE="test")
    assert settings.profile is Profile.TEST
