"""Which language, and which unit of memory, a visitor reads.

Every page has an address in each language: the operator's own language without a prefix, the others under ``/de/…``.
So caches, search engines and links need no cookie and no header to tell them apart.
"""

import re
from functools import cache, lru_cache
from gettext import GNUTranslations, NullTranslations
from importlib import resources
from io import BytesIO
from typing import Final

from babel import Locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.web.formatting import NO_BREAK, Formatter, MemoryUnit

_HELD_SPACE: Final = re.compile(
    r"(?<=[}\d]) (?=(?:\{unit\}|[KMG]i?B|%|min|h|s|tokens?|Token|(?:[bm]|tr)illion|[BM]illionen|Milliarden)(?![\w-]))"
    r"|(?<=\S) (?=·)"
)


@lru_cache(maxsize=4_096)
def with_units_held(text: str) -> str:
    """A text in which no line parts a number, or the place of one, from its unit, or begins with a middle dot."""
    return _HELD_SPACE.sub(NO_BREAK, text)


class _English(NullTranslations):
    """The texts as they are written, typeset for a page."""

    def gettext(self, message: str) -> str:
        return with_units_held(message)

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return with_units_held(msgid1 if n == 1 else msgid2)


NO_TRANSLATION: Final = _English()

LANGUAGES: Final = {"en": "English", "de": "Deutsch"}
"""Languages with a complete catalogue, in their own words."""
LOCALES: Final = {"en": "en-GB", "de": "de-DE"}
"""How numbers and dates are written where the operator's locale is in another language."""
SOURCE: Final = "en"
"""The language that the texts are written in."""

NOT_PAGES: Final = frozenset(
    {
        *("admin", "api", "badge.svg", "brand", "charts", "docs", "embed.js", "fragments", "go", "healthz", "mcp"),
        *("metrics", "oembed", "openapi.json", "readyz", "robots.txt", "sitemap.xml", "static"),
    }
)
"""First parts of addresses that are the same in every language: files, programs' interfaces and the operator's side."""

_LINKING: Final = tuple(f"{space}{name}" for space in " \n\t" for name in ("href", "action", "data-permalink"))
"""How what stands before a link's ``="/`` ends."""


@cache
def catalogue(language: str) -> NullTranslations:
    """The texts of a language; English ones where there is no catalogue.

    It is compiled in memory from the translators' file, so that no second file can fall behind the first.
    """
    source = resources.files("app.web").joinpath(f"locale/{language}.po")
    if language not in LANGUAGES or language == SOURCE:
        return NO_TRANSLATION
    with source.open("rb") as file:
        texts = read_po(file, locale=language)
    for text in texts:
        forms = text.string or ""
        text.string = with_units_held(forms) if isinstance(forms, str) else [with_units_held(form) for form in forms]
    compiled = BytesIO()
    write_mo(compiled, texts)
    compiled.seek(0)
    return GNUTranslations(compiled)


@cache
def formatter(locale_name: str, unit: str) -> Formatter:
    """The reader of a locale such as ``en-GB`` who counts in ``gib`` or ``gb``."""
    locale = Locale.parse(locale_name.replace("-", "_"))
    return Formatter(locale=locale, unit=MemoryUnit(unit), translations=catalogue(locale.language))


def unit_of(asked: str | None, default: str) -> str:
    """The unit a visitor asked for, else the operator's."""
    return asked if asked in set(MemoryUnit) else default


def language_of(locale_name: str) -> str:
    """The language of a locale such as ``de-AT``; English where its words are not known."""
    language = locale_name.replace("_", "-").partition("-")[0].lower()
    return language if language in LANGUAGES else SOURCE


def locale_of(language: str, default_locale: str) -> str:
    """The locale of a page's language: the operator's where it is theirs."""
    return default_locale if language == language_of(default_locale) else LOCALES[language]


def prefix_of(language: str, default_locale: str) -> str:
    """What a page's address begins with in a language: nothing in the operator's own."""
    return "" if language == language_of(default_locale) else f"/{language}"


def is_page(path: str) -> bool:
    """Whether an address on this host has one in every language. Of ``/embed`` only the builder itself has."""
    first, _, rest = path.partition("?")[0].partition("#")[0].removeprefix("/").partition("/")
    return path.startswith("/") and first not in NOT_PAGES and not (first == "embed" and rest)


def localised(path: str, prefix: str) -> str:
    """A path on this host in the language that ``prefix`` stands for."""
    return prefix + path if prefix and is_page(path) and not path.startswith(f"{prefix}/") else path


def without_prefix(path: str) -> tuple[str, str]:
    """A page's path without a language's prefix, and the locale of that language; empty where there is no prefix."""
    first, _, rest = path.removeprefix("/").partition("/")
    return (f"/{rest}", LOCALES[first]) if first in LANGUAGES else (path, "")


def localised_links(html: str, prefix: str) -> str:
    """A page whose links to other pages stay in its language."""
    if not prefix:
        return html
    # Split, since a pattern that may begin at any letter takes longer than the page's template.
    pieces = html.split('="/')
    for index in range(1, len(pieces)):
        path, quote, rest = ("/" + pieces[index]).partition('"')
        is_link = quote and pieces[index - 1].endswith(_LINKING)
        pieces[index] = f"{localised(path, prefix) if is_link else path}{quote}{rest}"
    return '="'.join(pieces)


class LanguagePrefix:
    """Takes a language's prefix off a page's address and notes it in the scope, so that one route serves all languages.

    The change is made in the scope itself, so that what is around sees the same route as what is within.
    """

    def __init__(self, app: ASGIApp, default_locale: str) -> None:
        self.app = app
        own = language_of(default_locale)
        self._prefixes = {f"/{code}": code for code in LANGUAGES if code != own}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the page behind the prefix; a redirection within this host keeps it."""
        prefix = scope["path"][:3] if scope["type"] == "http" else ""
        rest = scope.get("path", "")[3:]
        if prefix not in self._prefixes or (rest and not rest.startswith("/")):
            await self.app(scope, receive, send)
            return
        scope["language"] = self._prefixes[prefix]
        if is_page(rest):
            scope["path"] = rest
            scope["raw_path"] = scope.get("raw_path", rest.encode())[len(prefix) :]
        elif not rest:
            scope["path"] = "/"
            scope["raw_path"] = b"/"

        async def send_localised(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    (
                        name,
                        localised(value.decode("latin-1"), prefix).encode("latin-1") if name == b"location" else value,
                    )
                    for name, value in message["headers"]
                ]
            await send(message)

        await self.app(scope, receive, send_localised)
