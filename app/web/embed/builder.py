"""The builder at ``/embed``: choose a widget, see it live, copy what goes into the site."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Final
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from app.api.state import AppState, state_of
from app.messages import mark
from app.request import FIELDS
from app.web.answer import EXAMPLE, answer, choices
from app.web.components import CodeSample, FieldView, Option, PageMeta
from app.web.embed.badge import badge_texts
from app.web.embed.query import EmbedQuery, TableRows, Theme, read_query
from app.web.form import field_view
from app.web.formatting import Formatter
from app.web.language import LOCALES, localised
from app.web.links import page_link
from app.web.oembed import WIDGETS
from app.web.pages import page_context, respond
from app.web.shell import PageContext, page_meta
from app.web.templating import render
from app.web.wording import METHODS

router = APIRouter(include_in_schema=False)

PATH: Final = "/embed"

KINDS: Final[Mapping[str, str]] = {
    "result": mark("Result of one run"),
    "calculator": mark("Small calculator"),
    "table": mark("Table to compare"),
}

RUN_FIELDS: Final = ("model", "gpu", "sequence_length", "micro_batch_size", "currency", "provider")

THEMES: Final[Mapping[str, str]] = {
    "": mark("As the page around it"),
    Theme.LIGHT: mark("Light"),
    Theme.DARK: mark("Dark"),
    Theme.AUTO: mark("As the visitor’s system"),
}

ROWS: Final[Mapping[str, str]] = {
    TableRows.METHODS: mark("Methods, the cheapest card for each"),
    TableRows.MODELS: mark("Models by method"),
    TableRows.CARDS: mark("Cards by method"),
}

UNITS: Final[Mapping[str, str]] = {"": mark("As this site"), "gib": mark("GiB"), "gb": mark("GB")}

TEXTS: Final[Mapping[str, tuple[str, str]]] = {
    "brand": (mark("Brand colour"), "#b4400f"),
    "locale": (mark("Locale of numbers and dates"), "en-GB"),
    "ref": (mark("Reference in order links"), "partner-1"),
    "utm_source": (mark("utm_source in order links"), "blog"),
    "models": (mark("Models, with commas, for the table of models"), "llama-3-8b,mistral-7b-v0.1"),
}


OF_TABLE: Final = frozenset({"rows", "models"})
"""What the other kinds make no use of."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """A select of the builder that is no field of a run."""

    id: str
    label: str
    options: tuple[Option, ...]
    is_of_table: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class TextChoice:
    """A text of the builder that is no field of a run."""

    id: str
    label: str
    value: str
    example: str
    is_of_table: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class BuilderPage:
    """The builder. ``attributes`` are those of the previewed widget."""

    meta: PageMeta
    kinds: tuple[Option, ...]
    method_options: tuple[Option, ...]
    fields: tuple[FieldView, ...]
    models: tuple[tuple[str, str], ...]
    selects: tuple[Choice, ...]
    texts: tuple[TextChoice, ...]
    attributes: tuple[tuple[str, str], ...]
    frame_url: str
    frame_height: int
    snippets: tuple[CodeSample, ...]
    badge_url: str
    badge_text: str
    error: str


@router.api_route(PATH, methods=["GET", "HEAD"])
async def builder(request: Request) -> Response:
    """The builder for the widget that the address describes."""
    parts = state_of(request)
    context = page_context(request, parts)
    body = await run_in_threadpool(_rendered, request, parts, context)
    return respond(body)


def _rendered(request: Request, parts: AppState, context: PageContext) -> bytes:
    values = {key: text.strip() for key, text in request.query_params.items() if text.strip()}
    page = builder_page(values, parts, context)
    return render("embed/builder.html", page, context.fmt.translations).encode()


def builder_page(values: Mapping[str, str], parts: AppState, context: PageContext) -> BuilderPage:
    """The page for the builder's own choices; a first visit starts from the example run."""
    fmt = context.fmt
    _ = fmt.gettext
    kind = values.get("kind", "result")
    kind = kind if kind in KINDS else "result"
    spoken = {"locale": LOCALES[context.language]} if context.language_prefix else {}
    chosen = {**(EXAMPLE if not values.keys() & FIELDS.keys() else {}), **spoken, **values}
    query = read_query(chosen.items(), parts.settings)
    found = answer(query.pairs, parts.snapshot(), parts.today(), parts.policy, {})
    lists = choices(parts.snapshot(), parts.today())
    method = found.state.run.method.value if found.state.run else chosen.get("method", "")
    widget = widget_fields(kind, chosen, query)
    errors = [_(error.message) for error in found.state.errors.values()]
    run, needs, verdict, _tone = badge_texts(found.outcome, fmt) if found.outcome else ("", "", "", "")
    of_badge = FIELDS.keys() - {"gpus_allowed"} | {"locale"}
    fields_of_run = {key: text for key, text in widget.items() if key in of_badge}
    return BuilderPage(
        meta=page_meta(
            context,
            path=PATH,
            title=_("Put it on your own site"),
            description=_(
                "A result, a calculator or a table of GPU memory for fine-tuning on your own pages: choose, look, "
                "copy. "
                "For any site, WordPress, Markdown and e-mail."
            ),
        ),
        kinds=_options(KINDS, kind, fmt),
        method_options=_options({member.value: text for member, text in METHODS.items()}, method, fmt),
        fields=tuple(field_view(name, found.state, lists, fmt) for name in RUN_FIELDS),
        models=lists.models,
        selects=(
            _choice("rows", _("Rows of the table"), _options(ROWS, chosen.get("rows", "methods"), fmt)),
            _choice("theme", _("Theme"), _options(THEMES, chosen.get("theme", ""), fmt)),
            _choice("units", _("Unit of memory"), _options(UNITS, chosen.get("units", ""), fmt)),
        ),
        texts=tuple(
            TextChoice(
                id=name, label=_(label), value=chosen.get(name, ""), example=example, is_of_table=name in OF_TABLE
            )
            for name, (label, example) in TEXTS.items()
        ),
        attributes=tuple((name.replace("_", "-"), text) for name, text in {"kind": kind, **widget}.items()),
        frame_url=_address(f"/embed/{kind}", widget),
        frame_height=WIDGETS[f"/embed/{kind}"].height,
        snippets=snippets(
            kind,
            widget,
            context.base_url,
            fmt,
            badge=f"{run} · {needs} · {verdict}",
            language_prefix=context.language_prefix,
        ),
        badge_url=_address("/badge.svg", fields_of_run),
        badge_text=f"{run} · {needs} · {verdict}",
        error=" ".join(errors),
    )


def _choice(name: str, label: str, options: tuple[Option, ...]) -> Choice:
    return Choice(id=name, label=label, options=options, is_of_table=name in OF_TABLE)


def _options(texts: Mapping[str, str], current: str, fmt: Formatter) -> tuple[Option, ...]:
    return tuple(
        Option(id=None, value=str(value), text=fmt.gettext(text), is_selected=value == current)
        for value, text in texts.items()
    )


def widget_fields(kind: str, chosen: Mapping[str, str], query: EmbedQuery) -> dict[str, str]:
    """What the widget's address carries: the run and the looks, without what its kind does not use."""
    unused = set() if kind == "table" else {"rows", "models", "methods", "gpus_allowed"}
    if kind == "table" and chosen.get("rows", "methods") == TableRows.METHODS:
        unused = {"rows", "models", "gpu", "method"}
    given = {**dict(query.pairs), **query.kept}
    return {name: text for name, text in given.items() if name not in unused}


def _address(path: str, fields: Mapping[str, str]) -> str:
    return f"{path}?{urlencode(fields, quote_via=quote, safe=',/:')}" if fields else path


def snippets(
    kind: str, widget: Mapping[str, str], base_url: str, fmt: Formatter, *, badge: str, language_prefix: str = ""
) -> tuple[CodeSample, ...]:
    """What to copy, by where it goes."""
    _ = fmt.gettext
    run = {name: text for name, text in widget.items() if name in FIELDS}
    shown = {**run, **{name: text for name, text in widget.items() if name == "locale"}}
    frame = base_url + _address(f"/embed/{kind}", widget)
    page = base_url + page_link(run, path=localised("/", language_prefix))
    height = WIDGETS[f"/embed/{kind}"].height
    title = escape(_("GPU memory for fine-tuning"))
    iframe = (
        f'<iframe src="{escape(frame)}" width="100%" height="{height}"\n'
        f'          title="{title}" frameborder="0" loading="lazy"></iframe>'
    )
    attributes = "".join(
        f'\n     data-{name.replace("_", "-")}="{escape(text)}"' for name, text in {"kind": kind, **widget}.items()
    )
    html = (
        f"<div data-vram-fit{attributes}>\n  {iframe}\n</div>\n"
        f'<script async src="{escape(base_url)}/embed.js"></script>'
    )
    # An article's own address is the calculator's page; the other kinds are embedded by the frame's own.
    paste = page if kind == "result" else frame
    badge_url = base_url + _address("/badge.svg", shown)
    picture = base_url + _address("/charts/memory.png", shown)
    fragment = base_url + _address("/fragments/table", widget)
    image = f'<img src="{escape(picture)}" width="600" alt="{escape(badge)}">'
    server = f"curl --compressed '{fragment}'"
    bare = iframe.replace("\n          ", " ")
    rows = (
        ("html", "HTML", _("any site: its height follows, it loads when near"), html),
        ("iframe", _("Frame alone"), _("where scripts of others are not allowed"), bare),
        ("wordpress", "WordPress", _("paste the address on a line of its own"), paste),
        ("markdown", "Markdown", _("a badge for a README"), f"[![{badge}]({badge_url})]({page})"),
        ("picture", _("Picture"), _("for e-mails and posts"), image),
        ("server", _("On your server"), _("a table as clean HTML, cached by its ETag"), server),
    )
    return tuple(
        CodeSample(id=name, title=place, summary=summary, name=place, code=code, is_open=name == "html")
        for name, place, summary, code in rows
    )
