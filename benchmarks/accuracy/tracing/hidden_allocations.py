"""What CUDA kernels allocate inside themselves, where no dispatch mode can see it.

Read from the sources of PyTorch 2.13 and bitsandbytes 0.50. Left out: library workspaces (cuBLAS, cuDNN) and the sorts
inside embedding and index backward kernels (a few integers a token).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# bitsandbytes/backends/cuda/ops.py, gemm_4bit: up to this many rows a fused kernel reads the 4-bit weight directly; the
# true limit depends on the card and lies between 16 and 1,536. Above it the weight is dequantised, then multiplied.
_FUSED_GEMM_4BIT_MAXIMUM_ROWS = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class HiddenAllocation:
    """A block that lives as long as one kernel; `is_weight` marks a dequantised weight."""

    name: str
    size_bytes: int
    is_weight: bool = False


def hidden_allocations(operator: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sequence[HiddenAllocation]:
    """Blocks that `operator` holds while it runs on these arguments, besides what it returns."""
    if operator == "aten::_scaled_dot_product_flash_attention_backward":
        return _flash_attention_backward(query=args[1], key=args[2])
    if operator == "aten::_scaled_dot_product_efficient_attention_backward":
        return _efficient_attention_backward(query=args[1])
    if operator == "bitsandbytes::gemm_4bit":
        return _gemm_4bit(args, kwargs)
    if operator == "bitsandbytes::int8_vectorwise_quant":
        return _int8_quantise(*args)
    if operator == "bitsandbytes::int8_mixed_scaled_mm":
        return _int8_multiply(activations=args[0], weight=args[2])
    return ()


def _flash_attention_backward(*, query: Any, key: Any) -> Sequence[HiddenAllocation]:
    """FlashAttention-2 `mha_bwd`: softmax_d and the float32 dq accumulator; dk and dv per query head under GQA."""
    batch, heads, sequence, head_dim = query.shape
    key_heads, key_sequence = key.shape[1], key.shape[2]
    padded_sequence = -(-sequence // 128) * 128
    head_block = 32 if head_dim <= 128 else 64
    padded_head_dim = -(-head_dim // head_block) * head_block
    blocks = [
        HiddenAllocation(name="flash_softmax_d", size_bytes=batch * heads * padded_sequence * 4),
        HiddenAllocation(name="flash_dq_accumulator", size_bytes=batch * heads * padded_sequence * padded_head_dim * 4),
    ]
    if heads != key_heads:
        expanded_bytes = batch * key_sequence * heads * head_dim * key.element_size()
        blocks += [HiddenAllocation(name=f"flash_expanded_{name}", size_bytes=expanded_bytes) for name in ("dk", "dv")]
    return blocks


def _efficient_attention_backward(*, query: Any) -> Sequence[HiddenAllocation]:
    """`_efficient_attention_backward`: delta, the row sums of output times its gradient, in float32."""
    batch, heads, sequence, _ = query.shape
    return [HiddenAllocation(name="efficient_delta", size_bytes=batch * heads * sequence * 4)]


def _gemm_4bit(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sequence[HiddenAllocation]:
    """bitsandbytes `gemm_4bit`: the weight dequantised for cuBLAS, its absmax first where that is quantised too."""
    activations, weight_shape = args[0], args[2]
    rows = activations.numel() // activations.shape[-1]
    if rows <= _FUSED_GEMM_4BIT_MAXIMUM_ROWS:
        return ()
    nested_absmax = kwargs.get("absmax_8bit")
    if nested_absmax is None and len(args) > 7:
        nested_absmax = args[7]
    weight_bytes = math.prod(weight_shape) * activations.element_size()
    blocks = [HiddenAllocation(name="gemm_4bit_weight", size_bytes=weight_bytes, is_weight=True)]
    if nested_absmax is not None:
        absmax_bytes = nested_absmax.numel() * 4
        absmax = HiddenAllocation(name="gemm_4bit_absmax", size_bytes=absmax_bytes, is_weight=True)
        blocks = [absmax, absmax, *blocks]
    return blocks


def _int8_quantise(activations: Any, threshold: float = 0.0) -> Sequence[HiddenAllocation]:
    """bitsandbytes looks for outliers with `A.abs() >= threshold`: a copy and a mask."""
    if not threshold:
        return ()
    elements = activations.numel()
    return [
        HiddenAllocation(name="int8_absolute", size_bytes=elements * activations.element_size()),
        HiddenAllocation(name="int8_outliers", size_bytes=elements),
    ]


def _int8_multiply(*, activations: Any, weight: Any) -> Sequence[HiddenAllocation]:
    """The product in int32, then in float16, then in the type of the activations."""
    elements = activations.numel() // activations.shape[-1] * weight.shape[0]
    blocks = [HiddenAllocation(name="int8_product", size_bytes=elements * 4)]
    if str(activations.dtype) != "torch.float16":
        blocks.append(HiddenAllocation(name="int8_float16_product", size_bytes=elements * 2))
    return blocks
