"""Quantise a model's linear layers to 4 or 8 bits as Transformers does when it loads one with bitsandbytes."""

from collections.abc import Iterator
from typing import Any

import bitsandbytes
from transformers.pytorch_utils import Conv1D

from benchmarks.accuracy.tracing import patches
from benchmarks.accuracy.tracing.fake_cuda import torch

try:
    from transformers.quantizers.base import get_keys_to_not_convert
    from transformers.quantizers.quantizers_utils import should_convert_module
except ImportError:  # Transformers 4
    from transformers.integrations.bitsandbytes import get_keys_to_not_convert

    def should_convert_module(name: str, kept: list[str]) -> bool:  # type: ignore[misc, unused-ignore]
        """As ``_replace_with_bnb_linear`` of Transformers 4 decides."""
        return not any(f"{key}." in name or key == name for key in kept)


# bitsandbytes' default for 4-bit weights on CUDA.
_BLOCK_ELEMENTS = 64
# Transformers' default `llm_int8_threshold`.
_INT8_OUTLIER_THRESHOLD = 6.0


def quantise(model: Any, *, kind: str, nested: bool, compute_dtype: Any) -> None:
    """Replace linear layers in place, with the real bitsandbytes module, kernels and quantisation state.

    `kind` is `nf4`, `fp4` or `int8`; `nested` quantises the block scales of 4-bit weights again (double quantisation).
    Which layers stay as they are is Transformers' own rule: the output head and whatever is tied to the embeddings.
    Parameters that are not a linear layer's, such as fused experts, are not touched.
    """
    kept = get_keys_to_not_convert(model)
    with patches.plain_quantised_parameters():
        for name, module in list(model.named_modules()):
            is_linear = isinstance(module, Conv1D) or type(module) is torch.nn.Linear
            if is_linear and should_convert_module(name, kept):
                if kind == "int8":
                    replacement = _int8(module)
                else:
                    replacement = _4bit(module, kind=kind, nested=nested, compute_dtype=compute_dtype)
                model.set_submodule(name, replacement)
    model.is_loaded_in_8bit = kind == "int8"
    model.is_loaded_in_4bit = kind != "int8"
    model.is_quantized = True
    model.quantization_method = "bitsandbytes"


def quantisation_tensors(model: Any) -> Iterator[Any]:
    """The tensors that quantised weights need besides their packed values."""
    for module in model.modules():
        if isinstance(module, bitsandbytes.nn.Linear8bitLt):
            yield module.state.SCB
        elif isinstance(module, bitsandbytes.nn.Linear4bit):
            yield from _4bit_state_tensors(module.weight.quant_state)


def _4bit_state_tensors(state: Any) -> Iterator[Any]:
    yield from (state.absmax, state.code)
    if state.nested:
        yield from (state.offset, state.state2.absmax, state.state2.code)


def logical_elements(parameter: Any) -> int:
    """Number of weights that a parameter stands for: two to a byte where it is quantised."""
    shape = parameter.quant_state.shape if getattr(parameter, "is_4bit", False) else parameter.shape
    return int(torch.Size(shape).numel())


def _int8(module: Any) -> Any:
    weight = module.weight.data.t().contiguous() if isinstance(module, Conv1D) else module.weight.data
    out_features, in_features = weight.shape
    linear = bitsandbytes.nn.Linear8bitLt(
        in_features, out_features, bias=module.bias is not None, has_fp16_weights=False,
        threshold=_INT8_OUTLIER_THRESHOLD, device="meta",
    )  # fmt: skip
    values, scales, _ = bitsandbytes.functional.int8_vectorwise_quant(weight.to(torch.float16))
    parameter = torch.nn.Parameter(values, requires_grad=False)
    parameter.CB = parameter.SCB = None
    linear._parameters["weight"] = parameter
    linear._parameters["bias"] = module.bias
    linear.state.CB, linear.state.SCB = parameter.data, scales
    linear.source_cls = type(module)
    return linear


def _4bit(module: Any, *, kind: str, nested: bool, compute_dtype: Any) -> Any:
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
