"""DeepSpeed's own estimators on a few models: ``python -m benchmarks.accuracy.deepspeed_reference`` writes their
figures.

In the environment of the traces with DeepSpeed added (``DS_BUILD_OPS=0 pip install deepspeed``; ``DS_ACCELERATOR=cpu``
where there is no card). The factor of 1.5 that they put on the host's memory "for buffers" is set to 1: they derive it
from nothing.
"""

import json
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from app.memory.build import parse_config

OUTPUT: Final = Path(__file__).parent / "data" / "deepspeed_estimators.json"

LLAMA: Final[Mapping[str, Any]] = {"model_type": "llama", "vocab_size": 128256, "num_key_value_heads": 8}
MODELS: Final[Mapping[str, Mapping[str, Any]]] = {
    "Llama-3.2-1B": {
        **LLAMA,
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "head_dim": 64,
        "tie_word_embeddings": True,
    },
    "Meta-Llama-3-8B": {
        **LLAMA,
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
    },
    "Qwen2.5-32B": {
        "model_type": "qwen2",
        "vocab_size": 152064,
        "hidden_size": 5120,
        "intermediate_size": 27648,
        "num_hidden_layers": 64,
        "num_attention_heads": 40,
        "num_key_value_heads": 8,
    },
    "Meta-Llama-3-70B": {
        **LLAMA,
        "hidden_size": 8192,
        "intermediate_size": 28672,
        "num_hidden_layers": 80,
        "num_attention_heads": 64,
    },
}
CARDS: Final = ((4, 1), (8, 1), (8, 2))
"""Cards a node, nodes."""


def main() -> int:
    """Ask the estimators and write what they answer."""
    from deepspeed.runtime.zero.stage3 import estimate_zero3_model_states_mem_needs as zero3
    from deepspeed.runtime.zero.stage_1_and_2 import estimate_zero2_model_states_mem_needs as zero2

    def rows() -> Iterator[dict[str, Any]]:
        for model, config in MODELS.items():
            architecture = parse_config(config)
            total = architecture.total_parameters
            largest = max(parameter.elements for parameter in architecture.parameters)
            for per_node, nodes in CARDS:
                shared = {"num_gpus_per_node": per_node, "num_nodes": nodes, "additional_buffer_factor": 1}
                for offload in ("none", "optimizer"):
                    host, card = zero2(total, cpu_offload=offload != "none", **shared)
                    yield _row(model, "zero2", offload, per_node, nodes, host, card, 0)
                for offload in ("none", "optimizer", "both"):
                    host, card, layer = zero3(
                        total, largest, cpu_offload=offload != "none", cpu_offload_params=offload == "both", **shared
                    )
                    yield _row(model, "zero3", offload, per_node, nodes, host, card, int(layer))

    body = ",\n".join(json.dumps(row) for row in rows())
    OUTPUT.write_text(f'{{"deepspeed": "{version("deepspeed")}", "rows": [\n{body}\n]}}\n', encoding="utf-8")
    return 0


def _row(
    model: str, strategy: str, offload: str, per_node: int, nodes: int, host: int, card: int, layer: int
) -> dict[str, Any]:
    """``layer_bytes`` of ``card_bytes`` are for the largest module's own weights and gradients."""
    return {
        "model": model,
        "strategy": strategy,
        "offload": offload,
        "gpus_per_node": per_node,
        "nodes": nodes,
        "card_bytes": card,
        "layer_bytes": layer,
        "host_bytes": host,
    }


if __name__ == "__main__":
    raise SystemExit(main())
