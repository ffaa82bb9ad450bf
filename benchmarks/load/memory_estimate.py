"""One memory estimate against ``fitcheck.estimate`` of fitcheck-llm, over the same distinct runs, alternating.

Both get everything built: our architecture and groups, their ``ModelConfig``, ``TrainingConfig`` and ``GpuSpec``.
Theirs also searches a largest batch and writes savings hints; ours also finds a largest micro-batch here, and holds
the phases, components and intervals that a page draws. Ours derives what a layer keeps once for a model and a way to
train it, and keeps that: *cold* is with that derivation, *warm* without. CPU time, so that neighbours count less.
"""

import gc
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final

import fitcheck

from app.catalogue.snapshot import Snapshot
from app.memory.architecture import Architecture, Attention
from app.memory.estimate import estimate_memory, largest_micro_batch
from app.request import Groups, parse_json, resolve, to_groups
from benchmarks.load.runs import distinct_runs

ROUNDS: Final = 5
RUNS: Final = 2000
COLD_RUNS: Final = 100
CARD: Final = "a100-80"

MODELS: Final = (
    "llama-3-8b", "llama-3-70b", "llama-3.2-1b", "mistral-7b-v0.1", "qwen2.5-0.5b", "qwen2.5-7b", "qwen2.5-14b",
    "qwen3-8b", "gemma-2-9b", "phi-3-mini-4k-instruct",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """The same run for both."""

    architecture: Architecture
    groups: Groups
    model: fitcheck.ModelConfig
    training: fitcheck.TrainingConfig


def pairs(count: int) -> list[Pair]:
    """``count`` distinct runs, built."""
    snapshot = Snapshot.bundled()
    known = {name: found.model.architecture for name in MODELS if (found := snapshot.resolve_model(name)) is not None}
    models = {name: _their_model(name, architecture) for name, architecture in known.items()}
    chosen = []
    for fields, _ in zip(distinct_runs(tuple(known)), range(count), strict=False):
        run = resolve(parse_json({**fields, "stack": "plain", "attention": "flash_attention_2"})).run
        chosen.append(
            Pair(
                architecture=known[fields["model"]],
                groups=to_groups(run),
                model=models[fields["model"]],
                training=_their_training(fields),
            )
        )
    return chosen


def _their_model(name: str, architecture: Architecture) -> fitcheck.ModelConfig:
    layer = architecture.layers[0]
    mixer, mlp = layer.mixer, layer.mlp
    assert isinstance(mixer, Attention)
    assert mlp is not None
    return fitcheck.ModelConfig(
        name=name,
        num_params=architecture.total_parameters,
        hidden_size=architecture.hidden_size,
        num_layers=architecture.num_hidden_layers,
        num_attention_heads=mixer.num_heads,
        num_kv_heads=mixer.num_key_value_heads,
        intermediate_size=mlp.intermediate_size,
        vocab_size=architecture.vocab_size,
        head_dim=mixer.head_dim,
        tie_word_embeddings=architecture.tie_word_embeddings,
    )


def _their_training(fields: dict[str, Any]) -> fitcheck.TrainingConfig:
    quantised = fields["method"] == "qlora"
    return fitcheck.TrainingConfig(
        quantization="nf4" if quantised else "none",
        double_quant=quantised,
        batch_size=fields["micro_batch_size"],
        seq_len=fields["sequence_length"],
        lora_rank=None if fields["method"] == "full" else fields["lora_rank"],
        grad_checkpoint=fields["gradient_checkpointing"] == "full",
        flash_attn=True,
    )


def ours(pair: Pair, usable_bytes: int) -> int:
    """Our estimate and its largest micro-batch."""
    groups = pair.groups
    estimate = estimate_memory(pair.architecture, groups.method, groups.precision, groups.batch)
    return largest_micro_batch(estimate, usable_bytes)


def forget() -> None:
    """Empty every cache of the memory model, as in a process that has just started."""
    for name, module in tuple(sys.modules.items()):
        if name.startswith("app.memory."):
            for value in tuple(vars(module).values()):
                clear: Callable[[], None] | None = getattr(value, "cache_clear", None)
                if clear is not None:
                    clear()


def seconds_each(call: Callable[[Pair], Any], runs: Sequence[Pair]) -> float:
    """CPU seconds a run."""
    started = time.process_time()
    for run in runs:
        call(run)
    return (time.process_time() - started) / len(runs)


def cold_seconds(call: Callable[[Pair], Any], runs: Iterable[Pair]) -> list[float]:
    """CPU seconds of each run with nothing derived before it."""
    taken = []
    for run in runs:
        forget()
        started = time.process_time()
        call(run)
        taken.append(time.process_time() - started)
    return taken


def main() -> None:
    """Print what one estimate takes, ours and theirs."""
    runs = pairs(RUNS)
    card = fitcheck.GPU_DB[CARD]
    usable_bytes = card.usable_mib * 2**20
    gc.freeze()

    def our_call(pair: Pair) -> Any:
        return ours(pair, usable_bytes)

    def their_call(pair: Pair) -> Any:
        return fitcheck.estimate(pair.model, pair.training, card)

    forget()
    first = seconds_each(our_call, runs)
    our_times, their_times = [], []
    for _ in range(ROUNDS):
        their_times.append(seconds_each(their_call, runs))
        our_times.append(seconds_each(our_call, runs))
    cold = cold_seconds(our_call, runs[:COLD_RUNS])
    theirs = statistics.median(their_times)
    models = len({id(pair.architecture) for pair in runs})
    print(f"One memory estimate, CPU time; {len(runs):,} distinct runs of {models} models")
    print(f"  fitcheck.estimate {version('fitcheck-llm')}: {_microseconds(theirs)}")
    for words, seconds in (
        ("warm (layers derived before)", statistics.median(our_times)),
        ("over all these runs from an empty process", first),
        ("cold (every cache emptied before each)", statistics.median(cold)),
    ):
        print(f"  ours, {words}: {_microseconds(seconds)}, {seconds / theirs:.2f} of theirs")


def _microseconds(seconds: float) -> str:
    return f"{seconds * 1e6:,.0f} µs"


if __name__ == "__main__":
    main()
