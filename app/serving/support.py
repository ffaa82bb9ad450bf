"""Which cards a server runs a weight format and a cache width on.

Source: vLLM's table of supported hardware (``docs/features/quantization``): GPTQ from compute capability 7.0, AWQ from
7.5, neither on AMD; fp8 from Ada (8.9) and CDNA 3; 16 bits from 7.0 and on CDNA 2 and later.
"""

from enum import StrEnum
from typing import Final

from app.memory.device import Device
from app.serving.cache import CacheDtype
from app.serving.weights import WeightFormat

_OLDEST: Final = {WeightFormat.HALF: (7, 0), WeightFormat.GPTQ: (7, 0), WeightFormat.AWQ: (7, 5)}
_FP8_FROM: Final = (8, 9)
_ROCM: Final = ("CDNA 2.0", "CDNA 3.0", "CDNA 4.0")
_ROCM_FP8: Final = ("CDNA 3.0", "CDNA 4.0")


class Lack(StrEnum):
    """Why a card cannot serve."""

    VENDOR = "vendor"
    FORMAT = "format"
    FP8 = "fp8"


def lack(device: Device, format_: WeightFormat, dtype: CacheDtype) -> Lack | None:
    """What a card lacks for serving, or None."""
    if device.vendor == "AMD":
        if device.architecture not in _ROCM:
            return Lack.VENDOR
        if format_ is not WeightFormat.HALF:
            return Lack.FORMAT
        return Lack.FP8 if dtype is CacheDtype.FP8 and device.architecture not in _ROCM_FP8 else None
    if device.compute_capability is None:
        return Lack.VENDOR
    if device.compute_capability < _OLDEST[format_]:
        return Lack.FORMAT
    return Lack.FP8 if dtype is CacheDtype.FP8 and device.compute_capability < _FP8_FROM else None
