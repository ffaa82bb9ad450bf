"""The templates: one environment, strict about undefined names, escaping everything."""

import hashlib
from collections.abc import Callable, Hashable
from functools import cache, lru_cache
from gettext import NullTranslations
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from app.web.language import localised_links
from app.web.template_code import TemplateCode, Translation, called, escaped

ROOT: Final = Path(__file__).resolve().parents[2]
TEMPLATES: Final = ROOT / "templates"
STATIC: Final = ROOT / "static"


@cache
def asset(name: str) -> str:
    """The address of a static file, with a digest of its content so that browsers may keep it."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:10]
    return f"/static/{name}?v={digest}"


class Templates(Environment):
    """The templates in one language."""

    code_generator_class = TemplateCode
    escaped = staticmethod(escaped)
    called = staticmethod(called)

    def __init__(self, translations: NullTranslations, **options: Any) -> None:
        self.translations = translations
        super().__init__(**options)


def _keeping() -> Callable[..., Markup]:
    """``kept(macro, view…)``: what an imported macro makes of views that come again, such as a form's controls."""

    @lru_cache(maxsize=256)
    def kept(macro: Callable[..., Markup], *views: Hashable) -> Markup:
        return macro(*views)

    return kept


@lru_cache(maxsize=16)
def environment(translations: NullTranslations) -> Environment:
    """The templates in one language."""
    env = Templates(
        translations,
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        extensions=[Translation],
    )
    env.globals["asset"] = asset
    env.globals["kept"] = _keeping()
    install: Callable[..., Any] = env.install_gettext_translations  # type: ignore[attr-defined]
    install(translations, newstyle=True)
    return env


def render(name: str, page: object, translations: NullTranslations) -> str:
    """A template filled with its page's view model, the only thing it sees; links to pages stay in its language."""
    text = environment(translations).get_template(name).render(page=page)
    return localised_links(text, getattr(getattr(page, "meta", None), "language_prefix", ""))
