"""Models and sequences shared out among GPUs: what one of them does of a micro-step, and what they pass to each other.

Tensor parallelism splits every matrix, and sequence parallelism with it what lies between them (Megatron-LM,
arXiv:1909.08053 and arXiv:2205.05198); a pipeline gives each GPU consecutive layers, one forward and one backward by
turns (arXiv:2104.04473); context parallelism splits sequences and passes keys and values round a ring
(arXiv:2310.01889).

Nothing here is fitted. Of 14 published runs that share sequences or matrices 12 lie within the interval that other runs
have, and all within a factor 1.5 (``benchmarks/speed/model_parallel.py``); of pipelines none in 16 bits is at hand.
"""

from typing import Final, NamedTuple

from app.memory.device import Device
from app.memory.inputs import Cluster, Strategy
from app.speed.communication import LINK_FRACTION, link_bytes_per_second, network_bytes_per_second


class Part(NamedTuple):
    """What one GPU does of a micro-step of its share of the sequences."""

    layers: float = 1.0
    """Of what the layers compute and move for the tokens."""
    weights: float = 1.0
    """Of the layers' weights, and of what is done to each of them."""
    head: float = 1.0
    """Of the head's products and the loss, on the GPUs that have them: a pipeline's last stage, its slowest."""
    launches: float = 1.0
    bubbles: int = 0
    """Micro-steps' time that a step takes beyond its micro-steps."""
    useful: float = 1.0
    """Of all that the model computes, on average over all GPUs."""


WHOLE: Final = Part()


def part_of(cluster: Cluster) -> Part:
    """One GPU's part. A pipeline's step takes m + p − 1 micro-steps of its slowest stage (arXiv:2104.04473, section
    2.2.1), m micro-steps and p stages."""
    tensor, stages, context = cluster.tensor_parallel, cluster.pipeline_parallel, cluster.context_parallel
    if tensor * stages * context == 1 or cluster.strategy is Strategy.DEVICE_MAP:
        return WHOLE
    return Part(
        layers=1 / (tensor * stages * context),
        weights=1 / (tensor * stages),
        head=1 / (tensor * context),
        launches=1 / stages,
        bubbles=stages - 1,
        useful=1 / (tensor * stages * context),
    )


class Passing(NamedTuple):
    """Bytes of one micro-step that GPUs which share a model pass to each other, before it is shared out."""

    stream_bytes: float
    """Activations that a layer's matrices are entered with and left with, over all layers: gathered before and reduced
    and scattered after each of its two parts, in each pass; gathered once more for the weights' gradients."""
    key_value_bytes: float
    """Keys and values of all layers, in forward, in its repetition and in backward, and their gradients."""
    boundary_bytes: float
    """What one layer hands to the next, and the gradient that comes back."""


STREAM_BYTES: Final = 2
"""Of a feature: activations, keys and values are passed on in 16 bits."""
LAYER_TRANSFERS: Final = 4
"""Each of a layer's two parts is gathered for and scattered after, in forward and again in backward (arXiv:2205.05198,
section 4.2.2)."""
WEIGHT_GRADIENT_TRANSFERS: Final = 2
"""What only a rank's part of was kept is gathered again for the gradients of the weights."""


def token_passing(
    hidden_size: int, layers: int, key_value_features: int, *, repeated: float, trains_base: bool
) -> Passing:
    """What one token has passed on. ``key_value_features`` are the keys and values of all layers, ``repeated`` the
    share of forward that checkpoints repeat."""
    transfers = LAYER_TRANSFERS * (2 + repeated) + (WEIGHT_GRADIENT_TRANSFERS if trains_base else 0)
    return Passing(
        stream_bytes=float(STREAM_BYTES * hidden_size * layers * transfers),
        key_value_bytes=float(STREAM_BYTES * key_value_features * (3 + repeated)),
        boundary_bytes=float(2 * STREAM_BYTES * hidden_size),
    )


class Waiting(NamedTuple):
    """Seconds of one optimizer step."""

    exposed: float
    """Nothing runs beside it."""
    hidden: float
    """Arithmetic may run beside it."""


def passing_seconds(cluster: Cluster, device: Device, passing: Passing, micro_steps: int) -> Waiting:
    """Seconds that passing activations takes; ``micro_steps`` with those that a pipeline idles."""
    tensor, stages, context = cluster.tensor_parallel, cluster.pipeline_parallel, cluster.context_parallel
    exposed = hidden = 0.0
    if tensor > 1:
        moved = passing.stream_bytes / (stages * context) * (tensor - 1) / tensor
        exposed = micro_steps * moved / _rate(cluster, device, tensor)
    if context > 1:
        moved = passing.key_value_bytes / (tensor * stages * context) * (context - 1)
        hidden += micro_steps * moved / _rate(cluster, device, tensor * context)
    if stages > 1:
        moved = passing.boundary_bytes / (tensor * context)
        hidden += micro_steps * moved / _rate(cluster, device, tensor * context * stages)
    return Waiting(exposed, hidden)


def _rate(cluster: Cluster, device: Device, reach: int) -> float:
    """Bytes per second between GPUs of so many neighbours: over the server's link, or each its share of the network."""
    if reach <= cluster.gpus_per_node:
        return link_bytes_per_second(cluster, device) * LINK_FRACTION
    return network_bytes_per_second(cluster) / cluster.gpus_per_node * LINK_FRACTION
