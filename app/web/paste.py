"""Pasting a config.json: what the form sent, what is wrong with it, and where its result lives."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import parse_qsl

from app.api.state import AppState
from app.request import GpuListing, RequestError, parse_json
from app.services.estimate import estimate
from app.services.lookup import CONFIG_PREFIX, config_hash
from app.strict_json import read_strict_json
from app.web.formatting import Formatter
from app.web.links import run_query

PATH: Final = "/config"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pasted:
    """What the form sent: the text of the configuration, and the run it was pasted into as a query."""

    text: str = ""
    query: str = ""
    error: str = ""

    def address(self, model: str) -> str:
        """The calculator's query for the same run with another model."""
        kept = [(name, value) for name, value in parse_qsl(self.query) if name != "model"]
        return run_query({**dict(kept), "model": model})


def read_form(body: bytes) -> Pasted:
    """A form as browsers encode it; what cannot be decoded is replaced, as everywhere in forms."""
    sent = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    return Pasted(text=sent.get("config", ""), query=sent.get("run", "").removeprefix("/").removeprefix("?"))


def store(pasted: Pasted, parts: AppState, fmt: Formatter) -> tuple[Pasted, str]:
    """Keep the configuration as a posted run's is kept; its model's name, or with an error an empty one."""
    _ = fmt.gettext
    if not pasted.text.strip():
        return replace(pasted, error=_("Paste the text of a config.json.")), ""
    try:
        config: Any = read_strict_json(pasted.text)
    except ValueError as problem:
        return replace(pasted, error=_("This is not valid JSON: {problem}.").format(problem=problem)), ""
    if not isinstance(config, Mapping):
        return replace(pasted, error=_("A config.json is one object in braces.")), ""
    try:
        run = parse_json({"config": config, "method": "lora", "gpus": GpuListing.NONE.value})
        estimate(run, parts.snapshot(), parts.today(), parts.policy)
    except RequestError as problem:
        return replace(pasted, error=_problem(problem, fmt)), ""
    assert run.config is not None
    key = config_hash(run.config)
    parts.configs.put(key, run.config)
    return pasted, f"{CONFIG_PREFIX}{key}"


def _problem(problem: RequestError, fmt: Formatter) -> str:
    _ = fmt.gettext
    return " ".join(
        f"{error.field.removeprefix('config.')} {_(error.message)}"
        + (" " + _("It takes {allowed}.").format(allowed=_(error.allowed)) if error.allowed else "")
        for error in problem.errors
    )
