"""Read the cases of `data/traced_cases.jsonl`, traced with an earlier tool, and compare this harness with them."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.accuracy.tracing.case import TraceCase

DATA = Path(__file__).parents[1] / "data"
EARLIER_CASES = DATA / "traced_cases.jsonl"

_MODEL_TYPES = {
    "Llama": "llama", "Mistral": "mistral", "Qwen2": "qwen2", "Qwen3": "qwen3", "Gemma2": "gemma2", "Phi3": "phi3",
    "Mixtral": "mixtral", "Qwen3Moe": "qwen3_moe",
}  # fmt: skip
_PRECISIONS = {"pure_bf16": "bf16", "amp_fp32": "bf16-mixed", "bf16_amp": "bf16-mixed", "fp32": "fp32"}
_OPTIMIZERS = {
    "adamw_fused": "adamw_torch_fused", "adamw_foreach": "adamw_torch", "adamw_forloop": "adamw_torch_forloop",
    "adamw_8bit": "adamw_8bit", "adafactor": "adafactor", "sgd": "sgd", "sgd_momentum": "sgd_momentum",
}  # fmt: skip
_TARGETS = {"attn": "attention", "all": "all-linear", "qv": "qv"}
_CONFIG_KEYS = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
    "head_dim", "sliding_window", "max_position_embeddings", "tie_word_embeddings", "query_pre_attn_scalar",
    "attn_logit_softcapping", "final_logit_softcapping", "use_sliding_window", "num_local_experts",
    "num_experts_per_tok", "moe_intermediate_size", "num_experts", "norm_topk_prob", "decoder_sparse_step",
    "mlp_only_layers", "pad_token_id",
)  # fmt: skip


def earlier_rows() -> Iterator[dict[str, Any]]:
    """The rows of the file, in its own keys."""
    with EARLIER_CASES.open() as lines:
        yield from map(json.loads, lines)


def as_case(row: Mapping[str, Any]) -> TraceCase:
    """The case of an earlier row; raises `ValueError` where this harness has no such choice."""
    if row["use_cache"]:
        raise ValueError("this harness always trains without a key-value cache")
    fields = {
        "method": row["method"],
        "precision": _PRECISIONS[row["policy"]],
        "optimizer": _OPTIMIZERS[row["optimizer"]],
        "embedding_state_32bit": row["bnb_embed_fp32"],
        "max_grad_norm": 1.0 if row["clip"] else 0.0,
        "micro_batch_size": row["batch"],
        "sequence_length": row["seq"],
        "gradient_accumulation_steps": row["accum"],
        "packing": not row["padding"],
        "gradient_checkpointing": "full" if row["gradient_checkpointing"] else "none",
        "attention": row["attn"],
        "keep_logits": row["keep_outputs"],
        "lora_rank": row["lora_rank"],
        "lora_target_modules": _TARGETS[row["lora_targets"]],
        "lora_dropout": row["lora_dropout"],
        "use_dora": row["use_dora"],
        "adapter_dtype": "float32" if row["autocast_adapter_dtype"] else "bfloat16",
        "double_quantization": row["double_quant"],
        "upcast_non_quantized": row["kbit_prepare"],
    }
    config = {"model_type": _MODEL_TYPES[row["arch"]]}
    # A null is a setting too (no sliding window); the earlier rows hold every key that their model was given.
    config |= {key: row[key] for key in _CONFIG_KEYS if key in row}
    return TraceCase(config=config, fields=fields, name=row["model"], tag=row["tag"])
