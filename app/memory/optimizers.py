"""Optimizers: the state each keeps a parameter tensor, and what its step needs besides.

Names are Hugging Face's ``optim`` values (``transformers/training_args.py``, ``OptimizerNames``).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from app.memory.architecture import ParameterKind
from app.units import round_to_block

BLOCK_ELEMENTS = 256
"""bitsandbytes quantises 8-bit state in blocks of 256 (``bitsandbytes/optim/optimizer.py``)."""
SMALLEST_8BIT_TENSOR = 4096
"""bitsandbytes keeps the state of smaller tensors in 32 bits (``min_8bit_size``)."""


@dataclass(frozen=True, slots=True)
class TrainedTensor:
    """A parameter tensor (``count`` alike ones) that receives updates; ``width`` is bytes an element."""

    kind: ParameterKind
    elements: int
    rows: int
    width: int
    count: int = 1

    @property
    def bytes(self) -> int:
        """All of them, each rounded to the allocator's block."""
        return self.count * round_to_block(self.elements * self.width)


State = Callable[[TrainedTensor, bool], int]
"""Bytes of state of one tensor; the flag is ``embedding_state_32bit``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Optimizer:
    """State bytes a tensor, and the temporaries of a step."""

    title: str
    state: State
    step_copies_of_all: int = 0
    """Temporaries of a step, in copies of everything that trains (at its own width)."""
    step_float32_copies_of_largest: tuple[int, int] = (0, 0)
    """Temporaries in float32 copies of the largest tensor: for 16-bit weights, for float32 weights."""
    paged: bool = False
    """State is in unified memory and can move to the host under pressure."""
    source: str = ""


def no_state(tensor: TrainedTensor, embedding_32bit: bool) -> int:
    """SGD without momentum."""
    return 0


def same_width(copies: int) -> State:
    """``copies`` moments at the parameter's own dtype (``torch.optim``: ``zeros_like``)."""

    def state(tensor: TrainedTensor, embedding_32bit: bool) -> int:
        return copies * round_to_block(tensor.elements * tensor.width)

    return state


def float32(copies: int) -> State:
    """``copies`` float32 moments (bitsandbytes' 32-bit optimizers)."""

    def state(tensor: TrainedTensor, embedding_32bit: bool) -> int:
        return copies * round_to_block(tensor.elements * 4)

    return state


def eight_bit(copies: int) -> State:
    """``copies`` 8-bit moments with a float32 scale a block of 256; small tensors (and embeddings) stay 32-bit."""

    def state(tensor: TrainedTensor, embedding_32bit: bool) -> int:
        if tensor.elements < SMALLEST_8BIT_TENSOR or (embedding_32bit and tensor.kind is ParameterKind.EMBEDDING):
            return copies * round_to_block(tensor.elements * 4)
        scales = round_to_block(-(-tensor.elements // BLOCK_ELEMENTS) * 4)
        return copies * (round_to_block(tensor.elements) + scales)

    return state


def factored(tensor: TrainedTensor, embedding_32bit: bool) -> int:
    """Adafactor: a float32 row and column a matrix, a full moment a vector (``transformers/optimization.py``)."""
    if tensor.rows <= 1:
        return round_to_block(4 * tensor.elements)
    return round_to_block(4 * tensor.rows) + round_to_block(4 * (tensor.elements // tensor.rows))


OPTIMIZERS: Mapping[str, Optimizer] = {
    "adamw_torch_fused": Optimizer(
        title="AdamW, fused", state=same_width(2), source="torch/optim/adamw.py, fused=True updates in place"
    ),
    "adamw_torch": Optimizer(
        title="AdamW, foreach",
        state=same_width(2),
        step_copies_of_all=1,
        source="torch/optim/adam.py, _multi_tensor_adam: exp_avg_sq_sqrt for all tensors at once",
    ),
    "adamw_bnb_8bit": Optimizer(
        title="AdamW, 8-bit", state=eight_bit(2), source="bitsandbytes/optim/optimizer.py, Optimizer2State"
    ),
    "paged_adamw_8bit": Optimizer(
        title="AdamW, 8-bit paged",
        state=eight_bit(2),
        paged=True,
        source="bitsandbytes/optim/optimizer.py, get_state_buffer",
    ),
    "paged_adamw_32bit": Optimizer(
        title="AdamW, 32-bit paged",
        state=float32(2),
        paged=True,
        source="bitsandbytes/optim/optimizer.py, get_state_buffer",
    ),
    "adafactor": Optimizer(
        title="Adafactor",
        state=factored,
        step_float32_copies_of_largest=(4, 2),
        source="transformers/optimization.py, Adafactor.step: grad.float(), p.float(), update and its negation",
    ),
    "sgd": Optimizer(title="SGD", state=no_state, source="torch/optim/sgd.py, momentum=0"),
    "adagrad": Optimizer(
        title="Adagrad",
        state=same_width(1),
        step_copies_of_all=2,
        source="torch/optim/adagrad.py, _multi_tensor_adagrad: std and numerator for all tensors at once",
    ),
    "rmsprop": Optimizer(title="RMSprop", state=same_width(1), step_copies_of_all=1, source="torch/optim/rmsprop.py"),
    "lion_32bit": Optimizer(title="Lion, 32-bit", state=float32(1), source="bitsandbytes/optim/lion.py"),
    "lion_8bit": Optimizer(title="Lion, 8-bit", state=eight_bit(1), source="bitsandbytes/optim/lion.py"),
    "paged_lion_32bit": Optimizer(
        title="Lion, 32-bit paged", state=float32(1), paged=True, source="bitsandbytes/optim/lion.py"
    ),
    "paged_lion_8bit": Optimizer(
        title="Lion, 8-bit paged", state=eight_bit(1), paged=True, source="bitsandbytes/optim/lion.py"
    ),
}
"""All optimizers by their ``optim`` name."""

OPTIMIZER_ALIASES: Mapping[str, str] = {
    "adamw_8bit": "adamw_bnb_8bit",
    "paged_adamw": "paged_adamw_32bit",
    "lion": "lion_32bit",
}
"""Names that people paste, by the name they stand for."""


def state_bytes(optimizer: Optimizer, tensors: Iterable[TrainedTensor], embedding_32bit: bool) -> int:
    """State of everything that trains, in bytes."""
    return sum(tensor.count * optimizer.state(tensor, embedding_32bit) for tensor in tensors)


def step_temporary_bytes(optimizer: Optimizer, tensors: Iterable[TrainedTensor]) -> int:
    """What the update itself allocates, in bytes."""
    tensors = tuple(tensors)
    total = optimizer.step_copies_of_all * sum(tensor.bytes for tensor in tensors)
    narrow, wide = optimizer.step_float32_copies_of_largest
    if narrow:
        total += max(
            (round_to_block(4 * tensor.elements) * (wide if tensor.width == 4 else narrow) for tensor in tensors),
            default=0,
        )
    return total
