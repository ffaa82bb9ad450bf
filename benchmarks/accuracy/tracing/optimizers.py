"""Make the optimizer that the Trainer would for a Hugging Face `optim` name."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import bitsandbytes
import transformers

from benchmarks.accuracy.tracing.fake_cuda import torch

_LEARNING_RATE = 1e-4
_Factory = Callable[[Sequence[Any]], Any]

_FACTORIES: Mapping[str, _Factory] = {
    "adamw_torch_fused": lambda parameters: torch.optim.AdamW(parameters, lr=_LEARNING_RATE, fused=True),
    # On CUDA PyTorch itself chooses foreach; said here, since it would not for a build without CUDA.
    "adamw_torch": lambda parameters: torch.optim.AdamW(parameters, lr=_LEARNING_RATE, foreach=True),
    "adamw_torch_forloop": lambda parameters: torch.optim.AdamW(parameters, lr=_LEARNING_RATE, foreach=False),
    "adamw_bnb_8bit": lambda parameters: bitsandbytes.optim.AdamW(parameters, lr=_LEARNING_RATE, optim_bits=8),
    "adamw_8bit": lambda parameters: bitsandbytes.optim.AdamW(parameters, lr=_LEARNING_RATE, optim_bits=8),
    "lion_8bit": lambda parameters: bitsandbytes.optim.Lion(parameters, lr=_LEARNING_RATE, optim_bits=8),
    "lion_32bit": lambda parameters: bitsandbytes.optim.Lion(parameters, lr=_LEARNING_RATE, optim_bits=32),
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=_LEARNING_RATE, foreach=True),
    "sgd_momentum": lambda parameters: torch.optim.SGD(parameters, lr=_LEARNING_RATE, momentum=0.9, foreach=True),
    "adagrad": lambda parameters: torch.optim.Adagrad(parameters, lr=_LEARNING_RATE, foreach=True),
    "rmsprop": lambda parameters: torch.optim.RMSprop(parameters, lr=_LEARNING_RATE, foreach=True),
    "adafactor": lambda parameters: transformers.Adafactor(
        parameters, lr=_LEARNING_RATE, scale_parameter=False, relative_step=False
    ),
}


def make_optimizer(name: str, model: Any, parameters: Sequence[Any], *, embedding_state_32bit: bool) -> Any:
    """The optimizer `name` over `parameters`; raises `ValueError` for one that cannot be traced."""
    if name not in _FACTORIES:
        raise ValueError(f"optimizer {name!r} cannot be traced; known: {sorted(_FACTORIES)}")
    _override_embeddings(model if embedding_state_32bit else None)
    return _FACTORIES[name](parameters)


def _override_embeddings(model: Any | None) -> None:
    """Transformers' Trainer keeps the 8-bit optimizers' state of every embedding in 32 bits; `None` resets that."""
    manager = bitsandbytes.optim.GlobalOptimManager.get_instance()
    manager.initialize()
    for module in model.modules() if model is not None else ():
        if isinstance(module, torch.nn.Embedding):
            manager.register_module_override(module, "weight", {"optim_bits": 32})
