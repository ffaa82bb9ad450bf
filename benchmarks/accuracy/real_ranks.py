"""What each rank of real runs held, beside our model states: ``python -m benchmarks.accuracy.real_ranks`` prints it.

The runs are made by ``python -m benchmarks.accuracy.ranks`` in the environment of the traces. Sizes are those of
storages, each rounded to the allocator's block as on a card.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.memory.build import parse_config
from app.memory.estimate import cluster_layout
from app.memory.policy import make_policy
from app.memory.states import States, model_states
from app.request import parse_json, resolve, to_groups
from app.units import round_to_block
from benchmarks.accuracy.ranks.cases import RankCase

DATA = Path(__file__).parent / "data" / "real_ranks.json"


@dataclass(frozen=True, kw_only=True)
class RankComparison:
    """A run's states by purpose: ours, those of each rank, and how many storages a rank has them in."""

    case: RankCase
    ours: Mapping[str, int]
    ranks: Sequence[Mapping[str, int]]
    storages: Mapping[str, int]

    @property
    def agrees(self) -> bool:
        """Whether ours are those of the first rank, to the byte."""
        return self.ours == self.ranks[0]


def compare_ranks() -> Iterator[RankComparison]:
    """Every committed run beside the states of the same request."""
    data = json.loads(DATA.read_text(encoding="utf-8"))
    for row in data["runs"]:
        ranks = row.pop("ranks")
        case = RankCase(**row)
        yield RankComparison(
            case=case,
            ours=_by_purpose(case, _states(case, data["config"])),
            ranks=[{name: sum(map(round_to_block, sizes)) for name, sizes in held.items()} for held in ranks],
            storages={name: max(len(held[name]) for held in ranks) for name in ranks[0]},
        )


def _states(case: RankCase, config: Mapping[str, Any]) -> States:
    groups = to_groups(resolve(parse_json({**case.request, "model": "config given", "stack": "plain"})).run)
    layout = cluster_layout(groups.cluster, groups.method)
    policy = make_policy(groups.method, groups.precision.policy, groups.batch, layout.traits)
    return model_states(parse_config(config), groups.method, policy, layout)


def _by_purpose(case: RankCase, states: States) -> dict[str, int]:
    full = case.method == "full"
    return {
        "frozen": 0 if full else states.weights,
        "trained": states.weights if full else states.adapters,
        "gradients": states.gradients,
        "optimizer_state": states.optimizer_state,
    }


def main() -> int:
    """Print each run's sizes and whether they agree."""
    print("| strategy | method | precision | ranks | frozen | trained | gradients | optimizer state | to the byte |")
    print("|---|---|---|--:|--:|--:|--:|--:|---|")
    disagreeing = 0
    for item in compare_ranks():
        case = item.case
        sizes = " | ".join(f"{size:,}" for size in item.ours.values())
        disagreeing += not item.agrees
        told = "yes" if item.agrees else f"no: {item.ranks[0]}"
        print(f"| {case.strategy} | {case.method} | {case.precision} | {case.num_gpus} | {sizes} | {told} |")
    return int(disagreeing > 0)


if __name__ == "__main__":
    raise SystemExit(main())
