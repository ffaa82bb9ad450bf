"""Command line of the tracing harness: `run` cases, `explain` a peak, see what a `layer` keeps, `replay` old cases."""

import argparse
import json
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.accuracy.tracing import replay, suites
from benchmarks.accuracy.tracing.case import TraceCase

_PHASES = ("forward", "loss", "backward_loss", "backward", "clip", "optimizer_step")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status says whether every case was traced, or agreed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy.tracing", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="trace a set of cases and append a row for each to a file")
    run.add_argument("--cases", required=True, help=f"one of {', '.join(suites.SUITES)}, or a file of JSON cases")
    run.add_argument("--out", required=True, type=Path, help="JSON lines; cases already in it are not traced again")
    run.add_argument("--limit", type=int, help="trace at most this many")
    explain = commands.add_parser("explain", help="list what is alive at the peak of one case")
    explain.add_argument("--case", required=True, help="a JSON case, or FILE.jsonl:CASE_ID of a traced one")
    explain.add_argument("--top", type=int, default=40, help="how many groups of tensors to list")
    explain.add_argument("--phase", choices=[*_PHASES, "kept"], help="a phase's own peak, or what forward keeps")
    kept = commands.add_parser("layer", help="bytes that one more layer keeps for backward, per token and tensor")
    kept.add_argument("--case", required=True, help="as for explain; its number of layers is a whole pattern")
    again = commands.add_parser("replay", help="trace earlier cases again and compare to the byte")
    again.add_argument("--every", type=int, default=10, help="take each n-th case")
    again.add_argument("--tag", help="only the cases of this tag")
    commands.add_parser("selfcheck", help="compare fake, real and profiled memory of small cases on the CPU")
    options = parser.parse_args(arguments)
    commands_by_name: dict[str, Callable[[Any], int]] = {
        "run": _run,
        "explain": _explain,
        "layer": _layer,
        "selfcheck": _selfcheck,
        "replay": _replay,
    }
    return commands_by_name[options.command](options)


def _run(options: Any) -> int:
    from benchmarks.accuracy.tracing import fake_cuda  # noqa: F401, I001  (before PyTorch)
    from benchmarks.accuracy.tracing import counts, layers, results, step

    rows: dict[str, Callable[[TraceCase], dict[str, Any]]] = {
        "layers": lambda case: layers.row(layers.report(case)),
        "parameters": counts.row,
        "wrappers": counts.whole_row,
    }
    row_of = rows.get(options.cases) or (lambda case: results.row(step.trace(case)))
    done = _case_ids(options.out)
    cases = [case for case in _cases(options.cases) if case.case_id not in done][: options.limit]
    failures = 0
    for number, case in enumerate(cases, start=1):
        started = time.monotonic()
        try:
            line = row_of(case)
        except Exception as error:  # a case that cannot be traced is a finding, and must not stop the others
            failures += 1
            traceback.print_exc(limit=-4)
            print(f"{number}/{len(cases)} {case.name} {case.tag}: {error!r}"[:400], file=sys.stderr, flush=True)
            continue
        with options.out.open("a") as out:
            out.write(json.dumps(line, ensure_ascii=False) + "\n")
        seconds = time.monotonic() - started
        print(f"{number}/{len(cases)} {case.name} {case.tag} in {seconds:.1f} s", flush=True)
    return 1 if failures else 0


def _explain(options: Any) -> int:
    from benchmarks.accuracy.tracing import fake_cuda, results, step  # noqa: F401  (fake_cuda before PyTorch)

    trace = step.trace(_one_case(options.case))
    line = results.row(trace)
    shown = ("parameters", "adapted_modules", "kernels", "phase_peak_bytes", "component_bytes", "end_of_forward_bytes")
    for key in shown:
        print(f"{key}: {json.dumps(line[key])}")
    print(f"peak {line['peak_allocated_bytes']:,} bytes in {line['peak_phase']}, step {line['peak_step']}")
    for group in results.groups_at(trace, _moment(trace, options.phase))[: options.top]:
        print(f"{group.size_bytes:>16,}  {group}")
    return 0


def _moment(trace: Any, phase: str | None) -> int:
    if phase is None:
        return int(trace.tracker.peak.moment)
    if phase == "kept":
        return int(trace.end_of_forward_moment)
    peaks = {key[1]: peak.moment for key, peak in trace.tracker.phase_peaks.items() if key[0] == trace.tracker.step}
    return int(peaks[phase])


def _layer(options: Any) -> int:
    from benchmarks.accuracy.tracing import fake_cuda, layers  # noqa: F401  (fake_cuda before PyTorch)

    found = layers.report(_one_case(options.case))
    for tensor in found.kept:
        print(tensor)
    print(f"{found.bytes_per_token:g} bytes per token and layer, a mean over {found.layers} layers")
    print(f"{found.weight_cast_bytes:,} bytes a layer in casts of its weights")
    return 0


def _replay(options: Any) -> int:
    from benchmarks.accuracy.tracing import fake_cuda, step  # noqa: F401  (fake_cuda before PyTorch)

    different = 0
    rows = [row for row in replay.earlier_rows() if options.tag in (None, row["tag"])]
    for row in rows[:: options.every]:
        case = replay.as_case(row)
        trace = step.trace(case)
        peak, expected = trace.tracker.peak, row["peak_bytes"]
        same = (peak.size_bytes, trace.total_parameters) == (expected, row["params_total"])
        different += not same
        verdict = "same" if same else f"differs by {peak.size_bytes - expected:+,}"
        print(f"{case.tag} {case.name} {row['method']} {row['policy']}: {peak.size_bytes:,} {verdict}", flush=True)
    return 1 if different else 0


def _selfcheck(_: Any) -> int:
    from benchmarks.accuracy.tracing import fake_cuda, selfcheck  # noqa: F401  (fake_cuda before PyTorch)

    different = 0
    for case, fake, real, profiled in selfcheck.agreements():
        different += fake != real
        print(f"fake {fake:,} real {real:,} profiler {profiled:,} ({profiled / real - 1:+.3%}): {dict(case.fields)}")
    return 1 if different else 0


def _cases(source: str) -> Iterable[TraceCase]:
    if source in suites.SUITES:
        return suites.SUITES[source]()
    return [TraceCase.from_flat(json.loads(line)) for line in Path(source).read_text().splitlines()]


def _one_case(source: str) -> TraceCase:
    if source.lstrip().startswith("{"):
        return TraceCase.from_flat(json.loads(source))
    path, _, case_id = source.rpartition(":")
    for line in Path(path).read_text().splitlines():
        row = json.loads(line)
        if row["case_id"] == case_id:
            return TraceCase(config=row["config"], fields=row["request"], name=row["name"], tag=row["tag"])
    raise SystemExit(f"no case {case_id} in {path}")


def _case_ids(path: Path) -> set[str]:
    if not path.exists():
        return set()
    return {json.loads(line)["case_id"] for line in path.read_text().splitlines()}


if __name__ == "__main__":
    sys.exit(main())
