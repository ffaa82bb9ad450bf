"""Choose the scaled-dot-product attention kernel as PyTorch's CUDA dispatcher does; a CPU-only build cannot.

Source: aten/src/ATen/native/transformers/attention.cpp and cuda/sdp_utils.cpp of PyTorch 2.13. The cuDNN kernel is
never chosen here: it keeps the same tensors as flash (query, key, value, output and a float32 log-sum-exp).
"""

import math
from typing import Any

from benchmarks.accuracy.tracing.fake_cuda import torch

functional = torch.nn.functional
_cpu_attention = functional.scaled_dot_product_attention

_HALF_TYPES = (torch.float16, torch.bfloat16)
FLASH_MAXIMUM_HEAD_DIM = 256
_ALIGNMENT = 8


def scaled_dot_product_attention(
    query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0, is_causal: bool = False,
    scale: float | None = None, enable_gqa: bool = False,
) -> Any:  # fmt: skip
    """Stand-in for `torch.nn.functional.scaled_dot_product_attention` on fake CUDA tensors."""
    if query.device.type != "cuda":
        return _cpu_attention(query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa)
    query, key, value, attn_mask = _under_autocast(query, key, value, attn_mask)
    scale = 1.0 / math.sqrt(query.shape[-1]) if scale is None else scale
    heads_match = query.shape[1] == key.shape[1] == value.shape[1]
    if attn_mask is None and (heads_match or enable_gqa) and _flash_accepts(query, key, value):
        return _flash(query, key, value, dropout_p, is_causal, scale)
    if heads_match and not enable_gqa and _efficient_accepts(query, key, value):
        return _efficient(query, key, value, attn_mask, dropout_p, is_causal, scale)
    operator = torch.ops.aten._scaled_dot_product_attention_math
    with torch.autocast("cuda", enabled=False):  # autocast ends where the attention operator begins
        return operator(query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa)[0]


def install() -> None:
    """Put the stand-in where models look it up."""
    functional.scaled_dot_product_attention = scaled_dot_product_attention


def _under_autocast(query: Any, key: Any, value: Any, attn_mask: Any) -> tuple[Any, Any, Any, Any]:
    """Attention is on autocast's lower-precision list: the casts come before the choice of kernel."""
    if not torch.is_autocast_enabled("cuda"):
        return query, key, value, attn_mask
    dtype = torch.get_autocast_dtype("cuda")
    if attn_mask is not None and attn_mask.is_floating_point():
        attn_mask = attn_mask.to(dtype)
    return query.to(dtype), key.to(dtype), value.to(dtype), attn_mask


def _flash_accepts(query: Any, key: Any, value: Any) -> bool:
    head_dim = query.shape[-1]
    same_head_dim = head_dim == key.shape[-1] == value.shape[-1]
    return bool(query.dtype in _HALF_TYPES and same_head_dim and head_dim <= FLASH_MAXIMUM_HEAD_DIM)


def _flash(query: Any, key: Any, value: Any, dropout_p: float, is_causal: bool, scale: float) -> Any:
    head_dim = query.shape[-1]
    padding = -head_dim % _ALIGNMENT
    if padding:
        query, key, value = (functional.pad(tensor, (0, padding)) for tensor in (query, key, value))
    operator = torch.ops.aten._scaled_dot_product_flash_attention
    output = operator(query, key, value, dropout_p, is_causal, False, scale=scale)[0]
    return output[..., :head_dim] if padding else output


def _efficient_accepts(query: Any, key: Any, value: Any) -> bool:
    alignment = _ALIGNMENT if query.dtype in _HALF_TYPES else _ALIGNMENT // 2
    aligned = query.shape[-1] % alignment == 0 and value.shape[-1] % alignment == 0
    return bool(aligned)


def _efficient(
    query: Any, key: Any, value: Any, attn_mask: Any, dropout_p: float, is_causal: bool, scale: float
) -> Any:
    bias = None if attn_mask is None else _additive_bias(attn_mask, query, key)
    keep_log_sum_exp = any(tensor.requires_grad for tensor in (query, key, value))
    operator = torch.ops.aten._scaled_dot_product_efficient_attention
    return operator(query, key, value, bias, keep_log_sum_exp, dropout_p, is_causal, scale=scale)[0]


def _additive_bias(attn_mask: Any, query: Any, key: Any) -> Any:
    """A boolean mask becomes an additive one in the query's type; rows are padded to the kernel's alignment."""
    bias = attn_mask
    if bias.dtype == torch.bool:
        minus_infinity = torch.scalar_tensor(-math.inf, dtype=query.dtype, device=query.device)
        bias = torch.where(bias, 0.0, minus_infinity)
    missing = -bias.shape[-1] % _ALIGNMENT
    if missing:
        bias = functional.pad(bias, (0, missing))[..., : bias.shape[-1]]
    return bias.expand(query.shape[0], query.shape[1], query.shape[2], key.shape[2])
