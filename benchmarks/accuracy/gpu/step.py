"""Build the model of a run, train it for a few steps, and read the allocator, the device and the clock."""

import contextlib
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import peft
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from benchmarks.accuracy.gpu.suite import GpuRun

WARM_UP_STEPS: Final = 2
"""The first makes the optimizer's state, the second is the first whole one."""
TIMED_STEPS: Final = 5
PACKAGES: Final = ("torch", "transformers", "peft", "bitsandbytes", "accelerate")

DEFAULTS: Final[Mapping[str, Any]] = {
    "method": "lora",
    "precision": "bf16",
    "optimizer": "adamw_torch_fused",
    "micro_batch_size": 4,
    "sequence_length": 512,
    "gradient_accumulation_steps": 1,
    "gradient_checkpointing": "none",
    "attention": "sdpa",
    "packing": True,
    "max_grad_norm": 1.0,
    "lora_rank": 16,
    "lora_target_modules": "attention",
    "adapter_dtype": "bfloat16",
}
"""The ``plain`` stack, as far as the suite varies it."""

ATTENTION_PROJECTIONS: Final = ["q_proj", "k_proj", "v_proj", "o_proj"]


def measure(run: GpuRun, device: str) -> dict[str, Any]:
    """One row: the run, what was measured (None without a card), and whether memory ran out."""
    request = {**DEFAULTS, **run.request}
    cuda = device == "cuda"
    row: dict[str, Any] = {
        "model": run.model,
        "config": dict(run.config),
        "request": request,
        "gpu": torch.cuda.get_device_name() if cuda else None,
        "versions": versions(),
        "out_of_memory": False,
    }
    try:
        seconds = _Training(run.config, request, device).run()
    except torch.OutOfMemoryError as error:
        row |= {"out_of_memory": True, "message": str(error).splitlines()[0]}
        seconds = None
    tokens = request["micro_batch_size"] * request["sequence_length"] * request["gradient_accumulation_steps"]
    row |= {
        "tokens_per_second": None if seconds is None else tokens / seconds,
        "allocated_bytes": torch.cuda.max_memory_allocated() if cuda else None,
        "reserved_bytes": torch.cuda.max_memory_reserved() if cuda else None,
        "device_bytes": _device_bytes() if cuda else None,
    }
    return row


def versions() -> dict[str, str]:
    """Of the libraries that decide what a step holds."""
    found = {}
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _device_bytes() -> int:
    """What is in use on the card, by this process if it is alone: reserved memory and the context."""
    free, total = torch.cuda.mem_get_info()
    return int(total - free)


class _Training:
    """A model, its optimizer and one batch of random tokens."""

    def __init__(self, config: Mapping[str, Any], request: Mapping[str, Any], device: str) -> None:
        self.request = request
        self.device = device
        self.mixed = request["precision"] == "bf16-mixed"
        torch.manual_seed(0)
        self.model = self._adapted(self._base(config))
        if request["gradient_checkpointing"] == "full":
            self.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
            self.model.enable_input_require_grads()
        self.model.train()
        self.trainable = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.optimizer = self._optimizer()
        shape = (request["micro_batch_size"], request["sequence_length"])
        self.batch = {"input_ids": torch.randint(0, config["vocab_size"], shape, device=device)}
        self.batch["labels"] = self.batch["input_ids"]
        if not request["packing"]:
            mask = torch.ones(shape, dtype=torch.long, device=device)
            mask[:, -1] = 0
            self.batch["attention_mask"] = mask

    def _base(self, config: Mapping[str, Any]) -> Any:
        settings = dict(config)
        loaded = AutoConfig.for_model(settings.pop("model_type"), **settings)
        loaded._attn_implementation = self.request["attention"]
        loaded.use_cache = False
        full_precision = self.mixed and self.request["method"] == "full"
        dtype = torch.float32 if full_precision else torch.bfloat16
        quantised = self.request["method"] == "qlora"
        # weights are quantised as they reach the card, so that the 16-bit model never stands there
        with torch.device("cpu" if quantised else self.device):
            model = AutoModelForCausalLM.from_config(loaded, dtype=dtype)
        if quantised:
            _quantise(model)
        return model.to(self.device)

    def _adapted(self, model: Any) -> Any:
        request = self.request
        if request["method"] == "full":
            return model
        targets = request["lora_target_modules"]
        config = peft.LoraConfig(
            r=request["lora_rank"],
            lora_alpha=2 * request["lora_rank"],
            lora_dropout=0.0,
            target_modules=ATTENTION_PROJECTIONS if targets == "attention" else targets,
            task_type="CAUSAL_LM",
        )
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        float32 = self.mixed or request["adapter_dtype"] == "float32"
        return peft.get_peft_model(model, config, autocast_adapter_dtype=float32)

    def _optimizer(self) -> Any:
        match self.request["optimizer"]:
            case "adamw_torch_fused":
                return torch.optim.AdamW(self.trainable, lr=1e-5, fused=True)
            case "adamw_torch":
                return torch.optim.AdamW(self.trainable, lr=1e-5, foreach=self.device == "cuda")
            case "adamw_bnb_8bit":
                import bitsandbytes

                return bitsandbytes.optim.AdamW8bit(self.trainable, lr=1e-5)
            case name:
                raise ValueError(f"the suite has no optimizer {name}")

    def run(self) -> float:
        """Train; the median seconds of a step."""
        for _ in range(WARM_UP_STEPS):
            self._step()
        times = sorted(self._timed_step() for _ in range(TIMED_STEPS))
        return times[len(times) // 2]

    def _timed_step(self) -> float:
        self._synchronise()
        start = time.perf_counter()
        self._step()
        self._synchronise()
        return time.perf_counter() - start

    def _synchronise(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()

    def _step(self) -> None:
        for _ in range(self.request["gradient_accumulation_steps"]):
            with torch.autocast(self.device, torch.bfloat16, enabled=self.mixed):
                loss = self.model(**self.batch).loss
            loss.backward()
        if self.request["max_grad_norm"]:
            torch.nn.utils.clip_grad_norm_(self.trainable, self.request["max_grad_norm"])
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


def _quantise(model: Any) -> None:
    """Every linear layer but the head in double-quantised NF4, as Transformers replaces them."""
    import bitsandbytes

    for name, module in list(model.named_modules()):
        if not isinstance(module, torch.nn.Linear) or name.endswith("lm_head"):
            continue
        parent = model.get_submodule(name.rpartition(".")[0])
        replacement = bitsandbytes.nn.Linear4bit(
            module.in_features,
            module.out_features,
            bias=module.bias is not None,
            compute_dtype=torch.bfloat16,
            compress_statistics=True,
            quant_type="nf4",
        )
        replacement.weight = bitsandbytes.nn.Params4bit(
            module.weight.data, requires_grad=False, compress_statistics=True, quant_type="nf4"
        )
        if module.bias is not None:
            replacement.bias = torch.nn.Parameter(module.bias.data, requires_grad=False)
        setattr(parent, name.rpartition(".")[2], replacement)
