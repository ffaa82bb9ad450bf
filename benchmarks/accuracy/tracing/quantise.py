"""Quantise a model's linear layers to 4 bits as Transformers does when it loads one with bitsandbytes."""

from collections.abc import Iterator
from typing import Any

import bitsandbytes
from transformers.pytorch_utils import Conv1D
from transformers.quantizers.base import get_keys_to_not_convert
from transformers.quantizers.quantizers_utils import should_convert_module

from benchmarks.accuracy.tracing import patches
from benchmarks.accuracy.tracing.fake_cuda import torch

# bitsandbytes' default for 4-bit weights on CUDA.
_BLOCK_ELEMENTS = 64


def quantise_4bit(model: Any, *, kind: str, nested: bool, compute_dtype: Any) -> None:
    """Replace linear layers in place, with the real bitsandbytes module, kernels and quantisation state.

    `kind` is `nf4` or `fp4`; `nested` quantises the block scales again (double quantisation). Which layers stay as they
    are is Transformers' own rule: the output head and whatever is tied to the embeddings. Parameters that are not a
    linear layer's, such as fused experts, are not touched.
    """
    kept = get_keys_to_not_convert(model)
    with patches.plain_4bit_parameters():
        for name, module in list(model.named_modules()):
            is_linear = isinstance(module, Conv1D) or type(module) is torch.nn.Linear
            if is_linear and should_convert_module(name, kept):
                model.set_submodule(name, _quantised(module, kind=kind, nested=nested, compute_dtype=compute_dtype))
    model.is_loaded_in_4bit = True
    model.is_quantized = True
    model.quantization_method = "bitsandbytes"


def quantisation_tensors(weight: Any) -> Iterator[Any]:
    """The tensors that a 4-bit weight needs besides its packed values."""
    state = weight.quant_state
    yield from (state.absmax, state.code)
    if state.nested:
        yield from (state.offset, state.state2.absmax, state.state2.code)


def logical_elements(parameter: Any) -> int:
    """Number of weights that a parameter stands for: two to a byte where it is quantised."""
    shape = parameter.quant_state.shape if getattr(parameter, "is_4bit", False) else parameter.shape
    return int(torch.Size(shape).numel())


def _quantised(module: Any, *, kind: str, nested: bool, compute_dtype: Any) -> Any:
    weight = module.weight.data.t().contiguous() if isinstance(module, Conv1D) else module.weight.data
    out_features, in_features = weight.shape
    linear = bitsandbytes.nn.Linear4bit(
        in_features, out_features, bias=module.bias is not None, compute_dtype=compute_dtype,
        compress_statistics=nested, quant_type=kind, device="meta",
    )  # fmt: skip
    packed, state = bitsandbytes.functional.quantize_4bit(
        weight, blocksize=_BLOCK_ELEMENTS, compress_statistics=nested, quant_type=kind, quant_storage=torch.uint8
    )
    parameter = torch.nn.Parameter(packed, requires_grad=False)
    attributes = {
        "quant_state": state, "compress_statistics": nested, "quant_type": kind, "blocksize": _BLOCK_ELEMENTS,
        "quant_storage": torch.uint8, "bnb_quantized": True, "is_4bit": True, "module": None,
    }  # fmt: skip
    for attribute, value in attributes.items():
        setattr(parameter, attribute, value)
    linear._parameters["weight"] = parameter
    linear._parameters["bias"] = module.bias
    linear.quant_state = state
    linear.compute_type_is_set = True
    linear.source_cls = type(module)
    return linear
