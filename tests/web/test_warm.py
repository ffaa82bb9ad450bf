"""Templates are compiled before anybody asks, and a service that stops does not wait for all of them."""

import threading
import time
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.catalogue.snapshot import Snapshot
from app.web.language import LANGUAGES, catalogue
from app.web.pages import published
from app.web.templating import TEMPLATES, environment
from app.web.warm import Warming, compare_published, load_templates


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


def test_the_page_of_published_figures_finds_its_table_made(site: TestClient, snapshot: Snapshot) -> None:
    for thread in threading.enumerate():
        if thread.name == "warm":  # another service's, which makes the same
            thread.join(timeout=60)
    published.cache_clear()
    compare_published("en-GB", snapshot)
    assert published.cache_info().misses == len(LANGUAGES)
    for path in ("/compare?method=lora", "/de/compare?method=lora"):
        assert site.get(path).status_code == 200
    assert published.cache_info().misses == len(LANGUAGES)
    assert published.cache_info().hits == len(LANGUAGES)


def test_a_service_that_stops_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.web.warm.PAUSE_SECONDS", 0.2)
    warming = Warming("en-GB", Snapshot.bundled)
    warming.start()
    started = time.monotonic()
    warming.stop()
    assert time.monotonic() - started < 3
    assert not warming._thread.is_alive()
