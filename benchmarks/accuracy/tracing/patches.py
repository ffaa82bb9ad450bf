"""Changes to the libraries that make a fake CUDA device in a CPU-only build decide as a real one would.

Each says what the library does, and why it would be wrong here. They change which code runs, never what it allocates.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import bitsandbytes
import bitsandbytes.functional
import bitsandbytes.nn.modules
import peft.tuners.lora.dora
from torch._subclasses.fake_tensor import FakeTensorMode

from benchmarks.accuracy.tracing import attention
from benchmarks.accuracy.tracing.fake_cuda import torch

# A composite operator that only CUDA and CPU builds have kernels for is decomposed into several temporaries when the
# CUDA kernel is missing. Registering a kernel, which fake tensors never run, keeps it one operator.
_SINGLE_KERNEL_OPERATORS = ("silu_backward", "mish_backward")
_CAPABILITY = (9, 0)

_library = torch.library.Library("aten", "IMPL", "CUDA")


def install() -> None:
    """Apply every permanent change; call once, before a model is built."""
    _pretend_cuda_is_there()
    attention.install()
    for operator in _SINGLE_KERNEL_OPERATORS:
        _library.impl(operator, _never_run)
    _let_masks_be_as_outside_a_trace()
    # A copied fake tensor would bring a copy of its mode, and a view under two modes takes a storage of its own.
    FakeTensorMode.__deepcopy__ = lambda mode, _: mode
    _let_dora_read_fake_weights()
    _let_grouped_products_take_any_float()
    _assume_no_outliers()


def _let_masks_be_as_outside_a_trace() -> None:
    """Fake tensors count as "tracing", for which Transformers builds a 4-D mask; unpacked data really gets none."""
    try:
        import transformers.masking_utils
    except ImportError:  # before 4.53, which asks only where there is a 2-D mask
        return
    transformers.masking_utils.find_packed_sequence_indices = lambda *_, **__: None


def _pretend_cuda_is_there() -> None:
    import torch.cuda.amp.common

    torch.cuda.amp.common.amp_definitely_not_available = lambda: False
    torch.cuda.is_bf16_supported = lambda *_, **__: True
    torch.cuda.get_device_capability = lambda *_, **__: _CAPABILITY
    torch.cuda.synchronize = lambda *_, **__: None


def _never_run(*_: Any, **__: Any) -> Any:
    raise RuntimeError("a CUDA kernel was called: only fake tensors may be on this device")


def _let_dora_read_fake_weights() -> None:
    """PEFT knows a 4-bit weight by the class Params4bit; here it is a plain parameter marked `is_4bit`."""
    dora = peft.tuners.lora.dora
    original = dora.dequantize_module_weight

    def dequantise(module: Any) -> Any:
        weight = module.weight
        if getattr(weight, "is_4bit", False):
            return bitsandbytes.functional.dequantize_4bit(weight.data, weight.quant_state)
        return original(module)

    def copied(module: Any) -> Any:
        is_4bit = getattr(getattr(module, "weight", None), "is_4bit", False)
        return module if is_4bit else copy.deepcopy(module)

    dora.dequantize_module_weight = dequantise
    dora.deepcopy = copied


def _let_grouped_products_take_any_float() -> None:
    """The shape function of `_grouped_mm` takes bfloat16 only; the CUDA kernel takes float32 and float16 as well.

    For those it multiplies group by group straight into the output (ATen/native/GroupedMMUtils.h), at no other cost.
    """
    registrations = torch._meta_registrations
    original = registrations._meta_grouped_mm_common

    def common(left: Any, right: Any, *args: Any, **kwargs: Any) -> Any:
        if left.dtype in (torch.float32, torch.float16) and right.dtype == left.dtype:
            as_bfloat16 = original(left.to(torch.bfloat16), right.to(torch.bfloat16), *args, **kwargs)
            return as_bfloat16.to(left.dtype)
        return original(left, right, *args, **kwargs)

    registrations._meta_grouped_mm_common = common


def _assume_no_outliers() -> None:
    """LLM.int8() computes columns with outliers apart; their number depends on data, and is taken to be none."""

    def quantise(activations: Any, threshold: float = 0.0) -> Any:
        rows = activations.numel() // activations.shape[-1]
        quantised = torch.empty_like(activations, dtype=torch.int8)
        scales = torch.empty(rows, device=activations.device, dtype=torch.float32)
        return quantised, scales, activations.new_empty(0, dtype=torch.int64) if threshold else None

    def multiply(activations: Any, left: Any, right: Any, *_: Any) -> Any:
        output = activations.new_empty(*left.shape[:-1], right.shape[0])
        return output, activations.new_empty(0)

    torch.library.register_fake("bitsandbytes::int8_vectorwise_quant", quantise, allow_override=True)
    torch.library.register_fake("bitsandbytes::int8_mixed_scaled_mm", multiply, allow_override=True)


@contextmanager
def plain_quantised_parameters() -> Iterator[None]:
    """Within it bitsandbytes makes plain parameters: PyTorch cannot make fake tensors of its classes for them."""
    modules = bitsandbytes.nn.modules
    originals = modules.Params4bit, modules.Int8Params

    def plain(data: Any, requires_grad: bool = False, **_: Any) -> Any:
        return torch.nn.Parameter(data, requires_grad=False)

    modules.Params4bit = modules.Int8Params = plain
    try:
        yield
    finally:
        modules.Params4bit, modules.Int8Params = originals


@contextmanager
def reassigned_parameters() -> Iterator[None]:
    """Within it `Module.to` assigns new parameters: swapping tensors, its way for subclasses, fails on fake ones."""
    original = torch.nn.Module._apply
    torch.nn.Module._apply = _apply_by_assignment
    try:
        yield
    finally:
        torch.nn.Module._apply = original


def _apply_by_assignment(module: Any, function: Any, recurse: bool = True) -> Any:
    if recurse:
        for child in module.children():
            child._apply(function)
    for name, parameter in module._parameters.items():
        if parameter is not None:
            changed = torch.nn.Parameter(function(parameter.data), requires_grad=parameter.requires_grad)
            module._parameters[name] = changed
    for name, buffer in module._buffers.items():
        if buffer is not None:
            module._buffers[name] = function(buffer)
    return module


@contextmanager
def fake_quantisation_maps() -> Iterator[None]:
    """Within it bitsandbytes makes its lookup tables anew, as fake tensors, and forgets them afterwards."""
    functional = bitsandbytes.functional
    original = functional.create_dynamic_map
    functional.name2qmap.clear()
    functional.create_dynamic_map = lambda *_, **__: torch.zeros(256, device="cpu")
    try:
        yield
    finally:
        functional.create_dynamic_map = original
        functional.name2qmap.clear()
