"""Published measurements in this project's schema: ``python -m benchmarks.accuracy.measured_import RUNS MODELS``.

``RUNS`` is the collected table (CSV), ``MODELS`` the architecture facts (JSON). Only runs whose every option can be
said as a request are taken, those sharded over several GPUs into a file of their own; each keeps the words and the
unit of its source.
"""

import argparse
import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from app.memory.build import parse_config
from app.request import parse_json, resolve
from app.units import GIB
from benchmarks.accuracy.measured import DATA as OUTPUT
from benchmarks.accuracy.measured import SHARDED
from benchmarks.accuracy.unclear import DATA as UNCLEAR
from benchmarks.accuracy.unclear_import import unclear_rows

SERVED = Path(__file__).parents[2] / "app" / "services" / "measured_runs.json"
"""What an estimate shows beside itself: the included runs, each with the size of its model."""

FMS: Final = "foundation-model-stack/fms-acceleration"
SWIFT: Final = "modelscope/ms-swift"

FMS_STACKS: Final[Mapping[str, tuple[str, str, str]]] = {
    # scripts/benchmarks/refs/requirements*.txt beside each table: transformers 4.48.1, 4.45.2, 4.45.2
    "a100_80gb.csv": ("trl-0.13", "fms-acceleration-2025", "24bdadb"),
    "a100_80gb_liger.csv": ("trl-0.11", "fms-acceleration-2024", "733992a"),
    "a100_80gb_granite.csv": ("trl-0.11", "fms-acceleration-2024", "ff14d4f"),
}

SHAPES: Final[Mapping[str, Mapping[str, Any]]] = {
    # ravenscroftj/turbopilot starcoder_hparams, copied from the model's config.json, which it names; n_inner and
    # multi_query are GPTBigCodeConfig's own defaults
    "bigcode/gpt_bigcode-santacoder": {
        "model_type": "gpt_bigcode",
        "vocab_size": 49280,
        "n_embd": 2048,
        "n_layer": 24,
        "n_head": 16,
        "n_inner": 8192,
        "n_positions": 2048,
        "multi_query": True,
    },
    # arXiv:2408.13359 (Power Scheduler), table 4: 2304 wide, 40 layers, 36 heads of 64 and as many for keys, 9216
    "ibm/PowerLM-3b": {
        "model_type": "granite",
        "vocab_size": 49152,
        "hidden_size": 2304,
        "intermediate_size": 9216,
        "num_hidden_layers": 40,
        "num_attention_heads": 36,
        "num_key_value_heads": 36,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": True,
        "logits_scaling": 9.0,
    },
    # Qwen 1 has the blocks of Qwen 2 with as many key heads as query heads; its QKV projection is one matrix
    "Qwen/Qwen-1_8B": {"model_type": "qwen2", "vocab_size": 151936, "hidden_size": 2048, "intermediate_size": 5504}
    | {"num_hidden_layers": 24, "num_attention_heads": 16, "num_key_value_heads": 16, "tie_word_embeddings": False},
    "Qwen/Qwen-7B": {"model_type": "qwen2", "vocab_size": 151936, "hidden_size": 4096, "intermediate_size": 11008}
    | {"num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32, "tie_word_embeddings": False},
    "Qwen/Qwen-14B": {"model_type": "qwen2", "vocab_size": 152064, "hidden_size": 5120, "intermediate_size": 13696}
    | {"num_hidden_layers": 40, "num_attention_heads": 40, "num_key_value_heads": 40, "tie_word_embeddings": False},
    "Qwen/Qwen-72B": {"model_type": "qwen2", "vocab_size": 152064, "hidden_size": 8192, "intermediate_size": 24576}
    | {"num_hidden_layers": 80, "num_attention_heads": 64, "num_key_value_heads": 64, "tie_word_embeddings": False},
}

ALIASES: Final[Mapping[str, str]] = {"HuggingFaceH4/zephyr-7b": "HuggingFaceH4/zephyr-7b-beta"}

UNKNOWN: Final[Mapping[str, str]] = {
    "THUDM/chatglm3-6b": "the model's own code of 2023 had no flash attention path; its blocks are not described here",
    "baichuan-inc/Baichuan2-13B": "ALiBi attention in the model's own code; its blocks are not described here",
}

ANOMALIES: Final[Mapping[str, str]] = {
    "r0651": "less memory than the same run at half the length",
    "r0682": "more memory than the same run at twice the length",
}
"""Contradictions within a source: by rule neither side of one that goes down with length is used."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the reference file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy.measured_import", description=__doc__)
    parser.add_argument("runs", type=Path)
    parser.add_argument("models", type=Path)
    options = parser.parse_args(arguments)
    shapes = dict(SHAPES)
    for model in json.loads(options.models.read_text(encoding="utf-8"))["models"]:
        if model.get("build"):
            shapes.setdefault(model["id"], {"model_type": model["model_type"], **model["build"]["config"]})
    with options.runs.open(encoding="utf-8", newline="") as file:
        published = list(csv.DictReader(file))
    translated = [row for run in published for row in _translated(run, shapes)]
    unclear = [row for run in published for row in unclear_rows(run, shapes.get(run["hf_model"]))]
    rows = [row for row in translated if "num_gpus" not in row["request"]]
    sharded = [row for row in translated if "num_gpus" in row["request"]]
    for path, lines in ((OUTPUT, rows), (SHARDED, sharded), (UNCLEAR, unclear)):
        path.write_text("".join(json.dumps(row) + "\n" for row in lines), encoding="utf-8")
    served = [dict(_served(row)) for row in rows if row["config"] and not row["excluded"]]
    SERVED.write_text(json.dumps(served, indent=1) + "\n", encoding="utf-8")
    print(f"{len(rows)} runs on one GPU, {len(served)} served, {len(sharded)} sharded, {len(unclear)} unclear")
    return 0


def _translated(run: Mapping[str, str], shapes: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    sharded = run["parallelism"].startswith("fsdp(full_shard")
    if (run["num_gpus"] != "1" and not sharded) or run["tier"] not in "AB" or run["oom"] == "yes":
        return
    if run["source"].startswith(FMS):
        stack, request = _fms(run)
    elif run["source"].startswith(SWIFT) and run["framework"].startswith("ms-swift 1"):
        stack, request = "ms-swift-1", _swift(run)
    else:
        return
    if sharded:
        request |= {"num_gpus": int(run["num_gpus"]), "strategy": "fsdp"}
        if run["weights_dtype"].startswith("fp32"):
            request["precision"] = "bf16-mixed"
    model = ALIASES.get(run["hf_model"], run["hf_model"])
    statistic = "allocated" if "allocated" in run["mem_metric"] else "reserved"
    exact = run["peak_unit"] == "B"
    yield {
        "id": run["id"],
        "tier": run["tier"],
        "source": _source(run),
        "model": model,
        "config": shapes.get(model),
        "stack": stack,
        "request": request,
        "gpu": run["gpu"],
        "statistic": statistic,
        "measured_bytes": int(float(run["peak_value"])) if exact else round(float(run["peak_gib_low"]) * GIB),
        "device_bytes": int(float(run["mem2_value"])) << 20 if run["mem2_value"] else None,
        "full_sequences": run["seq_fill"] == "packed_full",
        "excluded": _exclusion(run),
    }


def _served(row: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    request = row["request"]
    yield "model", row["model"]
    yield "total_parameters", parse_config(row["config"]).total_parameters
    yield "vocabulary", row["config"]["vocab_size"]
    for name in ("method", "micro_batch_size", "sequence_length", "gradient_checkpointing"):
        yield name, request[name]
    run = resolve(parse_json({**request, "stack": row["stack"], "model": row["model"]})).run
    yield "loss_kernel", run.loss_kernel
    for name in ("stack", "gpu", "statistic", "measured_bytes", "source"):
        yield name, row[name]


def _source(run: Mapping[str, str]) -> str:
    name = run["source"].rsplit("/", 1)[-1]
    commit = FMS_STACKS[name][2] if name in FMS_STACKS else ""
    return f"{run['source']} @ {commit}" if commit else run["source"]


def _exclusion(run: Mapping[str, str]) -> str | None:
    if run["quant"].startswith("gptq"):
        return "GPTQ is not among the quantisations of a request"
    return UNKNOWN.get(run["hf_model"]) or ANOMALIES.get(run["id"])


def _fms(run: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    table = run["source"].rsplit("/", 1)[-1]
    plain, fused, _ = FMS_STACKS[table]
    kernels = "foak" in run["framework"]
    # scenarios*.yaml: --bf16 in every scenario of the liger table, and wherever the base is quantised
    mixed = "liger" in table or run["method"] == "qlora"
    request: dict[str, Any] = {
        "method": run["method"],
        "precision": "bf16-mixed" if mixed and run["method"] != "full" else "bf16",
        "optimizer": "adamw_torch",
        "micro_batch_size": int(run["micro_batch"]),
        "gradient_accumulation_steps": 1,
        "sequence_length": int(run["seq_len"]),
        "packing": True,
        "gradient_checkpointing": "reentrant",
        "attention": "flash_attention_2",
    }
    if "liger fused" in run["loss_kernel"]:
        request["loss_kernel"] = "liger"
    if run["method"] != "full":
        targets = run["lora_targets"].split("+")
        own = ["c_attn"] if "bigcode" in run["hf_model"] else [name for name in targets if name != "c_attn"]
        request |= {"lora_rank": 16, "lora_dropout": 0.1, "lora_target_modules": own, "adapter_dtype": "float32"}
    if "baseline-peft-bnb" in run["framework"]:
        # trl/trainer/utils.py peft_module_casting_to_bf16; under FSDP there is no k-bit preparation: the base is on
        # the CPU or meta device when trl 0.13.0 trainer/sft_trainer.py:182-200 looks (is_sharded_qlora)
        request |= {"upcast_non_quantized": run["num_gpus"] == "1", "adapter_dtype": "bfloat16"}
    elif run["method"] == "qlora":
        # accelerated-peft's own preparation freezes and does not upcast (framework_plugin_bnb.py)
        request["upcast_non_quantized"] = False
    return (fused if kernels else plain), request


def _swift(run: Mapping[str, str]) -> dict[str, Any]:
    request: dict[str, Any] = {
        "method": run["method"],
        "optimizer": "adamw_torch",
        "micro_batch_size": int(run["micro_batch"]),
        "gradient_accumulation_steps": int(run["grad_accum"]),
        "sequence_length": int(run["seq_len"]),
        "gradient_checkpointing": "reentrant" if run["gradient_checkpointing"] == "yes" else "none",
        "attention": "eager" if run["attention"] == "eager" else "flash_attention_2",
        "precision": "bf16" if run["method"] == "full" else "bf16-mixed",
    }
    if run["method"] != "full":
        request |= {"lora_rank": 8, "lora_dropout": 0.05, "lora_target_modules": ["q_proj", "k_proj", "v_proj"]}
    return request


if __name__ == "__main__":
    raise SystemExit(main())
