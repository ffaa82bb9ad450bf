"""Models by their id on the hub, asked of a server that plays it on a real socket."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlmodel import func, select

from app.catalogue import hub as hub_module
from app.catalogue.database import Database
from app.catalogue.hub import HubModels
from app.catalogue.hub_answer import HubBase, HubRefusal, HubShape, is_hub_id
from app.catalogue.hub_client import HubClient
from app.catalogue.tables import HubRecord
from app.main import create_app
from app.settings import Settings
from tests.catalogue.playing_hub import COMMIT, SHAPE, PlayedHub, played_hub

TIMEOUT_SECONDS = 8.0
SHORT_SECONDS = 1.0
"""For those who let it run out."""
START = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def hub() -> Iterator[PlayedHub]:
    with played_hub() as playing:
        yield playing


@pytest.fixture
def caller(hub: PlayedHub, sqlite_catalogue: Database) -> Iterator[TestClient]:
    yield from _caller(hub, sqlite_catalogue, TIMEOUT_SECONDS)


@pytest.fixture
def hasty(hub: PlayedHub, sqlite_catalogue: Database) -> Iterator[TestClient]:
    yield from _caller(hub, sqlite_catalogue, SHORT_SECONDS)


def _caller(hub: PlayedHub, database: Database, timeout_seconds: float) -> Iterator[TestClient]:
    hub.away = False
    hub.asked.clear()
    hub.authorizations.clear()
    settings = Settings(
        _env_file=None,
        database_url=database.engine.url.render_as_string(hide_password=False),
        profile="test",
        hub_url=hub.address,
        hub_timeout_seconds=timeout_seconds,
    )
    with TestClient(create_app(settings, today=START.date), raise_server_exceptions=False) as client:
        yield client


def _ask(caller: TestClient, model: str) -> Any:
    return caller.post("/api/v1/estimate", json={"model": model, "gpus": "none"})


def _message(caller: TestClient, model: str) -> str:
    answer = _ask(caller, model)
    assert answer.status_code == 422, answer.text
    (error,) = answer.json()["errors"]
    assert error["field"] == "model"
    return str(error["message"])


def test_a_model_of_the_hub_is_computed_from_its_own_shape(caller: TestClient) -> None:
    body = _ask(caller, "acme/tiny").json()
    posted = {"config": dict(SHAPE), "gpus": "none"}
    assert body["parameters"] == caller.post("/api/v1/estimate", json=posted).json()["parameters"]
    assert body["run"]["model"] == "acme/tiny"
    assert COMMIT[:12] in body["assumptions"][0]
    assert "model=acme" in body["links"]["page"]
    assert caller.get(body["links"]["page"]).status_code == 200


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("acme/gated", "is gated on"),
        ("acme/gated-by-code", "is gated on"),
        ("acme/private", "gated or private, or does not exist"),
        ("acme/never-was", "is neither in the catalogue nor on"),
        ("acme/nothing-here", "is neither in the catalogue nor on"),
        ("acme/busy", "asking us to wait. Try again in 7 seconds"),
        ("acme/ill", "cannot be reached"),
        ("acme/pictures", "has no config.json"),
        ("acme/orphan-gguf", "holds GGUF files only, and its card names no base model"),
        ("acme/merge-gguf", "holds GGUF files only, and its card names no base model"),
        ("acme/adapter-of-path", "is an adapter that names no base model on the hub"),
        ("acme/adapter-of-address", "is an adapter that names no base model on the hub"),
        ("acme/adapter-of-itself", "leads from one base model to the next without an end"),
        ("acme/broken", "not a JSON object"),
        ("acme/not-utf8", "not a JSON object"),
        ("acme/not-a-number", "not a JSON object"),
        ("acme/a-list", "not a JSON object"),
        ("acme/deep", "not a JSON object"),
        ("acme/zipped", "not a JSON object"),
        ("acme/huge", "larger than any model needs"),
        ("acme/endless", "larger than any model needs"),
        ("acme/not-a-model", "cannot be computed with"),
        ("acme/odd-shape", "cannot be computed with: hidden_size"),
        ("acme/to-loopback", "sent us on to another address"),
        ("acme/to-metadata", "sent us on to another address"),
        ("acme/to-file", "sent us on to another address"),
        ("acme/to-user", "sent us on to another address"),
        ("acme/round", "sent us on to another address"),
        ("acme/nowhere", "sent us on to another address"),
        ("acme/hangs-up", "cannot be reached"),
    ],
)
def test_what_cannot_be_computed_says_why(caller: TestClient, model: str, says: str) -> None:
    assert says in _message(caller, model)


@pytest.mark.parametrize("model", ["acme/slow-body", "acme/slow-head", "acme/silent"])
def test_the_whole_reading_has_one_deadline(hasty: TestClient, model: str) -> None:
    started = time.monotonic()
    assert "did not answer in time" in _message(hasty, model)
    # Its server drips for a minute; the rest is what a busy machine may take.
    assert time.monotonic() - started < SHORT_SECONDS + 10


@pytest.mark.parametrize(
    ("model", "taken", "says"),
    [
        ("acme/adapter", "acme/tiny", "is an adapter of acme/tiny"),
        ("acme/adapter-of-known", "mistral-7b-v0.1", "is an adapter of mistralai/Mistral-7B-v0.1"),
        ("acme/files-gguf", "acme/tiny", "is a GGUF copy; its card names acme/tiny"),
        ("acme/quant-awq", "acme/tiny", "is an AWQ copy; its card names acme/tiny"),
        ("acme/mlx-copy", "acme/tiny", "is an MLX copy; its card names acme/tiny"),
        ("acme/quant-gptq", "acme/quant-gptq", "is a GPTQ copy, and no base model of it can be read"),
        ("acme/quant-lost", "acme/quant-lost", "is a GPTQ copy, and no base model of it can be read"),
        ("acme/old-name", "acme/old-name", None),
        ("https://huggingface.co/acme/tiny-tuned", "acme/tiny-tuned", None),
    ],
)
def test_copies_and_adapters_lead_to_their_base(caller: TestClient, model: str, taken: str, says: str | None) -> None:
    answer = _ask(caller, model)
    assert answer.status_code == 200, answer.text
    assert answer.json()["run"]["model"] == taken
    notes = [warning["text"] for warning in answer.json()["warnings"] if warning["code"] == "model_assumed"]
    assert bool(notes) == (says is not None)
    assert says is None or says in notes[0]


def test_a_page_takes_a_model_of_the_hub(caller: TestClient) -> None:
    assert "acme/tiny" in caller.get("/", params={"model": "acme/tiny", "gpu": "rtx-3090"}).text
    assert caller.get("/badge.svg", params={"model": "acme/tiny", "gpu": "rtx-3090"}).status_code == 200
    refused = caller.get("/", params={"model": "acme/gated"})
    assert refused.status_code == 422
    assert "is gated on" in refused.text


@pytest.mark.parametrize(
    "text",
    [
        "../../etc/passwd",
        "acme/..",
        "acme/tiny/../../x",
        "acme/tiny?x=1",
        "acme/tiny#x",
        "acme/tiny%2f..%2fx",
        "acme@127.0.0.1/x",
        "http://127.0.0.1/x",
        "//127.0.0.1/x",
        "acme/tiny\r\nHost: evil",
        "acme\\tiny/x",
        "acme/ti ny",
        "acme/…",
        "a" * 97 + "/x",
    ],
)
def test_an_id_is_nothing_but_a_path_of_two_parts(caller: TestClient, hub: PlayedHub, text: str) -> None:
    assert not is_hub_id(text)
    assert _ask(caller, text).status_code == 422
    assert hub.asked == []


def test_what_the_catalogue_knows_is_not_asked(caller: TestClient, hub: PlayedHub) -> None:
    for model in ("llama-3-8b", "meta-llama/Meta-Llama-3-8B", "somebody/Llama-3-8B-GGUF"):
        assert _ask(caller, model).status_code == 200
    assert hub.asked == []


def test_an_answer_is_kept_whatever_it_is(caller: TestClient, hub: PlayedHub) -> None:
    for model in ("acme/tiny", "acme/gated", "acme/ill"):
        first = _ask(caller, model).json()
        asked = len(hub.asked)
        assert _ask(caller, model).json() == first
        assert len(hub.asked) == asked


def _models(
    hub: PlayedHub,
    database: Database,
    now: Callable[[], datetime],
    *,
    limit: int = 100,
    token: str | None = None,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> HubModels:
    client = HubClient(base_url=hub.address, timeout_seconds=timeout_seconds, token=token)
    return HubModels(client, database, cache_days=7, limit=limit, now=now)


def test_a_reading_lasts_its_days_and_longer_while_the_hub_is_away(hub: PlayedHub, database: Database) -> None:
    hub.away = False
    hub.asked.clear()
    first = _models(hub, database, lambda: START).lookup("acme/tiny")
    assert isinstance(first, HubShape)
    assert f"at revision {COMMIT[:12]} on 127.0.0.1, read on 2026-11-24" in first.source
    # Another process, days later: from SQL, then anew, then from SQL again since the hub does not answer.
    assert _models(hub, database, lambda: START + timedelta(days=6)).lookup("Acme/Tiny") == first
    assert len(hub.asked) == 1
    hub.away = True
    assert _models(hub, database, lambda: START + timedelta(days=8)).lookup("acme/tiny") == first
    hub.away = False
    anew = _models(hub, database, lambda: START + timedelta(days=8)).lookup("acme/tiny")
    assert isinstance(anew, HubShape)
    assert "read on 2026-12-02" in anew.source


def test_only_so_many_are_kept(hub: PlayedHub, database: Database) -> None:
    moments = iter(START + timedelta(seconds=second) for second in range(100))
    models = _models(hub, database, lambda: next(moments), limit=2)
    for name in ("acme/tiny", "acme/tiny-tuned", "acme/new-name", "acme/gated", "acme/never-was"):
        models.lookup(name)
    with database.reading() as session:
        assert session.exec(select(func.count()).select_from(HubRecord)).one() == 2
        assert session.get(HubRecord, "acme/tiny") is None


def test_a_lost_database_stops_nobody(hub: PlayedHub, tmp_path: Any) -> None:
    never_migrated = Database(f"sqlite:///{tmp_path / 'empty.db'}")
    assert isinstance(_models(hub, never_migrated, lambda: START).lookup("acme/tiny"), HubShape)


def test_many_who_ask_for_one_model_ask_once(hub: PlayedHub, sqlite_catalogue: Database) -> None:
    models = _models(hub, sqlite_catalogue, lambda: START)
    hub.asked.clear()
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(models.lookup, ["acme/tiny"] * 6))
    assert all(isinstance(answer, HubShape) for answer in answers)
    assert len(hub.asked) == 1


def test_a_slow_hub_holds_only_a_few(hub: PlayedHub, sqlite_catalogue: Database) -> None:
    models = _models(hub, sqlite_catalogue, lambda: START, timeout_seconds=2)
    with ThreadPoolExecutor(hub_module.MAX_AT_ONCE) as pool:
        waiting = [pool.submit(models.lookup, "acme/silent") for _ in range(hub_module.MAX_AT_ONCE)]
        time.sleep(0.3)
        answer = models.lookup("acme/tiny")
        assert isinstance(answer, HubRefusal)
        assert "too many others" in answer.message
        assert all(isinstance(each.result(), HubRefusal) for each in waiting)
    assert isinstance(models.lookup("acme/tiny"), HubShape)


def test_a_hub_that_asks_to_wait_is_left_alone(hub: PlayedHub, sqlite_catalogue: Database) -> None:
    models = _models(hub, sqlite_catalogue, lambda: START)
    models.lookup("acme/busy")
    hub.asked.clear()
    answer = models.lookup("acme/tiny")
    assert isinstance(answer, HubRefusal)
    assert "asking us to wait" in answer.message
    assert hub.asked == []


def test_invented_ids_are_not_all_asked(
    hub: PlayedHub, sqlite_catalogue: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "MAX_PER_MINUTE", 3)
    models = _models(hub, sqlite_catalogue, lambda: START)
    answers = [models.lookup(f"acme/invented-{number}") for number in range(4)]
    assert ["too many others" in answer.message for answer in answers if isinstance(answer, HubRefusal)] == [
        False,
        False,
        False,
        True,
    ]


def test_the_token_goes_to_the_hub_alone(hub: PlayedHub, sqlite_catalogue: Database) -> None:
    with played_hub() as other:
        models = _models(hub, sqlite_catalogue, lambda: START, token="hub-token")
        hub.authorizations.clear()
        assert isinstance(models.lookup("acme/adapter"), HubBase)
        hub.elsewhere = other.address
        assert isinstance(models.lookup("acme/to-elsewhere"), HubRefusal)
        assert set(hub.authorizations) == {"Bearer hub-token"}
        assert other.asked == []
