"""Bytes that an optimizer's step reads and writes for each trained parameter."""

from collections.abc import Mapping
from typing import Final

ACCESSES: Final[Mapping[str, float]] = {
    # Reads parameter, gradient and two states, writes parameter and states, in one kernel.
    "adamw_torch_fused": 7,
    # One pass an operation over whole lists (torch/optim/adamw.py _multi_tensor_adamw): decay 2, two state updates 3+5,
    # square root 2, division 2, epsilon 2, update 4.
    "adamw_torch": 20,
    "adamw_hf": 20,
    "adafactor": 12,  # float32 copies of update, square, factored estimate and clipping (transformers optimization.py)
    "sgd": 3,
    "sgd_momentum": 5,
    "rmsprop": 5,
    "adagrad": 5,
    "lion_32bit": 5,
    "paged_lion_32bit": 5,
    "paged_adamw_32bit": 7,
    "adamw_apex_fused": 7,
}
"""In units of the parameter's own bytes, by Hugging Face ``optim`` name."""

EIGHT_BIT_STATES: Final[Mapping[str, int]] = {"adam": 2, "lion": 1, "rmsprop": 1, "ademamix": 3}
"""States of bitsandbytes' 8-bit optimizers, one byte each, read and written."""

CLIP_ACCESSES: Final = 3
"""Reads each gradient for the norm, then scales it in place."""
DEFAULT_ACCESSES: Final = 20
"""An optimizer not listed is taken for one pass an operation, as AdamW's."""


def optimizer_bytes(optimizer: str, parameters: int, gradient_bytes: int, max_grad_norm: float) -> float:
    """Bytes that one step over ``parameters`` trained ones moves, clipping included; states as wide as gradients."""
    clip = CLIP_ACCESSES * gradient_bytes if max_grad_norm > 0 else 0
    if "8bit" in optimizer:
        states = next((count for name, count in EIGHT_BIT_STATES.items() if name in optimizer), 2)
        return float(clip + 3 * gradient_bytes + 2 * states * parameters)
    return float(clip + ACCESSES.get(optimizer, DEFAULT_ACCESSES) * gradient_bytes)
