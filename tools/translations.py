"""Collects every text that a page may show, and brings the translators' catalogues up to date with them.

``python -m tools.translations`` writes what is new into ``app/web/locale/*.po`` and lists what is still to translate.
"""

import ast
import json
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias

from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po, write_po
from jinja2 import Environment

ROOT: Final = Path(__file__).resolve().parents[1]
LOCALE: Final = ROOT / "app/web/locale"
SKIPPED: Final = ("app/admin/", "templates/admin/", "templates/docs.html", "app/mcp.py", "app/cli.py")
"""The operator's side, the API's reference and the tools for programs, which are in English."""
PAGES_OF_API: Final = ("app/api/error_page.py", "app/api/errors.py")
"""What of the API's package people see."""

CALLS: Final = frozenset({"_", "gettext", "mark", "message", "ngettext", "counted"})
"""Functions whose leading texts are messages."""

NAMED: Final = frozenset({"allowed", "description", "label", "message", "note", "reason", "unit", "words"})
NAMED_IN: Final = (
    *("app/memory/", "app/speed/", "app/planning/", "app/services/", "app/request/", "app/catalogue/hub"),
)
"""Where a text given by one of these names is a message: the core and the request's registry, which know no views."""
WORDS_OF_CHOICES: Final = frozenset({"labels", "choices"})
"""Arguments of a field's description whose values are the words of its choices."""
POSITIONAL: Final = frozenset({"BadValueError", "ConfigError"})
"""Errors whose texts are messages, wherever they stand among the arguments."""

JSON_TEXTS: Final = {
    "app/web/data/guide.json": frozenset({"order_reason", "rule", "source"}),
    "app/planning/data/quality.json": frozenset({"place", "read", "text", "why"}),
    "app/web/data/article.json": frozenset({"batch_quote", "setting", "when", "quote"}),
    "app/web/data/accuracy.json": frozenset({"reason"}),
    "app/speed/data/evaluation.json": frozenset({"outlying"}),
}
"""Keys under which bundled data hold words."""

Text: TypeAlias = str | tuple[str, str]
Place: TypeAlias = tuple[str, int]


def collected() -> Iterator[tuple[Text, Place]]:
    """Every message with where it stands, in the order of files."""
    for path in sorted((ROOT / "app").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith(SKIPPED) and (name in PAGES_OF_API or not name.startswith("app/api/")):
            for line, text in of_python(path.read_text(encoding="utf-8"), named=name.startswith(NAMED_IN)):
                yield text, (name, line)
    for path in sorted((ROOT / "templates").rglob("*")):
        name = path.relative_to(ROOT).as_posix()
        if path.is_file() and not name.startswith(SKIPPED):
            for line, text in of_template(path.read_text(encoding="utf-8")):
                yield text, (name, line)
    for name, keys in JSON_TEXTS.items():
        if (ROOT / name).exists():
            for text in of_json(json.loads((ROOT / name).read_text(encoding="utf-8")), keys):
                yield text, (name, 1)
    stacks = tomllib.loads((ROOT / "app/stacks.toml").read_text(encoding="utf-8"))
    for stack in stacks.values():
        yield stack["title"], ("app/stacks.toml", 1)


def of_python(source: str, *, named: bool = False) -> Iterator[tuple[int, Text]]:
    """The messages of a module; ``named`` also takes texts given by the names in :data:`NAMED`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            yield from _of_call(node, named)


def _of_call(node: ast.Call, named: bool) -> Iterator[tuple[int, Text]]:
    function = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
    texts = [_constant(argument) for argument in node.args]
    if function in {"ngettext", "counted"} and len(texts) > 1 and texts[0] and texts[1]:
        yield node.lineno, (texts[0], texts[1])
    elif function in CALLS and texts and texts[0]:
        yield node.lineno, texts[0]
    elif function in POSITIONAL:
        yield from ((node.lineno, text) for text in texts if text and not text.isidentifier())
    for keyword in node.keywords:
        is_words = keyword.arg in NAMED or (keyword.arg == "text" and function == "Reason")
        if named and is_words and (text := _constant(keyword.value)):
            yield keyword.value.lineno, text
        if named and keyword.arg in WORDS_OF_CHOICES and isinstance(keyword.value, ast.Dict):
            for value in keyword.value.values:
                if text := _constant(value):
                    yield value.lineno, text


def _constant(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def of_template(source: str) -> Iterator[tuple[int, Text]]:
    """The messages of a template."""
    environment: Any = Environment(extensions=["jinja2.ext.i18n"], trim_blocks=True, lstrip_blocks=True)
    environment.newstyle_gettext = True  # as the templates are rendered: a percent sign is doubled
    for line, _function, found in environment.extract_translations(source):
        if isinstance(found, str):
            yield line, found
        else:
            texts = [text for text in found if text]
            yield line, (texts[0], texts[1]) if len(texts) > 1 else texts[0]


def of_json(data: Any, keys: frozenset[str]) -> Iterator[str]:
    """The texts under some keys, whatever is around them."""
    for name, value in data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ():
        if name in keys and isinstance(value, str):
            yield value
        elif name in keys and isinstance(value, dict) and all(isinstance(text, str) for text in value.values()):
            yield from value.values()
        else:
            yield from of_json(value, keys)


def template_catalogue(texts: Iterable[tuple[Text, Place]] | None = None) -> Catalog:
    """All messages, untranslated. Line numbers are left out: they would change with every edit."""
    catalogue = Catalog(project="VRAM Fit", copyright_holder="", msgid_bugs_address="")
    places: dict[Text, dict[str, None]] = {}
    for text, (name, _line) in texts if texts is not None else collected():
        places.setdefault(text, {}).setdefault(name)
    for text, names in places.items():
        catalogue.add(text, locations=[(name, 0) for name in names])
    return catalogue


def read(language: str) -> Catalog:
    """A language's catalogue as the translators left it."""
    with (LOCALE / f"{language}.po").open("rb") as file:
        return read_po(file, locale=language)


def missing(catalogue: Catalog) -> list[Message]:
    """What is not translated, or only guessed."""
    return [
        entry
        for entry in catalogue
        if entry.id and (entry.fuzzy or not all(entry.string if isinstance(entry.string, tuple) else (entry.string,)))
    ]


def write(language: str, catalogue: Catalog) -> None:
    """Keep a catalogue: places without lines, nothing that is no longer used."""
    catalogue.obsolete.clear()
    catalogue.project, catalogue.version, catalogue.msgid_bugs_address = "VRAM Fit", "1", ""
    catalogue.last_translator, catalogue.language_team = "", ""
    with (LOCALE / f"{language}.po").open("wb") as file:
        write_po(file, catalogue, width=120, include_lineno=False, omit_header=False)


def main() -> int:
    """Bring every catalogue up to date; 1 where something is left to translate."""
    template, left = template_catalogue(), 0
    for path in sorted(LOCALE.glob("*.po")):
        catalogue = read(path.stem)
        template.creation_date = catalogue.creation_date  # the day would be the only change of most runs
        catalogue.update(template, no_fuzzy_matching=True)
        write(path.stem, catalogue)
        for entry in missing(catalogue):
            left += 1
            sys.stdout.write(f"{path.stem}: {entry.id!r}\n")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
