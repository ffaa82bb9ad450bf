"""DeepSpeed's own estimators beside our model states, and what they leave out of a run.

``python -m benchmarks.accuracy.deepspeed_estimators`` prints the table of docs/multi-gpu.md.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from app.memory.build import parse_config
from app.memory.estimate import cluster_layout, estimate_memory
from app.memory.policy import make_policy
from app.memory.result import MemoryEstimate
from app.memory.shards import updated_tensors
from app.memory.states import master_gradient_bytes, model_states, trained_units
from app.memory.tape import FLOAT32
from app.request import parse_json, resolve, to_groups
from app.units import GIB
from benchmarks.accuracy.deepspeed_reference import MODELS, OUTPUT


@dataclass(frozen=True, kw_only=True)
class EstimatorComparison:
    """One answer of an estimator; bytes a card but for the host's, which are a node's."""

    row: Mapping[str, Any]
    states_bytes: int
    """What they count, by our states: weights, float32 gradients, masters and Adam's moments; under ZeRO-2 the 16-bit
    gradients too, which they leave out under ZeRO-3."""
    not_at_once_bytes: int
    """Float32 gradients that they count and DeepSpeed does not hold at once: it updates a sub-group at a time."""
    host_bytes: int
    estimate: MemoryEstimate

    @property
    def their_states_bytes(self) -> int:
        """Theirs without the largest module's own weights and gradients."""
        return int(self.row["card_bytes"]) - int(self.row["layer_bytes"])

    @property
    def states_difference(self) -> float:
        """Ours over theirs, less one; 0 where both are none."""
        ours = self.states_bytes + self.not_at_once_bytes
        return ours / self.their_states_bytes - 1 if self.their_states_bytes else float(ours)

    @property
    def left_out_bytes(self) -> int:
        """By how much our peak of the run exceeds their figure."""
        return self.estimate.peak_allocated_bytes - int(self.row["card_bytes"])


def compare_estimators() -> Iterator[EstimatorComparison]:
    """Every answer beside a request for the same: full fine-tuning, mixed precision, AdamW."""
    for row in json.loads(OUTPUT.read_text(encoding="utf-8"))["rows"]:
        groups = to_groups(resolve(parse_json(request_of(row))).run)
        architecture, cluster = parse_config(MODELS[row["model"]]), groups.cluster
        layout = cluster_layout(cluster, groups.method)
        policy = make_policy(groups.method, groups.precision.policy, groups.batch, layout.traits)
        states = model_states(architecture, groups.method, policy, layout)
        copy = everything = 0
        if row["offload"] == "none":
            trained = trained_units(architecture, groups.method, policy, layout)
            updated = tuple(updated_tensors(trained, layout.traits.sharding, layout.shards))
            copy = master_gradient_bytes(updated, layout.traits)
            everything = FLOAT32 * sum(tensor.elements * tensor.count for tensor in updated)
        gradients = states.gradients if row["strategy"] == "zero2" else 0
        yield EstimatorComparison(
            row=row,
            states_bytes=states.weights + gradients + states.optimizer_state + copy,
            not_at_once_bytes=everything - copy,
            host_bytes=states.host * row["gpus_per_node"],
            estimate=estimate_memory(architecture, groups.method, groups.precision, groups.batch, cluster),
        )


def request_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """The request that an answer is for: one sequence of 2,048 tokens, checkpointed."""
    return {
        "model": row["model"],
        "stack": "trl",
        "method": "full",
        "precision": "bf16-mixed",
        "micro_batch_size": 1,
        "sequence_length": 2048,
        "packing": True,
        "num_gpus": row["gpus_per_node"] * row["nodes"],
        "gpus_per_node": row["gpus_per_node"],
        "strategy": row["strategy"],
        "offload": row["offload"],
    }


def main() -> int:
    """Print the table."""
    print("| model | stage | offload | cards | theirs a card | of it states | our states | our peak | left out |")
    print("|---|---|---|--:|--:|--:|--:|--:|--:|")
    for item in compare_estimators():
        row = item.row
        if row["nodes"] > 1 or row["gpus_per_node"] != 8:
            continue
        sizes = (
            int(row["card_bytes"]),
            item.their_states_bytes,
            item.states_bytes,
            item.estimate.peak_allocated_bytes,
            item.left_out_bytes,
        )
        cells = " | ".join(f"{size / GIB:.2f}" for size in sizes)
        print(f"| {row['model']} | {row['strategy']} | {row['offload']} | {row['gpus_per_node']} | {cells} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
