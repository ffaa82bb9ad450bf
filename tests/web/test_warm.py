"""Templates are compiled before anybody asks, and a service that stops does not wait for all of them."""

import time
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.catalogue.bundled import bundled_snapshot
from app.catalogue.snapshot import Snapshot
from app.main import create_app
from app.settings import Settings
from app.web.compare_published import PublishedView, published_view
from app.web.formatting import Formatter
from app.web.language import LANGUAGES, catalogue
from app.web.templating import TEMPLATES, environment
from app.web.warm import Warming, compare_published, load_templates
from tests.web.conftest import NoConfigs


def _compiled(language: str) -> set[str]:
    cache = environment(catalogue(language)).cache
    assert cache is not None
    return {name for _, name in cache}


@pytest.fixture
def _cold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.web.warm.PAUSE_SECONDS", 0)
    environment.cache_clear()


@pytest.mark.usefixtures("_cold")
def test_every_template_is_compiled_in_every_language() -> None:
    load_templates("de-DE")
    names = {path.relative_to(TEMPLATES).as_posix() for path in Path(TEMPLATES).rglob("*.*") if path.is_file()}
    assert names
    for language in LANGUAGES:
        assert _compiled(language) == names


@pytest.mark.usefixtures("_cold")
def test_the_operators_language_comes_first() -> None:
    left = 3

    def goes_on() -> bool:
        nonlocal left
        left -= 1
        return left >= 0

    load_templates("de-DE", goes_on)
    assert len(_compiled("de")) == 3
    assert not _compiled("en")


def test_the_page_of_published_figures_finds_its_table_made(monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot, made = bundled_snapshot(), []  # one of which nothing was made yet

    def noted(of: Snapshot, fmt: Formatter) -> PublishedView:
        if of is snapshot:  # another service's thread may make its own
            made.append(fmt)
        return published_view(of, fmt)

    monkeypatch.setattr("app.web.pages.published_view", noted)
    compare_published("en-GB", snapshot)
    assert len(made) == len(LANGUAGES)
    with TestClient(create_app(Settings(), snapshot=snapshot, configs=NoConfigs())) as site:
        for path in ("/compare?method=lora", "/de/compare?method=lora"):
            assert site.get(path).status_code == 200
    assert len(made) == len(LANGUAGES)


def test_a_service_that_stops_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.web.warm.PAUSE_SECONDS", 0.2)
    warming = Warming("en-GB", Snapshot.bundled)
    warming.start()
    started = time.monotonic()
    warming.stop()
    assert time.monotonic() - started < 3
    assert not warming._thread.is_alive()
