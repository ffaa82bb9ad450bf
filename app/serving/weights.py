"""Bytes of a model's weights on one card, as published checkpoints hold them: 16 bits, GPTQ or AWQ."""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

from app.memory.architecture import Architecture
from app.serving.matrices import Cut, Matrix, model_of

HALF_BYTES: Final = 2
FLOAT32_BYTES: Final = 4
GROUP_SIZE: Final = 128
"""Weights that share a scale and a zero: AutoAWQ's ``q_group_size`` and GPTQModel's ``group_size`` by default."""
PACKED: Final = 8
"""4-bit values in an int32; both libraries refuse a matrix whose outputs it does not divide."""
GPTQ_ROWS: Final = 32
"""GPTQ packs along the inputs, of which 32 must fit; AutoGPTQ ``qlinear`` checks ``infeatures % 32``."""


class WeightFormat(StrEnum):
    """How the weights are stored."""

    HALF = "half"
    """bfloat16 or float16: two bytes a weight."""
    GPTQ = "gptq"
    AWQ = "awq"


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightBytes:
    """What one card holds, by kind, in bytes."""

    packed_bytes: int
    """4-bit weights, eight to an int32."""
    scale_bytes: int
    """A float16 scale a group and output."""
    zero_bytes: int
    """A 4-bit zero a group and output."""
    index_bytes: int
    """GPTQ's ``g_idx``: the group of each input, an int32 each."""
    half_bytes: int
    """What stays in 16 bits: all of an unquantised model, else embeddings, head, norms, routers and the like."""
    float32_bytes: int

    @property
    def total_bytes(self) -> int:
        """All of it."""
        return self.quantised_bytes + self.half_bytes + self.float32_bytes

    @property
    def quantised_bytes(self) -> int:
        """The 4-bit matrices with their scales, zeros and indices."""
        return self.packed_bytes + self.scale_bytes + self.zero_bytes + self.index_bytes


@lru_cache(maxsize=4096)
def weight_bytes(
    architecture: Architecture, format_: WeightFormat, *, cards: int = 1, group_size: int | None = GROUP_SIZE
) -> WeightBytes:
    """Weights that one of ``cards`` holds. ``group_size`` None makes a group of a whole input.

    GPTQ: ``qweight`` [in/8, out] int32, ``qzeros`` [in/group, out/8] int32, ``scales`` [in/group, out] float16,
    ``g_idx`` [in] int32 (AutoGPTQ ``nn_modules/qlinear/qlinear_cuda.py``). AWQ: the same without ``g_idx``
    (AutoAWQ ``modules/linear/gemm.py``). Both quantise the linear layers of the decoder's layers, experts included,
    and leave embeddings, head, norms, convolutions and routers (AutoAWQ ``modules_to_not_convert``, GPTQModel
    ``lm_head=False``).
    """
    model = model_of(architecture)
    half = -(-model.vocabulary_elements // cards) + model.other_elements
    packed = scales = zeros = index = 0
    for matrix in model.matrices:
        inputs, outputs = matrix.on(cards)
        if not _quantises(matrix, format_, group_size):
            half += inputs * outputs * matrix.count
            continue
        groups = -(-inputs // (group_size or inputs))
        packed += matrix.count * inputs * outputs // 2
        scales += matrix.count * groups * outputs * HALF_BYTES
        zeros += matrix.count * groups * outputs // 2
        if format_ is WeightFormat.GPTQ:
            index += matrix.count * matrix.parts * inputs * 4
    return WeightBytes(
        packed_bytes=packed,
        scale_bytes=scales,
        zero_bytes=zeros,
        index_bytes=index,
        half_bytes=half * HALF_BYTES,
        float32_bytes=model.float32_elements * FLOAT32_BYTES,
    )


def _quantises(matrix: Matrix, format_: WeightFormat, group_size: int | None) -> bool:
    """Whether the libraries' layers take the matrix; what they refuse stays in 16 bits."""
    if format_ is WeightFormat.HALF or not matrix.quantisable:
        return False
    if format_ is WeightFormat.GPTQ:
        return matrix.in_features % GPTQ_ROWS == 0 and matrix.out_features % GPTQ_ROWS == 0
    return matrix.in_features % (group_size or 1) == 0 and matrix.out_features % PACKED == 0


@lru_cache(maxsize=4096)
def group_divides(architecture: Architecture, format_: WeightFormat, cards: int, group_size: int = GROUP_SIZE) -> bool:
    """Whether no group of weights lies on two cards, which vLLM refuses (``layers/quantization/awq.py``)."""
    return cards == 1 or all(
        matrix.on(cards)[0] % group_size == 0
        for matrix in model_of(architecture).matrices
        if matrix.cut is Cut.ROWS and _quantises(matrix, format_, group_size)
    )
