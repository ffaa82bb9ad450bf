"""How often one may ask, and what is said about it."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from limits import parse
from starlette.routing import Match

from app.ops import rate_store as stores
from app.ops.rate_limit import COSTS
from app.ops.rate_store import MemoryRates, RedisRates
from tests.conftest import missing
from tests.ops.conftest import Caller

ESTIMATE = "/api/v1/estimate?model=llama-3-8b&gpus=none"
KEY = "a-key-of-twenty-characters"


def test_a_caller_beyond_the_limit_is_told_when_to_come_back(caller: Caller) -> None:
    visitor = caller(rate_limit="3/minute")
    answers = [visitor.get(ESTIMATE) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[0].headers["ratelimit-policy"] == '"address";q=3;w=60'
    assert [answer.headers["ratelimit"].split(";")[1] for answer in answers] == ["r=2", "r=1", "r=0", "r=0"]
    refusal = answers[-1]
    assert 1 <= int(refusal.headers["retry-after"]) <= 60
    assert refusal.headers["content-type"] == "application/problem+json"
    assert refusal.json()["status"] == 429
    assert "content-security-policy" in refusal.headers


def test_a_script_on_another_site_can_read_the_refusal(caller: Caller) -> None:
    visitor = caller(rate_limit="1/minute")
    answers = [visitor.get(ESTIMATE, headers={"origin": "https://shop.example"}) for _ in range(2)]
    assert answers[1].status_code == 429
    assert answers[1].headers["access-control-allow-origin"] == "*"
    assert "RateLimit" in answers[1].headers["access-control-expose-headers"]


def test_costly_addresses_count_more(caller: Caller) -> None:
    visitor = caller(rate_limit="100/minute")
    visitor.post("/api/v1/estimate/batch", json={"runs": [{"model": "llama-3-8b"}]})
    answer = visitor.get("/api/v1/recommend?model=llama-3-8b")
    assert '"address";r=75;' in answer.headers["ratelimit"]


@pytest.mark.parametrize("path", ["/plan", "/de/plan", "/solve", "/api/v1/solve"])
def test_a_page_costs_what_its_question_costs_in_every_language(caller: Caller, path: str) -> None:
    answer = caller(rate_limit="100/minute").get(path)
    assert '"address";r=95;' in answer.headers["ratelimit"]


def test_what_costs_more_is_an_address_that_answers(application: FastAPI) -> None:
    for path in COSTS:
        scope = {"type": "http", "method": "POST", "path": path, "headers": [], "app": application}
        matches = [route.matches(scope)[0] for route in application.router.routes]
        assert Match.FULL in matches or Match.PARTIAL in matches, path


@pytest.mark.parametrize("address", ["/healthz", "/readyz", "/static/app.css", "/embed.js"])
def test_what_costs_nothing_is_not_counted(caller: Caller, address: str) -> None:
    visitor = caller(rate_limit="1/minute")
    assert all("ratelimit" not in visitor.get(address).headers for _ in range(3))


@pytest.mark.parametrize(
    ("address", "is_counted"), [("127.0.0.1", False), ("::ffff:127.0.0.1", False), ("2001:db8::1", True)]
)
def test_this_machine_is_exempt(caller: Caller, address: str, is_counted: bool) -> None:
    assert ("ratelimit" in caller(address).get(ESTIMATE).headers) is is_counted


def test_a_key_has_a_rate_of_its_own_and_a_wrong_one_is_refused(caller: Caller) -> None:
    visitor = caller(rate_limit="1/minute", rate_limit_key="5/minute", api_keys=(KEY,))
    known = {"authorization": f"Bearer {KEY}"}
    assert visitor.get(ESTIMATE).status_code == 200
    assert visitor.get(ESTIMATE).status_code == 429
    answers = [visitor.get(ESTIMATE, headers=known) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert answers[0].headers["ratelimit-policy"] == '"key";q=5;w=60'
    wrong = visitor.get(ESTIMATE, headers={"authorization": "Bearer another"})
    assert wrong.status_code == 401
    assert wrong.headers["www-authenticate"] == "Bearer"


def test_it_can_be_switched_off(caller: Caller) -> None:
    assert "ratelimit" not in caller(rate_limit="none").get(ESTIMATE).headers


def test_one_ipv6_household_is_one_caller(caller: Caller) -> None:
    visitor = caller("2001:db8::1", rate_limit="1/minute")
    assert visitor.get(ESTIMATE).status_code == 200
    visitor._transport.client = ("2001:db8::2", 1)  # type: ignore[attr-defined]
    assert visitor.get(ESTIMATE).status_code == 429
    visitor._transport.client = ("2001:db8:0:1::2", 1)  # type: ignore[attr-defined]
    assert visitor.get(ESTIMATE).status_code == 200


async def _count(store: MemoryRates | RedisRates, rate: str, who: str) -> stores.Counted | None:
    return await store.count(parse(rate), who, 1)


def _run(coroutine: object) -> object:
    import asyncio

    return asyncio.run(coroutine)  # type: ignore[arg-type]


def test_a_window_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr(stores, "time", lambda: now)
    store = MemoryRates()
    assert _run(_count(store, "1/minute", "a")) == (True, 0, 1_060.0)
    assert _run(_count(store, "1/minute", "a")) == (False, 0, 1_060.0)
    now = 1_060.5
    assert _run(_count(store, "1/minute", "a")) == (True, 0, 1_120.5)


def test_memory_holds_a_bounded_number_of_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "MAX_CALLERS", 10)
    store = MemoryRates()
    for number in range(50):
        _run(_count(store, "1/minute", str(number)))
    assert len(store._windows) == 10
    assert _run(_count(store, "1/minute", "49"))[0] is False  # type: ignore[index]


class RedisServer:
    """A Redis of our own that can be stopped and started."""

    def __init__(self, directory: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        words = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir"]
        self._process = subprocess.Popen([*words, str(self._directory)], stdout=subprocess.DEVNULL)
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                import time

                time.sleep(0.05)
        raise RuntimeError("Redis did not start")

    def stop(self) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait(timeout=10)
            self._process = None


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    if shutil.which("redis-server") is None:
        missing("Redis", "apt-get install redis-server")
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.stop()


def test_two_replicas_count_together_in_redis_and_stay_open_without_it(
    caller: Caller, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "RETRY_SECONDS", 0.0)
    settings = {"rate_limit": "3/minute", "rate_limit_storage": redis_server.url, "metrics_from": ("203.0.113.0/24",)}
    with caller(**settings) as one, caller(**settings) as two:
        statuses = [(one if number % 2 else two).get(ESTIMATE).status_code for number in range(4)]
        assert statuses == [200, 200, 200, 429]
        assert "vram_fit_rate_limit_store_up 1.0" in one.get("/metrics").text

        redis_server.stop()
        while_away = one.get(ESTIMATE)
        assert while_away.status_code == 200
        assert "ratelimit" not in while_away.headers
        assert "vram_fit_rate_limit_store_up 0.0" in one.get("/metrics").text

        redis_server.start()
        assert "ratelimit" in one.get(ESTIMATE).headers
        assert "vram_fit_rate_limit_store_up 1.0" in one.get("/metrics").text
