"""Shapes as functions from bytes an element to a size, and what a transcription is written against."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from app.memory.policy import AttentionPath, Policy
from app.memory.size import Size
from app.memory.tape import Tape

INDEX = 8
"""Bytes of an index (int64)."""

Elements = Callable[[int], Size]


@lru_cache(maxsize=4096)
def tokens(features: int) -> Elements:
    """[B, S, features]."""
    return lambda width: Size(token=width * features)


@lru_cache(maxsize=512)
def elements_of(count: int) -> Elements:
    """A tensor of a fixed number of elements."""
    return lambda width: Size(fixed=width * count)


@lru_cache(maxsize=1024)
def ranked(features: int) -> Elements:
    """[features, r]."""
    return lambda width: Size(rank=width * features)


@lru_cache(maxsize=1)
def rank_tokens() -> Elements:
    """[B, S, r]."""
    return lambda width: Size(token_rank=width)


@lru_cache(maxsize=256)
def pairs(heads: int) -> Elements:
    """[B, heads, S, S]."""
    return lambda width: Size(token_position=width * heads)


@dataclass(frozen=True, slots=True)
class Code:
    """Where code is transcribed to, and what decides which branches it takes."""

    tape: Tape
    policy: Policy
    path: AttentionPath = AttentionPath.FLASH
