"""A server that plays the model hub on a real socket: good repositories, odd ones, and hostile ones."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any, Final

COMMIT: Final = "0123456789abcdef0123456789abcdef01234567"
SHAPE: Final[Mapping[str, Any]] = {
    "model_type": "llama",
    "hidden_size": 512,
    "intermediate_size": 1376,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "vocab_size": 32000,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": False,
}
CONFIG: Final = "resolve/main/config.json"
ADAPTER: Final = "resolve/main/adapter_config.json"


def _card(base: object = None, *tags: str) -> dict[str, Any]:
    return {"sha": COMMIT, "tags": list(tags), "cardData": {"base_model": base} if base else {}}


def _quantised(method: str) -> dict[str, Any]:
    return {**SHAPE, "quantization_config": {"quant_method": method, "bits": 4}}


FILES: Final[Mapping[str, Any]] = {
    f"/acme/tiny/{CONFIG}": SHAPE,
    f"/acme/tiny-tuned/{CONFIG}": {**SHAPE, "vocab_size": 32_016},
    f"/acme/new-name/{CONFIG}": SHAPE,
    f"/acme/adapter/{ADAPTER}": {"peft_type": "LORA", "base_model_name_or_path": "acme/tiny"},
    f"/acme/adapter-of-known/{ADAPTER}": {"base_model_name_or_path": "mistralai/Mistral-7B-v0.1"},
    f"/acme/adapter-of-path/{ADAPTER}": {"base_model_name_or_path": "/home/someone/models/base"},
    f"/acme/adapter-of-address/{ADAPTER}": {"base_model_name_or_path": "http://127.0.0.1:22/x"},
    f"/acme/adapter-of-itself/{ADAPTER}": {"base_model_name_or_path": "acme/adapter-of-itself"},
    "/api/models/acme/files-gguf": _card("acme/tiny", "gguf", "text-generation"),
    "/api/models/acme/orphan-gguf": _card(None, "gguf"),
    "/api/models/acme/merge-gguf": _card(["acme/tiny", "acme/tiny-tuned"], "gguf"),
    f"/acme/quant-awq/{CONFIG}": _quantised("awq"),
    "/api/models/acme/quant-awq": _card("acme/tiny", "awq"),
    f"/acme/quant-gptq/{CONFIG}": _quantised("gptq"),
    "/api/models/acme/quant-gptq": _card(),
    f"/acme/quant-lost/{CONFIG}": _quantised("gptq"),
    "/api/models/acme/quant-lost": _card("acme/gated-by-code"),
    f"/acme/mlx-copy/{CONFIG}": {**SHAPE, "quantization": {"group_size": 64, "bits": 4}},
    "/api/models/acme/mlx-copy": _card("acme/tiny", "mlx"),
    "/api/models/acme/pictures": _card(None, "diffusers"),
    f"/acme/not-a-model/{CONFIG}": {"hello": "world"},
    f"/acme/odd-shape/{CONFIG}": {**SHAPE, "hidden_size": -1},
    f"/acme/a-list/{CONFIG}": [1, 2, 3],
}
BODIES: Final[Mapping[str, bytes]] = {
    f"/acme/broken/{CONFIG}": b'{"model_type": "llama", ',
    f"/acme/not-utf8/{CONFIG}": b'{"model_type": "\xff\xfe"}',
    f"/acme/not-a-number/{CONFIG}": b'{"model_type": "llama", "hidden_size": NaN}',
    f"/acme/deep/{CONFIG}": b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
    f"/acme/huge/{CONFIG}": b'{"a": "' + b"x" * 1_000_000 + b'"}',
}
STATUSES: Final[Mapping[str, tuple[int, Mapping[str, str]]]] = {
    f"/acme/gated-by-code/{CONFIG}": (401, {"X-Error-Code": "GatedRepo"}),
    f"/acme/gated/{CONFIG}": (403, {}),
    f"/acme/private/{CONFIG}": (401, {}),
    f"/acme/never-was/{CONFIG}": (401, {"X-Error-Code": "RepoNotFound"}),
    f"/acme/busy/{CONFIG}": (429, {"Retry-After": "7"}),
    f"/acme/ill/{CONFIG}": (500, {}),
    f"/acme/old-name/{CONFIG}": (307, {"Location": f"/acme/new-name/{CONFIG}"}),
    f"/acme/to-loopback/{CONFIG}": (302, {"Location": "http://127.0.0.1:1/latest/meta-data"}),
    f"/acme/to-metadata/{CONFIG}": (302, {"Location": "http://169.254.169.254/latest/meta-data"}),
    f"/acme/to-file/{CONFIG}": (302, {"Location": "file:///etc/passwd"}),
    f"/acme/to-user/{CONFIG}": (302, {"Location": "//user@127.0.0.1/"}),
    f"/acme/round/{CONFIG}": (302, {"Location": f"/acme/round/{CONFIG}"}),
    f"/acme/nowhere/{CONFIG}": (302, {}),
}


class PlayedHub:
    """Where it listens, and what it was asked."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.address = f"http://127.0.0.1:{server.server_address[1]}"
        self.asked: list[str] = []
        self.authorizations: list[str | None] = []
        self.away = False
        self.elsewhere = ""
        """Where ``acme/to-elsewhere`` leads."""
        self.stopped = Event()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: PlayedHub

    def do_GET(self) -> None:
        self.hub.asked.append(self.path)
        self.hub.authorizations.append(self.headers.get("authorization"))
        if self.hub.away:
            self._send(503, b"", {})
        elif self.path in FILES:
            self._send(200, json.dumps(FILES[self.path]).encode(), {"X-Repo-Commit": COMMIT})
        elif self.path in BODIES:
            self._send(200, BODIES[self.path], {})
        elif self.path in STATUSES:
            status, headers = STATUSES[self.path]
            self._send(status, b"", headers)
        elif self.path == f"/acme/to-elsewhere/{CONFIG}":
            self._send(302, b"", {"Location": f"{self.hub.elsewhere}/acme/tiny/{CONFIG}"})
        elif self.path == f"/acme/zipped/{CONFIG}":
            self._send(200, b"\x1f\x8b", {"Content-Encoding": "gzip"})
        elif self.path == f"/acme/endless/{CONFIG}":
            self._drip(b'{"a": "' + b"x" * 4_096, 0)
        elif self.path == f"/acme/slow-body/{CONFIG}":
            self._drip(b" ", 0.2)
        elif self.path == f"/acme/slow-head/{CONFIG}":
            self._drip_head()
        elif self.path == f"/acme/silent/{CONFIG}":
            self.hub.stopped.wait(30)
        elif self.path == f"/acme/hangs-up/{CONFIG}":
            self.close_connection = True
        else:
            code = "EntryNotFound" if f"/api/models{self.path.partition('/resolve')[0]}" in FILES else "RepoNotFound"
            self._send(404, b"", {"X-Error-Code": code} if "adapter" not in self.path else {})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _drip(self, part: bytes, seconds: float) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.close_connection = True
        while not self.hub.stopped.wait(seconds):
            try:
                self.wfile.write(part)
            except OSError:
                return

    def _drip_head(self) -> None:
        self.close_connection = True
        for letter in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 600:
            if self.hub.stopped.wait(0.1):
                return
            try:
                self.wfile.write(bytes([letter]))
                self.wfile.flush()
            except OSError:
                return

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Not on the tests' output."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that hangs up is what some of the tests are about."""


@contextmanager
def played_hub() -> Iterator[PlayedHub]:
    """The server, on a port of its own."""
    server = _Server(("127.0.0.1", 0), _Handler)
    hub = PlayedHub(server)
    server.RequestHandlerClass = type("Handler", (_Handler,), {"hub": hub})
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.stopped.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
