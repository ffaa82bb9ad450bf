"""Llama 3 70B over several GPUs, as the service answers: the table of ``docs/multi-gpu.md``.

python -m benchmarks.accuracy.multi_gpu
"""

from datetime import date

from app.catalogue.snapshot import Snapshot
from app.request import parse_json
from app.services.estimate import estimate
from app.services.policy import Policy
from app.services.results import EstimateResult
from app.units import GIB

COMMON = {"model": "llama-3-70b", "sequence_length": 512, "micro_batch_size": 1, "gpus": "none"}
SETUPS: tuple[tuple[str, dict[str, object]], ...] = (
    ("full, 8 × H100 80 GB", {"method": "full", "num_gpus": 8, "gpu": "h100-sxm"}),
    (
        "full, 8 × H100 80 GB, ZeRO-3 and everything offloaded",
        {"method": "full", "num_gpus": 8, "gpu": "h100-sxm", "strategy": "zero3", "offload": "both"},
    ),
    ("full, 16 × H100 80 GB", {"method": "full", "num_gpus": 16, "gpu": "h100-sxm"}),
    ("full in pure bf16, 16 × H100 80 GB", {"method": "full", "num_gpus": 16, "gpu": "h100-sxm", "precision": "bf16"}),
    ("LoRA, 4 × A100 80 GB PCIe", {"method": "lora", "num_gpus": 4, "gpu": "a100-80gb-pcie"}),
    ("LoRA, 4 × H100 80 GB", {"method": "lora", "num_gpus": 4, "gpu": "h100-sxm"}),
    ("QLoRA, 2 × RTX A5000 24 GB", {"method": "qlora", "num_gpus": 2, "gpu": "rtx-a5000"}),
    (
        "QLoRA, 2 × RTX A5000 24 GB, weights offloaded",
        {"method": "qlora", "num_gpus": 2, "gpu": "rtx-a5000", "strategy": "fsdp2", "offload": "parameters"},
    ),
    ("QLoRA, 3 × RTX A5000 24 GB, layers split", {
        "method": "qlora", "num_gpus": 3, "gpu": "rtx-a5000", "strategy": "device_map"}),
    ("QLoRA, 1 × RTX A6000 48 GB", {"method": "qlora", "gpu": "rtx-a6000"}),
)  # fmt: skip


def row(title: str, result: EstimateResult) -> str:
    """A line of the table; memory in GiB a card."""
    memory, verdict = result.memory, result.verdict
    assert verdict is not None
    low, high = memory.required_low_bytes / GIB, memory.required_high_bytes / GIB
    hours = f"{result.time.total_seconds / 3600:.1f}" if result.time else "–"
    cost = f"{result.cost.amount} {result.cost.currency}" if result.cost else "–"
    cells = (
        title,
        result.run.strategy.value,
        f"{memory.peak_allocated_bytes / GIB:.1f}",
        f"{memory.required_bytes / GIB:.1f} ({low:.1f}–{high:.1f})",
        f"{verdict.usable_bytes / GIB:.1f}",
        f"{memory.host_bytes / GIB:.0f}",
        verdict.status.replace("_", " "),
        hours,
        cost,
    )
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print the table."""
    snapshot, policy, today = Snapshot.bundled(), Policy(), date(2026, 11, 24)
    print("| set-up | strategy | peak | needs (likely) | usable | host a card | verdict | hours | cost |")
    print("|---|---|---|---|---|---|---|---|---|")
    for title, fields in SETUPS:
        run = parse_json({**COMMON, **fields})
        print(row(title, estimate(run, snapshot, today, policy)))


if __name__ == "__main__":
    main()
