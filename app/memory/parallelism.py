"""What share of each thing a rank holds, by strategy: a table of traits, and the sizes that follow.

Sources: PyTorch ``nn/parallel/distributed.py`` (DDP) and ``distributed/fsdp`` (FSDP, FSDP2); DeepSpeed
``runtime/zero`` and ``runtime/bf16_optimizer.py`` with Hugging Face's ``"auto"`` values
(``transformers/integrations/deepspeed.py``); ZeRO, arXiv 1910.02054, section 5.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate

from app.memory.architecture import Architecture, Layer, Parameter, ParameterKind
from app.memory.inputs import Cluster, Method, MethodKind, Offload, Strategy
from app.memory.shards import Sharding, padded_share

DEEPSPEED_BUCKET_ELEMENTS = 500_000_000
"""``reduce_bucket_size`` and ``allgather_bucket_size`` (``deepspeed/runtime/zero/config.py``)."""

DEEPSPEED_SUB_GROUP_ELEMENTS = 1_000_000_000
"""``sub_group_size`` (the same file): what stage 3 updates at once on a rank."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Traits:
    """How a strategy treats model states and working copies."""

    title: str
    sharding: Sharding = Sharding.TENSOR
    """Along what sharded states are cut."""
    shards_weights: bool = False
    shards_gradients: bool = False
    shards_optimizer: bool = False
    half_compute: bool = False
    """Under mixed precision, layers see 16-bit weights, and float32 ones exist only as shards."""
    keeps_masters: bool = False
    """DeepSpeed: 16-bit weights and gradients beside float32 masters and state, sharded with the optimizer."""
    gathered_layers: int = 0
    """Layers whose weights are whole on a rank at once: the one at work and the prefetched one."""
    keeps_root: bool = False
    """Embeddings, final norm and head stay whole from forward to the end of backward."""
    gathers_until_backward: bool = False
    """Layers gathered in forward stay whole until their backward."""
    copies_gradients_to_buckets: bool = False
    update_elements: int = 0
    """Elements that are updated at once; 0 for all."""
    bucket_elements: int | None = None
    """Elements of a 16-bit reduction bucket; ``hidden_size²`` where 0."""
    upcasts_adapters: bool = False
    """Under mixed precision, adapters live as float32 shards, whatever dtype they were made in."""
    upcasts_adapters_of_quantised: bool = False
    """The same over a quantised base."""
    casts_adapters: bool = False
    """Under mixed precision, adapters meet their input as 16-bit weights, so that it need not be copied for each.
    FSDP's are still float32 when PEFT casts the input to their type."""
    holds_frozen_inputs: bool = False
    """Hooks wait for the gradients of a frozen layer's inputs; under reentrant checkpointing they hold both."""
    source: str = ""


_ZERO2 = Traits(
    title="ZeRO-2: gradients and optimizer state sharded",
    shards_gradients=True,
    shards_optimizer=True,
    half_compute=True,
    keeps_masters=True,
    bucket_elements=DEEPSPEED_BUCKET_ELEMENTS,
    source="deepspeed/runtime/zero/stage_1_and_2.py",
)
_FSDP = Traits(
    title="FSDP: weights, gradients and optimizer state sharded",
    sharding=Sharding.FLAT,
    shards_weights=True,
    shards_gradients=True,
    shards_optimizer=True,
    half_compute=True,
    gathered_layers=2,
    keeps_root=True,
    upcasts_adapters=True,
    upcasts_adapters_of_quantised=True,
    holds_frozen_inputs=True,
    source="torch/distributed/fsdp/_runtime_utils.py, _post_forward_reshard; accelerate 1.15 accelerator.py:1998-2038",
)

TRAITS: Mapping[Strategy, Traits] = {
    Strategy.SINGLE: Traits(title="one GPU"),
    Strategy.DEVICE_MAP: Traits(title="layers split over the cards, one at work at a time"),
    Strategy.DDP: Traits(
        title="data parallel, everything on every card",
        copies_gradients_to_buckets=True,
        source="torch/nn/parallel/distributed.py, gradient_as_bucket_view=False",
    ),
    Strategy.ZERO1: replace(_ZERO2, title="ZeRO-1: optimizer state sharded", shards_gradients=False),
    Strategy.ZERO2: _ZERO2,
    Strategy.ZERO3: replace(
        _ZERO2,
        title="ZeRO-3: weights, gradients and optimizer state sharded",
        shards_weights=True,
        gathered_layers=2,
        bucket_elements=0,
        update_elements=DEEPSPEED_SUB_GROUP_ELEMENTS,
        source="deepspeed/runtime/zero/stage3.py; reduce_bucket_size auto is hidden_size²",
    ),
    Strategy.FSDP: _FSDP,
    Strategy.FSDP2: replace(
        _FSDP,
        title="FSDP2: weights, gradients and optimizer state sharded",
        sharding=Sharding.ROWS,
        upcasts_adapters_of_quantised=False,
        casts_adapters=True,
        holds_frozen_inputs=False,
        source="torch/distributed/fsdp/_fully_shard/_fsdp_param_group.py; accelerate 1.15 utils/fsdp_utils.py:815-820",
    ),
    Strategy.FSDP_GRAD_OP: replace(
        _FSDP,
        title="FSDP, gradients and optimizer state sharded",
        gathers_until_backward=True,
        source="torch/distributed/fsdp/api.py, SHARD_GRAD_OP",
    ),
    Strategy.FSDP_HYBRID: replace(
        _FSDP,
        title="FSDP inside a node, replicas across nodes",
        source="torch/distributed/fsdp/api.py, HYBRID_SHARD",
    ),
}
"""Every strategy but ``auto``, which :func:`default_strategy` resolves."""

FSDP_STRATEGIES = frozenset({Strategy.FSDP, Strategy.FSDP2, Strategy.FSDP_HYBRID})
"""Those whose like published runs were compared with."""

SPLIT_BY_TENSOR_PARALLEL = frozenset(
    {
        ParameterKind.LINEAR,
        ParameterKind.UNQUANTISED,
        ParameterKind.EMBEDDING,
        ParameterKind.HEAD,
        ParameterKind.EXPERTS,
    }
)
"""Megatron-LM, arXiv 1909.08053, section 3: rows or columns of every large matrix."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """How the GPUs of a run are arranged. ``shards`` is over how many of them sharded states are spread."""

    traits: Traits
    strategy: Strategy
    data: int = 1
    shards: int = 1
    tensor: int = 1
    pipeline: int = 1
    context: int = 1
    expert: int = 1
    split: int = 1
    """GPUs that a ``device_map`` spreads layers over."""
    offload_optimizer: bool = False
    offload_parameters: bool = False

    def local_elements(self, parameter: Parameter) -> int:
        """Elements of a parameter on one rank under tensor and expert parallelism; norms are whole on every rank."""
        elements = parameter.elements
        if parameter.kind in SPLIT_BY_TENSOR_PARALLEL:
            elements = padded_share(elements, self.tensor)
        if parameter.kind is ParameterKind.EXPERTS:
            elements = padded_share(elements, self.expert)
        return elements

    @property
    def is_data_parallel_only(self) -> bool:
        """Whether no layer, matrix, sequence or set of experts is split and nothing leaves the GPUs."""
        split = self.tensor * self.pipeline * self.context * self.expert * self.split
        return split == 1 and not self.offload_optimizer and not self.offload_parameters

    @property
    def is_single(self) -> bool:
        """Whether the whole run is on one GPU and nothing leaves it."""
        return self.data == 1 and self.is_data_parallel_only


SINGLE = Layout(traits=TRAITS[Strategy.SINGLE], strategy=Strategy.SINGLE)


def make_layout(cluster: Cluster, strategy: Strategy) -> Layout:
    """The arrangement of a cluster under a strategy that is not ``auto``.

    Raises ``ValueError`` where the parallel degrees do not divide the GPUs.
    """
    model_parallel = cluster.tensor_parallel * cluster.pipeline_parallel
    if cluster.num_gpus % model_parallel:
        raise ValueError(f"{cluster.num_gpus} GPUs cannot be divided by tensor × pipeline = {model_parallel}")
    ranks = cluster.num_gpus // model_parallel
    split = ranks if strategy is Strategy.DEVICE_MAP else 1
    if strategy is Strategy.SINGLE or split > 1:
        ranks = 1
    shards = min(ranks, cluster.gpus_per_node) if strategy is Strategy.FSDP_HYBRID else ranks
    return Layout(
        traits=TRAITS[strategy],
        strategy=strategy,
        data=max(1, ranks // cluster.context_parallel),
        shards=shards,
        tensor=cluster.tensor_parallel,
        pipeline=cluster.pipeline_parallel,
        context=cluster.context_parallel,
        expert=cluster.expert_parallel,
        split=split,
        offload_optimizer=cluster.offload in {Offload.OPTIMIZER, Offload.BOTH},
        offload_parameters=cluster.offload in {Offload.PARAMETERS, Offload.BOTH},
    )


@lru_cache(maxsize=512)
def gathered_bytes(architecture: Architecture, layout: Layout, width: int, linear_bits: int) -> tuple[int, ...]:
    """Weights that are whole on a rank beside its shards while each layer's backward runs, in bytes.

    ``width`` is the layers' compute width; linear layers take ``linear_bits`` a weight: of a quantised base what is
    packed is gathered. The layer before is prefetched; the first layer has none before it.
    """
    traits = layout.traits
    if not traits.shards_weights or layout.shards == 1:
        return ()
    sizes: dict[Layer, int] = {}
    for layer, _ in architecture.distinct_layers:
        elements, linear = 0, 0
        for parameter in layer.parameters():
            local = layout.local_elements(parameter) * parameter.count
            elements += local
            linear += local if parameter.kind is ParameterKind.LINEAR else 0
        sizes[layer] = (elements - linear) * width + linear * linear_bits // 8
    whole = [sizes[layer] for layer in architecture.layers]
    if traits.gathers_until_backward:
        return tuple(accumulate(whole))
    first = 1 - traits.gathered_layers
    return tuple(sum(whole[max(0, index + first) : index + 1]) for index in range(len(whole)))


@lru_cache(maxsize=512)
def root_bytes(architecture: Architecture, layout: Layout, width: int) -> int:
    """Embeddings, final norm and head, whole from forward to the end of backward, in bytes."""
    if not layout.traits.keeps_root or layout.shards == 1:
        return 0
    return _local_sum(architecture.outer_parameters, layout) * width


def _local_sum(parameters: Iterable[Parameter], layout: Layout) -> int:
    """Elements that a gather brings together: what tensor and expert parallelism leave a rank of them."""
    return sum(layout.local_elements(parameter) * parameter.count for parameter in parameters)


def stages(architecture: Architecture, count: int) -> tuple[Architecture, ...]:
    """The first and the last of ``count`` stages of consecutive layers, the only ones that can be the fullest.

    Layers are dealt evenly; where they do not divide, the first stages hold one more.
    """
    if count == 1:
        return (architecture,)
    layers = architecture.layers
    longest = -(-len(layers) // count)
    shortest = max(1, len(layers) // count)
    return (
        replace(architecture, layers=layers[:longest], holds_head=False),
        replace(architecture, layers=layers[-shortest:], holds_embedding=False),
    )


def default_strategy(cluster: Cluster, method: Method) -> Strategy:
    """What ``auto`` means where no card is named: shard what trains in full, replicate a frozen base."""
    if cluster.num_gpus == cluster.tensor_parallel * cluster.pipeline_parallel:
        return Strategy.SINGLE
    return Strategy.FSDP2 if method.kind is MethodKind.FULL else Strategy.DDP
