"""The frozen groups that the memory model reads; the flat request is mapped to these once."""

from dataclasses import dataclass
from enum import StrEnum


class MethodKind(StrEnum):
    """How the weights are tuned."""

    FULL = "full"
    LORA = "lora"
    QLORA = "qlora"


class QuantizationFormat(StrEnum):
    """bitsandbytes' weight formats."""

    NF4 = "nf4"
    FP4 = "fp4"
    INT8 = "int8"


class LoraTargetPreset(StrEnum):
    """Named sets of adapted projections; a tuple of projection names is the free form."""

    ATTENTION = "attention"
    ALL_LINEAR = "all-linear"
    QV = "qv"


class AdapterDtype(StrEnum):
    """The dtype adapters are kept in; ``auto`` is float32 under a mixed precision."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


class PrecisionPolicy(StrEnum):
    """Which dtypes parameters, gradients, state and arithmetic use."""

    BF16 = "bf16"
    BF16_MIXED = "bf16-mixed"
    FP16_MIXED = "fp16-mixed"
    FP32 = "fp32"


class Checkpointing(StrEnum):
    """Activation checkpointing."""

    NONE = "none"
    FULL = "full"
    SELECTIVE = "selective"
    REENTRANT = "reentrant"
    """``full`` as Transformers 4 did it unless told otherwise: ``torch.utils.checkpoint`` with ``use_reentrant`` around
    the layer, and so around what FSDP hooks to it."""

    @property
    def repeats_every_layer(self) -> bool:
        """Whether each layer keeps its input only."""
        return self in {Checkpointing.FULL, Checkpointing.REENTRANT}


class AttentionImplementation(StrEnum):
    """Transformers' ``attn_implementation``."""

    SDPA = "sdpa"
    FLASH_ATTENTION_2 = "flash_attention_2"
    EAGER = "eager"


class LossKernel(StrEnum):
    """How logits become a loss."""

    STANDARD = "standard"
    LIGER = "liger"
    CHUNKED = "chunked"
    UPCAST = "upcast"
    """Transformers up to 4.45: float32 logits in the model, and a contiguous copy of the shifted ones."""
    SHIFTED = "shifted"
    """Transformers 4.46 to 4.48: the same copies, made in the loss function while the model holds 16-bit logits."""
    UPCAST_IN_PLACE = "upcast_in_place"
    """``upcast`` with a Triton cross-entropy that writes the gradient over the logits (Unsloth, fms-acceleration)."""
    SHIFTED_IN_PLACE = "shifted_in_place"
    """``shifted`` with that kernel."""

    @property
    def shifts(self) -> bool:
        """Whether logits and not labels are shifted: Transformers up to 4.48."""
        return self not in {LossKernel.STANDARD, LossKernel.LIGER, LossKernel.CHUNKED}


class Strategy(StrEnum):
    """How several GPUs share one run."""

    AUTO = "auto"
    SINGLE = "single"
    DDP = "ddp"
    ZERO1 = "zero1"
    ZERO2 = "zero2"
    ZERO3 = "zero3"
    FSDP = "fsdp"
    FSDP2 = "fsdp2"
    FSDP_GRAD_OP = "fsdp_grad_op"
    FSDP_HYBRID = "fsdp_hybrid"
    DEVICE_MAP = "device_map"


class Offload(StrEnum):
    """What leaves the GPU between uses."""

    NONE = "none"
    OPTIMIZER = "optimizer"
    PARAMETERS = "parameters"
    BOTH = "both"


@dataclass(frozen=True, kw_only=True, slots=True)
class Adapter:
    """A low-rank adapter as PEFT's ``LoraConfig`` describes it."""

    rank: int
    targets: LoraTargetPreset | tuple[str, ...] = LoraTargetPreset.ATTENTION
    dropout: float = 0.0
    use_dora: bool = False
    modules_to_save: tuple[str, ...] = ()
    dtype: AdapterDtype = AdapterDtype.AUTO


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantization:
    """How a frozen base is quantised."""

    format: QuantizationFormat = QuantizationFormat.NF4
    double_quantization: bool = True
    upcast_non_quantized: bool = False
    """``peft.prepare_model_for_kbit_training``: every parameter that is not quantised goes to float32."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """What is trained and how it is updated. ``adapter`` is None exactly for full fine-tuning."""

    kind: MethodKind
    adapter: Adapter | None = None
    quantization: Quantization | None = None
    optimizer: str = "adamw_torch_fused"
    """A key of :data:`app.memory.optimizers.OPTIMIZERS`."""
    embedding_state_32bit: bool = False
    max_grad_norm: float = 1.0
    """0 switches clipping off."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Precision:
    """The precision policy of the run."""

    policy: PrecisionPolicy = PrecisionPolicy.BF16


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """What one GPU computes at once, and with which kernels."""

    micro_batch_size: int
    sequence_length: int
    gradient_accumulation_steps: int = 1
    packing: bool = True
    """False: padded batches, whose mask SDPA's flash kernel does not take."""
    gradient_checkpointing: Checkpointing = Checkpointing.NONE
    attention: AttentionImplementation = AttentionImplementation.SDPA
    loss_kernel: LossKernel = LossKernel.STANDARD
    keep_logits: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Cluster:
    """The GPUs that share the run."""

    num_gpus: int = 1
    gpus_per_node: int = 8
    interconnect: str = "auto"
    network_gbit_per_second: float | None = None
    strategy: Strategy = Strategy.AUTO
    offload: Offload = Offload.NONE
    offload_target: str = "cpu"
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    context_parallel: int = 1
    expert_parallel: int = 1
