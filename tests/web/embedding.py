"""What the tests of the embeds share: a shop's catalogue, and WordPress played after its documented behaviour."""

import html
import json
import re
from dataclasses import dataclass, replace
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from app.catalogue.snapshot import Snapshot

ORDER_URL = "https://shop.example/order/{gpu}?ref={ref}&plan=bare"


def with_order_links(snapshot: Snapshot, order_url: str = ORDER_URL) -> Snapshot:
    """The same catalogue, sold by a shop that says where to order."""
    return Snapshot(
        version=f"{snapshot.version}-shop",
        models=snapshot.models,
        gpus=snapshot.gpus,
        offers=[replace(offer, order_url=order_url) for offer in snapshot.offers()],
        rates=snapshot.rates,
    )


class Visit(Protocol):
    """Fetches an address and returns its text."""

    def __call__(self, url: str) -> str: ...


@dataclass(frozen=True, kw_only=True)
class WordPress:
    """What WordPress does with an address on a line of its own, from its source's `class-wp-oembed.php`,
    `embed.php` (`wp_filter_oembed_result`) and `kses.php`, as documented on developer.wordpress.org."""

    visit: Visit
    content_width: int = 600

    READ_BYTES = 153_600
    """Of the page, of which only the head is looked at."""

    def discover(self, url: str) -> str:
        """The oEmbed address that the page's head names."""
        page = self.visit(url)[: self.READ_BYTES]
        head = page[: page.lower().find("</head>")]
        for link in re.findall(r"<link([^<>]+)/?>", head, re.IGNORECASE):
            attributes = {name.lower(): html.unescape(value) for name, value in re.findall(r'([\w-]+)="([^"]*)"', link)}
            if attributes.get("type") == "application/json+oembed" and attributes.get("href"):
                return attributes["href"]
        raise AssertionError("no discovery link in the head")

    def fetch(self, oembed_url: str) -> dict[str, Any]:
        """The provider's answer, asked with the theme's width and a height of half as much again."""
        parts = urlsplit(oembed_url)
        query = [
            *parse_qsl(parts.query),
            ("maxwidth", str(self.content_width)),
            ("maxheight", str(min(self.content_width * 3 // 2, 1000))),
            ("dnt", "1"),
        ]
        query = [*((key, value) for key, value in query if key != "format"), ("format", "json")]
        answer: dict[str, Any] = json.loads(self.visit(urlunsplit(parts._replace(query=urlencode(query)))))
        assert answer["type"] == "rich"
        assert isinstance(answer["html"], str)
        assert answer["width"]
        assert answer["height"]
        return answer

    KEPT = ("src", "width", "height", "frameborder", "marginwidth", "marginheight", "scrolling", "title")

    def filtered(self, markup: str, secret: str) -> str:
        """The markup of a provider that is not on the list of trusted ones: a sandboxed frame, with its secret."""
        found = re.search(r"<iframe(.*?)></iframe>", markup, re.DOTALL)
        assert found, "WordPress drops what has no frame"
        attributes = [
            (name, value) for name, value in re.findall(r'([\w-]+)="([^"]*)"', found[1]) if name.lower() in self.KEPT
        ]
        given = "".join(
            f' src="{value}#?secret={secret}" data-secret="{secret}"' if name == "src" else f' {name}="{value}"'
            for name, value in attributes
        )
        return f'<iframe class="wp-embedded-content" sandbox="allow-scripts" security="restricted"{given}></iframe>'


RECEIVER = """
"use strict";
// What wp-embed.js does with a frame's messages.
window.addEventListener("message", (event) => {
  const data = event.data;
  if (!data || !(data.secret || data.message || data.value) || /[^a-zA-Z0-9]/.test(data.secret)) return;
  for (const frame of document.querySelectorAll(`iframe[data-secret="${data.secret}"]`)) {
    if (event.source !== frame.contentWindow) continue;
    frame.removeAttribute("style");
    if (data.message === "height") {
      let height = parseInt(data.value, 10);
      if (height > 1000) height = 1000;
      else if (~~height < 200) height = 200;
      frame.height = height;
    } else if (data.message === "link") {
      const source = new URL(frame.getAttribute("src")), target = new URL(data.value);
      if (/^https?:$/.test(target.protocol) && target.host === source.host && document.activeElement === frame) {
        window.top.location.href = data.value;
      }
    }
  }
});
document.addEventListener("DOMContentLoaded", () => {
  for (const frame of document.querySelectorAll("iframe.wp-embedded-content")) {
    frame.contentWindow.postMessage({ message: "ready", secret: frame.dataset.secret }, "*");
  }
});
"""
