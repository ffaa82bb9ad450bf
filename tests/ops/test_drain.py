"""A service told to stop answers what it has begun, and two workers report as one."""

import shutil
import signal
import threading
import time
from pathlib import Path

import httpx

from tests.ops.serving import served


def _database(templates: dict[str, Path], directory: Path) -> str:
    shutil.copy(templates["bundled"], directory / "catalogue.db")
    return f"sqlite:///{directory / 'catalogue.db'}"


def test_sigterm_loses_no_request_that_has_begun(sqlite_templates: dict[str, Path], tmp_path: Path) -> None:
    runs = [{"model": "llama-3-8b", "sequence_length": 256 + number, "gpus": "all"} for number in range(100)]
    answers: list[httpx.Response] = []
    with served(_database(sqlite_templates, tmp_path), tmp_path) as (address, process, log):

        def ask() -> None:
            answers.append(httpx.post(f"{address}/api/v1/estimate/batch", json={"runs": runs}, timeout=60))

        asking = threading.Thread(target=ask)
        asking.start()
        time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        asking.join(timeout=60)
        process.wait(timeout=30)
        assert [answer.status_code for answer in answers] == [200], log.read_text()
        assert len(answers[0].json()["results"]) == len(runs)


def test_two_workers_report_as_one(sqlite_templates: dict[str, Path], tmp_path: Path) -> None:
    url = _database(sqlite_templates, tmp_path)
    with served(url, tmp_path, {"VRAM_FIT_WORKERS": "2"}) as (address, _, _):
        for _ in range(30):
            with httpx.Client() as connection:
                assert connection.get(f"{address}/api/v1/models/llama-3-8b").status_code == 200
        wanted = 'vram_fit_responses_total{method="GET",route="/api/v1/models/{slug}",status="200"} 30.0'
        assert wanted in httpx.get(f"{address}/metrics").text
