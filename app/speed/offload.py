"""What tensors kept in the host's memory add to a step: copies over the card's link, and the optimizer on the host.

Both paces are those that come nearest to 14 published runs of FSDP with CPU offload (``benchmarks/speed/offload.py``).
No price list or configuration names a host's memory, so the interval is as wide as those runs are apart.
"""

from typing import Final

from app.memory.device import Device
from app.memory.inputs import Cluster, Offload
from app.speed.communication import Exchange, sharing_degree

LINK_SHARE: Final = 0.11
"""Of the card's PCIe bandwidth, that copies to and from the host reach beyond what the arithmetic hides."""
SECONDS_PER_GRADIENT_BYTE: Final = 0.19e-9
"""Of the optimizer's step on the host, for each byte of the gradients that a rank updates with: it is bound by the
host's memory, so that wider states take longer."""
SPREAD: Final = 1.5
"""Factor by which the interval is wider: none of those runs is further from what the two paces say (0.88 to 1.41)."""

PARAMETERS: Final = frozenset({Offload.PARAMETERS, Offload.BOTH})
OPTIMIZER: Final = frozenset({Offload.OPTIMIZER, Offload.BOTH})
PASSES: Final = 2
"""Parameters come for forward and again for backward, checkpointed or not."""


def copy_seconds(cluster: Cluster, device: Device, exchange: Exchange, accumulation: int) -> float:
    """Seconds that a rank's shard of parameters and gradients travels between host and card in one optimizer step."""
    degree = sharing_degree(cluster)
    moved = accumulation * exchange.gradient_bytes / degree
    if cluster.offload in PARAMETERS:
        moved += accumulation * PASSES * exchange.parameter_bytes / degree
    else:
        # What the host has updated goes back to the card.
        moved += exchange.gradient_bytes / degree
    return moved / (device.pcie_bytes_per_second * LINK_SHARE)


def optimizer_seconds(cluster: Cluster, exchange: Exchange) -> float:
    """Seconds of the optimizer's step on the host; nothing where it runs on the card."""
    if cluster.offload not in OPTIMIZER:
        return 0.0
    return exchange.gradient_bytes / sharing_degree(cluster) * SECONDS_PER_GRADIENT_BYTE
