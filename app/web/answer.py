"""From a visitor's query to an outcome: parse, call the service for each method, collect what the views name."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache, partial
from typing import Final
from urllib.parse import quote

from markupsafe import Markup

from app.catalogue.snapshot import OfferFilter, Snapshot
from app.memory.inputs import MethodKind
from app.request import FIELDS, CompareRequest, GpuListing, QuantizationChoice, RequestError, Run, names_of, parse_query
from app.services.by_count import by_count, concerns_several_cards
from app.services.compare import compare
from app.services.estimate import Advice, Outlook, outlook
from app.services.policy import Policy
from app.services.results import OfferReport
from app.web.cards_view import short_card_name
from app.web.compare import OwnComparison
from app.web.form import Choices, FormState, state_of
from app.web.links import chosen_fields, run_query
from app.web.outcome import Outcome
from app.web.samples import api_fields

EXAMPLE: Final[Mapping[str, str]] = {"model": "llama-3-8b", "method": "qlora", "gpu": "rtx-3090"}
"""The run on the first visit; a query that names none of the request's fields shows it too."""

DEFAULT_MODEL: Final = EXAMPLE["model"]

COMPARED: Final = ("mistral-7b-v0.1", "llama-3-8b", "qwen2.5-14b", "llama-3-70b")
"""The models compared where a visitor names none."""

DAYS_KEPT: Final = 2
"""For which a catalogue's lists are kept: around midnight both are asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What the form shows, and the outcome where the run could be computed."""

    state: FormState
    outcome: Outcome | None


def query_texts(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The query's known fields as texts; repeated keys of a list are joined by commas, unknown keys left out."""
    known = names_of(Run)
    gathered: dict[str, list[str]] = {}
    for key, text in pairs:
        if key in known and text.strip():
            gathered.setdefault(key, []).append(text.strip())
    return {key: ",".join(texts) for key, texts in gathered.items()}


def answer(
    pairs: Iterable[tuple[str, str]],
    snapshot: Snapshot,
    today: date,
    policy: Policy,
    preferences: Mapping[str, str],
    *,
    advice_of_others: Advice = Advice.NONE,
) -> Answer:
    """Compute a visitor's run by each method. What is wrong with it comes back with the form, never as an exception.

    ``advice_of_others`` is how much is suggested for the methods that were not chosen.
    """
    texts = query_texts(pairs) or dict(EXAMPLE)
    if not {"model", *FIELDS["model"].aliases} & set(texts):
        texts["model"] = DEFAULT_MODEL
    try:
        given: Run = parse_query(texts.items(), ignore_unknown=True)
        run = outlook(_explained(given), snapshot, today, policy)
    except RequestError as problem:
        return Answer(state=state_of(texts, None, problem.errors), outcome=None)
    result = run.result
    chosen = {**chosen_fields(given), "model": result.run.model, **preferences}
    shown = {**texts, "model": result.model.name}
    return Answer(
        state=state_of(shown, result.run, ()),
        outcome=Outcome(
            run=run,
            by_method=_by_method(given, run, snapshot, today, policy, advice_of_others),
            chosen=chosen,
            labels=card_labels(snapshot),
            order=order_link,
            by_count=by_count(given, snapshot, today, policy) if concerns_several_cards(result) else (),
            contact_url=f"/go/contact?{run_query(api_fields(chosen))}" if policy.contact_url else "",
        ),
    )


def _explained(given: Run) -> Run:
    return given.model_copy(update={"gpus": GpuListing.ALL, "explain": True})


def _by_method(
    given: Run, run: Outlook, snapshot: Snapshot, today: date, policy: Policy, advice: Advice
) -> Mapping[MethodKind, Outlook]:
    """The same run by every method; one that the run's other choices contradict is left out."""
    found = {}
    for kind in MethodKind:
        if kind is run.method:
            found[kind] = run
            continue
        other = given.model_copy(update={"method": kind, "quantization": QuantizationChoice.NONE})
        other.model_fields_set.discard("quantization")
        try:
            found[kind] = outlook(other, snapshot, today, policy, advice=advice)
        except RequestError:
            continue
    return found


def order_link(offer: OfferReport) -> str:
    """Where an offer is ordered: through this site, which counts the click."""
    return f"/go/{quote(offer.id, safe='')}" if offer.order_url else ""


# What is made of a snapshot is kept with it: a cache of our own would hold the catalogues of before.
def card_labels(snapshot: Snapshot) -> Mapping[str, str]:
    """What each card is sold as, by slug."""

    def made() -> Mapping[str, str]:
        return {gpu.slug: f"{gpu.memory_gb.normalize():f}\u00a0GB" for gpu in snapshot.gpus}

    return snapshot.derived((card_labels,), made)


def choices(snapshot: Snapshot, today: date) -> Choices:
    """The closed lists of the form, from the catalogue as it is."""
    # Offers age out, so that the lists are those of a day; a catalogue that stays need not keep all its days.
    of_day = snapshot.derived((choices,), lambda: lru_cache(maxsize=DAYS_KEPT)(partial(_choices, snapshot)))
    return of_day(today)


def _choices(snapshot: Snapshot, today: date) -> Choices:
    offers = tuple(snapshot.offers(OfferFilter(today=today, include_spot=True)))
    labels = card_labels(snapshot)
    return Choices(
        models=tuple((model.name, model.hub_id) for model in snapshot.models),
        model_options=Markup("").join(
            Markup('<option value="{}">{}</option>').format(model.name, model.hub_id) for model in snapshot.models
        ),
        gpus=tuple(
            (gpu.slug, f"{short_card_name(gpu.name)}, {labels[gpu.slug]}")
            for gpu in sorted(snapshot.gpus, key=lambda gpu: short_card_name(gpu.name))
        ),
        labels=labels,
        currencies=tuple(sorted({offer.currency for offer in offers} | snapshot.rates.currencies)),
        regions=tuple(sorted({offer.region for offer in offers if offer.region})),
        providers=tuple(sorted(snapshot.providers.values())),
    )


def own_comparison(pairs: Iterable[tuple[str, str]], snapshot: Snapshot, today: date, policy: Policy) -> OwnComparison:
    """Compare a visitor's models by each method, or say what is wrong with the question."""
    given_pairs = [(key, text) for key, text in pairs if text.strip()]
    models = [name.strip() for key, text in given_pairs if key == "models" for name in text.split(",") if name.strip()]
    asked = [*given_pairs, *([] if models else [("models", slug) for slug in COMPARED])]
    texts = {key: text for key, text in given_pairs if key in FIELDS}
    try:
        request: CompareRequest = parse_query(asked, ignore_unknown=True, model=CompareRequest)
        listed = request.model_copy(update={"gpus": GpuListing.FITTING})
        compared = compare(listed, snapshot, today, policy)
    except RequestError as problem:
        return OwnComparison(texts=texts, models=models or COMPARED, compared=None, problem=problem)
    return OwnComparison(
        texts=texts, models=tuple(dict.fromkeys(row.model for row in compared.rows)), compared=compared, problem=None
    )
