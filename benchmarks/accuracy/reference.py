"""Traced training steps as reference cases: the run in the API's own field names, and what was counted.

Two files, one shape: ``traced_cases.jsonl`` (an earlier tracer's keys, translated here) and the files of this
project's own tracer, whose requests are in the contract's names already. Nothing here knows the catalogue.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from app.memory.result import PhaseName

DATA = Path(__file__).parent / "data"


class Source(StrEnum):
    """A file of reference cases."""

    CASES = "traced_cases"
    """208 runs of the prototype tracer."""
    DENSE = "traced_dense"
    """Dense decoders, by the harness in ``benchmarks/accuracy/tracing``."""
    ARCHITECTURES = "traced_architectures"
    """Other families, small shapes, by the same harness."""
    HELD_OUT = "traced_held_out"
    """The same families under other options: traced when the model was written, and not looked at before."""
    TRANSFORMERS_4 = "traced_transformers_4"
    TRANSFORMERS_4_48 = "traced_transformers_4_48"
    TRANSFORMERS_4_45 = "traced_transformers_4_45"
    """Dense decoders again, under versions of Transformers whose loss, checkpoints and attention are other code."""
    TRL = "traced_trl"
    """The loss of TRL's trainer, over padded batches."""
    LIGER = "traced_liger"
    """Liger's fused head and loss."""


class Part(StrEnum):
    """What blocks of memory are for, in terms that the traces and the model share."""

    PARAMETERS = "parameters"
    QUANTISATION_STATE = "quantisation state"
    GRADIENTS = "gradients"
    OPTIMIZER_STATE = "optimizer state"
    ACTIVATIONS = "activations"
    LOGITS = "logits"
    WEIGHT_COPIES = "weight copies"
    TEMPORARIES = "temporaries"


@dataclass(frozen=True, kw_only=True)
class ReferenceCase:
    """One traced run: what was asked, and the bytes that lived. ``parts`` are those at the peak and sum to it."""

    source: Source
    case_id: str
    name: str
    request: Mapping[str, Any]
    config: Mapping[str, Any]
    total_parameters: int
    trainable_parameters: int
    peak_bytes: int
    peak_phase: PhaseName
    phase_bytes: Mapping[PhaseName, int]
    parts: Mapping[Part, int]

    @property
    def is_dense(self) -> bool:
        """Whether every token passes through every weight."""
        return not any(self.config.get(key) for key in EXPERT_KEYS)

    def __str__(self) -> str:
        return f"{self.source}:{self.case_id} {self.name}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Inexpressible:
    """A traced run that no request can describe, and why."""

    source: Source
    case_id: str
    name: str
    reason: str


EXPERT_KEYS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")

_PARTS_OF_DENSE: Mapping[str, Part] = {
    "trainable_parameters": Part.PARAMETERS,
    "frozen_parameters": Part.PARAMETERS,
    "quantisation_state": Part.QUANTISATION_STATE,
    "gradients": Part.GRADIENTS,
    "optimizer_state": Part.OPTIMIZER_STATE,
    "buffers": Part.ACTIVATIONS,
    "inputs": Part.ACTIVATIONS,
    "saved_activations": Part.ACTIVATIONS,
    "recomputed_activations": Part.ACTIVATIONS,
    "logits": Part.LOGITS,
    "weight_casts": Part.WEIGHT_COPIES,
    "dequantised_weights": Part.WEIGHT_COPIES,
    "kernel_workspaces": Part.TEMPORARIES,
    "temporaries": Part.TEMPORARIES,
}

_PARTS_OF_CASES: Mapping[str, Part] = {
    "b_params_trainable": Part.PARAMETERS,
    "b_params_frozen": Part.PARAMETERS,
    "b_quant_state": Part.QUANTISATION_STATE,
    "b_grads": Part.GRADIENTS,
    "b_optimizer": Part.OPTIMIZER_STATE,
    "b_buffers": Part.ACTIVATIONS,
    "b_inputs": Part.ACTIVATIONS,
    "b_saved": Part.ACTIVATIONS,
    "b_saved_recomputed": Part.ACTIVATIONS,
    "b_logits": Part.LOGITS,
    "b_weight_cast": Part.WEIGHT_COPIES,
    "b_dequant": Part.WEIGHT_COPIES,
    "b_workspace": Part.TEMPORARIES,
    "b_temp": Part.TEMPORARIES,
}

_MODEL_TYPES = {
    "Llama": "llama",
    "Mistral": "mistral",
    "Qwen2": "qwen2",
    "Qwen3": "qwen3",
    "Gemma2": "gemma2",
    "Phi3": "phi3",
    "Mixtral": "mixtral",
    "Qwen3Moe": "qwen3_moe",
}
_CONFIG_KEYS = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "head_dim", "sliding_window", "use_sliding_window", "max_position_embeddings",
    "tie_word_embeddings", "final_logit_softcapping", "attn_logit_softcapping", "num_local_experts", "num_experts",
    "num_experts_per_tok", "moe_intermediate_size", "decoder_sparse_step", "mlp_only_layers", "norm_topk_prob",
)  # fmt: skip
_OPTIMIZERS = {
    "adamw_fused": "adamw_torch_fused",
    "adamw_foreach": "adamw_torch",
    "adamw_8bit": "adamw_bnb_8bit",
    "sgd": "sgd",
    "adafactor": "adafactor",
}
_PRECISIONS = {"pure_bf16": "bf16", "amp_fp32": "bf16-mixed", "bf16_amp": "bf16-mixed", "fp32": "fp32"}
_TARGETS = {"attn": "attention", "all": "all-linear", "qv": "qv"}
_PHASES = {"optimizer": PhaseName.OPTIMIZER_STEP}


def load(sources: Iterable[Source] = tuple(Source)) -> tuple[tuple[ReferenceCase, ...], tuple[Inexpressible, ...]]:
    """Every case of ``sources``, and the rows that no request can describe."""
    cases: list[ReferenceCase] = []
    left_out: list[Inexpressible] = []
    for source in sources:
        for number, row in enumerate(_rows(source), start=1):
            case = _from_prototype(row, number) if source is Source.CASES else _from_harness(row, source)
            if isinstance(case, Inexpressible):
                left_out.append(case)
            else:
                cases.append(case)
    return tuple(cases), tuple(left_out)


def _rows(source: Source) -> Iterator[dict[str, Any]]:
    with (DATA / f"{source}.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def _from_harness(row: Mapping[str, Any], source: Source) -> ReferenceCase:
    return ReferenceCase(
        source=source,
        case_id=row["case_id"],
        name=row["name"],
        request=row["request"],
        config=row["config"],
        total_parameters=row["parameters"]["total"],
        trainable_parameters=row["parameters"]["trainable"],
        peak_bytes=row["peak_allocated_bytes"],
        peak_phase=PhaseName(row["peak_phase"]),
        phase_bytes={PhaseName(name): size for name, size in row["phase_peak_bytes"].items()},
        parts=_gathered(row["component_bytes"], _PARTS_OF_DENSE),
    )


def _from_prototype(row: Mapping[str, Any], number: int) -> ReferenceCase | Inexpressible:
    optimizer = _OPTIMIZERS.get(row["optimizer"])
    if optimizer is None:
        reason = f"optimizer {row['optimizer']} has no name among Hugging Face's optim values"
        return Inexpressible(source=Source.CASES, case_id=str(number), name=row["model"], reason=reason)
    prefix = "phase_peak_"
    peaks = {key.removeprefix(prefix): size for key, size in row.items() if key.startswith(prefix)}
    return ReferenceCase(
        source=Source.CASES,
        case_id=str(number),
        name=row["model"],
        request=_request_of_prototype(row, optimizer),
        config=_config_of_prototype(row),
        total_parameters=row["params_total"],
        trainable_parameters=row["params_trainable"],
        peak_bytes=row["peak_bytes"],
        peak_phase=_phase_of_prototype(row["peak_phase"]),
        phase_bytes={_phase_of_prototype(name): size for name, size in peaks.items() if name != "optimizer_step1"},
        parts=_gathered({key: row[key] for key in _PARTS_OF_CASES}, _PARTS_OF_CASES),
    )


def _config_of_prototype(row: Mapping[str, Any]) -> dict[str, Any]:
    config = {key: row[key] for key in _CONFIG_KEYS if key in row}
    config["model_type"] = _MODEL_TYPES[row["arch"]]
    if row["arch"] == "Phi3":
        config.setdefault("sliding_window", None)  # the configuration class's default, which the row leaves out
    return config


def _request_of_prototype(row: Mapping[str, Any], optimizer: str) -> dict[str, Any]:
    request = {
        "method": row["method"],
        "precision": _PRECISIONS[row["policy"]],
        "optimizer": optimizer,
        "embedding_state_32bit": row["bnb_embed_fp32"],
        "max_grad_norm": 1.0 if row["clip"] else 0,
        "micro_batch_size": row["batch"],
        "sequence_length": row["seq"],
        "gradient_accumulation_steps": row["accum"],
        "packing": not row["padding"],
        "gradient_checkpointing": "full" if row["gradient_checkpointing"] else "none",
        "attention": row["attn"],
        "keep_logits": row["keep_outputs"],
    }
    if row["method"] != "full":
        request |= {
            "lora_rank": row["lora_rank"],
            "lora_target_modules": _TARGETS[row["lora_targets"]],
            "lora_dropout": row["lora_dropout"],
            "use_dora": row["use_dora"],
            "adapter_dtype": "float32" if row["autocast_adapter_dtype"] else "bfloat16",
        }
    if row["method"] == "qlora":
        request |= {"double_quantization": row["double_quant"], "upcast_non_quantized": row["kbit_prepare"]}
    return request


def _phase_of_prototype(name: str) -> PhaseName:
    return _PHASES.get(name) or PhaseName(name)


def _gathered(sizes: Mapping[str, int], parts: Mapping[str, Part]) -> Mapping[Part, int]:
    total = dict.fromkeys(Part, 0)
    for key, size in sizes.items():
        total[parts[key]] += size
    return total
