"""A result to take away: the same call as curl and Python, the parts of the peak as Markdown and CSV."""

from collections.abc import Mapping
from pprint import pformat
from typing import Any, Final

from app.request import FIELDS, text_of
from app.services.results import EstimateResult
from app.web.components import CodeSample, PartsTable
from app.web.formatting import Formatter
from app.web.links import RunFields, run_query
from app.web.memory_view import peak_parts

API_PATH: Final = "/api/v1/estimate"

CODE_WIDTH: Final = 68
"""Letters in a line of the Python sample; longer ones are broken."""


def api_fields(chosen: RunFields) -> RunFields:
    """What the API takes of a page's link: it refuses display preferences."""
    return {name: value for name, value in chosen.items() if name in FIELDS}


def curl(chosen: RunFields, base_url: str) -> str:
    """The same numbers as JSON, one line."""
    return f"curl '{base_url}{API_PATH}?{run_query(api_fields(chosen))}'"


def _dictionary(run: Mapping[str, Any]) -> str:
    """As ``pformat`` writes it, which takes a tenth of the page's time: on a line, or an entry a line."""
    whole = repr(run)
    if len(whole) <= CODE_WIDTH:
        return whole
    entries = [f"{name!r}: {value!r}" for name, value in run.items()]
    if max(map(len, entries)) > CODE_WIDTH - 2:
        return pformat(run, sort_dicts=False, width=CODE_WIDTH)
    return "{" + ",\n ".join(entries) + "}"


def python(chosen: RunFields, base_url: str) -> str:
    """The same call in Python with httpx."""
    run = {
        name: value if isinstance(value, (bool, int, float)) else text_of(value)
        for name, value in api_fields(chosen).items()
    }
    return (
        "import httpx\n\n"
        f"run = {_dictionary(run)}\n"
        f'response = httpx.post("{base_url}{API_PATH}", json=run)\n'
        'print(response.json()["memory"]["required_bytes"])'
    )


def markdown(table: PartsTable, fmt: Formatter) -> str:
    """The parts of the peak as a Markdown table, as shown."""
    lines = [f"| {fmt.gettext('At the peak')} | {table.unit} |", "|---|---:|"]
    lines += [f"| {row.name} | {row.value} |" for row in table.rows]
    lines.append(f"| **{table.total_name}** | **{table.total}** |")
    return "\n".join(lines)


def comma_separated(result: EstimateResult) -> str:
    """The phases' components in bytes, a row each, then the overheads."""
    # The names are those of closed sets, none of which needs quoting.
    lines = ["phase,component,bytes"]
    for phase in result.memory.phases:
        name = phase.name.value
        lines += [f"{name},{part.name.value},{part.bytes}" for part in phase.components]
    lines += [f"overhead,{part.name.value},{part.bytes}" for part in result.memory.overheads]
    return "\n".join(lines)


def code_samples(
    result: EstimateResult, chosen: RunFields, table: PartsTable, base_url: str, fmt: Formatter
) -> tuple[CodeSample, ...]:
    """Everything to take away as text; curl stands open."""
    _ = fmt.gettext
    parts = len(peak_parts(result.memory))
    return (
        CodeSample(
            id="curl",
            title="curl",
            summary=_("the same numbers as JSON"),
            name=_("curl command"),
            code=curl(chosen, base_url),
            is_open=True,
        ),
        CodeSample(
            id="python",
            title="Python",
            summary="httpx",
            name=_("Python code"),
            code=python(chosen, base_url),
            is_open=False,
        ),
        CodeSample(
            id="markdown",
            title="Markdown",
            summary=fmt.ngettext("a table of {count} part", "a table of {count} parts", parts).format(count=parts),
            name=_("Markdown table"),
            code=markdown(table, fmt),
            is_open=False,
        ),
        CodeSample(
            id="csv",
            title="CSV",
            summary=_("every phase, in bytes"),
            name=_("CSV table"),
            code=comma_separated(result),
            is_open=False,
        ),
    )
