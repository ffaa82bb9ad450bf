"""Follow every storage that a program allocates on one device, and know at each moment what is alive and why."""

import weakref
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from benchmarks.accuracy.tracing.fake_cuda import torch
from benchmarks.accuracy.tracing.hidden_allocations import hidden_allocations

# c10/cuda/CUDACachingAllocator.cpp: kMinBlockSize. Every block is rounded up to a multiple of it.
ALLOCATOR_BLOCK_BYTES = 512
# A tensor as wide as the vocabulary and with nearly as many rows as there are tokens is a copy of the logits
# (the shifted ones may miss a row or a sequence's last token).
_LOGITS_MINIMUM_FILL = 0.9


def rounded_to_block(size_bytes: int) -> int:
    """Bytes that the caching allocator accounts for a request of `size_bytes`."""
    return -(-size_bytes // ALLOCATOR_BLOCK_BYTES) * ALLOCATOR_BLOCK_BYTES


class Category(StrEnum):
    """What a block of memory is for."""

    TRAINABLE_PARAMETERS = "trainable_parameters"
    FROZEN_PARAMETERS = "frozen_parameters"
    QUANTISATION_STATE = "quantisation_state"
    BUFFERS = "buffers"
    INPUTS = "inputs"
    GRADIENTS = "gradients"
    OPTIMIZER_STATE = "optimizer_state"
    SAVED = "saved_activations"
    RECOMPUTED = "recomputed_activations"
    WEIGHT_CASTS = "weight_casts"
    LOGITS = "logits"
    DEQUANTISED = "dequantised_weights"
    HIDDEN = "kernel_workspaces"
    TEMPORARY = "temporaries"


PARAMETER_CATEGORIES = frozenset({Category.TRAINABLE_PARAMETERS, Category.FROZEN_PARAMETERS})


class Phase(StrEnum):
    """Parts of a training step, in order; the names are those of the API."""

    FORWARD = "forward"
    LOSS = "loss"
    BACKWARD_LOSS = "backward_loss"
    BACKWARD = "backward"
    CLIP = "clip"
    OPTIMIZER_STEP = "optimizer_step"
    ZERO_GRAD = "zero_grad"


@dataclass(slots=True)
class Block:
    """One allocation: its size, what made it, and the moments of its birth and death (`None`: still alive)."""

    size_bytes: int
    category: Category
    operator: str
    shape: tuple[int, ...]
    dtype: str
    born: int
    died: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Peak:
    """The most bytes alive at once, and when."""

    size_bytes: int
    moment: int
    step: int
    phase: Phase


class Tracker(torch.utils._python_dispatch.TorchDispatchMode):  # type: ignore[misc]
    """A dispatch mode that keeps an exact count of live bytes on `device_type`.

    A storage is counted once, when an operator first returns a tensor on it, and given back by a weak reference when
    Python and autograd have both let go of it, which is when the CUDA allocator would get it back.
    """

    def __init__(self, *, device_type: str, vocabulary: int, tokens: int, round_blocks: bool = True) -> None:
        super().__init__()
        self.phase = Phase.FORWARD
        self.step = 0
        self.recomputing = False
        self.live_bytes = 0
        self.blocks: list[Block] = []
        self.peak = Peak(size_bytes=0, moment=0, step=0, phase=Phase.FORWARD)
        self.phase_peaks: dict[tuple[int, Phase], Peak] = {}
        self._moment = 0
        self._references: dict[int, tuple[weakref.ref[Any], Block]] = {}
        self._device_type = device_type
        self._vocabulary = vocabulary
        self._logits_elements = int(tokens * vocabulary * _LOGITS_MINIMUM_FILL)
        self._rounded = rounded_to_block if round_blocks else int

    def enter(self, phase: Phase, *, count_what_is_alive: bool = False) -> None:
        """Begin a phase; a phase that may allocate nothing counts what is alive as it begins."""
        self.phase = phase
        if count_what_is_alive:
            self._note_peaks(self.tick())
            self.tick()

    def tick(self) -> int:
        """A new moment of the tracker's clock, which only allocations, frees and this call advance."""
        self._moment += 1
        return self._moment

    def track(self, tensor: Any, category: Category, operator: str) -> None:
        """Count the tensor's storage, unless it is counted already or lies on another device."""
        storage = tensor.untyped_storage()
        if self._known(storage) is not None or tensor.device.type != self._device_type:
            return
        block = self._allocate(storage.nbytes(), category, operator, tuple(tensor.shape), str(tensor.dtype))
        key = id(storage)

        def forget(_: Any) -> None:
            reference = self._references.get(key)
            if reference is not None and reference[1] is block:
                del self._references[key]
            self._free(block)

        self._references[key] = (weakref.ref(storage, forget), block)

    def relabel(self, tensor: Any, category: Category, *, only: Iterable[Category] | None = None) -> None:
        """Change what a tensor's storage is for; `only` limits it to storages that are one of these now."""
        block = self._known(tensor.untyped_storage())
        if block is not None and (only is None or block.category in only):
            block.category = category

    def category_of(self, tensor: Any) -> Category | None:
        """What the tensor's storage is for, or `None` when it is not tracked."""
        block = self._known(tensor.untyped_storage())
        return None if block is None else block.category

    def alive_at(self, moment: int) -> list[Block]:
        """The blocks alive at a moment of the tracker's clock."""
        return [block for block in self.blocks if block.born <= moment and (block.died is None or block.died > moment)]

    def bytes_by_category(self, moment: int) -> dict[Category, int]:
        """Live bytes of each category at a moment; they sum to the live bytes."""
        totals: Counter[Category] = Counter()
        for block in self.alive_at(moment):
            totals[block.category] += block.size_bytes
        return dict(totals)

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        operator = func._schema.name
        workspaces: list[Block] = []
        if self._device_type == "cuda":
            for hidden in hidden_allocations(operator, args, kwargs):
                category = Category.DEQUANTISED if hidden.is_weight else Category.HIDDEN
                workspaces.append(self._allocate(hidden.size_bytes, category, hidden.name, (), "bytes"))
        result = func(*args, **kwargs)
        category = self._category_of_result(operator, args)
        for tensor in _tensors(result):
            self.track(tensor, self._logits_or(category, tensor), operator)
        for block in workspaces:
            self._free(block)
        return result

    def _category_of_result(self, operator: str, args: tuple[Any, ...]) -> Category:
        if operator == "aten::_to_copy" and self.category_of(args[0]) in PARAMETER_CATEGORIES:
            return Category.WEIGHT_CASTS
        if operator.startswith("bitsandbytes::dequantize"):
            return Category.DEQUANTISED
        return Category.TEMPORARY

    def _logits_or(self, category: Category, tensor: Any) -> Category:
        is_wide = tensor.dim() > 0 and tensor.shape[-1] == self._vocabulary
        if category is Category.TEMPORARY and is_wide and tensor.numel() >= self._logits_elements:
            return Category.LOGITS
        return category

    def _known(self, storage: Any) -> Block | None:
        reference = self._references.get(id(storage))
        return reference[1] if reference is not None and reference[0]() is storage else None

    def _allocate(
        self, requested_bytes: int, category: Category, operator: str, shape: tuple[int, ...], dtype: str
    ) -> Block:
        block = Block(self._rounded(requested_bytes), category, operator, shape, dtype, born=self._moment)
        self._moment += 1
        self.blocks.append(block)
        self.live_bytes += block.size_bytes
        self._note_peaks(block.born)
        return block

    def _note_peaks(self, moment: int) -> None:
        now = Peak(size_bytes=self.live_bytes, moment=moment, step=self.step, phase=self.phase)
        known = self.phase_peaks.get((self.step, self.phase))
        if known is None or now.size_bytes > known.size_bytes:
            self.phase_peaks[self.step, self.phase] = now
        if now.size_bytes > self.peak.size_bytes:
            self.peak = now

    def _free(self, block: Block) -> None:
        block.died = self._moment
        self._moment += 1
        self.live_bytes -= block.size_bytes


def _tensors(result: Any) -> Iterable[Any]:
    if isinstance(result, torch.Tensor):
        yield result
    elif isinstance(result, (list, tuple)):
        for item in result:
            yield from _tensors(item)
