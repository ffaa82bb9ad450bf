"""Run every case in as many processes as it has ranks: ``python -m benchmarks.accuracy.ranks [OUT]``.

In the environment of the traces (benchmarks/accuracy/README.md); gloo on the CPU, a few minutes for all.
"""

import json
import sys
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Final

import torch.multiprocessing

from benchmarks.accuracy.ranks.cases import CONFIG, RANKS, cases
from benchmarks.accuracy.ranks.process import run_rank

OUTPUT: Final = Path(__file__).parents[1] / "data" / "real_ranks.json"
PACKAGES: Final = ("torch", "transformers", "peft", "bitsandbytes")
PORT: Final = 29700


def main(arguments: list[str]) -> int:
    """Write what each rank of each case holds: the bytes of every storage, by purpose."""
    rows = []
    for num_gpus in RANKS:
        chosen = [case for case in cases() if case.num_gpus == num_gpus]
        with torch.multiprocessing.Manager() as manager:
            results = manager.dict()
            torch.multiprocessing.spawn(run_rank, args=(chosen, PORT + num_gpus, results), nprocs=num_gpus)
            for number, case in enumerate(chosen):
                rows.append({**asdict(case), "ranks": [results[number, rank] for rank in range(num_gpus)]})
    output = Path(arguments[0]) if arguments else OUTPUT
    versions = {package: version(package) for package in PACKAGES}
    head = json.dumps({"config": dict(CONFIG), "versions": versions})
    body = ",\n".join(json.dumps(row) for row in rows)
    output.write_text(f'{head[:-1]}, "runs": [\n{body}\n]}}\n', encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
