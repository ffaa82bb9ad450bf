"""Two sites of different origins on this machine: the service, and a host page that frames it under a strict policy."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import uvicorn

from app.catalogue.snapshot import Snapshot
from app.main import create_app
from app.settings import Settings
from tests.web.conftest import NoConfigs
from tests.web.embedding import with_order_links

HOST_CSS = """
body{margin:0;font:18px/1.6 Georgia,serif;background:#fbf6ec}
figure{margin:0}
main{width:min(100% - 2rem,72rem);margin-inline:auto}
.narrow{max-width:400px}
.far{height:4000px}
"""


@dataclass
class HostSite:
    """A sales site: its pages by path, served with the policy that lets in the service's script and frames alone."""

    service_url: str
    pages: dict[str, str] = field(default_factory=dict)
    policy: str = ""
    url: str = ""
    scripts: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.policy = (
            f"default-src 'none'; style-src 'self'; script-src 'self' {self.service_url}; "
            f"frame-src {self.service_url}; img-src data: {self.service_url}"
        )

    def page(self, path: str, body: str, *, head: str = "") -> str:
        """Put a page up; returns its address."""
        self.pages[path] = (
            '<!doctype html><html lang="en-GB"><head><meta charset="utf-8"><title>Harbour Compute</title>'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f'<link rel="icon" href="data:,"><link rel="stylesheet" href="/host.css">{head}</head>'
            f"<body><main><h1>Servers</h1>{body}<p>Below the widget.</p></main></body></html>"
        )
        return self.url + path


@contextmanager
def host_site(service_url: str) -> Iterator[HostSite]:
    """A host page's server, on another port and so of another origin."""
    site = HostSite(service_url)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/host.css":
                kind, body = "text/css", HOST_CSS
            elif path in site.scripts:
                kind, body = "text/javascript", site.scripts[path]
            elif path in site.pages:
                kind, body = "text/html", site.pages[path]
            else:
                kind, body = "text/html", f"<!doctype html><title>Order page</title><p>{path}"
            content = body.encode()
            self.send_response(200)
            self.send_header("content-type", f"{kind}; charset=utf-8")
            self.send_header("content-length", str(len(content)))
            self.send_header("content-security-policy", site.policy)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_port}"
    yield site
    server.shutdown()
    thread.join(5)
    server.server_close()


@contextmanager
def service(snapshot: Snapshot, order_url: str, settings: Settings | None = None) -> Iterator[str]:
    """The service on a port of its own, with offers that can be ordered at ``order_url``."""
    app = create_app(
        settings or Settings(),
        snapshot=with_order_links(snapshot, order_url),
        configs=NoConfigs(),
        today=lambda: date(2026, 11, 24),
    )
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", access_log=False))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < until, "the service did not start"
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)
