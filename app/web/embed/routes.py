"""The routes of everything embedded. Each answer is kept by what it is made of: address, host, catalogue and day."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Scope

from app.api.state import AppState
from app.settings import Settings
from app.web.answer import Answer, answer
from app.web.embed.badge import badge_svg
from app.web.embed.calculator import calculator_frame
from app.web.embed.colour import brand_colours, hex_digits
from app.web.embed.images import ChartRequest, chart_png, chart_svg, read_chart
from app.web.embed.kept import KeptAnswers, KeptFirst, KeptRoute, Made
from app.web.embed.query import EmbedQuery, read_query
from app.web.embed.result import FrameMeta, ResultFrame, frame_meta, language_of, result_widget
from app.web.embed.table import TableFrame, TableView
from app.web.embed.tables import table_view
from app.web.templating import STATIC, render

HTML: Final = "text/html; charset=utf-8"
SVG: Final = "image/svg+xml"

A_DAY: Final = 86_400
AN_HOUR: Final = 3_600

ANYWHERE: Final[Mapping[str, str]] = {"cross-origin-resource-policy": "cross-origin"}
"""What another site's page may take in even where it isolates itself."""

IMAGE_HEADERS: Final[Mapping[str, str]] = {**ANYWHERE, "content-security-policy": "default-src 'none'; sandbox"}
"""An SVG opened by itself is a page: it gets no rights."""


def frame_headers(settings: Settings) -> dict[str, str]:
    """The headers of a framed page: who may frame it, and that it loads nothing from elsewhere."""
    listed = settings.frame_ancestors
    # The builder's preview is a page of ours, so we are always among those who may, unless nobody may.
    ancestors = listed if "'none'" in listed or "*" in listed else tuple(dict.fromkeys(("'self'", *listed)))
    return {
        **ANYWHERE,
        "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
        f"form-action 'self'; base-uri 'none'; frame-ancestors {' '.join(ancestors)}",
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class FragmentPage:
    """A table as HTML to put into a page: no styles, no scripts, full addresses."""

    table: TableView
    language: str
    base_url: str
    page_base_url: str
    """Before a page's path: the host, and the language's prefix."""
    order_text: str
    credit: str


class Embeds:
    """Makes what other sites show."""

    def __init__(self, parts: AppState) -> None:
        self._parts = parts
        self._settings = parts.settings
        self._frame_headers = frame_headers(parts.settings)

    def base_url(self, request: Request) -> str:
        """Scheme and host as visitors know them, without a trailing slash."""
        return (self._settings.public_url or str(request.base_url)).rstrip("/")

    def _meta(self, request: Request, query: EmbedQuery, title: str) -> FrameMeta:
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return frame_meta(query, title, self._settings.brand_name, self.base_url(request), path)

    def _query(self, request: Request) -> EmbedQuery:
        return read_query(request.query_params.multi_items(), self._settings)

    def _answer(self, query: EmbedQuery) -> Answer:
        self._parts.asked.run(dict(query.pairs), self._parts.snapshot())
        preferences = {"units": query.kept["units"]} if "units" in query.kept else {}
        return answer(query.pairs, self._parts.snapshot(), self._parts.today(), self._parts.policy, preferences)

    def _frame(self, request: Request, template: str, page: object, query: EmbedQuery, *, is_read: bool) -> Made:
        body = render(template, page, query.fmt.translations).encode()
        return Made(
            body=body,
            media_type=HTML,
            status=200 if is_read else 422,
            headers=self._frame_headers,
            keep=is_lasting(request),
        )

    def result(self, request: Request) -> Made:
        """The ``result`` widget."""
        query = self._query(request)
        found = self._answer(query)
        widget = result_widget(found, query, self._settings)
        title = widget.sentence if not widget.setting else f"{widget.setting}: {widget.sentence}"
        page = ResultFrame(meta=self._meta(request, query, title), result=widget)
        return self._frame(request, "embed/result.html", page, query, is_read=found.outcome is not None)

    def calculator(self, request: Request) -> Made:
        """The ``calculator`` widget."""
        query = self._query(request)
        found = self._answer(query)
        title = query.fmt.gettext("GPU memory calculator")
        page = calculator_frame(found, query, self._parts, self._meta(request, query, title))
        return self._frame(request, "embed/calculator.html", page, query, is_read=found.outcome is not None)

    def table(self, request: Request) -> Made:
        """The ``table`` widget."""
        query = self._query(request)
        view = table_view(query, self._parts)
        page = TableFrame(meta=self._meta(request, query, view.title), table=view)
        return self._frame(request, "embed/table.html", page, query, is_read=not view.errors)

    def fragment(self, request: Request) -> Made:
        """A table for a page that is put together on its server. Raises :class:`RequestError`'s 422 as a problem."""
        query = self._query(request)
        view = table_view(query, self._parts)
        if view.errors:
            raise HTTPException(422, " ".join(view.errors))
        _ = query.fmt.gettext
        page = FragmentPage(
            table=view,
            language=language_of(query.fmt),
            base_url=self.base_url(request),
            page_base_url=self.base_url(request) + query.language_prefix,
            order_text=_("Order"),
            credit=_("by {name}").format(name=self._settings.brand_name),
        )
        body = render("embed/fragment.html", page, query.fmt.translations).strip().encode()
        return Made(body=body, media_type=HTML, headers=ANYWHERE, keep=is_lasting(request))

    def badge(self, request: Request) -> Made:
        """A line of text for a README."""
        query = self._query(request)
        found = self._answer(query)
        return Made(
            body=badge_svg(found, query.fmt).encode(),
            media_type=SVG,
            status=200 if found.outcome is not None else 422,
            headers=IMAGE_HEADERS,
            max_age_seconds=AN_HOUR,
            keep=is_lasting(request),
        )

    def _chart(self, request: Request) -> ChartRequest:
        query = self._query(request)
        return read_chart(
            request.path_params["chart"],
            request.query_params,
            self._answer(query),
            query,
            brand_name=self._settings.brand_name,
            base_url=self.base_url(request),
        )

    def chart_svg(self, request: Request) -> Made:
        """A chart as a picture that scales."""
        body = chart_svg(self._chart(request)).encode()
        return Made(body=body, media_type=SVG, headers=IMAGE_HEADERS, max_age_seconds=AN_HOUR, keep=is_lasting(request))

    def chart_png(self, request: Request) -> Made:
        """A chart as a picture for e-mails and social cards."""
        body = chart_png(self._chart(request))
        return Made(
            body=body, media_type="image/png", headers=IMAGE_HEADERS, max_age_seconds=AN_HOUR, keep=is_lasting(request)
        )

    def brand_css(self, request: Request) -> Made:
        """The brand's two properties."""
        digits = hex_digits(request.path_params["digits"])
        if digits is None:
            raise HTTPException(404)
        css = brand_colours(digits).css
        return Made(body=css.encode(), media_type="text/css; charset=utf-8", headers=ANYWHERE, max_age_seconds=A_DAY)

    def script(self, _request: Request) -> Made:
        """The script that a host page loads."""
        return Made(
            body=_script(), media_type="text/javascript; charset=utf-8", headers=ANYWHERE, max_age_seconds=AN_HOUR
        )


@lru_cache(maxsize=1)
def _script() -> bytes:
    return (STATIC / "embed.js").read_bytes()


def is_lasting(request: Request) -> bool:
    """Whether the answer may be kept: one about a pasted configuration ends when the configuration is dropped."""
    return "config:" not in request.url.query.lower().replace("%3a", ":")


FIRST: Final = frozenset(
    {
        "/embed.js",
        "/embed/result",
        "/embed/calculator",
        "/embed/table",
        "/fragments/table",
        "/badge.svg",
        *(f"/charts/{chart}.{kind}" for chart in ("memory", "speed") for kind in ("svg", "png")),
    }
)
"""What other sites show, and so is asked for most."""


class Installed:
    """The routes, and what sends their kept answers first."""

    def __init__(self, app: FastAPI, parts: AppState) -> None:
        embeds = Embeds(parts)
        self._parts = parts
        self._answers = KeptAnswers()
        makers: Mapping[str, Callable[[Request], Made]] = {
            "/embed/result": embeds.result,
            "/embed/calculator": embeds.calculator,
            "/embed/table": embeds.table,
            "/fragments/table": embeds.fragment,
            "/badge.svg": embeds.badge,
            "/charts/{chart}.svg": embeds.chart_svg,
            "/charts/{chart}.png": embeds.chart_png,
            "/brand/{digits}.css": embeds.brand_css,
            "/embed.js": embeds.script,
        }
        app.router.routes[:0] = [
            Route(path, KeptRoute(make, self._key, self._answers)) for path, make in makers.items()
        ]

    def _key(self, scope: Scope) -> Hashable:
        host = next((value for name, value in scope["headers"] if name == b"host"), b"")
        return (scope["scheme"], host, self._parts.snapshot().version, self._parts.today())

    def first(self, app: ASGIApp) -> ASGIApp:
        """Send what is kept before ``app`` looks at a request."""
        return KeptFirst(app, paths=FIRST, key=self._key, answers=self._answers)
