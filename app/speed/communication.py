"""What several GPUs exchange in a step, and how much of it the arithmetic does not hide."""

from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache
from typing import Final

from app.memory.device import Device
from app.memory.inputs import Cluster, Method, Strategy
from app.memory.parallelism import default_strategy
from app.messages import mark, message

LINK_FRACTION: Final = 0.77
"""nccl-tests' all-reduce bus bandwidth on an A100 server: about 230 of 300 GB/s a direction."""
DEFAULT_NETWORK_GBIT_PER_SECOND: Final = 100.0
"""Taken for the network between servers where the run does not say."""
HIDDEN_SHARE: Final = 0.9
"""Exchange runs beside arithmetic; this share of the arithmetic's time can hide it, since the first gather and the last
reduction of a step have nothing to run beside."""

SHARDED: Final = frozenset({Strategy.ZERO3, Strategy.FSDP, Strategy.FSDP2, Strategy.FSDP_GRAD_OP, Strategy.FSDP_HYBRID})
GATHERED_TWICE: Final = frozenset({Strategy.ZERO3, Strategy.FSDP, Strategy.FSDP2, Strategy.FSDP_HYBRID})
SHARDED_OPTIMIZER: Final = SHARDED | {Strategy.ZERO1, Strategy.ZERO2}


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchange:
    """Bytes to exchange: all parameters as stored for arithmetic, and the trained ones' gradients."""

    parameter_bytes: float
    gradient_bytes: float

    def share(self, part: float) -> "Exchange":
        """Of a GPU that has so much of the model."""
        return Exchange(parameter_bytes=part * self.parameter_bytes, gradient_bytes=part * self.gradient_bytes)


def resolved(cluster: Cluster, method: Method) -> Cluster:
    """A cluster whose strategy is not ``auto``, unless it is of one GPU, where that means ``single``."""
    if cluster.strategy is not Strategy.AUTO or cluster.num_gpus == 1:
        return cluster
    return _resolved(cluster, method)


@lru_cache
def _resolved(cluster: Cluster, method: Method) -> Cluster:
    return replace(cluster, strategy=default_strategy(cluster, method))


def data_parallel_degree(cluster: Cluster) -> int:
    """GPUs, or groups of them that share a model or its sequences, which work on different samples at the same time."""
    if cluster.strategy in (Strategy.SINGLE, Strategy.DEVICE_MAP):
        return 1
    sharing = cluster.tensor_parallel * cluster.pipeline_parallel * cluster.context_parallel
    return max(1, cluster.num_gpus // sharing)


def sharing_degree(cluster: Cluster) -> int:
    """GPUs that hold the same weights, or shards of them: those with other samples or other parts of a sequence."""
    return data_parallel_degree(cluster) * (1 if cluster.strategy is Strategy.DEVICE_MAP else cluster.context_parallel)


def optimizer_shards(cluster: Cluster) -> int:
    """Among how many GPUs the optimizer's work is divided."""
    return sharing_degree(cluster) if cluster.strategy in SHARDED_OPTIMIZER else 1


def exchange_seconds(cluster: Cluster, device: Device, exchange: Exchange, accumulation: int) -> float:
    """Seconds in which a GPU exchanges its part of the weights and gradients in one optimizer step, before any of it is
    hidden."""
    degree = sharing_degree(cluster)
    if degree == 1:
        return 0.0
    if cluster.strategy in SHARDED:
        gathers = 2 if cluster.strategy in GATHERED_TWICE else 1
        volume = accumulation * (gathers * exchange.parameter_bytes + exchange.gradient_bytes)
    else:
        volume = 2 * exchange.gradient_bytes
    # Of each part of the model as many GPUs stand side by side in a server, and each part goes over its network.
    parts = min(cluster.tensor_parallel * cluster.pipeline_parallel, cluster.gpus_per_node)
    nodes = -(-degree // max(1, cluster.gpus_per_node // parts))
    within = volume * (degree - 1) / degree / (link_bytes_per_second(cluster, device) * LINK_FRACTION)
    if nodes == 1:
        return within
    network = network_bytes_per_second(cluster) * LINK_FRACTION
    return max(within, parts * volume * (nodes - 1) / nodes / network)


def network_bytes_per_second(cluster: Cluster) -> float:
    """The network between servers, of a server, bytes/s."""
    return (cluster.network_gbit_per_second or DEFAULT_NETWORK_GBIT_PER_SECOND) * 1e9 / 8


def link_bytes_per_second(cluster: Cluster, device: Device) -> float:
    """One direction of the link between the GPUs of a server, bytes/s."""
    linked = device.nvlink_bytes_per_second > 0 and device.max_nvlink_gpus >= min(
        cluster.num_gpus, cluster.gpus_per_node
    )
    if cluster.interconnect == "pcie" or not linked:
        return device.pcie_bytes_per_second
    return device.nvlink_bytes_per_second / 2


def exposed_seconds(exchange: float, arithmetic: float) -> float:
    """The part of the exchange that the step waits for."""
    return max(0.0, exchange - HIDDEN_SHARE * arithmetic)


def network_note(cluster: Cluster) -> str:
    """What a run over several servers takes their network for, which no price list states."""
    given = cluster.network_gbit_per_second
    return message(
        "The servers are joined by a network whose speed the offer does not state: the time takes {rate} Gbit/s "
        "between servers of {cards} cards ({basis}).",
        rate=Decimal(f"{given or DEFAULT_NETWORK_GBIT_PER_SECOND:g}"),
        cards=cluster.gpus_per_node,
        basis=mark("as the run says") if given else mark("an assumption"),
    )
