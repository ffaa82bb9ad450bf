"""How much of the roofline a card really reaches: values calibrated from published runs (``data/efficiency.json``).

The file is written by ``python -m benchmarks.speed.calibrate``, which see for the method. A card takes the value of its
class (GPU architecture and market segment), which is drawn towards its segment's and those towards all cards' the more,
the fewer independent sources measured it; a class that nobody measured takes its segment's, with a wider interval.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import exp
from typing import Final

from app.memory.device import Device

COVERAGE: Final = 0.8
"""Share of new measurements that an interval holds."""


class Level(StrEnum):
    """Whose value a card takes."""

    CLASS = "class"
    SEGMENT = "segment"
    EVERYTHING = "everything"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Efficiency:
    """The achieved fraction of the roofline of a class of cards; one object a class, so compared by identity."""

    fraction: float
    log_deviation: float
    """Standard deviation, in natural logarithm, of a run by someone new about ``fraction``."""
    runs: int
    sources: tuple[str, ...]
    measured: bool
    """False where the class borrows its segment's value, or only an outlying source measured it."""
    level: Level
    spread: float
    """The factor above and below the estimate that holds new runs with the stated coverage."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """Every calibrated value."""

    classes: Mapping[tuple[str, str], Efficiency]
    """By GPU architecture and segment."""
    segments: Mapping[str, Efficiency]
    everything: Efficiency
    seconds_per_launch: float
    """No eager run was seen to launch its kernels faster."""
    dequantisation_bandwidth_fraction: float
    """Share of the memory bandwidth that bitsandbytes' 4-bit dequantisation reaches."""
    version: str

    def efficiency_of(self, device: Device) -> Efficiency:
        """The value for a card: its class's, else its segment's, else that of all cards."""
        found = self.classes.get((device.architecture, device.segment))
        return found or self.segments.get(device.segment) or self.everything


def calibration_from(content: Mapping[str, object]) -> Calibration:
    """Read a calibration from its file's content."""
    classes, segments = content["classes"], content["segments"]
    everything, constants = content["everything"], content["constants"]
    assert isinstance(classes, Mapping)
    assert isinstance(segments, Mapping)
    assert isinstance(everything, Mapping)
    assert isinstance(constants, Mapping)
    interval = content["deviations_for_coverage"]
    assert isinstance(interval, Mapping)
    width = float(interval["value"])
    return Calibration(
        classes={_class_of(name): _efficiency(value, width, Level.CLASS) for name, value in classes.items()},
        segments={name: _efficiency(value, width, Level.SEGMENT) for name, value in segments.items()},
        everything=_efficiency(everything, width, Level.EVERYTHING),
        seconds_per_launch=float(constants["seconds_per_launch"]["value"]),
        dequantisation_bandwidth_fraction=float(constants["dequantisation_bandwidth_fraction"]["value"]),
        version=str(content["version"]),
    )


def _class_of(name: str) -> tuple[str, str]:
    architecture, _, segment = name.partition(" / ")
    return architecture, segment


def _efficiency(value: Mapping[str, object], width: float, level: Level) -> Efficiency:
    sources = value["sources"]
    assert isinstance(sources, list)
    deviation = float(str(value["log_deviation"]))
    return Efficiency(
        fraction=float(str(value["fraction"])),
        log_deviation=deviation,
        spread=exp(width * deviation),
        runs=int(str(value["runs"])),
        sources=tuple(sources),
        measured=level is Level.CLASS and not value.get("only_outlying", False),
        level=level,
    )
