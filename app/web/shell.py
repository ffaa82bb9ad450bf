"""What surrounds every page: who it is for, its head, navigation and footer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from app.messages import mark
from app.web.components import AlternatePage, Link, Note, PageMeta
from app.web.formatting import Formatter, MemoryUnit, plain
from app.web.language import LANGUAGES, LOCALES, SOURCE, is_page, localised, prefix_of

NAVIGATION: Final = (
    (mark("Calculator"), "/"),
    (mark("Plan"), "/plan"),
    (mark("Compare"), "/compare"),
    (mark("Best GPU"), "/best-gpu"),
    (mark("Speed"), "/speed"),
    (mark("Models"), "/models"),
    (mark("Cards"), "/gpus"),
)
FOOTER_LINKS: Final = (
    (mark("LoRA vs QLoRA vs full"), "/compare/lora-vs-qlora-vs-full"),
    (mark("Full, LoRA or QLoRA?"), "/guide"),
    (mark("Your data’s lengths"), "/dataset"),
    (mark("After training"), "/serve"),
    (mark("What fits a card?"), "/solve"),
    (mark("Accuracy"), "/accuracy"),
    (mark("Glossary"), "/glossary"),
    (mark("Embed"), "/embed"),
    (mark("API"), "/docs"),
    (mark("OpenAPI document"), "/openapi.json"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class PageContext:
    """One visit: the reader's formatter, this site's address as the visitor sees it, and the operator's look."""

    fmt: Formatter
    base_url: str
    """Scheme and host, without a trailing slash."""
    brand_name: str = "VRAM Fit"
    brand_logo_url: str = ""
    theme: str = ""
    brand_css_url: str = ""
    preferences: Mapping[str, str] = field(default_factory=dict)
    """Display preferences that the visitor's address carries, such as ``units``, and every link passes on."""
    language: str = SOURCE
    default_locale: str = LOCALES[SOURCE]
    """The operator's, whose language has addresses without a prefix."""
    query: str = ""
    """What was asked, for the link to the same answer in another language."""

    @property
    def language_prefix(self) -> str:
        """What the addresses of pages in the reader's language begin with."""
        return prefix_of(self.language, self.default_locale)

    def absolute(self, path: str) -> str:
        """A path on this site as a full address, of a page in the reader's language."""
        return self.base_url + localised(path, self.language_prefix)

    def in_every_language(self, path: str) -> tuple[AlternatePage, ...]:
        """The page at ``path`` in every language; none for one that has a single language."""
        if not is_page(path):
            return ()
        return tuple(
            AlternatePage(
                language=code,
                name=name,
                canonical_url=self.base_url + own,
                url=self.base_url + own + (f"?{self.query}" if self.query else ""),
                is_current=code == self.language,
            )
            for code, name in LANGUAGES.items()
            for own in [localised(path, prefix_of(code, self.default_locale))]
        )


EXAMPLE_PICTURE: Final = "/charts/memory.png?model=llama-3-8b&method=qlora&gpu=rtx-3090"
"""What social cards show of a page that is about no run of its own."""


def image_in(url: str, context: PageContext) -> str:
    """A picture's address in the reader's language, which the operator's needs not say."""
    return f"{url}{'&' if '?' in url else '?'}locale={context.language}" if context.language_prefix else url


def footnotes(fmt: Formatter) -> tuple[Note, ...]:
    """What the figures are and what they are counted in."""
    _ = fmt.gettext
    unit = (
        Note(
            id="unit",
            lead=_("1 GiB = 1,073,741,824 bytes,"),
            text=_(
                "as drivers and cards count; this page uses nothing else. A card sold as 24 GB has about 24 GiB, "
                "of which a training process can use a little less."
            ),
        )
        if fmt.unit is MemoryUnit.GIB
        else Note(
            id="unit",
            lead=_("1 GB = 1,000,000,000 bytes"),
            text=_("throughout this page. A card sold as 24 GB holds 25.8 GB counted this way."),
        )
    )
    return (
        Note(
            lead=_("Where the figures come from."),
            text=_(
                "They are computed from the model’s own configuration and what the training libraries hold at each "
                "moment of a step, not looked up. Every estimate carries its range."
            ),
        ),
        unit,
    )


def page_meta(
    context: PageContext,
    *,
    path: str,
    title: str,
    description: str,
    fmt: Formatter | None = None,
    oembed_url: str = "",
    image_url: str = "",
) -> PageMeta:
    """Head, header and footer of the page at ``path``, its canonical address."""
    reader = fmt or context.fmt
    _ = reader.gettext
    return PageMeta(
        title=plain(f"{title} · {context.brand_name}"),
        description=plain(description),
        brand_name=context.brand_name,
        brand_logo_url=context.brand_logo_url,
        canonical_url=context.absolute(path),
        language=str(reader.locale).replace("_", "-"),
        navigation=tuple(Link(text=_(text), url=url, is_current=url == path) for text, url in NAVIGATION),
        footnotes=footnotes(reader),
        footer_links=tuple(Link(text=_(text), url=url) for text, url in FOOTER_LINKS),
        oembed_url=oembed_url,
        image_url=image_in(image_url or context.absolute(EXAMPLE_PICTURE), context),
        theme=context.theme,
        brand_css_url=context.brand_css_url,
        language_prefix=context.language_prefix,
        alternates=context.in_every_language(path),
    )
