"""The one function that maps the flat request to the frozen groups the models read."""

from dataclasses import dataclass

from app.memory.inputs import (
    Adapter,
    Batch,
    Cluster,
    Method,
    MethodKind,
    Precision,
    Quantization,
    QuantizationFormat,
)
from app.request.model import QuantizationChoice, Run


@dataclass(frozen=True, kw_only=True, slots=True)
class Dataset:
    """How much there is to train on. ``max_steps`` takes the place of ``epochs``."""

    num_examples: int
    tokens_per_example: int
    """Mean real tokens of an example."""
    epochs: float
    max_steps: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Market:
    """Which offers count."""

    currency: str
    region: str | None
    provider: str | None
    spot: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Groups:
    """A run as the models read it; the architecture comes from the catalogue or a config."""

    method: Method
    precision: Precision
    batch: Batch
    cluster: Cluster
    dataset: Dataset
    market: Market


def to_groups(run: Run) -> Groups:
    """Map a run with every field filled in (see :func:`app.request.resolve.resolve`) to the models' groups."""
    return Groups(
        method=_method(run),
        precision=Precision(policy=run.precision),
        batch=Batch(
            micro_batch_size=run.micro_batch_size,
            sequence_length=run.sequence_length,
            gradient_accumulation_steps=run.gradient_accumulation_steps,
            packing=run.packing,
            gradient_checkpointing=run.gradient_checkpointing,
            attention=run.attention,
            loss_kernel=run.loss_kernel,
            keep_logits=run.keep_logits,
        ),
        cluster=Cluster(
            num_gpus=run.num_gpus,
            gpus_per_node=run.gpus_per_node,
            interconnect=run.interconnect,
            network_gbit_per_second=run.network_gbit_per_second,
            strategy=run.strategy,
            offload=run.offload,
            offload_target=run.offload_target,
            tensor_parallel=run.tensor_parallel,
            pipeline_parallel=run.pipeline_parallel,
            context_parallel=run.context_parallel,
            expert_parallel=run.expert_parallel,
        ),
        dataset=Dataset(
            num_examples=run.num_examples,
            tokens_per_example=run.tokens_per_example or run.sequence_length,
            epochs=run.epochs,
            max_steps=run.max_steps,
        ),
        market=Market(currency=run.currency or "USD", region=run.region, provider=run.provider, spot=run.spot),
    )


def _method(run: Run) -> Method:
    return Method(
        kind=run.method,
        adapter=None if run.method is MethodKind.FULL else _adapter(run),
        quantization=_quantization(run) if run.method is MethodKind.QLORA else None,
        optimizer=run.optimizer,
        embedding_state_32bit=run.embedding_state_32bit,
        max_grad_norm=run.max_grad_norm,
    )


def _adapter(run: Run) -> Adapter:
    return Adapter(
        rank=run.lora_rank,
        targets=run.lora_target_modules,
        dropout=run.lora_dropout,
        use_dora=run.use_dora,
        modules_to_save=run.modules_to_save,
        dtype=run.adapter_dtype,
    )


def _quantization(run: Run) -> Quantization:
    chosen = QuantizationChoice.NF4 if run.quantization is QuantizationChoice.NONE else run.quantization
    return Quantization(
        format=QuantizationFormat(chosen),
        double_quantization=run.double_quantization,
        upcast_non_quantized=run.upcast_non_quantized,
    )
