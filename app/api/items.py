"""The items of the lists: models and cards as the API shows them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.catalogue.facts import CatalogueGpu, CatalogueModel
from app.memory.device import DenseRates
from app.services.results import OfferReport


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelItem:
    """A model of the catalogue."""

    slug: str
    hf_id: str
    name: str
    family: str
    released: str | None
    licence: str | None
    model_type: str
    total_parameters: int
    active_parameters: int
    verified: bool
    note: str | None
    sources: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelDetail(ModelItem):
    """A model with the configuration its shape is read from."""

    config: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class GpuItem:
    """A card of the catalogue, as one training process sees it. Rates are dense TFLOP/s."""

    slug: str
    name: str
    aliases: tuple[str, ...]
    vendor: str
    architecture: str
    compute_capability: str | None
    segment: str
    release_year: int | None
    memory_gb: float
    memory_type: str
    memory_bytes: int
    memory_is_estimated: bool
    usable_bytes: int
    devices_per_board: int
    memory_bandwidth_bytes_per_second: float
    dense_tflops: DenseRates
    supports_bf16: bool
    supports_flash_attention_2: bool
    supports_bitsandbytes: bool
    unified_memory: bool
    pcie_bytes_per_second: float
    nvlink_bytes_per_second: float
    max_nvlink_gpus: int
    tdp_watts: int | None
    note: str | None
    sources: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class GpuDetail(GpuItem):
    """A card with its current offers."""

    memory_source: str
    usable_source: str
    rates_source: str
    offers: tuple[OfferReport, ...]


def model_fields(model: CatalogueModel) -> dict[str, Any]:
    """The fields of a :class:`ModelItem`."""
    return {
        "slug": model.slug,
        "hf_id": model.hub_id,
        "name": model.name,
        "family": model.family,
        "released": model.released,
        "licence": model.licence,
        "model_type": model.model_type,
        "total_parameters": model.total_parameters,
        "active_parameters": model.active_parameters,
        "verified": model.verified,
        "note": model.note,
        "sources": model.sources,
    }


def gpu_fields(gpu: CatalogueGpu) -> dict[str, Any]:
    """The fields of a :class:`GpuItem`."""
    device = gpu.device
    capability = device.compute_capability
    return {
        "slug": gpu.slug,
        "name": gpu.name,
        "aliases": gpu.aliases,
        "vendor": device.vendor,
        "architecture": device.architecture,
        "compute_capability": f"{capability[0]}.{capability[1]}" if capability else None,
        "segment": device.segment,
        "release_year": gpu.release_year,
        "memory_gb": float(gpu.memory_gb),
        "memory_type": gpu.memory_type,
        "memory_bytes": device.memory_bytes,
        "memory_is_estimated": device.memory_is_estimated,
        "usable_bytes": device.usable_bytes,
        "devices_per_board": gpu.devices_per_board,
        "memory_bandwidth_bytes_per_second": device.memory_bandwidth_bytes_per_second,
        "dense_tflops": device.rates,
        "supports_bf16": device.supports_bf16,
        "supports_flash_attention_2": device.supports_flash_attention_2,
        "supports_bitsandbytes": device.supports_bitsandbytes,
        "unified_memory": device.unified_memory,
        "pcie_bytes_per_second": device.pcie_bytes_per_second,
        "nvlink_bytes_per_second": device.nvlink_bytes_per_second,
        "max_nvlink_gpus": device.max_nvlink_gpus,
        "tdp_watts": gpu.tdp_watts,
        "note": gpu.note,
        "sources": gpu.sources,
    }
