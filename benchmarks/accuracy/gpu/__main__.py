"""Measure real training steps: ``python -m benchmarks.accuracy.gpu run|list|check``.

``run`` needs a CUDA card and an environment with torch, transformers, peft and bitsandbytes; each run gets a process
of its own, so that none inherits another's cached blocks. ``check`` trains a tiny model on the CPU.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.accuracy.gpu.suite import GpuRun, suite, tiny


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 1 where something could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy.gpu", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="print the designed set")
    commands.add_parser("check", help="train a tiny model on the CPU")
    run = commands.add_parser("run", help="measure the designed set on this machine's card")
    run.add_argument("--out", type=Path, required=True, help="JSON lines; runs that are in it already are not repeated")
    run.add_argument("--timeout", type=float, default=900, help="seconds a run may take")
    one = commands.add_parser("one", help="measure one run, read from standard input")
    one.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    options = parser.parse_args(arguments)
    match options.command:
        case "list":
            for item in suite():
                print(json.dumps({"model": item.model, **item.request}))
            return 0
        case "one":
            print(json.dumps(_measure(GpuRun(**json.load(sys.stdin)), options.device)))
            return 0
        case "check":
            return _check()
        case _:
            return _run(options.out, options.timeout)


def _measure(run: GpuRun, device: str) -> dict[str, Any]:
    from benchmarks.accuracy.gpu.step import measure

    return measure(run, device)


def _check() -> int:
    for run in tiny():
        row = _measure(run, "cpu")
        print(f"{json.dumps(run.request)}: {row['tokens_per_second']:,.0f} tokens a second")
    return 0


def _run(out: Path, timeout: float) -> int:
    done = set()
    if out.exists():
        done = {_key(json.loads(line)["asked"]) for line in out.read_text(encoding="utf-8").splitlines()}
    failed = 0
    for item in suite():
        asked = asdict(item)
        if _key(asked) in done:
            continue
        command = [sys.executable, "-m", "benchmarks.accuracy.gpu", "one"]
        try:
            result = subprocess.run(
                command, input=json.dumps(asked), capture_output=True, text=True, timeout=timeout, check=True
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            failed += 1
            print(f"not measured: {asked['model']} {asked['request']}: {error}\n{error.stderr!s}", file=sys.stderr)
            continue
        row = {"asked": asked, **json.loads(result.stdout.splitlines()[-1])}
        with out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(f"{item.model} {dict(item.request)}: {row['allocated_bytes']} allocated")
    return 1 if failed else 0


def _key(asked: dict[str, Any]) -> str:
    return json.dumps(asked, sort_keys=True)


if __name__ == "__main__":
    raise SystemExit(main())
