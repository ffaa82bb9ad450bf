"""Two languages: complete catalogues, an address for each page in each, and nothing left in the wrong one."""

import re
from collections.abc import Iterator, Mapping
from datetime import date
from gettext import NullTranslations
from typing import Any

import pytest
from babel.messages.catalog import Catalog
from fastapi.testclient import TestClient

from app.catalogue.snapshot import Snapshot
from app.main import create_app
from app.settings import Settings
from app.web import language
from app.web.landing_pages import FIXED_PAGES
from tests.web.conftest import NoConfigs
from tests.web.reading import Page
from tools import translations

RUNS = (
    "/?model=llama-3-70b&method=full&gpu=rtx-3090",
    "/?model=llama-3-8b&gpu=v100-32gb-sxm",
    "/?micro_batch_size=0&model=no-such-model",
    "/?model=qwen3-30b-a3b&method=qlora&gpu=rtx-3090",
    "/models/llama-3-8b",
    "/gpus/rtx-3090",
    "/no-such-page",
)
PATHS = (*(path for path in FIXED_PAGES if language.is_page(path)), *RUNS)
EMBEDS = (
    "/embed/result?model=llama-3-8b&gpu=rtx-3090",
    "/embed/calculator?model=llama-3-8b",
    "/embed/table?rows=cards",
    "/badge.svg?model=llama-3-8b&gpu=rtx-3090",
    "/charts/memory.svg?model=llama-3-8b&gpu=rtx-3090",
    "/charts/speed.svg?model=llama-3-8b",
    "/fragments/table?model=llama-3-8b",
)
OPEN, CLOSE = "⟦", "⟧"
VISIBLE = re.compile(r">([^<]+)<|(?:aria-label|placeholder|data-done|data-offline|title)=\"([^\"]*)\"")
HIDDEN = re.compile(r"<(script|code|pre|datalist|option)\b.*?</\1>", re.DOTALL)
BREAKABLE = re.compile(r"\d (?:[MG]i?B|%|min|h|s)\b")


class Brackets(NullTranslations):
    """Puts every text in brackets and remembers what was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[str] = set()

    def gettext(self, message: str) -> str:
        self.asked.add(message)
        return f"{OPEN}{message}{CLOSE}"

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        self.asked.add(msgid1)
        return f"{OPEN}{msgid1 if n == 1 else msgid2}{CLOSE}"

    def info(self) -> dict[str, str]:
        return {"language": "de"}


@pytest.fixture(scope="module")
def template() -> Catalog:
    """Every message of the program."""
    return translations.template_catalogue()


def forms(texts: Any) -> tuple[str, str]:
    """A message's singular and plural, which are the same where it has no count."""
    return (str(texts[0]), str(texts[1])) if isinstance(texts, list | tuple) else (str(texts), str(texts))


def names_in(text: str) -> set[str]:
    return set(re.findall(r"\{[^{}]*\}|%\(\w+\)s", text))


def test_every_message_is_translated(template: Catalog) -> None:
    catalogue = translations.read("de")
    known = {entry.id for entry in catalogue if entry.id}
    needed = {entry.id for entry in template if entry.id}
    assert needed - known == set(), "run python -m tools.translations and translate what it lists"
    assert [entry.id for entry in translations.missing(catalogue) if entry.id in needed] == []


def test_a_translation_names_the_same_values() -> None:
    for entry in translations.read("de"):
        if entry.id and entry.string:
            singular, plural = forms(entry.id)
            one, more = forms(entry.string)
            assert names_in(more) == names_in(plural), entry.id
            assert names_in(singular) <= names_in(one) | {"{count}", "%(n)s"}, entry.id
            assert names_in(one) <= names_in(singular) | names_in(plural), entry.id
            assert singular[:1].isspace() == one[:1].isspace(), entry.id


@pytest.fixture(scope="module")
def other_site(snapshot: Snapshot) -> Iterator[TestClient]:
    """A site by another name, so that its pages are kept apart from those of the other tests."""
    settings = Settings(brand_name="Brackets")
    app = create_app(settings, snapshot=snapshot, configs=NoConfigs(), today=lambda: date(2026, 11, 24))
    with TestClient(app) as visitor:
        yield visitor


@pytest.fixture
def brackets() -> Iterator[Brackets]:
    """What stands in for the German texts while a test runs."""
    stand_in = Brackets()

    def catalogue(code: str) -> NullTranslations:
        return stand_in if code == "de" else language.NO_TRANSLATION

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(language, "catalogue", catalogue)
        language.formatter.cache_clear()
        yield stand_in
    language.formatter.cache_clear()


def english_left(html: str) -> list[str]:
    """Visible texts with two or more small-letter words outside any bracket; names of models and cards have none."""
    left = []
    for found in VISIBLE.findall(HIDDEN.sub(" ", html)):
        text = "".join(found)
        while OPEN in text and text != (text := re.sub(f"{OPEN}[^{OPEN}{CLOSE}]*{CLOSE}", "", text)):
            pass
        if len(re.findall(r"(?<![\w./-])[a-z]{2,}(?![\w./-])", text)) > 1 and OPEN not in text and CLOSE not in text:
            left.append(text.strip())
    return left


@pytest.mark.parametrize("path", [*(f"/de{path}" for path in PATHS), *(f"{path}&locale=de" for path in EMBEDS)])
def test_every_visible_text_goes_through_the_catalogue(
    other_site: TestClient, brackets: Brackets, template: Catalog, path: str
) -> None:
    answer = other_site.get(path, headers={"accept": "text/html"})
    assert answer.status_code in {200, 404, 422}
    assert OPEN in answer.text
    known = {entry.id[0] if isinstance(entry.id, tuple) else entry.id for entry in template if entry.id}
    asked = {text for text in brackets.asked if re.search(r"[^\W\d_]{2}", re.sub(r"\{\w+\}", "", text))}
    assert asked - known == set(), "these are shown and not in the catalogue: mark them"
    if not path.startswith("/de/accuracy"):  # which quotes the runs of its sources
        assert english_left(answer.text) == [], path


@pytest.mark.parametrize("path", [path for path in PATHS if path != "/no-such-page"])
def test_a_page_names_itself_in_every_language(site: TestClient, path: str) -> None:
    english, german = site.get(path), site.get(f"/de{path}")
    assert english.status_code == german.status_code
    pages = {"en": Page(english.text), "de": Page(german.text)}
    heads = {}
    for code, page in pages.items():
        assert page.one("html").attributes["lang"].startswith(code)
        links = page.all("link")
        (canonical,) = [link.attributes["href"] for link in links if link.attributes.get("rel") == "canonical"]
        others = {
            link.attributes["hreflang"]: link.attributes["href"] for link in links if "hreflang" in link.attributes
        }
        assert canonical == others[code]
        assert others["x-default"] == others["en"]
        assert others["de"] == others["en"].replace("testserver", "testserver/de")
        heads[code] = (page.one("title").text, page.one("h1").text)
    assert heads["en"][0] != heads["de"][0] or path in {"/glossary", "/embed"}
    assert "English" in german.text
    assert "Deutsch" in english.text


@pytest.mark.parametrize("prefix", ["", "/de"])
def test_no_line_ends_between_a_number_and_its_unit(site: TestClient, prefix: str) -> None:
    for path in PATHS:
        _head, body = site.get(f"{prefix}{path}", headers={"accept": "text/html"}).text.split("<body>")
        without_charts = re.sub(r"<svg.*?</svg>", "", HIDDEN.sub(" ", body), flags=re.DOTALL)
        texts = re.findall(r">([^<]+)<", without_charts)
        assert [text for text in texts if BREAKABLE.search(text)] == [], path


@pytest.mark.parametrize("path", [path for path in PATHS if path != "/no-such-page"])
def test_links_stay_in_their_language(site: TestClient, path: str) -> None:
    page = Page(site.get(f"/de{path}").text)
    inside = [link for link in page.attribute("a", "href") if link.startswith("/") and language.is_page(link)]
    assert [link for link in inside if not link.startswith("/de/")] == []
    assert [action for action in page.attribute("form", "action") if not action.startswith("/de/")] == []
    assert not [link for link in Page(site.get(path).text).attribute("a", "href") if link.startswith("/de/")]


def test_numbers_money_and_dates_are_german(site: TestClient) -> None:
    text = site.get("/de/?model=llama-3-8b&method=qlora&gpu=rtx-3090").text.replace("\u00a0", " ")
    assert re.search(r"Passt auf eine Karte mit 24 GB: braucht \d+,\d der 23,\d GiB", text)
    assert re.search(r"\d,\d\d \$", text)
    assert re.search(r"\d\d\.\d\d\.202\d", text)
    assert "8,03 Milliarden" in text


def test_the_switch_keeps_what_was_asked(site: TestClient) -> None:
    page = site.get("/de/?model=llama-3-70b&gpu=rtx-3090").text
    assert 'href="http://testserver/?model=llama-3-70b&amp;gpu=rtx-3090" hreflang="en"' in page


def test_only_pages_have_a_language(site: TestClient) -> None:
    for path in ("/de/api/v1/models", "/de/static/app.css", "/de/docs", "/de/embed/result", "/de/sitemap.xml"):
        assert site.get(path).status_code == 404, path
    assert site.get("/de").status_code == 200
    assert site.get("/dev").status_code == 404
    assert site.get("/english").status_code == 404


def test_redirections_keep_the_language(site: TestClient) -> None:
    alias = site.get("/de/models/meta-llama/Meta-Llama-3-8B", follow_redirects=False)
    assert (alias.status_code, alias.headers["location"]) == (301, "/de/models/llama-3-8b")
    sent = site.post("/de/config", data={"config": "nothing", "run": ""})
    assert sent.status_code == 422
    assert "Das ist kein gültiges JSON" in sent.text


def test_the_language_is_in_the_address_alone(site: TestClient) -> None:
    """So that any cache may keep a page: the same address gives the same bytes."""
    plain = site.get("/compare")
    other = site.get("/compare", headers={"accept-language": "de-DE,de", "cookie": "lang=de"})
    assert other.content == plain.content
    assert site.get("/de/compare", headers={"accept-language": "en"}).content == site.get("/de/compare").content
    assert site.get("/de/compare").headers["etag"] != plain.headers["etag"]


def test_the_api_stays_english(site: TestClient) -> None:
    answer: Mapping[str, Any] = site.get(
        "/api/v1/estimate?model=llama-3-8b&gpu=rtx-3090", headers={"accept-language": "de"}
    ).json()
    assert "needs" in answer["verdict"]["sentence"]
    assert answer["suggestions"][0]["text"].endswith("GiB.") or "about" in answer["suggestions"][0]["text"]


@pytest.mark.parametrize("path", EMBEDS)
def test_embeds_speak_the_locale_asked_for(site: TestClient, path: str) -> None:
    english, german = site.get(path), site.get(f"{path}&locale=de")
    assert german.status_code == 200
    assert german.text != english.text
    assert site.get(f"{path}&lang=de").text.replace("lang", "locale") == german.text.replace("lang", "locale")
    if path.startswith("/embed/"):
        assert Page(german.text).one("html").attributes["lang"] == "de"


def test_an_article_in_german_is_embedded_in_german(site: TestClient) -> None:
    asked = {"url": "http://testserver/de/?model=llama-3-8b&gpu=rtx-3090"}
    answer: Mapping[str, Any] = site.get("/oembed", params=asked).json()
    assert "locale=de" in answer["html"]
    assert "braucht" in answer["title"]


def test_an_operator_may_have_german_as_the_language_without_a_prefix(snapshot: Snapshot) -> None:
    app = create_app(Settings(locale="de-AT"), snapshot=snapshot, configs=NoConfigs(), today=lambda: date(2026, 11, 24))
    with TestClient(app) as visitor:
        assert Page(visitor.get("/compare").text).one("html").attributes["lang"] == "de-AT"
        english = Page(visitor.get("/en/compare").text)
        assert english.one("html").attributes["lang"] == "en-GB"
        assert all(link.startswith("/en/") for link in english.attribute("a", "href") if "/models" in link)
        assert visitor.get("/de/compare").status_code == 404


def test_the_site_map_names_every_page_in_every_language(site: TestClient) -> None:
    text = site.get("/sitemap.xml").text
    assert "<loc>http://testserver/compare</loc>" in text
    assert "<loc>http://testserver/de/compare</loc>" in text
    assert 'hreflang="de" href="http://testserver/de/models/llama-3-8b"' in text


def test_extraction_sees_every_way_a_text_is_given() -> None:
    source = """
_("plain")
mark("marked" " and joined")
message("with {value}", value=1)
counted("one", "{count} many", 3)
fmt.ngettext("a", "b", 2)
FieldError(field="x", message="is wrong.", allowed="a number")
Field(description="What it is.", about=About(label="Label", labels={"a": "Words"}))
other("not a message")
"""
    found = {text for _line, text in translations.of_python(source, named=True)}
    assert found == {
        "plain",
        "marked and joined",
        "with {value}",
        ("one", "{count} many"),
        ("a", "b"),
        "is wrong.",
        "a number",
        "What it is.",
        "Label",
        "Words",
    }
    assert dict(translations.of_template("{{ _('x') }}{% trans %}y{% endtrans %}")) == {1: "y"}
