"""Other calculators on the same measured runs: ``python -m benchmarks.accuracy.rivals``.

They are not among the project's dependencies: install fitcheck-llm 0.3.1, ftuneai 0.4.1, gpu-estimator 0.2.0 and
alloc 0.0.16 beside it. Each is given what it can be given: what it has no argument for, it does not know.
"""

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from app.memory.build import parse_config
from app.units import GIB, MIB
from benchmarks.accuracy.distribution import quantile
from benchmarks.accuracy.measured import MeasuredRun, compare_all_measured, load_measured

Estimator = Callable[[MeasuredRun], float | None]
"""Bytes, or None where the calculator has no such method."""


def fitcheck(run: MeasuredRun) -> float | None:
    """fitcheck-llm: its component sum for an A100 of 80 GB."""
    from fitcheck.config_parser import ModelConfig  # type: ignore[import-not-found, unused-ignore]
    from fitcheck.estimator import TrainingConfig, estimate  # type: ignore[import-not-found, unused-ignore]
    from fitcheck.gpu_db import get_gpu  # type: ignore[import-not-found, unused-ignore]

    config, request = _config(run), run.request
    lora = request["method"] != "full"
    training = TrainingConfig(
        precision="bf16",
        quantization="nf4" if request["method"] == "qlora" else "none",
        double_quant=request["method"] == "qlora",
        optimizer_dtype="fp32" if lora else "bf16",
        batch_size=request["micro_batch_size"],
        seq_len=request["sequence_length"],
        lora_rank=request["lora_rank"] if lora else None,
        lora_targets=request["lora_target_modules"] if lora else [],
        grad_checkpoint=request["gradient_checkpointing"] == "full",
        flash_attn=request["attention"] == "flash_attention_2",
    )
    model = ModelConfig(
        name=run.model,
        num_params=parse_config(config).total_parameters,
        hidden_size=config["hidden_size"],
        num_layers=config["num_hidden_layers"],
        num_attention_heads=config["num_attention_heads"],
        num_kv_heads=config["num_key_value_heads"],
        intermediate_size=config["intermediate_size"],
        vocab_size=config["vocab_size"],
        head_dim=config["hidden_size"] // config["num_attention_heads"],
        tie_word_embeddings=config["tie_word_embeddings"],
    )
    return float(estimate(model, training, get_gpu("a100-80")).total_mib * MIB)


def ftuneai(run: MeasuredRun) -> float | None:
    """ftuneai: its total, overhead included."""
    from ftuneai.core import memory, models  # type: ignore[import-not-found, unused-ignore]

    config, request = _config(run), run.request
    spec = models.ModelSpec(
        name=run.model,
        parameters=parse_config(config).total_parameters,
        hidden_size=config["hidden_size"],
        num_layers=config["num_hidden_layers"],
        num_attention_heads=config["num_attention_heads"],
        num_kv_heads=config["num_key_value_heads"],
        intermediate_size=config["intermediate_size"],
        vocab_size=config["vocab_size"],
        max_seq_length=config["max_position_embeddings"],
    )
    qlora = request["method"] == "qlora"
    training = models.TrainingConfig(
        model=run.model,
        method=models.FineTuneMethod(request["method"]),
        quantization=models.Quantization.INT4 if qlora else models.Quantization.NONE,
        batch_size=request["micro_batch_size"],
        seq_length=request["sequence_length"],
        gradient_checkpointing=request["gradient_checkpointing"] == "full",
        lora_rank=request.get("lora_rank", 16),
        lora_target=models.LoRATarget.ATTENTION_ALL,
        flash_attention=request["attention"] == "flash_attention_2",
    )
    return float(memory.MemoryEstimator(spec, training).estimate().total_gb / memory.BYTES_TO_GB)


def gpu_estimator(run: MeasuredRun) -> float | None:
    """gpu-estimator: full fine-tuning only; its total before it is shared among cards."""
    from gpu_estimator.estimator import GPUEstimator  # type: ignore[import-not-found, unused-ignore]

    if run.request["method"] != "full":
        return None
    result = GPUEstimator().estimate(
        model_params=parse_config(_config(run)).total_parameters,
        batch_size=run.request["micro_batch_size"],
        sequence_length=run.request["sequence_length"],
        precision="bf16",
        optimizer="adamw",
        gradient_checkpointing=run.request["gradient_checkpointing"] == "full",
    )
    return float(result.total_memory_gb * GIB)


def alloc(run: MeasuredRun) -> float | None:
    """alloc: full fine-tuning only; the total of its Ghost Scan."""
    from alloc.ghost import ghost  # type: ignore[import-not-found, unused-ignore]

    if run.request["method"] != "full":
        return None
    report = ghost(
        param_count=parse_config(_config(run)).total_parameters,
        dtype="bfloat16",
        batch_size=run.request["micro_batch_size"],
        seq_length=run.request["sequence_length"],
        hidden_dim=_config(run)["hidden_size"],
        optimizer_type="AdamW",
    )
    return None if report.estimation_failed else float(report.total_gb * GIB)


RIVALS: dict[str, Estimator] = {
    "fitcheck-llm 0.3.1": fitcheck,
    "ftuneai 0.4.1": ftuneai,
    "gpu-estimator 0.2.0": gpu_estimator,
    "alloc 0.0.16": alloc,
}


def _config(run: MeasuredRun) -> Any:
    assert run.config is not None
    return run.config


def row(name: str, errors: Sequence[float]) -> str:
    """One line of the table. ``errors`` are estimate ÷ measured − 1."""
    sizes = sorted(abs(error) for error in errors)
    low = sum(error < -0.02 for error in errors)
    figures = (f"{100 * median(sizes):.1f} %", f"{100 * quantile(sizes, 0.9):.0f} %", f"{100 * median(errors):+.0f} %")
    return f"| {name} | {len(errors)} | {' | '.join(figures)} | {low} |"


def main() -> int:
    """Print the table."""
    items = [item for item in compare_all_measured(load_measured()) if item.counts_for_target]
    items = [item for item in items if item.run.config and item.run.config["model_type"] != "gpt_bigcode"]
    print("| calculator | runs | median error | 90th percentile | middle of the errors | too low by 2 % or more |")
    print("| --- | --: | --: | --: | --: | --: |")
    for method in ("full", "lora", "qlora"):
        members = [item for item in items if item.run.request["method"] == method]
        print(row(f"VRAM Fit, {method}", [item.error for item in members]))
        for name, estimator in RIVALS.items():
            found = [(estimator(item.run), item.run.measured_bytes) for item in members]
            errors = [estimated / measured - 1 for estimated, measured in found if estimated is not None]
            if errors:
                print(row(f"{name}, {method}", errors))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
