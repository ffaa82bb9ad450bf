"""What each rank holds, against published FSDP runs and against what must hold of any sharding."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.memory.architecture import Architecture
from app.memory.build import parse_config
from app.memory.estimate import estimate_memory, largest_micro_batch
from app.memory.inputs import (
    Adapter,
    AttentionImplementation,
    Batch,
    Checkpointing,
    Cluster,
    LossKernel,
    Method,
    MethodKind,
    Offload,
    Precision,
    PrecisionPolicy,
    Quantization,
    Strategy,
)
from app.memory.parallelism import TRAITS, gathered_bytes, make_layout, root_bytes
from app.memory.policy import make_policy
from app.memory.result import ComponentName, MemoryEstimate
from app.memory.states import States, model_states
from app.units import GIB

MISTRAL_7B = parse_config(
    {
        "model_type": "mistral",
        "vocab_size": 32000,
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "intermediate_size": 14336,
        "sliding_window": 4096,
    }
)
MIXTRAL = parse_config(
    {
        "model_type": "mixtral",
        "vocab_size": 32000,
        "hidden_size": 4096,
        "num_hidden_layers": 4,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "intermediate_size": 14336,
        "num_local_experts": 8,
        "num_experts_per_tok": 2,
    }
)
LLAMA_3_8B = parse_config(
    {
        "model_type": "llama",
        "vocab_size": 128256,
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "intermediate_size": 14336,
    }
)
FULL = Method(kind=MethodKind.FULL, optimizer="adamw_torch")
LORA = Method(kind=MethodKind.LORA, adapter=Adapter(rank=16))
QLORA = Method(kind=MethodKind.QLORA, adapter=Adapter(rank=16), quantization=Quantization())
BATCH = Batch(micro_batch_size=4, sequence_length=4096, gradient_checkpointing=Checkpointing.FULL)
SHARDING = [strategy for strategy, traits in TRAITS.items() if traits.shards_weights]


def published(batch: int, kernel: LossKernel) -> Batch:
    return Batch(
        micro_batch_size=batch,
        sequence_length=4096,
        gradient_checkpointing=Checkpointing.FULL,
        attention=AttentionImplementation.FLASH_ATTENTION_2,
        loss_kernel=kernel,
    )


# foundation-model-stack/fms-acceleration benchmarks, torch.cuda.max_memory_allocated of rank 0, A100-80GB
FULL_RUNS = [
    (MISTRAL_7B, PrecisionPolicy.BF16, 2, 2, LossKernel.STANDARD, 33.738),
    (MISTRAL_7B, PrecisionPolicy.BF16, 2, 4, LossKernel.STANDARD, 33.738),
    (LLAMA_3_8B, PrecisionPolicy.BF16_MIXED, 2, 4, LossKernel.LIGER, 74.804),
    (LLAMA_3_8B, PrecisionPolicy.BF16_MIXED, 2, 8, LossKernel.LIGER, 74.804),
    (LLAMA_3_8B, PrecisionPolicy.BF16_MIXED, 4, 4, LossKernel.LIGER, 37.41),
    (LLAMA_3_8B, PrecisionPolicy.BF16_MIXED, 4, 8, LossKernel.LIGER, 41.035),
    (LLAMA_3_8B, PrecisionPolicy.BF16_MIXED, 4, 16, LossKernel.LIGER, 56.165),
]


@pytest.mark.parametrize(("architecture", "policy", "num_gpus", "batch", "kernel", "measured_gib"), FULL_RUNS)
def test_full_fine_tuning_under_fsdp_is_within_four_percent_of_what_was_measured(
    architecture: Architecture,
    policy: PrecisionPolicy,
    num_gpus: int,
    batch: int,
    kernel: LossKernel,
    measured_gib: float,
) -> None:
    estimate = estimate_memory(
        architecture,
        FULL,
        Precision(policy=policy),
        published(batch, kernel),
        Cluster(num_gpus=num_gpus, strategy=Strategy.FSDP),
    )
    assert estimate.peak_allocated_bytes / GIB == pytest.approx(measured_gib, rel=0.04)


def states(method: Method, policy: PrecisionPolicy, num_gpus: int, strategy: Strategy) -> States:
    layout = make_layout(Cluster(num_gpus=num_gpus, strategy=strategy), strategy)
    return model_states(MISTRAL_7B, method, make_policy(method, policy, BATCH, layout.traits), layout)


def kept(state: States) -> int:
    return state.weights + state.adapters + state.gradients + state.optimizer_state


@given(
    count=st.integers(2, 64),
    method=st.sampled_from([FULL, LORA, QLORA]),
    policy=st.sampled_from([PrecisionPolicy.BF16, PrecisionPolicy.BF16_MIXED]),
    strategy=st.sampled_from(SHARDING),
)
@settings(max_examples=60, deadline=None)
def test_states_of_a_rank_never_rise_with_the_number_of_ranks(
    count: int, method: Method, policy: PrecisionPolicy, strategy: Strategy
) -> None:
    assert kept(states(method, policy, count + 1, strategy)) <= kept(states(method, policy, count, strategy))


@given(count=st.integers(2, 16), method=st.sampled_from([FULL, LORA]))
@settings(max_examples=30, deadline=None)
def test_each_zero_stage_keeps_no_more_than_the_one_before(count: int, method: Method) -> None:
    one, two, three = (
        kept(states(method, PrecisionPolicy.BF16_MIXED, count, stage))
        for stage in (Strategy.ZERO1, Strategy.ZERO2, Strategy.ZERO3)
    )
    assert one >= two >= three


@given(count=st.integers(2, 16))
@settings(max_examples=15, deadline=None)
def test_shards_sum_to_the_whole_and_a_little_padding(count: int) -> None:
    whole = states(FULL, PrecisionPolicy.BF16, 1, Strategy.FSDP)
    shard = states(FULL, PrecisionPolicy.BF16, count, Strategy.FSDP)
    tensors = whole.trained_tensors
    for name in ("weights", "gradients"):
        total, part = getattr(whole, name), getattr(shard, name)
        # each tensor is padded to a multiple of the ranks and each shard to a block of 512 bytes
        assert total <= count * part <= total + tensors * count * (512 + 2)


def estimate(method: Method, cluster: Cluster) -> MemoryEstimate:
    return estimate_memory(MISTRAL_7B, method, Precision(policy=PrecisionPolicy.BF16), BATCH, cluster)


def test_data_parallel_adds_buckets_for_what_trains() -> None:
    single, replicated = estimate(LORA, Cluster()), estimate(LORA, Cluster(num_gpus=2, strategy=Strategy.DDP))
    buckets = {part.name: part.bytes for part in replicated.components}[ComponentName.COMMUNICATION]
    assert buckets == states(LORA, PrecisionPolicy.BF16, 2, Strategy.DDP).gradients
    assert replicated.peak_allocated_bytes == single.peak_allocated_bytes + buckets


def test_offloading_the_optimizer_moves_its_state_to_the_host() -> None:
    kept_here = estimate(FULL, Cluster(num_gpus=2, strategy=Strategy.FSDP))
    moved = estimate(FULL, Cluster(num_gpus=2, strategy=Strategy.FSDP, offload=Offload.OPTIMIZER))
    assert kept_here.host_bytes == 0
    assert moved.host_bytes > MISTRAL_7B.total_parameters
    assert moved.peak_allocated_bytes < kept_here.peak_allocated_bytes


def test_splitting_layers_over_cards_leaves_the_fullest_about_a_share() -> None:
    single = estimate(LORA, Cluster())
    split = estimate(LORA, Cluster(num_gpus=2, strategy=Strategy.DEVICE_MAP))
    assert 0.45 < split.peak_allocated_bytes / single.peak_allocated_bytes < 0.8
    assert split.parameters == single.parameters


def test_tensor_and_context_parallelism_leave_less_on_a_rank() -> None:
    single = estimate(FULL, Cluster())
    tensor = estimate(FULL, Cluster(num_gpus=4, tensor_parallel=4))
    assert tensor.peak_allocated_bytes < single.peak_allocated_bytes / 3
    context = estimate(LORA, Cluster(num_gpus=4, context_parallel=4, strategy=Strategy.DDP))
    assert (
        context.peak_allocated_bytes < estimate(LORA, Cluster(num_gpus=4, strategy=Strategy.DDP)).peak_allocated_bytes
    )


@pytest.mark.parametrize("num_gpus", [1, 2, 8])
def test_the_largest_micro_batch_leaves_room_for_collectives_too(num_gpus: int) -> None:
    usable = 40 * GIB
    cluster = Cluster(num_gpus=num_gpus, strategy=Strategy.DDP if num_gpus > 1 else Strategy.AUTO)
    largest = largest_micro_batch(estimate(LORA, cluster), usable)
    batch = Batch(micro_batch_size=largest, sequence_length=4096, gradient_checkpointing=Checkpointing.FULL)
    precision = Precision(policy=PrecisionPolicy.BF16)
    assert estimate_memory(MISTRAL_7B, LORA, precision, batch, cluster).required_bytes <= usable


@pytest.mark.parametrize("strategy", [Strategy.ZERO3, Strategy.FSDP2, Strategy.FSDP_GRAD_OP])
def test_a_gather_brings_together_only_what_tensor_parallelism_leaves_a_rank(strategy: Strategy) -> None:
    def gathered(tensor: int) -> int:
        layout = make_layout(Cluster(num_gpus=2 * tensor, tensor_parallel=tensor), strategy)
        return gathered_bytes(LLAMA_3_8B, layout, 2, 16)[-1] + root_bytes(LLAMA_3_8B, layout, 2)

    whole = gathered(1)
    norms = whole // 1000
    assert whole // 4 <= gathered(4) <= whole // 4 + norms


def test_a_gather_brings_together_only_a_ranks_own_experts() -> None:
    def gathered(expert: int) -> int:
        layout = make_layout(Cluster(num_gpus=8, expert_parallel=expert), Strategy.FSDP2)
        return gathered_bytes(MIXTRAL, layout, 2, 16)[-1]

    experts = 2 * 2 * 8 * 3 * 4096 * 14336  # two layers of eight experts of three matrices, two bytes a weight
    assert gathered(1) - gathered(8) == experts * 7 // 8


def checkpointed(kind: Checkpointing, strategy: Strategy, layers: int, method: Method = LORA) -> int:
    config = {"model_type": "llama", "vocab_size": 64, "hidden_size": 1024, "num_attention_heads": 8}
    architecture = parse_config({**config, "intermediate_size": 2048, "num_hidden_layers": layers})
    batch = Batch(micro_batch_size=4, sequence_length=2048, gradient_checkpointing=kind)
    cluster = Cluster(num_gpus=2, strategy=strategy)
    return estimate_memory(
        architecture, method, Precision(policy=PrecisionPolicy.BF16), batch, cluster
    ).peak_allocated_bytes


STREAM = 4 * 2048 * 1024 * 2
"""The residual stream of the batch above, in bytes."""


def test_hooks_of_fsdp_hold_each_repeated_input_and_its_gradient() -> None:
    """2 bytes a token and feature more for each layer, as traced with Transformers 4.45.2 (docs/multi-gpu.md)."""

    def extra(layers: int) -> int:
        reentrant = checkpointed(Checkpointing.REENTRANT, Strategy.FSDP, layers)
        return reentrant - checkpointed(Checkpointing.FULL, Strategy.FSDP, layers)

    assert extra(12) - extra(4) == pytest.approx(8 * STREAM, rel=0.02)


@pytest.mark.parametrize(("strategy", "method"), [(Strategy.FSDP2, LORA), (Strategy.FSDP, FULL), (Strategy.DDP, LORA)])
def test_elsewhere_a_reentrant_checkpoint_holds_its_output_and_no_more(strategy: Strategy, method: Method) -> None:
    for layers in (4, 12):
        reentrant = checkpointed(Checkpointing.REENTRANT, strategy, layers, method)
        assert reentrant - checkpointed(Checkpointing.FULL, strategy, layers, method) == STREAM


@pytest.mark.parametrize("policy", [PrecisionPolicy.BF16, PrecisionPolicy.BF16_MIXED])
def test_tensor_parallelism_divides_autocasts_copies_and_a_layers_gradients(policy: PrecisionPolicy) -> None:
    """Of a model that is all matrices, half of everything is left but norms and what is rounded."""

    def peak(tensor: int) -> int:
        cluster = Cluster(num_gpus=tensor, tensor_parallel=tensor)
        estimate = estimate_memory(LLAMA_3_8B, FULL, Precision(policy=policy), BATCH, cluster, include_workspaces=False)
        return estimate.peak_allocated_bytes

    assert peak(2) == pytest.approx(peak(1) / 2, rel=0.001)
    assert peak(8) == pytest.approx(peak(1) / 8, rel=0.002)


def test_each_phase_is_divided_by_tensor_parallelism() -> None:
    batch = Batch(micro_batch_size=1, sequence_length=4096)

    def phases(tensor: int) -> dict[str, int]:
        cluster = Cluster(num_gpus=tensor, tensor_parallel=tensor)
        precision = Precision(policy=PrecisionPolicy.BF16_MIXED)
        found = estimate_memory(LLAMA_3_8B, FULL, precision, batch, cluster, include_workspaces=False).phases
        return {phase.name: phase.bytes for phase in found}

    whole, share = phases(1), phases(4)
    for name, size in whole.items():
        assert share[name] == pytest.approx(size / 4, rel=0.002), name


def test_each_rank_attends_over_the_whole_sequence() -> None:
    """Eager scores are of heads ÷ ranks by the whole sequence squared: they too are divided once."""
    eager = Batch(micro_batch_size=1, sequence_length=8192, attention=AttentionImplementation.EAGER)

    def forward(tensor: int) -> int:
        cluster = Cluster(num_gpus=tensor, tensor_parallel=tensor)
        precision = Precision(policy=PrecisionPolicy.BF16)
        [phase] = [
            phase
            for phase in estimate_memory(LLAMA_3_8B, FULL, precision, eager, cluster, include_workspaces=False).phases
            if phase.name == "forward"
        ]
        return phase.bytes

    assert forward(8) == pytest.approx(forward(1) / 8, rel=0.01)


def test_fsdp2s_adapters_share_their_input_where_fsdps_each_copy_it() -> None:
    """Traced in two processes without checkpointing: 4 copies a layer under FSDP, one kept input under FSDP2."""
    batch = Batch(micro_batch_size=2, sequence_length=2048)
    precision = Precision(policy=PrecisionPolicy.BF16_MIXED)

    def activations(strategy: Strategy, layers: int) -> int:
        config = {"model_type": "llama", "vocab_size": 64, "hidden_size": 1024, "num_attention_heads": 8}
        architecture = parse_config({**config, "intermediate_size": 2048, "num_hidden_layers": layers})
        cluster = Cluster(num_gpus=2, strategy=strategy)
        found = estimate_memory(architecture, LORA, precision, batch, cluster)
        return max(
            part.bytes for phase in found.phases for part in phase.components if part.name is ComponentName.ACTIVATIONS
        )

    extra = [activations(Strategy.FSDP, n) - activations(Strategy.FSDP2, n) for n in (4, 8)]
    assert extra[1] - extra[0] == pytest.approx(4 * 3 * 2 * 1024 * 2 * 2048, rel=0.01)
