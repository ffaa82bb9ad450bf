"""The request of the inverse questions: a run with one field left open, and what must hold of the answer."""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from app.request.about import About, Theme
from app.request.model import Run

MOST_GPUS: Final = 64
"""How far the fewest cards are looked for unless ``max_gpus`` says otherwise: eight servers of eight."""


class Unknown(StrEnum):
    """The field that an inverse question asks for."""

    MICRO_BATCH_SIZE = "micro_batch_size"
    SEQUENCE_LENGTH = "sequence_length"
    LORA_RANK = "lora_rank"
    NUM_GPUS = "num_gpus"
    MODEL = "model"


class SolveRequest(Run):
    """A run with one field unknown, for a card (``gpu``), for a ``budget``, or for both."""

    unknown: Annotated[
        Unknown | None,
        Field(
            description="The field to find: the largest micro_batch_size, sequence_length, lora_rank or model, or the "
            "smallest num_gpus. Its own value in the run is ignored."
        ),
        About(
            label="Find",
            theme=Theme.MODEL,
            aliases=("solve_for",),
            labels={
                "micro_batch_size": "Largest micro-batch",
                "sequence_length": "Longest sequence",
                "lora_rank": "Highest rank",
                "num_gpus": "Fewest GPUs",
                "model": "Largest model",
            },
            synonyms={
                "batch_size": "micro_batch_size",
                "per_device_train_batch_size": "micro_batch_size",
                "max_seq_length": "sequence_length",
                "max_length": "sequence_length",
                "lora_r": "lora_rank",
                "r": "lora_rank",
                "rank": "lora_rank",
                "gpus": "num_gpus",
                "base_model": "model",
            },
            example="micro_batch_size",
        ),
    ] = None
    budget: Annotated[
        Decimal | None,
        Field(
            gt=0,
            le=10**12,
            description="The most that the whole job may cost, in the request's currency. Without a gpu, every card "
            "with an offer is considered.",
        ),
        About(label="Budget", theme=Theme.MARKET),
    ] = None
    deadline_hours: Annotated[
        float | None,
        Field(gt=0, le=10**6, description="The longest the job may take."),
        About(label="Deadline", theme=Theme.MARKET, unit="hours"),
    ] = None
    max_gpus: Annotated[
        int,
        Field(ge=1, le=1024, description="How far the fewest GPUs are looked for."),
        About(label="Most GPUs", theme=Theme.CLUSTER),
    ] = MOST_GPUS
    allow_tight: Annotated[
        bool,
        Field(description="Accept too what may or may not fit."),
        About(label="Tight too", theme=Theme.MARKET, labels={"true": "Included", "false": "Left out"}),
    ] = False
