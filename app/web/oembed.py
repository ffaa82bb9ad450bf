"""``/oembed``: what a page of ours looks like inside another site's article (oembed.com, 1.0, ``rich``)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from app.api.errors import ApiError
from app.api.state import AppState, state_of
from app.request import FIELDS
from app.web.answer import Answer, answer
from app.web.calculator_verdict import verdict_sentence
from app.web.embed.discovery import OEMBED_PATH
from app.web.embed.query import EmbedQuery, read_query
from app.web.embed.result import setting_text
from app.web.embed.tables import table_view
from app.web.language import without_prefix
from app.web.links import page_link

router = APIRouter(include_in_schema=False)

CACHE_SECONDS: Final = 3_600

WIDTH: Final = 600
"""Where the site asks for none: a usual article's column."""
THUMBNAIL_WIDTH, THUMBNAIL_HEIGHT = 1_200, 630


@dataclass(frozen=True, slots=True)
class Widget:
    """What a page is embedded as: the frame's path, and its height before it has said its own."""

    path: str
    height: int
    narrow_height: int


RESULT: Final = Widget("/embed/result", 420, 460)
CALCULATOR: Final = Widget("/embed/calculator", 900, 960)
TABLE: Final = Widget("/embed/table", 560, 720)

WIDGETS: Final[Mapping[str, Widget]] = {
    "/": RESULT,
    "/compare": TABLE,
    RESULT.path: RESULT,
    CALCULATOR.path: CALCULATOR,
    TABLE.path: TABLE,
}
"""By the path of the page that an author pastes."""

NARROW: Final = 480


@router.api_route(OEMBED_PATH, methods=["GET", "HEAD"])
async def oembed(request: Request) -> Response:
    """The frame of a page of this site; 404 for any other address, 501 for formats other than JSON."""
    parts = state_of(request)
    asked = request.query_params
    if asked.get("format", "json").lower() != "json":
        raise ApiError(501, "oEmbed is answered as JSON only.")
    base_url = (parts.settings.public_url or str(request.base_url)).rstrip("/")
    widget, pairs = _page(asked.get("url", ""), base_url)
    width = _size("maxwidth", asked.get("maxwidth"), WIDTH)
    expected = widget.narrow_height if width < NARROW else widget.height
    height = _size("maxheight", asked.get("maxheight"), expected)
    body = await run_in_threadpool(_answer, parts, base_url, widget, pairs, (width, height))
    return Response(
        json.dumps(body, ensure_ascii=False).encode(),
        media_type="application/json; charset=utf-8",
        headers={"cache-control": f"public, max-age={CACHE_SECONDS}", "access-control-allow-origin": "*"},
    )


def _page(url: str, base_url: str) -> tuple[Widget, list[tuple[str, str]]]:
    """The widget of a page's address and its query. Raises :class:`ApiError` where it is not one of ours."""
    if not url:
        raise ApiError(400, "url is required: the address of a page of this site.", field="url")
    try:
        parts, own = urlsplit(url), urlsplit(base_url)
    except ValueError:
        raise ApiError(404, "This is not an address.", field="url") from None
    prefix = own.path.rstrip("/")
    path, locale = without_prefix(parts.path.removeprefix(prefix) or "/")
    widget = WIDGETS.get(path)
    if parts.scheme not in {"http", "https"} or parts.netloc.lower() != own.netloc.lower() or widget is None:
        raise ApiError(404, "Only pages of this site that show a run can be embedded.", field="url")
    pairs = parse_qsl(parts.query, max_num_fields=200) if parts.query.count("&") < 200 else []
    return widget, [*pairs, ("locale", locale)] if locale else pairs


def _size(name: str, text: str | None, usual: int) -> int:
    """What fits into a site's limit: the usual size, or less where it allows less."""
    if not text:
        return usual
    if not text.isascii() or not text.isdigit() or len(text) > 6 or int(text) == 0:
        raise ApiError(400, f"{name} takes a whole number of pixels.", field=name)
    return min(usual, int(text))


def _answer(
    parts: AppState, base_url: str, widget: Widget, pairs: list[tuple[str, str]], size: tuple[int, int]
) -> dict[str, object]:
    query = read_query(pairs, parts.settings)
    title, picture = _title(widget, query, parts)
    carried = [(key, text) for key, text in query.pairs] + [
        (name, text) for name, text in query.kept.items() if name not in FIELDS
    ]
    source = base_url + widget.path + (f"?{urlencode(carried, quote_via=quote)}" if carried else "")
    width, height = size
    html = (
        f'<iframe src="{escape(source)}" width="{width}" height="{height}" title="{escape(title)}" '
        'frameborder="0" loading="lazy"></iframe>'
    )
    return {
        "version": "1.0",
        "type": "rich",
        "provider_name": parts.settings.brand_name,
        "provider_url": f"{base_url}/",
        "title": title,
        "cache_age": CACHE_SECONDS,
        "html": html,
        "width": width,
        "height": height,
        "thumbnail_url": f"{base_url}{picture}",
        "thumbnail_width": THUMBNAIL_WIDTH,
        "thumbnail_height": THUMBNAIL_HEIGHT,
    }


def _title(widget: Widget, query: EmbedQuery, parts: AppState) -> tuple[str, str]:
    """What the page says in a line, and its picture's address. Raises :class:`ApiError` where it says nothing."""
    if widget is TABLE:
        view = table_view(query, parts)
        if view.errors:
            raise ApiError(404, " ".join(view.errors), field="url")
        first = next((text for key, text in query.pairs if key in {"model", "models"}), "").partition(",")[0]
        return view.title, page_link({"model": first} if first else {}, path="/charts/memory.png")
    found: Answer = answer(query.pairs, parts.snapshot(), parts.today(), parts.policy, {})
    if found.outcome is None:
        raise ApiError(404, "This page shows no result: its run cannot be computed.", field="url")
    _tone, sentence = verdict_sentence(found.outcome, query.fmt)
    title = f"{setting_text(found.outcome.result, query.fmt)}: {sentence}"
    return title, page_link(found.outcome.chosen, path="/charts/memory.png")
