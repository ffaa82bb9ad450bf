"""The requests of the endpoints that ask more than one estimate: a run's fields and a few of their own."""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from app.memory.inputs import MethodKind
from app.request.about import About, Theme
from app.request.model import Run, ShortText


class Objective(StrEnum):
    """What the best option is best at."""

    CHEAPEST = "cheapest"
    FASTEST = "fastest"
    BEST_QUALITY = "best_quality"
    BALANCED = "balanced"


class CompareRequest(Run):
    """Methods × models: ``models`` (or the one ``model``) under ``methods``."""

    models: Annotated[
        tuple[ShortText, ...],
        Field(max_length=20, description="Models to compare, by catalogue name or Hugging Face id."),
        About(label="Models", theme=Theme.MODEL, example=["llama-3-8b", "mistral-7b-v0.1"]),
    ] = ()
    methods: Annotated[
        tuple[MethodKind, ...],
        Field(description="Methods to compare; all three unless given."),
        About(label="Methods", theme=Theme.METHOD),
    ] = ()


class RecommendRequest(Run):
    """What to rent for a run and how to set it up: what is not given is chosen."""

    methods: Annotated[
        tuple[MethodKind, ...],
        Field(description="Methods to consider; the given method, or all three where none is given."),
        About(label="Methods", theme=Theme.METHOD),
    ] = ()
    optimize_for: Annotated[
        Objective,
        Field(description="What the first option is best at."),
        About(
            label="Optimise for",
            theme=Theme.MARKET,
            labels={
                "cheapest": "Lowest price",
                "fastest": "Shortest time",
                "best_quality": "Best quality",
                "balanced": "A balance",
            },
        ),
    ] = Objective.CHEAPEST
    budget: Annotated[
        Decimal | None,
        Field(gt=0, le=10**12, description="The most to spend on the job, in the request's currency."),
        About(label="Budget", theme=Theme.MARKET),
    ] = None
    deadline_hours: Annotated[
        float | None,
        Field(gt=0, le=10**6, description="The longest the job may take."),
        About(label="Deadline", theme=Theme.MARKET, unit="hours"),
    ] = None
    gpus_allowed: Annotated[
        tuple[ShortText, ...],
        Field(max_length=64, description="Only these cards, by catalogue name."),
        About(label="Cards allowed", theme=Theme.MARKET),
    ] = ()
    max_gpus: Annotated[
        int,
        Field(ge=1, le=16_384, description="Most GPUs the run may have, where num_gpus does not say how many."),
        About(label="Most GPUs", theme=Theme.CLUSTER),
    ] = 8
    allow_tight: Annotated[
        bool,
        Field(description="Offer cards too that may or may not hold the run."),
        About(label="Tight cards too", theme=Theme.MARKET, labels={"true": "Included", "false": "Left out"}),
    ] = False
    limit: Annotated[
        int,
        Field(ge=1, le=200, description="Most options returned for each method and price period."),
        About(label="Options", theme=Theme.MARKET),
    ] = 10
