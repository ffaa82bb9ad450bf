"""The published runs (``data/throughput.csv``) in the speed model's own inputs, and the rules that leave one out."""

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Final

from app.catalogue.bundled import read_data
from app.catalogue.devices import gpu_from_record
from app.memory.architecture import Architecture
from app.memory.device import Device
from app.memory.inputs import (
    Adapter,
    AdapterDtype,
    AttentionImplementation,
    Batch,
    Checkpointing,
    Cluster,
    LoraTargetPreset,
    LossKernel,
    Method,
    MethodKind,
    PrecisionPolicy,
    Quantization,
    Strategy,
)
from app.speed.step import step_work
from app.speed.work import KernelStack
from benchmarks.speed.models import architecture_of

DATA: Final = Path(__file__).with_name("data") / "throughput.csv"

GPUS: Final = {
    "A100-SXM4-80GB": "a100-80gb-sxm",
    "A100-SXM4-80G": "a100-80gb-sxm",
    "A100 80GB": "a100-80gb-sxm",
    "A100": "a100-80gb-sxm",
    "A800-80GB": "a100-80gb-sxm",
    "A100 40GB": "a100-40gb-sxm",
    "A100 40GB SXM": "a100-40gb-sxm",
    "A100-40GB": "a100-40gb-sxm",
    "H100 80GB": "h100-sxm",
    "H100 80GB SXM": "h100-sxm",
    "H100 80GB (DGX)": "h100-sxm",
    "H100 SXM": "h100-sxm",
    "DGX-H100": "h100-sxm",
    # torchtitan's cards: H100 with 96 GB of HBM2e at 500 W; the H100 whose figures are nearest.
    "H100 96GB HBM2e (500W)": "h100-sxm",
    "H200": "h200-sxm",
    "NVIDIA L40S": "l40s",
    "L40S": "l40s",
    "RTX 3090 (280W, no NVLink)": "rtx-3090",
    "RTX 4090": "rtx-4090",
    "RTX 4070 Ti SUPER": "rtx-4070-ti-super",
    'RTX 6000 Ada 48GB (printed "A6000 Ada")': "rtx-6000-ada",
    "RTX PRO 6000 Blackwell 96GB": "rtx-pro-6000",
}
NO_NVLINK: Final = frozenset({"rtx-3090", "rtx-4090", "rtx-4070-ti-super", "rtx-6000-ada", "rtx-pro-6000", "l40s"})
"""As these runs used them: the 3090s had no bridge."""

PUBLISHERS: Final = {"NVIDIA-NeMo": "NVIDIA", "NVIDIA": "NVIDIA"}
"""A publisher's repositories count as one source."""

CLUSTER_NETWORK_GBIT: Final = 1600.0
"""llm-foundry prints it (RoCE, 1,600 Gbit/s a node); the other multi-node runs do not print theirs."""

LONGEST_FIRST_GENERATION_ATTENTION: Final = 4096
"""The first FlashAttention reaches 25-40 % of an A100's peak, the second 50-73 % (arXiv:2307.08691); up to here its
share of the step is small enough not to matter."""

IMPOSSIBLE_HARDWARE_UTILISATION: Final = 0.85
"""No large matrix product, let alone a whole step, holds more of a card's dense rate (an A100's best is about 0.85), so
such a row misprints its batch, shape or checkpointing, or counts something else."""


@dataclass(frozen=True, kw_only=True)
class MeasuredRun:
    """One published run in the model's terms."""

    id: str
    source: str
    """The repository, or the publisher of several: one vote."""
    gpu: str
    model: str
    device: Device
    architecture: Architecture
    method: Method
    policy: PrecisionPolicy
    batch: Batch
    cluster: Cluster
    stack: KernelStack
    framework: str
    printed_method: str
    tokens_per_second: float
    """Of all its GPUs."""

    @property
    def cell(self) -> tuple[str, str, str]:
        """GPU architecture, segment, method: pretraining and SFT are full fine-tuning's step."""
        return self.device.architecture, self.device.segment, self.method.kind.value

    @property
    def step_seconds(self) -> float:
        """Measured seconds of one optimizer step."""
        batch = self.batch
        tokens = batch.micro_batch_size * batch.sequence_length * batch.gradient_accumulation_steps
        return tokens * self.cluster.num_gpus / self.tokens_per_second


@dataclass(frozen=True, kw_only=True)
class ExcludedRun:
    """A row that a rule leaves out."""

    id: str
    source: str
    rule: str


@cache
def read_rows() -> tuple[tuple[MeasuredRun, ...], tuple[ExcludedRun, ...]]:
    """Every row: those the model can be held against, and the others with the rule that left them out."""
    runs: list[MeasuredRun] = []
    excluded: list[ExcludedRun] = []
    with DATA.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            rule = next((name for name, breaks in RULES if breaks(row)), None)
            if rule is None:
                runs.append(measured_run(row))
            else:
                excluded.append(ExcludedRun(id=row["id"], source=publisher(row["source"]), rule=rule))
    return tuple(runs), tuple(excluded)


def publisher(source: str) -> str:
    """The repository a source is in (``owner/name``), or its publisher where several repositories are one's."""
    name = source.split(maxsplit=1)[0]
    parts = name.split("/")
    repository = "/".join(parts[:2]) if len(parts) > 1 else source
    return PUBLISHERS.get(parts[0], repository)


Rule = tuple[str, Callable[[dict[str, str]], bool]]

RULES: Final[tuple[Rule, ...]] = (
    ("incomplete: a setting that the speed depends on is not printed", lambda row: row["complete"] != "yes"),
    (
        "no tokens a second printed (only a share of the peak)",
        lambda row: not row["tokens_per_s_per_gpu"],
    ),
    (
        "micro-batch or sequence length not printed",
        lambda row: not row["micro_batch"] or not row["seq_len"],
    ),
    (
        "8-bit arithmetic, which a request cannot ask for",
        lambda row: "fp8" in row["precision"] or "int8" in row["precision"],
    ),
    ("a card the catalogue does not list", lambda row: row["gpu"] not in GPUS),
    (
        "tensor, pipeline, context or expert parallel",
        lambda row: re.search(r"tp|pp|cp|ep8|sp([2-9]|1\d|64)", row["parallelism"]) is not None,
    ),
    (
        "offloaded to the CPU or a disk",
        lambda row: "offload" in row["parallelism"] or "offload" in row["framework"].lower(),
    ),
    (
        "sharded over PCIe lanes that are not printed",
        lambda row: (
            GPUS[row["gpu"]] in NO_NVLINK
            and row["parallelism"].startswith("fsdp")
            and "no_shard" not in row["parallelism"]
        ),
    ),
    ("several nodes over a network that is not printed", lambda row: "not stated" in row["parallelism"]),
    (
        "attention within documents whose length is not printed",
        lambda row: "documents kept apart" in row["seq_fill"],
    ),
    (
        "Triton's first FlashAttention beyond 4,096 tokens: a kernel that a request cannot ask for",
        lambda row: row["attention"] == "flash (triton)" and int(row["seq_len"]) > LONGEST_FIRST_GENERATION_ATTENTION,
    ),
    ("the model's shape is not printed", lambda row: architecture_of(row["hf_model"]) is None),
    (
        "a mixture of experts over several nodes",
        lambda row: "A3B" in row["hf_model"],
    ),
    (
        "impossible: more than 85 % of the card's dense rate over whole steps",
        lambda row: _hardware_utilisation(measured_run(row)) > IMPOSSIBLE_HARDWARE_UTILISATION,
    ),
)
"""Why a row is left out, tried in this order."""


def _hardware_utilisation(run: MeasuredRun) -> float:
    work = step_work(run.architecture, run.method, run.policy, run.batch, run.stack, run.device, 1.0)
    return 0.0 if work is None else work.hardware_flops / work.rate / run.step_seconds


def measured_run(row: dict[str, str]) -> MeasuredRun:
    """A complete row as a run."""
    source = publisher(row["source"])
    device = devices()[GPUS[row["gpu"]]]
    num_gpus = int(row["num_gpus"])
    method, policy = _method(row, source)
    stack = _stack(row["framework"].lower())
    architecture = architecture_of(row["hf_model"])
    assert architecture is not None
    eager = row["attention"].startswith("sdpa (eager") and "gemma-2" in row["hf_model"]
    return MeasuredRun(
        id=row["id"],
        source=source,
        gpu=row["gpu"],
        model=row["hf_model"],
        device=device,
        architecture=architecture,
        method=method,
        policy=policy,
        batch=Batch(
            micro_batch_size=int(row["micro_batch"]),
            sequence_length=int(row["seq_len"]),
            gradient_accumulation_steps=_accumulation(row),
            gradient_checkpointing=_checkpointing(row["gradient_checkpointing"]),
            attention=_attention(row["attention"], eager=eager),
            loss_kernel=LossKernel.LIGER if "liger" in row["framework"] else LossKernel.STANDARD,
        ),
        cluster=Cluster(
            num_gpus=num_gpus,
            network_gbit_per_second=CLUSTER_NETWORK_GBIT if num_gpus > 8 else None,
            interconnect="pcie" if device.slug in NO_NVLINK else "nvlink",
            strategy=_strategy(row["parallelism"], num_gpus),
        ),
        stack=stack,
        framework=row["framework"],
        printed_method=row["method"],
        tokens_per_second=float(row["tokens_per_s_per_gpu"]) * num_gpus,
    )


@cache
def devices() -> dict[str, Device]:
    """The catalogue's cards by slug."""
    return {record["slug"]: gpu_from_record(record).device for record in read_data("gpus")["gpus"]}


def _accumulation(row: dict[str, str]) -> int:
    if "universal-llm-trainer" in row["source"]:
        return 1  # its optimizer steps in every iteration (src/trainer/trainer.py), the unit it prints seconds for
    return int(row["grad_accum"] or 1)


def _method(row: dict[str, str], source: str) -> tuple[Method, PrecisionPolicy]:
    policy = PrecisionPolicy.BF16
    if row["precision"] == "amp_bf16":
        policy = PrecisionPolicy.BF16_MIXED
    elif row["precision"] == "fp16 AMP":
        policy = PrecisionPolicy.FP16_MIXED
    kind = {"lora": MethodKind.LORA, "dora": MethodKind.LORA, "qlora": MethodKind.QLORA}.get(
        row["method"], MethodKind.FULL
    )
    if kind is MethodKind.FULL:
        return Method(kind=kind, optimizer="adamw_torch"), policy
    adapter = replace(_adapter(row, source), use_dora=row["method"] == "dora")
    quantization = None
    if kind is MethodKind.QLORA:
        # Under FSDP the k-bit preparation leaves what it would upcast: baseline and accelerated run at one speed there.
        prepared = ("baseline" in row["framework"] and row["num_gpus"] == "1") or "universal" in source
        quantization = Quantization(upcast_non_quantized=prepared)
        if "baseline" in row["framework"]:
            policy = PrecisionPolicy.BF16_MIXED
    return Method(kind=kind, adapter=adapter, quantization=quantization, optimizer="adamw_torch"), policy


def _adapter(row: dict[str, str], source: str) -> Adapter:
    """What each source says it adapts."""
    if source == "huggingface/peft":  # results/*.json, train_config: "rank/targets" in the notes
        rank, _, targets = row["notes"].partition(";")[0].removeprefix("rank/targets ").partition("/")
        return Adapter(rank=int(rank), targets=tuple(targets.split("+")), dtype=AdapterDtype.FLOAT32)
    if "universal-llm-trainer" in source:  # config_lora/llm_lora_config.yaml; PEFT keeps the adapters in float32
        return Adapter(
            rank=8, targets=("q_proj", "k_proj", "v_proj", "qkv_proj"), dropout=0.05, dtype=AdapterDtype.FLOAT32
        )
    if source == "QwenLM/Qwen":  # finetune.py LoraArguments: c_attn, c_proj, w1, w2
        return Adapter(rank=64, targets=LoraTargetPreset.ALL_LINEAR, dropout=0.05)
    if source == "AnswerDotAI/fsdp_qlora":  # train.py: q, k, v, up, down, gate
        return Adapter(
            rank=64, targets=("q_proj", "k_proj", "v_proj", "up_proj", "down_proj", "gate_proj"), dropout=0.1
        )
    if source == "NVIDIA":  # docs/performance-summary.mdx: rank 16, all *_proj
        return Adapter(rank=16, targets=LoraTargetPreset.ALL_LINEAR)
    # fms-acceleration scripts/benchmarks/scenarios.yaml
    return Adapter(rank=16, targets=LoraTargetPreset.ATTENTION, dropout=0.1)


def _checkpointing(text: str) -> Checkpointing:
    if text.startswith("selective"):
        return Checkpointing.SELECTIVE
    return Checkpointing.FULL if text.startswith(("yes", "full")) else Checkpointing.NONE


def _attention(text: str, *, eager: bool) -> AttentionImplementation:
    if eager:
        return AttentionImplementation.EAGER
    return AttentionImplementation.FLASH_ATTENTION_2 if "flash" in text else AttentionImplementation.SDPA


def _strategy(parallelism: str, num_gpus: int) -> Strategy:
    if num_gpus == 1:
        return Strategy.SINGLE
    if "no_shard" in parallelism or parallelism.startswith("ddp"):
        return Strategy.DDP
    if parallelism == "SHARD_GRAD_OP":
        return Strategy.FSDP_GRAD_OP
    if parallelism.startswith("zero1"):
        return Strategy.ZERO1
    return Strategy.ZERO3 if parallelism.startswith("zero3") else Strategy.FSDP


def _stack(framework: str) -> KernelStack:
    if "compile" in framework:
        return KernelStack.COMPILED
    if ("foak" in framework and "accelerated-peft" in framework) or "te+triton" in framework:
        return KernelStack.FUSED_ADAPTERS
    fused = ("foak", "liger", "megatron", "llm-foundry", "internevo", "fused", "te+triton", "automodel", "xtuner")
    return KernelStack.FUSED if any(mark in framework for mark in fused) else KernelStack.EAGER
