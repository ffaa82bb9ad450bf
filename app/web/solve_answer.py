"""From a visitor's query to the answers of the inverse questions, the one asked and the others about the same run."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final
from urllib.parse import parse_qsl

from app.catalogue.snapshot import Snapshot
from app.request import FIELDS, FieldError, RequestError, SolveRequest, Unknown, fields_of, names_of, parse_query
from app.services.estimate import estimate
from app.services.policy import Policy
from app.services.results import EstimateResult
from app.services.solve import solve
from app.services.solved import SolveResult
from app.web.answer import EXAMPLE
from app.web.links import RunFields

FIRST: Final = Unknown.MICRO_BATCH_SIZE
"""The question of a visitor who asked none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """What was asked, the answer, and those to the other questions that can be asked of the run."""

    texts: Mapping[str, str]
    """As given, by field."""
    unknown: Unknown
    chosen: RunFields
    """What a link to this question carries."""
    solved: SolveResult | None
    """None where the request cannot be read; ``errors`` then say why."""
    estimate: EstimateResult | None
    """A fresh estimate of the answer's run; without an answer, of the first value tried."""
    others: tuple[SolveResult, ...]
    errors: Sequence[FieldError]


def answers(pairs: Iterable[tuple[str, str]], snapshot: Snapshot, today: date, policy: Policy) -> Answers:
    """Solve a visitor's question; what is wrong with it comes back in the result, never as an exception."""
    texts = _with_defaults(_known(pairs))
    try:
        given: SolveRequest = parse_query(texts.items(), ignore_unknown=True, model=SolveRequest)
        solved = solve(given, snapshot, today, policy)
    except RequestError as problem:
        asked = texts.get("unknown", "")
        return Answers(
            texts=texts,
            unknown=Unknown(asked) if asked in set(Unknown) else FIRST,
            chosen=texts,
            solved=None,
            estimate=None,
            others=(),
            errors=problem.errors,
        )
    run = parse_query(parse_qsl(solved.links.estimate.partition("?")[2]))
    return Answers(
        texts=texts,
        unknown=solved.unknown,
        chosen=_chosen(given),
        solved=solved,
        estimate=estimate(run.model_copy(update={"gpus": "none"}), snapshot, today, policy),
        others=tuple(_others(given, snapshot, today, policy)),
        errors=(),
    )


def _known(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    known = names_of(SolveRequest)
    gathered: dict[str, list[str]] = {}
    for key, text in pairs:
        if key in known and text.strip():
            gathered.setdefault(known[key].name, []).append(text.strip())
    return {key: ",".join(texts) for key, texts in gathered.items()}


def _with_defaults(texts: dict[str, str]) -> dict[str, str]:
    filled = dict(texts)
    filled.setdefault("unknown", FIRST.value)
    filled.setdefault("model", EXAMPLE["model"])
    if not {"method", "quantization"} & set(texts):
        filled["method"] = EXAMPLE["method"]
    if not {"gpu", "budget"} & set(texts):
        filled["gpu"] = EXAMPLE["gpu"]
    return filled


def _chosen(given: SolveRequest) -> dict[str, object]:
    """The fields that a link carries: those that say more than the one default under every stack."""
    chosen: dict[str, object] = {}
    for name, spec in fields_of(SolveRequest).items():
        value = getattr(given, name)
        if name not in given.model_fields_set or spec.body_only or value in {None, ()}:
            continue
        says_no_more = value == spec.default and not spec.set_by_stack and name != "method"
        if not says_no_more:
            chosen[name] = value
    return chosen


def _others(given: SolveRequest, snapshot: Snapshot, today: date, policy: Policy) -> Iterable[SolveResult]:
    """The same run asked each way; a question that it contradicts is left out."""
    for unknown in Unknown:
        try:
            yield solve(given.model_copy(update={"unknown": unknown}), snapshot, today, policy)
        except RequestError:
            continue


def run_fields(chosen: RunFields) -> dict[str, object]:
    """Of what a question chose, what belongs to the run itself."""
    return {name: value for name, value in chosen.items() if name in FIELDS}
