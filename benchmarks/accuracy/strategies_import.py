"""Published runs of strategies other than one project's FSDP, in this project's schema.

``python -m benchmarks.accuracy.strategies_import RUNS MODELS`` writes them, those too that a request cannot say, with
the reason. ``RUNS`` is the collected table (CSV), ``MODELS`` the architecture facts (JSON).
"""

import argparse
import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from app.units import GIB
from benchmarks.accuracy.measured_import import SHAPES

OUTPUT: Final = Path(__file__).parent / "data" / "measured_strategies.jsonl"

FLOAT8: Final = "float8 and compiled kernels are not modelled"
BY_OPERATION: Final = "what is repeated is chosen by operation, not by layer"
MOMENTS: Final = "moments in bf16 and what is repeated chosen by operation"
NO_SHARD: Final = "FSDP without sharding, whose hooks hold what FSDP's do; no strategy of a request says so"
MEGATRON_OFFLOAD: Final = "Megatron leaves its float32 gradients on the card under offload, DeepSpeed does not"
ABOUT: Final = "a figure given as about so much"
WRAPPED_BY_SIZE: Final = "units wrapped by size, accumulating on the host: what is gathered at once is not known"

ALIASES: Final[Mapping[str, str]] = {"mistralai/Mistral-7B-v0.2": "mistralai/Mistral-7B-Instruct-v0.2"}
INTERNLM_7B: Final[Mapping[str, Any]] = {
    # configs/7B_sft.py of InternEvo: 32 layers of 4096, 32 heads, mlp_ratio 8/3, biases in attention
    "model_type": "llama",
    "vocab_size": 103168,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "attention_bias": True,
}
Translated = tuple[dict[str, Any], str | None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the reference file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy.strategies_import", description=__doc__)
    parser.add_argument("runs", type=Path)
    parser.add_argument("models", type=Path)
    options = parser.parse_args(arguments)
    shapes = {**SHAPES, "internlm/internlm-7b": INTERNLM_7B}
    for model in json.loads(options.models.read_text(encoding="utf-8"))["models"]:
        if model.get("build"):
            shapes.setdefault(model["id"], {"model_type": model["model_type"], **model["build"]["config"]})
    with options.runs.open(encoding="utf-8", newline="") as file:
        rows = [row for run in csv.DictReader(file) for row in _translated(run, shapes)]
    OUTPUT.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    print(f"{len(rows)} runs, {sum(row['excluded'] is None for row in rows)} of them compared")
    return 0


def _translated(run: Mapping[str, str], shapes: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    if run["num_gpus"] in {"", "1"} or run["tier"] not in "AB" or run["oom"] == "yes":
        return
    for name, translate in SOURCES.items():
        if name in run["source"]:
            request, excluded = translate(run)
            model = ALIASES.get(run["hf_model"], run["hf_model"])
            yield {
                "id": run["id"],
                "tier": run["tier"],
                "source": run["source"],
                "model": model,
                "config": shapes.get(model),
                "stack": "plain",
                "request": {**_shared(run), **request},
                "gpu": run["gpu"],
                "statistic": "reserved",
                "measured_bytes": round(float(run["peak_gib_high"]) * GIB),
                "device_bytes": None,
                "full_sequences": not run["seq_fill"].startswith("cap"),
                "excluded": excluded,
            }


def _shared(run: Mapping[str, str]) -> dict[str, Any]:
    method = run["method"].split()[0]
    request: dict[str, Any] = {
        "method": method,
        "precision": "bf16",
        "optimizer": "adamw_torch",
        "micro_batch_size": int(run["micro_batch"]),
        "gradient_accumulation_steps": int(run["grad_accum"]),
        "sequence_length": int(run["seq_len"]),
        "packing": True,
        "gradient_checkpointing": "full",
        "attention": "flash_attention_2",
        "num_gpus": int(run["num_gpus"]),
    }
    if method != "full":
        request["lora_rank"] = int(run["lora_rank"])
    if "offload" in run["parallelism"]:
        request["offload"] = "both"
    return request


def _fsdp_qlora(run: Mapping[str, str]) -> Translated:
    """train.py: reentrant checkpointing, adapters in the base's bf16, Transformers' own float32 logits."""
    targets = ["q_proj", "k_proj", "v_proj", "up_proj", "down_proj", "gate_proj"]
    return {
        "strategy": "fsdp",
        "gradient_checkpointing": "reentrant",
        "attention": "sdpa",
        "loss_kernel": "upcast",
        "lora_target_modules": targets,
        "lora_dropout": 0.1,
        "adapter_dtype": "bfloat16",
    }, NO_SHARD if "ddp" in run["parallelism"] else None


def _swift(run: Mapping[str, str]) -> Translated:
    """Its version 1 splits layers over cards; later ones give DeepSpeed and Megatron."""
    if "device_map" in run["parallelism"]:
        request: dict[str, Any] = {"strategy": "device_map", "gradient_checkpointing": "reentrant"}
        request["loss_kernel"] = "upcast"
        if run["method"] == "lora":
            request |= {"precision": "bf16-mixed", "lora_target_modules": ["q_proj", "k_proj", "v_proj"]}
            request |= {"lora_dropout": 0.05, "adapter_dtype": "float32"}
        return request, None
    liger = {"loss_kernel": "liger"} if "liger" in run["loss_kernel"] else {}
    if run["parallelism"].startswith("zero"):
        mixed = {"strategy": run["parallelism"], "precision": "bf16-mixed", "optimizer": "adamw_torch_fused"}
        return {**mixed, **liger}, None
    return _megatron(run)


def _megatron(run: Mapping[str, str]) -> Translated:
    """Masters as DeepSpeed's; the float32 gradients of Megatron are not said (2 bytes a parameter more)."""
    request: dict[str, Any] = {"strategy": "zero1", "precision": "bf16-mixed", "optimizer": "adamw_torch_fused"}
    for token in run["parallelism"].replace("+", " ").split():
        for prefix, field in (("tp", "tensor_parallel"), ("pp", "pipeline_parallel"), ("ep", "expert_parallel")):
            if token.startswith(prefix) and token[2:].isdigit():
                request[field] = int(token[2:])
    if "offload" in run["parallelism"]:
        request["offload"] = "optimizer"
    if "fused" in run["loss_kernel"]:
        request["loss_kernel"] = "liger"
    if "bf16 moments" in run["optimizer"]:
        return request, MOMENTS
    return request, MEGATRON_OFFLOAD if "offload" in run["parallelism"] else None


def _torchtitan(run: Mapping[str, str]) -> Translated:
    kept = FLOAT8 if "fp8" in run["compute_dtype"] else BY_OPERATION
    return {"strategy": "fsdp2", "precision": "bf16-mixed"}, kept


def _internevo(run: Mapping[str, str]) -> Translated:
    """bf16 with float32 masters; its FSDP divides all of them, pipelines hold a stage's whole."""
    words = run["parallelism"].split()
    degrees = {word[:2]: int(word[2:]) for word in words if word[:2] in {"tp", "pp"}}
    strategy = "zero3" if "fsdp" in words else "zero1"
    return {
        "strategy": strategy,
        "precision": "bf16-mixed",
        "optimizer": "adamw_torch_fused",
        "tensor_parallel": degrees["tp"],
        "pipeline_parallel": degrees["pp"],
    }, None


def _peft(run: Mapping[str, str]) -> Translated:
    strategy = "zero3" if run["parallelism"].startswith("zero3") else "fsdp"
    precision = "bf16-mixed"
    reentrant = {"gradient_checkpointing": "reentrant", "loss_kernel": "upcast", "lora_target_modules": "all-linear"}
    return {"strategy": strategy, "precision": precision, "adapter_dtype": "float32", **reentrant}, None


def _qwen(run: Mapping[str, str]) -> Translated:
    request = {"strategy": "zero3", "precision": "bf16-mixed", "gradient_checkpointing": "reentrant"}
    return {**request, "loss_kernel": "upcast", "lora_target_modules": "all-linear", "adapter_dtype": "float32"}, None


def _unknown(reason: str) -> Callable[[Mapping[str, str]], Translated]:
    return lambda run: ({"strategy": "fsdp2"}, reason)


SOURCES: Final[Mapping[str, Callable[[Mapping[str, str]], Translated]]] = {
    "fsdp_qlora": _fsdp_qlora,
    "ms-swift": _swift,
    "torchtitan": _torchtitan,
    "InternEvo": _internevo,
    "huggingface/peft": _peft,
    "QwenLM/Qwen": _qwen,
    "axolotl": _unknown(ABOUT),
    "universal-llm-trainer": _unknown(WRAPPED_BY_SIZE),
}

if __name__ == "__main__":
    raise SystemExit(main())
