"""The one function that maps the flat request to the frozen groups the models read."""

from dataclasses import dataclass, fields
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

from app.memory.inputs import (
    Adapter,
    AdapterDtype,
    Batch,
    Cluster,
    LoraTargetPreset,
    Method,
    MethodKind,
    Precision,
    PrecisionPolicy,
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


_CLUSTER_FIELDS: Final = tuple(field.name for field in fields(Cluster))
_BATCH_FIELDS: Final = tuple(field.name for field in fields(Batch))
_ADAPTER_FIELDS: Final = (
    "lora_rank",
    "lora_target_modules",
    "lora_dropout",
    "use_dora",
    "modules_to_save",
    "adapter_dtype",
)
_QUANTISATION_FIELDS: Final = ("quantization", "double_quantization", "upcast_non_quantized")
_METHOD_FIELDS: Final = ("method", "optimizer", "embedding_state_32bit", "max_grad_norm")

_cluster_values = attrgetter(*_CLUSTER_FIELDS)
_batch_values = attrgetter(*_BATCH_FIELDS)
_method_values = attrgetter(*_METHOD_FIELDS)
_adapter_values = attrgetter(*_ADAPTER_FIELDS)
_quantisation_values = attrgetter(*_QUANTISATION_FIELDS)


def to_groups(run: Run) -> Groups:
    """Map a run with every field filled in (see :func:`app.request.resolve.resolve`) to the models' groups.

    Groups that several runs share are one object, made once: what is derived for them is then found by identity.
    """
    full, quantised = run.method is MethodKind.FULL, run.method is MethodKind.QLORA
    return Groups(
        method=_method(
            *_method_values(run),
            adapter=None if full else _adapter(*_adapter_values(run)),
            quantization=_quantization(*_quantisation_values(run)) if quantised else None,
        ),
        precision=_precision(run.precision),
        batch=Batch(**dict(zip(_BATCH_FIELDS, _batch_values(run), strict=True))),
        cluster=_cluster(*_cluster_values(run)),
        dataset=_dataset(run.num_examples, run.tokens_per_example or run.sequence_length, run.epochs, run.max_steps),
        market=_market(run.currency or "USD", run.region, run.provider, run.spot),
    )


@lru_cache(maxsize=4096)
def _method(
    kind: MethodKind,
    optimizer: str,
    embedding_state_32bit: bool,
    max_grad_norm: float,
    *,
    adapter: Adapter | None,
    quantization: Quantization | None,
) -> Method:
    return Method(
        kind=kind,
        adapter=adapter,
        quantization=quantization,
        optimizer=optimizer,
        embedding_state_32bit=embedding_state_32bit,
        max_grad_norm=max_grad_norm,
    )


@lru_cache(maxsize=1024)
def _adapter(
    rank: int,
    targets: LoraTargetPreset | tuple[str, ...],
    dropout: float,
    use_dora: bool,
    modules_to_save: tuple[str, ...],
    dtype: AdapterDtype,
) -> Adapter:
    return Adapter(
        rank=rank,
        targets=targets,
        dropout=dropout,
        use_dora=use_dora,
        modules_to_save=modules_to_save,
        dtype=dtype,
    )


@lru_cache(maxsize=64)
def _quantization(choice: QuantizationChoice, double_quantization: bool, upcast_non_quantized: bool) -> Quantization:
    chosen = QuantizationChoice.NF4 if choice is QuantizationChoice.NONE else choice
    return Quantization(
        format=QuantizationFormat(chosen),
        double_quantization=double_quantization,
        upcast_non_quantized=upcast_non_quantized,
    )


@lru_cache(maxsize=64)
def _precision(policy: PrecisionPolicy) -> Precision:
    return Precision(policy=policy)


@lru_cache(maxsize=1024)
def _cluster(*values: Any) -> Cluster:
    return Cluster(**dict(zip(_CLUSTER_FIELDS, values, strict=True)))


@lru_cache(maxsize=1024)
def _dataset(num_examples: int, tokens_per_example: int, epochs: float, max_steps: int | None) -> Dataset:
    return Dataset(num_examples=num_examples, tokens_per_example=tokens_per_example, epochs=epochs, max_steps=max_steps)


@lru_cache(maxsize=1024)
def _market(currency: str, region: str | None, provider: str | None, spot: bool) -> Market:
    return Market(currency=currency, region=region, provider=provider, spot=spot)
