"""How many of a hundred inputs are of which kind, and what makes them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from hypothesis import strategies as st

from benchmarks.fuzz import values
from benchmarks.fuzz.doors import REQUESTS, Kind

PAGES: Final = (
    "/",
    "/compare",
    "/recommend",
    "/embed/result",
    "/embed/calculator",
    "/embed/table",
    "/badge.svg",
    "/oembed",
    "/fragments/table",
    "/charts/memory.svg",
    "/embed",
    "/api/v1/estimate",
    "/api/v1/offers",
    "/api/v1/models",
    "/api/v1/gpus",
)


@dataclass(frozen=True, kw_only=True)
class Target:
    """One kind of input."""

    kind: Kind
    percent: float
    inputs: st.SearchStrategy[Any]


def targets() -> Sequence[Target]:
    """All but the chains; their percentages come to what those leave."""
    texts = values.configs().map(lambda config: json.dumps(config).encode())
    queries = st.sampled_from(REQUESTS).flatmap(values.pairs)
    return (
        Target(kind=Kind.CONFIG, percent=0.8, inputs=values.configs()),
        Target(kind=Kind.QUERY, percent=52.3, inputs=queries),
        Target(kind=Kind.PAGE, percent=0.3, inputs=st.tuples(st.sampled_from(PAGES), queries)),
        Target(kind=Kind.ESTIMATE, percent=0.4, inputs=values.bodies()),
        Target(kind=Kind.PASTE, percent=0.1, inputs=values.damaged(texts)),
        Target(kind=Kind.OFFERS, percent=24, inputs=values.OFFER_FILES),
        Target(kind=Kind.RATES, percent=13, inputs=values.RATE_FILES),
        Target(kind=Kind.GPUHUNT, percent=5.1, inputs=values.GPUHUNT_FILES),
    )
