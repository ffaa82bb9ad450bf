"""Adapters served beside one shared base: what a tenant's matrices hold, and the slot a server keeps for them.

Source: vLLM ``lora/layers`` (a slot has stacked A and B matrices of the largest rank for every linear layer of the
model, adapted or not, and for embedding and head), ``config/lora.py`` (the ranks that slots come in).
"""

from functools import lru_cache
from typing import Final

from app.memory.architecture import Architecture
from app.memory.inputs import Adapter, Batch, Method, MethodKind, PrecisionPolicy
from app.memory.policy import make_policy
from app.memory.result import Interval
from app.serving.matrices import Cut, model_of

_HALF: Final = 2
SLOT_RANKS: Final = (8, 16, 32, 64, 128, 256, 320, 512)
"""``MaxLoRARanks`` in vLLM's ``config/lora.py``; a rank takes the next larger slot."""


def adapter_elements(architecture: Architecture, adapter: Adapter) -> int:
    """Weights of one tenant's adapter matrices, as PEFT saves them; exact."""
    method = Method(kind=MethodKind.LORA, adapter=adapter)
    policy = make_policy(method, PrecisionPolicy.BF16, Batch(micro_batch_size=1, sequence_length=1))
    return sum(
        features * adapter.rank * occurrences
        for target, occurrences in architecture.adaptable()
        if policy.adapts(target)
        for features in target.adapter_features
    )


@lru_cache(maxsize=1024)
def slot_bytes(architecture: Architecture, adapter: Adapter, *, cards: int = 1) -> Interval:
    """One tenant on one of ``cards``: low, the adapter's own matrices in 16 bits, shared evenly; high, a whole slot.

    A slot's A is whole for matrices cut by outputs and its B whole for those cut by inputs
    (``fully_sharded_loras`` is off by default). Experts have slots only where the adapter has experts.
    """
    own = -(-adapter_elements(architecture, adapter) * _HALF // cards)
    rank = next((size for size in SLOT_RANKS if size >= adapter.rank), adapter.rank)
    features = 2 * (architecture.hidden_size + -(-architecture.vocab_size // cards))
    for matrix in model_of(architecture).matrices:
        if matrix.is_expert or (matrix.cut is Cut.WHOLE and not matrix.quantisable):
            continue
        inputs, outputs = matrix.on(cards)
        features += matrix.count * (inputs + outputs)
    return Interval(own, max(own, features * rank * _HALF))
