"""One run to trace, in the field names of the API's request, and the settings that follow from it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

# The defaults of the API's `plain` stack, for the fields that decide the memory of one GPU.
PLAIN_DEFAULTS: Mapping[str, Any] = {
    "method": "lora",
    "lora_rank": 16,
    "lora_alpha": None,
    "lora_dropout": 0.0,
    "lora_target_modules": "attention",
    "use_dora": False,
    "modules_to_save": [],
    "adapter_dtype": "auto",
    "quantization": None,
    "double_quantization": True,
    "upcast_non_quantized": False,
    "precision": "bf16",
    "optimizer": "adamw_torch_fused",
    "embedding_state_32bit": False,
    "max_grad_norm": 1.0,
    "micro_batch_size": 4,
    "gradient_accumulation_steps": 1,
    "sequence_length": 512,
    "packing": True,
    "gradient_checkpointing": "none",
    "attention": "sdpa",
    "loss_kernel": "standard",
    "keep_logits": False,
}
_ADAPTER_FIELDS = (
    "lora_rank", "lora_alpha", "lora_dropout", "lora_target_modules", "use_dora", "modules_to_save", "adapter_dtype",
)  # fmt: skip
_QUANTISATION_FIELDS = ("quantization", "double_quantization", "upcast_non_quantized")


@dataclass(frozen=True, kw_only=True)
class TraceCase:
    """A training run: a Hugging Face configuration, and the request's fields that differ from the plain defaults."""

    config: Mapping[str, Any]
    fields: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    tag: str = ""

    def __post_init__(self) -> None:
        unknown = set(self.fields) - set(PLAIN_DEFAULTS)
        if unknown:
            raise ValueError(f"unknown request fields {sorted(unknown)}; known: {sorted(PLAIN_DEFAULTS)}")
        if "model_type" not in self.config:
            raise ValueError("config needs a model_type")

    @classmethod
    def from_flat(cls, flat: Mapping[str, Any]) -> "TraceCase":
        """A case from one mapping: the request's fields, and `config`, `name` and `tag` beside them."""
        fields = {key: value for key, value in flat.items() if key not in ("config", "name", "tag")}
        return cls(config=flat["config"], fields=fields, name=flat.get("name", ""), tag=flat.get("tag", ""))

    @cached_property
    def request(self) -> dict[str, Any]:
        """Every field that applies to the method, filled in."""
        filled = {**PLAIN_DEFAULTS, **self.fields}
        method = filled["method"]
        if method == "full":
            filled = {key: value for key, value in filled.items() if key not in _ADAPTER_FIELDS}
        elif filled["lora_alpha"] is None:
            filled["lora_alpha"] = 2 * filled["lora_rank"]
        if method == "qlora":
            filled["quantization"] = filled["quantization"] or "nf4"
        else:
            filled = {key: value for key, value in filled.items() if key not in _QUANTISATION_FIELDS}
        return filled

    @property
    def case_id(self) -> str:
        """A short fingerprint of the configuration and the request."""
        text = json.dumps([self.config, self.request], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def is_full(self) -> bool:
        """Whether every parameter trains."""
        return bool(self.request["method"] == "full")

    @property
    def is_quantised(self) -> bool:
        """Whether the linear layers of the base model are quantised."""
        return bool(self.request["method"] == "qlora")

    @property
    def autocast_dtype(self) -> str | None:
        """Type that autocast computes in, or `None` where there is no autocast."""
        return {"bf16-mixed": "bfloat16", "fp16-mixed": "float16"}.get(self.request["precision"])

    @property
    def base_dtype(self) -> str:
        """Type in which the base model is loaded."""
        precision = self.request["precision"]
        if precision == "fp32" or (self.is_full and precision.endswith("-mixed")):
            return "float32"
        return "float16" if precision == "fp16-mixed" else "bfloat16"

    @property
    def has_float32_adapters(self) -> bool:
        """Whether PEFT casts adapter weights to float32 (its `autocast_adapter_dtype`)."""
        chosen = self.request["adapter_dtype"]
        if chosen == "auto":
            return bool(self.request["precision"] != "bf16")
        return bool(chosen == "float32")

    @property
    def checkpoints(self) -> bool:
        """Whether each decoder layer is recomputed in backward."""
        return bool(self.request["gradient_checkpointing"] in ("full", "reentrant"))

    @property
    def reentrant(self) -> bool:
        """Whether a checkpoint repeats its layer in an autograd function of its own, as Transformers 4 has it."""
        return bool(self.request["gradient_checkpointing"] == "reentrant")
