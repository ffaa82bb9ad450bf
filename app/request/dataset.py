"""The request of ``/dataset-shape``: a run, and what is known of the lengths of its examples."""

from typing import Annotated, Final

from pydantic import Field

from app.request.about import About, Theme
from app.request.model import MAX_SEQUENCE_TOKENS, Run

MAX_LENGTHS: Final = 100_000
"""Lengths in a list; a larger data set is described as well by as many drawn from it."""


class DatasetRequest(Run):
    """A run whose ``tokens_per_example`` is the mean. Without ``sequence_length`` no example is cut."""

    p95_tokens_per_example: Annotated[
        int | None,
        Field(ge=1, le=MAX_SEQUENCE_TOKENS, description="Tokens that 95 of 100 examples do not exceed."),
        About(label="95th percentile", theme=Theme.DATA, unit="tokens", aliases=("p95_tokens", "p95")),
    ] = None
    max_tokens_per_example: Annotated[
        int | None,
        Field(ge=1, le=MAX_SEQUENCE_TOKENS, description="Tokens of the longest example."),
        About(label="Longest", theme=Theme.DATA, unit="tokens", aliases=("max_tokens", "longest_tokens")),
    ] = None
