"""A mixed load as one long list of different requests: what visitors, widgets, programs, crawlers and scanners send."""

import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from app.catalogue.snapshot import Snapshot
from app.memory.inputs import MethodKind

VISITORS: Final = 20_000
"""Different addresses that requests come from."""
CONFIGS: Final = 20_000
"""Different configurations that are posted: more than the service keeps, in memory or in SQL."""
WIDGETS: Final = 400
"""Different addresses of widgets, badges and charts on other sites."""
POPULAR: Final = ("llama-3-8b", "qwen2.5-7b", "mistral-7b-v0.1", "qwen3-8b", "llama-3-70b", "gemma-2-9b")
POPULAR_GPUS: Final = ("rtx-4090", "rtx-3090", "h100-sxm", "a100-80gb-sxm", "l40s", "h200-sxm")
POPULAR_SHARE: Final = 0.9
"""Of the runs, those of the models and cards that most people ask for; the others are of all there are."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, written out, and the statuses that answer it as they should."""

    text: bytes
    statuses: frozenset[int]


_OK: Final = frozenset({200})
_FOUND: Final = frozenset({200, 302, 303, 404})


class Mixture:
    """Requests without end; the same ones for the same seed."""

    def __init__(self, seed: int, *, popular_share: float = POPULAR_SHARE, widgets: int = WIDGETS) -> None:
        self._random = random.Random(seed)
        self._popular_share = popular_share
        catalogue = Snapshot.bundled()
        self._models = [model.slug for model in catalogue.models]
        self._gpus = [gpu.slug for gpu in catalogue.gpus]
        self._offers = [offer.id for offer in catalogue.offers()]
        self._widgets = [self._widget() for _ in range(widgets)]
        # Of a thousand requests. What the API is asked for is new each time; widgets are asked for again and again.
        self._kinds: Mapping[Callable[[], Asked], int] = {
            self._posted_estimate: 180,
            self._shared_estimate: 70,
            self._embeds: 452,
            self._lists: 90,
            self._refused: 60,
            self._lost: 124,
            self._configs: 10,
            self._pages: 4,
            self._tools: 5,
            self._batch: 2,
            self._recommend: 2,
            self._compare: 1,
        }

    @property
    def kinds(self) -> Mapping[str, Callable[[], Asked]]:
        """Each kind of request by its name in words."""
        return {kind.__name__.strip("_").replace("_", " "): kind for kind in self._kinds}

    def requests(self) -> Iterator[Asked]:
        """One after another."""
        kinds, weights = tuple(self._kinds), tuple(self._kinds.values())
        while True:
            yield self._random.choices(kinds, weights)[0]()

    def _run(self) -> dict[str, Any]:
        pick = self._random.choice
        popular = self._random.random() < self._popular_share
        return {
            "model": pick(POPULAR if popular else self._models),
            "method": pick(tuple(MethodKind)).value,
            "micro_batch_size": self._random.randint(1, 64),
            "sequence_length": self._random.randrange(128, 32_768, 32),
            "lora_rank": pick((4, 8, 16, 32, 64, 128)),
            "gradient_checkpointing": pick(("none", "full")),
            "gpu": pick(POPULAR_GPUS if popular else self._gpus),
        }

    def _posted_estimate(self) -> Asked:
        return self._post("/api/v1/estimate", {**self._run(), "gpus": "none"})

    def _shared_estimate(self) -> Asked:
        return self._get("/api/v1/estimate", {**self._run(), "gpus": "none"})

    def _pages(self) -> Asked:
        run = self._run()
        path = self._random.choice(("/", "/", "/", f"/models/{run['model']}", f"/gpus/{run['gpu']}", "/guide", "/docs"))
        return self._get(path, run if path == "/" else {}, statuses=_FOUND)

    def _embeds(self) -> Asked:
        path, query = self._random.choice(self._widgets)
        return self._get(path, query, statuses=_FOUND)

    def _widget(self) -> tuple[str, dict[str, Any]]:
        path = self._random.choice(
            ("/embed/result", "/embed/calculator", "/badge.svg", "/fragments/table", "/charts/memory.svg", "/embed.js")
        )
        run = self._run()
        return path, {"model": run["model"]} if path == "/fragments/table" else run

    def _lists(self) -> Asked:
        number = self._random.randrange(10_000)
        path, query = self._random.choice(
            (
                ("/api/v1/models", {"q": f"qwen {number % 97}"}),
                ("/api/v1/gpus", {"limit": 1 + number % 100}),
                ("/api/v1/offers", {"gpu": self._random.choice(self._gpus), "limit": 1 + number % 50}),
                (f"/api/v1/models/{self._random.choice(self._models)}", {}),
                (f"/go/{self._random.choice(self._offers)}", {"ref": f"shop{number}"}),
            )
        )
        return self._get(path, query, statuses=_FOUND)

    def _configs(self) -> Asked:
        size = 32_000 + self._random.randrange(CONFIGS)
        config = {
            "model_type": "llama", "hidden_size": 256, "intermediate_size": 688, "num_attention_heads": 4,
            "num_hidden_layers": 2, "vocab_size": size, "max_position_embeddings": 2_048,
        }  # fmt: skip
        return self._post("/api/v1/estimate", {"config": config, "gpus": "none"})

    def _refused(self) -> Asked:
        name = f"nothing-{self._random.randrange(1_000_000)}"
        return self._post("/api/v1/estimate", {"model": name, name: 1}, statuses=frozenset({422}))

    def _lost(self) -> Asked:
        path = self._random.choice(("/wp-login.php", "/.env", "/models/none", "/api/v1/none"))
        return self._get(f"{path}{self._random.randrange(1_000_000)}", {}, statuses=frozenset({404}))

    def _recommend(self) -> Asked:
        run = self._run()
        return self._get("/api/v1/recommend", {"model": run["model"], "sequence_length": run["sequence_length"]})

    def _compare(self) -> Asked:
        models = ",".join(self._random.sample(self._models, 3))
        return self._get("/api/v1/compare", {"models": models, "gpu": self._random.choice(self._gpus)})

    def _batch(self) -> Asked:
        return self._post("/api/v1/estimate/batch", {"runs": [self._run() for _ in range(10)]})

    def _tools(self) -> Asked:
        run = self._run()
        call = {"name": "estimate", "arguments": {"model": run["model"], "method": run["method"]}}
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
        accept = "accept: application/json, text/event-stream\r\n"
        return self._post("/mcp", message, headers=accept, statuses=frozenset({200, 400, 406}))

    def _get(self, path: str, query: Mapping[str, Any], *, statuses: frozenset[int] = _OK) -> Asked:
        address = f"{path}?{urlencode(query)}" if query else path
        return Asked(f"GET {address} HTTP/1.1\r\n{self._head()}\r\n".encode(), statuses)

    def _post(
        self, path: str, payload: Mapping[str, Any], *, headers: str = "", statuses: frozenset[int] = _OK
    ) -> Asked:
        body = json.dumps(payload).encode()
        head = f"{self._head()}content-type: application/json\r\n{headers}content-length: {len(body)}\r\n"
        return Asked(f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body, statuses)

    def _head(self) -> str:
        visitor = self._random.randrange(VISITORS)
        return f"host: localhost\r\nx-forwarded-for: 198.18.{visitor >> 8}.{visitor & 255}\r\n"
