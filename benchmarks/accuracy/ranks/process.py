"""One rank: build, wrap as accelerate and PEFT do, take a step, and read the sizes of what is held."""

import functools
import gc
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import bitsandbytes
import peft
import torch
import torch.distributed as dist
from peft.utils.other import fsdp_auto_wrap_policy
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import (
    FullyShardedDataParallel,
    MixedPrecision,
    MixedPrecisionPolicy,
    fully_shard,
)
from torch.distributed.fsdp.wrap import transformer_auto_wrap_policy
from torch.nn.parallel import DistributedDataParallel
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaDecoderLayer

from benchmarks.accuracy.ranks.cases import CONFIG, LORA_RANK, RankCase

CPU = torch.device("cpu")
ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]


def run_rank(rank: int, cases: Sequence[RankCase], port: int, results: Any) -> None:
    """Train a step of each case, all of as many ranks, as rank ``rank``; put what it holds into ``results``."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    dist.init_process_group("gloo", rank=rank, world_size=cases[0].num_gpus)
    torch.set_num_threads(1)
    try:
        for number, case in enumerate(cases):
            torch.manual_seed(0)
            results[number, rank] = _measure(case)
            gc.collect()
            dist.barrier()
    finally:
        dist.destroy_process_group()


def _measure(case: RankCase) -> dict[str, list[int]]:
    mixed = case.precision == "bf16-mixed"
    model = _wrapped(_model(case, mixed), case, mixed)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-5)
    tokens = torch.randint(0, CONFIG["vocab_size"], (1, 16))
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        loss = model(input_ids=tokens, labels=tokens).loss
    loss.backward()
    optimizer.step()
    return {
        "frozen": _sizes(_held(model, trained=False)),
        "trained": _sizes(_held(model, trained=True)),
        "gradients": _sizes(parameter.grad for parameter in trained if parameter.grad is not None),
        "optimizer_state": _sizes(_state(optimizer)),
    }


def _model(case: RankCase, mixed: bool) -> Any:
    settings = {name: value for name, value in CONFIG.items() if name != "model_type"}
    model = LlamaForCausalLM(LlamaConfig(**settings, use_cache=False))
    if case.method == "full":
        return model if mixed else model.to(torch.bfloat16)
    model = model.to(torch.bfloat16)
    if case.method == "qlora":
        _quantise(model)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    config = peft.LoraConfig(r=LORA_RANK, lora_dropout=0.0, target_modules=ATTENTION, task_type="CAUSAL_LM")
    return peft.get_peft_model(model, config, autocast_adapter_dtype=mixed)


def _quantise(model: Any) -> None:
    """Every linear layer but the head in NF4, stored as 16-bit numbers so that FSDP can flatten it."""
    for name, module in list(model.named_modules()):
        if not isinstance(module, torch.nn.Linear) or name.endswith("lm_head"):
            continue
        replacement = bitsandbytes.nn.Linear4bit(
            module.in_features,
            module.out_features,
            bias=False,
            compute_dtype=torch.bfloat16,
            compress_statistics=True,
            quant_type="nf4",
            quant_storage=torch.bfloat16,
        )
        replacement.weight = bitsandbytes.nn.Params4bit(
            module.weight.data,
            requires_grad=False,
            compress_statistics=True,
            quant_type="nf4",
            quant_storage=torch.bfloat16,
            module=replacement,
        )
        setattr(model.get_submodule(name.rpartition(".")[0]), name.rpartition(".")[2], replacement.to(CPU))


def _wrapped(model: Any, case: RankCase, mixed: bool) -> Any:
    match case.strategy:
        case "ddp":
            return DistributedDataParallel(model)
        case "fsdp":
            return _fsdp1(model, adapters=case.method != "full", mixed=mixed)
        case _:
            return _fsdp2(model, case, mixed)


def _fsdp1(model: Any, *, adapters: bool, mixed: bool) -> Any:
    """As the Trainer: original parameters, PEFT's policy for adapters, accelerate's float32 for what trains."""
    if adapters:
        os.environ["FSDP_TRANSFORMER_CLS_TO_WRAP"] = LlamaDecoderLayer.__name__
        policy = fsdp_auto_wrap_policy(model)
    else:
        policy = functools.partial(transformer_auto_wrap_policy, transformer_layer_cls={LlamaDecoderLayer})
    half = torch.bfloat16
    precision = MixedPrecision(param_dtype=half, reduce_dtype=half, buffer_dtype=half) if mixed else None
    model = FullyShardedDataParallel(
        model, auto_wrap_policy=policy, mixed_precision=precision, device_id=CPU, use_orig_params=True
    )
    if mixed:
        for module in FullyShardedDataParallel.fsdp_modules(model):
            flat = module._flat_param if module._has_params else None
            if flat is not None and flat.requires_grad and flat.dtype != torch.float32:
                flat.data = flat.data.to(torch.float32)
                module._handle._orig_param_dtype = torch.float32
    return model


def _fsdp2(model: Any, case: RankCase, mixed: bool) -> Any:
    """As accelerate: every decoder layer, then the rest; what trains in float32 unless the base is in 4 bits."""
    if mixed and case.method != "qlora":
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.to(torch.float32)
    half = torch.bfloat16
    policy = MixedPrecisionPolicy(param_dtype=half, reduce_dtype=half) if mixed else MixedPrecisionPolicy()
    mesh = init_device_mesh("cpu", (case.num_gpus,))
    for module in list(model.modules()):
        if isinstance(module, LlamaDecoderLayer):
            fully_shard(module, mesh=mesh, mp_policy=policy)
    return fully_shard(model, mesh=mesh, mp_policy=policy)


def _held(model: Any, *, trained: bool) -> Iterator[Any]:
    """The tensors that parameters live in between steps."""
    if isinstance(model, FullyShardedDataParallel):
        for module in FullyShardedDataParallel.fsdp_modules(model):
            if module._has_params and module._flat_param.requires_grad is trained:
                yield module._flat_param
        return
    for parameter in model.parameters():
        if parameter.requires_grad is trained:
            yield parameter


def _state(optimizer: Any) -> Iterator[Any]:
    """Moments; the step's number is on the host on a real card (``torch/optim/adam.py``, _init_group)."""
    for state in optimizer.state.values():
        for name, value in state.items():
            if name != "step":
                yield value


def _sizes(tensors: Iterable[Any]) -> list[int]:
    """Bytes of each storage under the tensors, the largest first."""
    storages: dict[int, int] = {}
    for tensor in tensors:
        local = tensor.to_local() if hasattr(tensor, "to_local") else tensor
        storage = local.untyped_storage()
        if storage.nbytes():
            storages[storage.data_ptr()] = storage.nbytes()
    return sorted(storages.values(), reverse=True)
