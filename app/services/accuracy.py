"""How far the figures have been checked: memory against traced and measured runs, speed against published ones."""

import json
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import Any, Final

from app.messages import mark

NOT_VALIDATED: Final[tuple[tuple[str, str], ...]] = (
    (
        mark("What a card must have"),
        mark(
            "The allocator’s reserve and the CUDA context come on top of what PyTorch allocates. Figures for a whole "
            "card have been published for one card and by one source only, so that this part rests on simulated "
            "allocators and on what 18 processes said of themselves as they ran out of memory."
        ),
    ),
    (
        mark("Several GPUs"),
        mark(
            "What was allocated has been published for FSDP alone; ZeRO, split layers and split matrices are held "
            "against what was reserved, and context parallelism against nothing."
        ),
    ),
    (
        mark("Cards other than NVIDIA’s"),
        mark("Every traced run stands for a CUDA device and every measured run was made on one."),
    ),
    (
        mark("Other versions of the libraries"),
        mark(
            "Traces are of four versions of Transformers, from 4.45 to 5.23, and of one version each of PyTorch, PEFT "
            "and bitsandbytes."
        ),
    ),
    (
        mark("Fused kernels"),
        mark(
            "The losses of Liger and of TRL’s trainer were traced with their kernels left out, which allocate nothing. "
            "Fused norms and rotary embeddings are not modelled, which makes runs with them about 2% too high."
        ),
    ),
)
"""What nothing here has been held against: a name and a sentence each."""


@lru_cache(maxsize=1)
def accuracy() -> Mapping[str, Any]:
    """The bundled figures; each part says by which command it was written. Errors are ours ÷ reference − 1."""
    memory = json.loads(resources.files("app.web").joinpath("data/accuracy.json").read_text(encoding="utf-8"))
    speed = json.loads(resources.files("app.speed").joinpath("data/evaluation.json").read_text(encoding="utf-8"))
    return {
        "memory": memory,
        "speed": speed,
        "not_validated": [{"what": what, "why": why} for what, why in NOT_VALIDATED],
    }
