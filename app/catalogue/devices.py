"""From a card's facts to the device a training process sees: how much memory there is, how much can be had."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from app.catalogue.facts import CatalogueGpu
from app.memory.device import DenseRates, Device
from app.units import GB, GIB, MIB

RESERVE_BYTES: Final = 384 * MIB
RESERVE_PER_MILLE: Final = 4
"""Where PyTorch's own total is not known, 384 MiB + 0.4 % of the driver's figure is taken off. That lies within
0.25 GiB of every card with both figures: T4 450 MiB, L4 475, RTX 5090 495, L40S 612, RTX 4090 357,
A100 40 GB 635, H100 478."""

PCIE_BYTES_PER_SECOND_PER_LANE: Final = {3: 0.985e9, 4: 1.969e9, 5: 3.938e9}
"""One direction, after 128b/130b coding of 8, 16 and 32 GT/s (PCI-SIG)."""


def gpu_from_record(record: Mapping[str, Any]) -> CatalogueGpu:
    """Read one row of ``data/gpus.json`` (or its like from SQL)."""
    memory_bytes, memory_source = _memory(record)
    usable_bytes, usable_source = _usable(record, memory_bytes)
    capability = record["compute_capability"]
    rates = record["tflops"]
    device = Device(
        slug=record["slug"],
        name=record["name"],
        vendor=record["vendor"],
        architecture=record["architecture"],
        compute_capability=_capability(capability) if capability else None,
        segment=record["segment"],
        memory_bytes=memory_bytes,
        memory_is_estimated=record["driver_total_mib"] is None,
        usable_bytes=usable_bytes,
        memory_bandwidth_bytes_per_second=float(record["memory_bandwidth_gb_per_second"]) * GB,
        rates=DenseRates(
            bf16_fp32_accumulate=rates["bf16"],
            fp16_fp32_accumulate=rates["fp16"],
            tf32=rates["tf32"],
            fp32=rates["fp32"],
        ),
        supports_bf16=record["supports_bf16"],
        supports_flash_attention_2=record["supports_flash_attention_2"],
        supports_bitsandbytes=record["supports_bitsandbytes"],
        unified_memory=record["unified_memory"],
        pcie_bytes_per_second=PCIE_BYTES_PER_SECOND_PER_LANE[record["pcie_generation"]] * record["pcie_lanes"],
        nvlink_bytes_per_second=float(record["nvlink_gb_per_second"]) * GB,
        max_nvlink_gpus=record["max_nvlink_gpus"],
    )
    return CatalogueGpu(
        device=device,
        aliases=tuple(record["aliases"]),
        release_year=record["release_year"],
        memory_gb=Decimal(str(record["memory_gb"])),
        memory_type=record["memory_type"],
        devices_per_board=record["devices_per_board"],
        memory_source=memory_source,
        usable_source=usable_source,
        error_correction=record["ecc"],
        fp8_tflops=rates["fp8"],
        int8_tops=rates["int8"],
        rates_source=record["tflops_basis"],
        tdp_watts=record["tdp_watts"],
        sources=tuple(record["sources"]),
        note=record["note"],
    )


def _memory(record: Mapping[str, Any]) -> tuple[int, str]:
    if record["driver_total_mib"] is not None:
        return record["driver_total_mib"] * MIB, record["driver_total_source"]
    allowance = record["memory_allowance"]
    label_bytes = int(Decimal(str(record["memory_gb"])) * GIB) // record["devices_per_board"]
    kept = Decimal(1) - Decimal(str(allowance["fraction"]))
    return int(label_bytes * kept), f"estimated from the label: {allowance['why']}"


def _usable(record: Mapping[str, Any], memory_bytes: int) -> tuple[int, str]:
    if record["torch_total_gib"] is not None:
        return int(Decimal(str(record["torch_total_gib"])) * GIB), record["torch_total_source"]
    reserve = RESERVE_BYTES + memory_bytes * RESERVE_PER_MILLE // 1000
    return (
        memory_bytes - reserve,
        "estimated: the driver's total less 384 MiB and 0.4 %, near what cards with both figures show",
    )


def _capability(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    return int(major), int(minor)
