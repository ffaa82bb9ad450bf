"""Examples in the OpenAPI document. A test sends each of them."""

from collections.abc import Mapping
from typing import Any, Final

Example = Mapping[str, Any]

ESTIMATE_EXAMPLES: Final[Mapping[str, Example]] = {
    "QLoRA on a 24 GB card": {"model": "llama-3-8b", "method": "qlora", "gpu": "rtx-3090"},
    "LoRA, longer sequences": {
        "model": "mistralai/Mistral-7B-v0.1",
        "method": "lora",
        "lora_rank": 32,
        "lora_target_modules": ["q_proj", "v_proj"],
        "sequence_length": 2048,
        "micro_batch_size": 2,
        "gradient_accumulation_steps": 8,
        "gpus": "none",
    },
    "Names from a Trainer script": {
        "model": "llama-3-8b",
        "per_device_train_batch_size": 1,
        "max_seq_length": 4096,
        "lora_r": 64,
        "optim": "paged_adamw_8bit",
        "load_in_4bit": True,
    },
    "A config.json": {
        "config": {
            "model_type": "llama",
            "vocab_size": 32000,
            "hidden_size": 2048,
            "intermediate_size": 5632,
            "num_hidden_layers": 22,
            "num_attention_heads": 32,
            "num_key_value_heads": 4,
            "max_position_embeddings": 2048,
            "tie_word_embeddings": False,
        },
        "method": "full",
        "stack": "plain",
        "gpus": "none",
    },
}

COMPARE_EXAMPLES: Final[Mapping[str, Example]] = {
    "Two models, three methods": {"models": ["llama-3-8b", "mistral-7b-v0.1"], "methods": ["full", "lora", "qlora"]},
}

RECOMMEND_EXAMPLES: Final[Mapping[str, Example]] = {
    "The cheapest server for a QLoRA run": {"model": "mistral-7b-v0.1", "method": "qlora", "limit": 3},
    "Full fine-tuning of a 70B": {"model": "llama-3-70b", "method": "full", "limit": 3},
}

SOLVE_EXAMPLES: Final[Mapping[str, Example]] = {
    "The largest micro-batch on a 24 GB card": {
        "unknown": "micro_batch_size",
        "model": "llama-3-8b",
        "method": "qlora",
        "gpu": "rtx-4090",
        "sequence_length": 2048,
    },
    "The fewest cards for a 70B": {
        "unknown": "num_gpus",
        "model": "llama-3-70b",
        "method": "full",
        "gpu": "h100-sxm",
    },
    "The largest model for a budget": {"unknown": "model", "method": "lora", "budget": 5},
}


def named(examples: Mapping[str, Example]) -> dict[str, dict[str, Any]]:
    """Examples as OpenAPI writes them."""
    return {
        title.lower().replace(" ", "-").replace(",", "").replace(".", "-"): {"summary": title, "value": dict(value)}
        for title, value in examples.items()
    }
