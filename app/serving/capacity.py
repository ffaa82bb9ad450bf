"""How many requests a card, or a group of cards, serves at once."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from app.memory.architecture import Architecture
from app.memory.device import Device
from app.memory.inputs import Adapter
from app.memory.result import Interval
from app.serving.adapters import slot_bytes
from app.serving.cache import CacheDtype, one_request, windowed_token_bytes
from app.serving.matrices import attention_heads
from app.serving.reserve import DEFAULT_UTILISATION, reserve
from app.serving.weights import WeightBytes, WeightFormat, group_divides, weight_bytes

DEGREES: Final = (1, 2, 4, 8)
"""Cards of one server that share a model by tensor parallelism; beyond a server the links are too slow for it."""

_NOTHING: Final = Interval(0, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """What is to be served."""

    format: WeightFormat
    context_tokens: int
    """Prompt and answer of one request together."""
    cache_dtype: CacheDtype = CacheDtype.BF16
    adapter: Adapter | None = None
    """What each tenant brings; None where the model serves one."""
    tenants: int = 0
    """Adapters on the card at once."""
    memory_utilisation: float = DEFAULT_UTILISATION


@dataclass(frozen=True, kw_only=True, slots=True)
class Placement:
    """A model on each of ``cards``, and what is left for requests. Bytes are of one card."""

    cards: int
    budget_bytes: int
    """What the server may use of a card."""
    weights: WeightBytes
    adapters: Interval
    reserve: Interval
    cache: Interval
    """Left for requests; low where everything else is at its high bound. Never negative."""
    request: Interval
    """One request at the whole context length."""
    requests: Interval
    """Requests at the whole context length at once: low is sure, high needs every bound to be kind."""


@lru_cache(maxsize=512)
def degrees(architecture: Architecture, format_: WeightFormat) -> tuple[int, ...]:
    """The numbers of cards that the model can be split over.

    Query heads must divide by it; key/value heads divide by it, or it by them, and are then repeated
    (vLLM ``QKVParallelLinear``); no group of 4-bit weights may lie on two cards.
    """
    heads = tuple(attention_heads(architecture))
    return tuple(
        degree
        for degree in DEGREES
        if all(queries % degree == 0 and (keys % degree == 0 or degree % keys == 0) for queries, keys in heads)
        and group_divides(architecture, format_, degree)
    )


def place(architecture: Architecture, device: Device, ask: Ask, cards: int) -> Placement:
    """The model on ``cards`` of a kind, whether or not it fits."""
    weights = weight_bytes(architecture, ask.format, cards=cards)
    one = slot_bytes(architecture, ask.adapter, cards=cards) if ask.adapter is not None and ask.tenants else _NOTHING
    adapters = Interval(one.low_bytes * ask.tenants, one.high_bytes * ask.tenants)
    windowed = windowed_token_bytes(architecture, ask.cache_dtype, cards)
    kept = reserve(architecture, device, windowed, cards=cards)
    budget = int(device.memory_bytes * ask.memory_utilisation)
    free = budget - weights.total_bytes
    room = Interval(
        max(0, free - adapters.high_bytes - kept.high_bytes), max(0, free - adapters.low_bytes - kept.low_bytes)
    )
    request = one_request(architecture, ask.cache_dtype, cards, ask.context_tokens)
    return Placement(
        cards=cards,
        budget_bytes=budget,
        weights=weights,
        adapters=adapters,
        reserve=kept,
        cache=room,
        request=request,
        requests=Interval(room.low_bytes // max(1, request.high_bytes), room.high_bytes // max(1, request.low_bytes)),
    )


def fewest_cards(architecture: Architecture, device: Device, ask: Ask, requests: int) -> Placement | None:
    """The smallest group of a kind of card that surely serves ``requests`` at once; None where eight do not."""
    for cards in degrees(architecture, ask.format):
        found = place(architecture, device, ask, cards)
        if found.requests.low_bytes >= requests:
            return found
    return None
