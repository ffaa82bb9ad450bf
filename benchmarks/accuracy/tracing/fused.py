"""Losses that never hold all logits, as their libraries compute them: TRL's trainer, and Liger's head.

Their kernels are Triton's, which nothing can launch here: the launches are left out. What PyTorch allocates around them
is the libraries' own code, unchanged; a kernel writes into tensors that it is given, and allocates none.
"""

import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

from torch._subclasses import fake_impls

from benchmarks.accuracy.tracing.fake_cuda import torch

ANY_NUMBER = 1000
"""What a sum over fake data is taken to be where a library asks."""

_TRITON = (
    "triton",
    "triton.compiler",
    "triton.language",
    "triton.language.extra",
    "triton.language.extra.libdevice",
    "triton.language.math",
    "triton.runtime",
    "triton.runtime.autotuner",
    "triton.runtime.driver",
)


class _Unlaunched:
    """A Triton kernel that is never launched."""

    def __getitem__(self, _grid: Any) -> Callable[..., None]:
        return lambda *_, **__: None


def apply_to(kernel: str, base: Any, *, on_loss: Callable[[Any], None]) -> None:
    """Give ``base`` the fused head of ``chunked`` (TRL) or ``liger``; ``on_loss`` is told the hidden states it gets."""
    _answer_for_fake_data()
    if kernel == "chunked":
        _apply_trl(base, on_loss)
    else:
        _apply_liger(base, on_loss)


def trl_loss(forward: Callable[..., Any], model: Any, inputs: dict[str, Any]) -> Any:
    """``SFTTrainer.compute_loss`` with the defaults of its configuration: the loss, its metrics made and gone."""
    from trl.trainer.sft_trainer import SFTTrainer

    trainer = SFTTrainer.__new__(SFTTrainer)
    trainer.model = model
    trainer.aux_loss_enabled = False
    trainer.accelerator = SimpleNamespace(parallelism_config=None, gather_for_metrics=lambda x: x, num_processes=1)
    trainer.args = SimpleNamespace(loss_type="nll", average_tokens_across_devices=False)
    trainer.compute_loss_func = trainer.label_smoother = None
    trainer._metrics = {"train": defaultdict(list)}
    trainer._total_train_tokens, trainer._tp_size = 0, 1
    return trainer.compute_loss(forward, inputs)


def _apply_trl(base: Any, on_loss: Callable[[Any], None]) -> None:
    from trl.kernels import chunked_logprob
    from trl.trainer import utils

    chunked_logprob._TRITON_AVAILABLE = True
    chunked_logprob._forward_kernel = chunked_logprob._backward_kernel = _Unlaunched()
    chunked_logprob.triton = SimpleNamespace(cdiv=_cdiv, next_power_of_2=_next_power_of_2)
    # addmm with out=acc writes where it reads; its fake version knows no out_dtype
    chunked_logprob._addmm_fp32 = lambda *_: None
    utils._ChunkedLogProbFunction = _telling(chunked_logprob.ChunkedLogProbFunction, on_loss)
    utils.add_fused_lm_head(base, outputs=("log_probs", "entropy", "is_top1"))


def _apply_liger(base: Any, on_loss: Callable[[Any], None]) -> None:
    with _stub_of_triton():
        import liger_kernel.transformers as liger
        from liger_kernel.ops import fused_linear_cross_entropy as ops
        from liger_kernel.transformers import functional

    ops.liger_cross_entropy_kernel = ops.element_mul_kernel = _Unlaunched()
    functional.LigerFusedLinearCrossEntropyFunction = _telling(ops.LigerFusedLinearCrossEntropyFunction, on_loss)
    name = base.config.model_type
    nothing_else = {"rope": False, "rms_norm": False, "cross_entropy": False}
    nothing_else["geglu" if name == "gemma2" else "swiglu"] = False
    getattr(liger, f"apply_liger_kernel_to_{name}")(fused_linear_cross_entropy=True, model=base, **nothing_else)


def _telling(function: Any, on_loss: Callable[[Any], None]) -> Any:
    """An autograd function that says when it is applied."""

    def apply(hidden: Any, *arguments: Any) -> Any:
        on_loss(hidden)
        return function.apply(hidden, *arguments)

    return SimpleNamespace(apply=apply)


def _cdiv(number: int, by: int) -> int:
    return -(-number // by)


def _next_power_of_2(number: int) -> int:
    return 1 << (number - 1).bit_length()


@contextmanager
def _stub_of_triton() -> Iterator[None]:
    """Within it Triton can be imported; the modules that do keep the stub, and nothing else sees it."""

    class Stub(ModuleType):
        __version__ = "3.5.0"
        cdiv = staticmethod(_cdiv)
        next_power_of_2 = staticmethod(_next_power_of_2)

        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.__path__ = []  # a package

        def __getattr__(self, name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            return _Decorator()

    before = {name: sys.modules.get(name) for name in _TRITON}
    sys.modules.update({name: Stub(name) for name in _TRITON})
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


class _Decorator(_Unlaunched):
    """Whatever of Triton is named, called or used as a decorator at import."""

    def __call__(self, *_: Any, **__: Any) -> Any:
        return _Decorator()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Decorator()


def _answer_for_fake_data() -> None:
    """Numbers that libraries read off the data: every label counts, and the loss is the end of the graph."""
    answers = fake_impls.op_implementations_dict
    aten = torch.ops.aten
    answers[aten._local_scalar_dense.default] = lambda _mode, _func, argument: (
        True if argument.dtype == torch.bool else ANY_NUMBER
    )
    answers[aten.equal.default] = lambda _mode, _func, *_: True
    answers[aten.nonzero.default] = lambda _mode, _func, mask: mask.new_empty(
        (mask.numel(), mask.dim()), dtype=torch.int64
    )
