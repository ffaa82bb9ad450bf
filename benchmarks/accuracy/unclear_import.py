"""Published runs whose statistic or unit is not clear (tier B), as requests: used by ``measured_import``.

They are reported beside the others and held to nothing.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from app.units import GIB

QWEN: Final = "QwenLM/Qwen README.md"
UNIVERSAL: Final = "ljm565/universal-llm-trainer"
AXOLOTL: Final = "axolotl-ai-cloud/axolotl"
SWIFT_EXAMPLES: Final = "modelscope/ms-swift examples"

QUANTISATIONS: Final[Mapping[str, Mapping[str, Any]]] = {
    "none": {},
    "bnb-nf4-dq": {"quantization": "nf4", "double_quantization": True},
    "bnb-4bit": {"quantization": "nf4"},
    "bnb-8bit": {"quantization": "int8"},
}

OPTIMIZERS: Final[Mapping[str, str]] = {
    "adamw_torch (HF Trainer default)": "adamw_torch",
    "torch AdamW": "adamw_torch",
    "adamw_torch_8bit": "adamw_bnb_8bit",
    "adamw_8bit": "adamw_bnb_8bit",
}

LOSSES: Final[Mapping[str, str]] = {
    # no kernel of ours; it too holds a tile of logits at a time
    "cut cross entropy": "chunked",
}


QUANTISED_EXPERTS: Final[Mapping[str, str]] = {
    "zai-org/GLM-4.5-Air": "experts quantised by Axolotl's own patch (quantize_moe_experts), which is not modelled",
    "Qwen/Qwen3-Next-80B-A3B-Instruct": "experts quantised as the single linear layers of Transformers 4",
}


def unclear_rows(run: Mapping[str, str], config: Mapping[str, Any] | None) -> Iterator[dict[str, Any]]:
    """The run in the schema of ``measured_unclear.jsonl``; nothing for a run that is not on one card or ran out."""
    if run["tier"] != "B" or run["num_gpus"] != "1" or run["oom"] == "yes" or not run["peak_gib_low"]:
        return
    for source, stack, translate in (
        # of the same months as ms-swift's first releases, with the same libraries
        (QWEN, "ms-swift-1", _qwen),
        (UNIVERSAL, "plain", _universal),
        (AXOLOTL, "axolotl", _axolotl),
        (SWIFT_EXAMPLES, "ms-swift", _swift),
    ):
        if run["source"].startswith(source):
            low, high = (round(float(run[f"peak_gib_{end}"]) * GIB) for end in ("low", "high"))
            yield {
                "id": run["id"],
                "source": run["source"].split(" (")[0],
                "model": run["hf_model"],
                "config": config,
                "stack": stack,
                "request": _common(run) | translate(run),
                "gpu": run["gpu"],
                "reported": run["mem_metric"],
                "unit": run["peak_unit"],
                "low_bytes": low,
                "high_bytes": high,
                "excluded": _exclusion(run),
            }
            return


def _exclusion(run: Mapping[str, str]) -> str | None:
    if run["quant"].startswith("gptq"):
        return "GPTQ is not among the quantisations of a request"
    if "offload" in run["gradient_checkpointing"]:
        return "activations are moved to the host, which is not modelled"
    return QUANTISED_EXPERTS.get(run["hf_model"])


def _common(run: Mapping[str, str]) -> dict[str, Any]:
    method = run["method"].split(" ")[0]
    request: dict[str, Any] = {
        "method": method,
        "optimizer": OPTIMIZERS.get(run["optimizer"], run["optimizer"].split(" ")[0]),
        "micro_batch_size": int(run["micro_batch"]),
        "gradient_accumulation_steps": int(run["grad_accum"]),
        "sequence_length": int(run["seq_len"]),
        "packing": True,
        "gradient_checkpointing": "full" if run["gradient_checkpointing"].startswith(("yes", "true")) else "none",
        "attention": "flash_attention_2" if run["attention"].startswith("flash") else "sdpa",
    }
    if method != "full":
        request |= {"lora_rank": int(run["lora_rank"]), "lora_target_modules": "all-linear"}
    if method == "qlora":
        request |= QUANTISATIONS.get(run["quant"], {})
    return request


def _qwen(run: Mapping[str, str]) -> dict[str, Any]:
    """finetune.py: bfloat16 weights under the Trainer's autocast; PEFT 0.5 made adapters in the base's type."""
    request: dict[str, Any] = {"precision": "bf16" if run["method"] == "full" else "bf16-mixed"}
    if run["method"] != "full":
        request |= {"lora_dropout": 0.05, "adapter_dtype": "bfloat16"}
    if "trained wte" in run["method"]:
        request["modules_to_save"] = ["embed_tokens", "lm_head"]
    return request


def _universal(run: Mapping[str, str]) -> dict[str, Any]:
    """Its own loop without autocast; k-bit preparation for 4-bit bases; Transformers' own attention for Gemma 2."""
    request: dict[str, Any] = {"precision": "bf16"}
    if "gemma-2" in run["hf_model"]:
        request["attention"] = "eager"
    if run["method"] == "qlora":
        request["upcast_non_quantized"] = True
    return request


def _axolotl(run: Mapping[str, str]) -> dict[str, Any]:
    request: dict[str, Any] = {}
    if run["loss_kernel"] in LOSSES:
        request["loss_kernel"] = LOSSES[run["loss_kernel"]]
    if run["lora_targets"].startswith("q_proj+v_proj"):
        request["lora_target_modules"] = "attention"
    return request


def _swift(_run: Mapping[str, str]) -> dict[str, Any]:
    return {}
