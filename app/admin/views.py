"""The view models of the operator's pages: tables, forms and messages whose values are already text."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from app.admin.keys import KeyHolder, Scope
from app.catalogue.facts import Offer
from app.messages import mark
from app.web.components import Fact, Link, PageMeta, Tag
from app.web.shell import PageContext, page_meta

HOME = "/admin"
PAGES: tuple[tuple[str, str, Scope], ...] = (
    (mark("Offers"), f"{HOME}/offers", Scope.READ),
    (mark("Upload"), f"{HOME}/upload", Scope.OFFERS),
    (mark("Rates"), f"{HOME}/rates", Scope.RATES),
    (mark("History"), f"{HOME}/history", Scope.READ),
    (mark("Asked for"), f"{HOME}/asked-for", Scope.READ),
    (mark("Audit trail"), f"{HOME}/audit", Scope.READ),
    (mark("Keys"), f"{HOME}/keys", Scope.KEYS),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One cell of a table; ``detail`` stands under the text."""

    text: str = ""
    url: str = ""
    detail: str = ""
    tag: Tag | None = None
    is_number: bool = False
    revoke_url: str = ""
    """Where a form in the cell posts to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Heading:
    """Over a column."""

    text: str
    is_number: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Rows under headings; the first cell of a row names it. ``empty`` is said where there are none."""

    title: str
    headings: tuple[Heading, ...]
    rows: tuple[tuple[Cell, ...], ...]
    empty: str
    lead: str = ""
    previous_url: str = ""
    next_url: str = ""
    place: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """One choice of a select or a check box."""

    value: str
    text: str
    is_chosen: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """A labelled control: a select where there are choices, else an input. ``error`` is what is wrong with it."""

    name: str
    label: str
    value: str = ""
    choices: tuple[Choice, ...] = ()
    hint: str = ""
    error: str = ""
    kind: str = "text"
    is_required: bool = False
    is_wide: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """Posted to ``action``, or with ``is_search`` asked of it."""

    action: str
    button: str
    fields: tuple[Field, ...] = ()
    hidden: tuple[tuple[str, str], ...] = ()
    checks: tuple[Choice, ...] = ()
    checks_label: str = ""
    has_file: bool = False
    is_search: bool = False
    is_quiet: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class AdminPage:
    """Everything a page of the operator shows, from top to bottom; what is empty is left out."""

    meta: PageMeta
    title: str
    lead: str = ""
    holder: str = ""
    """Who is signed in."""
    done: str = ""
    """What was just done."""
    secret: str = ""
    """A new key, shown once."""
    errors: tuple[str, ...] = ()
    facts: tuple[Fact, ...] = ()
    forms: tuple[Form, ...] = ()
    tables: tuple[Table, ...] = ()
    last_form: Form | None = None


def admin_meta(context: PageContext, *, path: str, title: str, holder: KeyHolder | None) -> PageMeta:
    """Head and navigation: of the pages only those that the key opens."""
    _ = context.fmt.gettext
    pages = [(text, url) for text, url, scope in PAGES if holder is not None and scope in holder.scopes]
    if holder is not None:
        pages.insert(0, (mark("Overview"), HOME))
    return replace(
        page_meta(context, path=path, title=title, description=title),
        navigation=tuple(Link(text=_(text), url=url, is_current=_is_under(path, url)) for text, url in pages),
        footnotes=(),
        footer_links=(Link(text=_("To the calculator"), url="/"),),
    )


def _is_under(path: str, url: str) -> bool:
    return path == url or (url != HOME and path.startswith(f"{url}/"))


def moment(at: datetime | None) -> str:
    """A moment to the second, in UTC."""
    return f"{at:%Y-%m-%d %H:%M:%S}" if at is not None else ""


def server_text(offer: Offer) -> str:
    """Such as ``2 × rtx-4090``."""
    return f"{offer.gpus_per_server} × {offer.gpu}"


def price_text(offer: Offer) -> str:
    """The price with every decimal that it has, and at least two."""
    digits = max(2, -int(offer.amount.normalize().as_tuple().exponent))
    return f"{offer.amount:.{digits}f} {offer.currency}/{offer.period}"


def columns(*names: str, numbers: Sequence[str] = ()) -> tuple[Heading, ...]:
    """Headings; those in ``numbers`` stand over figures."""
    return tuple(Heading(text=name, is_number=name in numbers) for name in names)


def choices(values: Sequence[tuple[str, str]], chosen: str) -> tuple[Choice, ...]:
    """Values and texts of a select."""
    return tuple(Choice(value=value, text=text, is_chosen=value == chosen) for value, text in values)
