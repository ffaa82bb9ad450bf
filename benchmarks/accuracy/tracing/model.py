"""Build the model that a case trains: configuration, quantisation, adapters, checkpointing."""

import importlib
from collections import Counter
from collections.abc import Mapping
from typing import Any

import peft
import transformers
from packaging.version import Version
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.pytorch_utils import Conv1D

from benchmarks.accuracy.tracing import patches
from benchmarks.accuracy.tracing.case import TraceCase
from benchmarks.accuracy.tracing.fake_cuda import torch
from benchmarks.accuracy.tracing.quantise import logical_elements, quantise

try:
    from transformers.initialization import no_init_weights
except ImportError:  # Transformers 4
    from transformers.modeling_utils import no_init_weights  # type: ignore[no-redef, unused-ignore]

# 4.56 renamed it.
_DTYPE_ARGUMENT = "dtype" if Version(transformers.__version__) >= Version("4.56") else "torch_dtype"

# Layers with optional kernels of their own (flash-linear-attention, causal-conv1d, mamba-ssm).
_RECURRENT_CLASSES = ("DeltaNet", "Mamba", "ShortConv", "LightningAttention")


def build_base(case: TraceCase, device: str) -> Any:
    """The untouched causal language model of the case's configuration, on `device`, in its base type."""
    settings = dict(case.config)
    config = AutoConfig.for_model(settings.pop("model_type"), **settings)
    config._attn_implementation = case.request["attention"]
    # a cache is filled only where the configuration of a case says so outright
    config.use_cache = settings.get("use_cache", False)
    dtype = getattr(torch, case.base_dtype)
    previous = torch.get_default_dtype()
    with torch.device(device), no_init_weights():
        torch.set_default_dtype(dtype)
        try:
            model = _from_config(config, dtype)
        finally:
            torch.set_default_dtype(previous)
    model.tie_weights()
    return model


def _from_config(config: Any, dtype: Any) -> Any:
    """The causal language model, also of a family that the library's own mapping lacks (Mistral 4)."""
    kind = type(config)
    if kind in AutoModelForCausalLM._model_mapping:
        return AutoModelForCausalLM.from_config(config, **{_DTYPE_ARGUMENT: dtype})
    modeling = importlib.import_module(kind.__module__.replace("configuration_", "modeling_"))
    return getattr(modeling, kind.__name__.replace("Config", "ForCausalLM"))._from_config(config, dtype=dtype)


def prepare(case: TraceCase, model: Any) -> Any:
    """Quantise, adapt and checkpoint the base model as the case says, in the order a training script does."""
    request = case.request
    if case.is_quantised:
        compute_dtype = getattr(torch, case.base_dtype)
        quantise(
            model, kind=request["quantization"], nested=request["double_quantization"], compute_dtype=compute_dtype
        )
        if request["upcast_non_quantized"]:
            model = peft.prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    if not case.is_full:
        model = _with_adapters(case, model)
    base = base_of(model)
    if case.checkpoints:
        _checkpoint(base, reentrant=case.reentrant)
        if case.reentrant and not case.is_full:
            # TRL does it for adapters: a reentrant checkpoint gives gradients only where its input needs one
            base.enable_input_require_grads()
    model.train()
    return model


def _checkpoint(base: Any, *, reentrant: bool) -> None:
    settings = {"use_reentrant": reentrant, "preserve_rng_state": False}
    if hasattr(base, "activation_checkpointing_enable"):
        base.activation_checkpointing_enable(settings)
    else:  # Transformers 4
        base.gradient_checkpointing_enable(gradient_checkpointing_kwargs=settings)


def base_of(model: Any) -> Any:
    """The Transformers model inside a PEFT model, or the model itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def base_parameter_count(model: Any) -> int:
    """Parameters of the base model, tied ones once, quantised ones by the weights they stand for."""
    return sum(logical_elements(parameter) for parameter in model.parameters())


def adapted_modules(model: Any) -> dict[str, dict[str, int]]:
    """What PEFT adapted: for each module name its count, and the widths of the first one."""
    found: dict[str, dict[str, int]] = {}
    counts: Counter[str] = Counter()
    for name, module in model.named_modules():
        if not hasattr(module, "lora_A") or not module.lora_A:
            continue
        short = _short_name(name, getattr(module, "parameter_name", None))
        counts[short] += 1
        widths = {"in": int(module.in_features), "out": int(module.out_features)}
        found.setdefault(short, widths)
    return {name: {"count": counts[name], **widths} for name, widths in found.items()}


def kernel_choices(model: Any) -> dict[str, str]:
    """Which implementation of experts and of recurrent layers the libraries chose for this model."""
    choices = {}
    for module in model.modules():
        if hasattr(module, "_is_expert_parallel"):  # set by Transformers on every module of fused experts
            choices["experts"] = str(module.config._experts_implementation)
        if any(mark in type(module).__name__ for mark in _RECURRENT_CLASSES):
            choices["recurrent"] = "torch"  # none of the optional kernel packages is installed where traces are made
    return choices


def _short_name(name: str, parameter_name: str | None) -> str:
    parts = [part for part in name.split(".") if part != "base_layer"]
    return ".".join([*parts[-2:], parameter_name] if parameter_name else parts[-2:])


def _with_adapters(case: TraceCase, model: Any) -> Any:
    request = case.request
    config = peft.LoraConfig(
        r=request["lora_rank"],
        lora_alpha=request["lora_alpha"],
        lora_dropout=request["lora_dropout"],
        use_dora=request["use_dora"],
        target_modules=_target_modules(request["lora_target_modules"], model),
        modules_to_save=list(request["modules_to_save"]) or None,
        task_type="CAUSAL_LM",
    )
    with patches.reassigned_parameters():
        return peft.get_peft_model(model, config, autocast_adapter_dtype=case.has_float32_adapters)


def _target_modules(targets: str | list[str], model: Any) -> str | list[str]:
    """PEFT's `target_modules`: `attention` is every linear layer directly inside an attention module."""
    if targets == "all-linear":
        return "all-linear"
    if targets == "qv":
        return ["q_proj", "v_proj"]
    if targets == "attention":
        return _attention_linears(dict(model.named_modules()))
    return list(targets)


def _attention_linears(modules: Mapping[str, Any]) -> list[str]:
    names = []
    for name, module in modules.items():
        parent = modules.get(name.rpartition(".")[0])
        is_linear = isinstance(module, (torch.nn.Linear, Conv1D))
        if is_linear and parent is not None and "Attention" in type(parent).__name__:
            names.append(name)
    return names
