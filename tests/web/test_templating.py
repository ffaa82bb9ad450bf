"""What templates are compiled to: the same as Jinja's own code makes of them."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError
from markupsafe import Markup, escape

from app.web.components import Tag
from app.web.language import LANGUAGES, catalogue, localised_links
from app.web.template_code import escaped
from app.web.templating import environment

TEXTS = st.text(alphabet="ab&<>'\"é– ", max_size=20)


@given(st.one_of(TEXTS, TEXTS.map(Markup), st.integers(), st.none(), st.booleans(), st.floats(allow_nan=False)))
def test_values_are_escaped_as_markupsafe_escapes_them(value: object) -> None:
    assert escaped(value) == str(escape(value))


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_constant_text_is_in_the_pages_language(language: str) -> None:
    texts = catalogue(language)
    made = environment(texts).from_string('{% trans %}Your run{% endtrans %}|{{ _("Phase") }}|{{ _(page.text) }}')
    expected = [texts.gettext(text) for text in ("Your run", "Phase", "Method")]
    assert made.render(page=SimpleNamespace(text="Method")).split("|") == expected


@pytest.mark.parametrize("template", ["{{ page.nothing }}", "{{ nothing }}", "{{ nothing.at_all }}", "{{ nothing() }}"])
def test_a_name_that_a_view_lacks_is_an_error(template: str) -> None:
    with pytest.raises((AttributeError, UndefinedError)):
        environment(catalogue("en")).from_string(template).render(page=SimpleNamespace())


def test_what_a_macro_makes_is_kept_for_the_same_view_only() -> None:
    made = environment(catalogue("en")).from_string(
        '{% import "components/ui.html" as ui %}{{ kept(ui.tag, page) is sameas kept(ui.tag, page) }} '
        "{{ kept(ui.tag, page) == ui.tag(page) }}"
    )
    for tag in (Tag(tone="fits", text="a&b"), Tag(tone="no", text="<")):
        assert made.render(page=tag) == "True True"


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ('<a class="x" href="/plan">', '<a class="x" href="/de/plan">'),
        ('<form\naction="/" data-permalink="/?a=1">', '<form\naction="/de/" data-permalink="/de/?a=1">'),
        ('<a href="/de/plan"><a href="/static/a.css">', '<a href="/de/plan"><a href="/static/a.css">'),
        (
            '<a href="#x"><img src="/icon.svg"><p id="/a">',
            '<a href="#x"><img src="/icon.svg"><p id="/a">',
        ),
        ('<a href="https://e.com/a="/b">', '<a href="https://e.com/a="/b">'),
    ],
)
def test_links_to_pages_stay_in_the_language(html: str, expected: str) -> None:
    assert localised_links(html, "/de") == expected
    assert localised_links(html, "") == html
