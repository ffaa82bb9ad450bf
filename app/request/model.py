"""The flat request that describes a fine-tuning run: every field once, with bounds, default, unit, help and aliases.

A field's default here is the ``plain`` column of the API contract; what a request did not set is filled by
:func:`app.request.resolve.resolve` from the run's stack.
"""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from app.memory.inputs import (
    AdapterDtype,
    AttentionImplementation,
    Checkpointing,
    LoraTargetPreset,
    LossKernel,
    MethodKind,
    Offload,
    PrecisionPolicy,
    Strategy,
)
from app.memory.optimizers import OPTIMIZERS
from app.messages import mark
from app.request.about import About, Theme


class QuantizationChoice(StrEnum):
    """How the frozen base is stored; ``none`` keeps it at 16 or 32 bits."""

    NONE = "none"
    NF4 = "nf4"
    FP4 = "fp4"
    INT8 = "int8"


class TrainingObjective(StrEnum):
    """What the loss is."""

    SFT = "sft"


class Interconnect(StrEnum):
    """How the GPUs of one server reach each other."""

    AUTO = "auto"
    NVLINK = "nvlink"
    PCIE = "pcie"


class OffloadTarget(StrEnum):
    """Where offloaded tensors go."""

    CPU = "cpu"
    NVME = "nvme"


class GpuListing(StrEnum):
    """Which cards a result lists."""

    NONE = "none"
    FITTING = "fitting"
    ALL = "all"


MAX_SEQUENCE_TOKENS = 16 * 2**20
"""Well beyond the longest published context (10 Mi tokens, Llama 4 Scout)."""

ModuleName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.]+$", max_length=80)]
ShortText = Annotated[str, StringConstraints(max_length=200, strip_whitespace=True)]

_ON_OFF = {"true": mark("On"), "false": mark("Off")}
_NONE = frozenset({"none"})
_ANY = frozenset({"any", "none"})


def _known_optimizer(name: str) -> str:
    if name not in OPTIMIZERS:
        raise ValueError("is not a known optimizer")
    return name


class Run(BaseModel):
    """One fine-tuning run and what is asked about it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    # --- model and software
    model: Annotated[
        ShortText | None,
        Field(description="Catalogue name or Hugging Face id of the model, or config:<hash> of a stored config."),
        About(
            label="Model",
            theme=Theme.MODEL,
            aliases=("base_model", "model_name_or_path", "model_name", "model_id"),
            example="llama-3-8b",
        ),
    ] = None
    config: Annotated[
        dict[str, Any] | None,
        Field(description="The content of the model's config.json (at most 64 KB), instead of a model."),
        About(label="config.json", theme=Theme.MODEL, body_only=True),
    ] = None
    stack: Annotated[
        ShortText,
        Field(description="The training software whose defaults fill what is not given."),
        About(
            label="Training stack",
            theme=Theme.MODEL,
            labels={"plain": "Plain PyTorch", "trl": "Transformers + PEFT + TRL"},
        ),
    ] = "trl"

    # --- method
    method: Annotated[
        MethodKind,
        Field(
            description="Full trains every weight; LoRA trains small adapters; QLoRA does so over a quantised model."
        ),
        About(
            label="Method",
            theme=Theme.METHOD,
            aliases=("finetuning_type", "adapter"),
            labels={"full": "Full", "lora": "LoRA", "qlora": "QLoRA"},
            example="qlora",
        ),
    ] = MethodKind.LORA
    training_objective: Annotated[
        TrainingObjective,
        Field(description="What is learnt: sft is supervised fine-tuning on next tokens."),
        About(label="Objective", theme=Theme.METHOD, aliases=("objective",), labels={"sft": "Supervised fine-tuning"}),
    ] = TrainingObjective.SFT

    # --- adapters
    lora_rank: Annotated[
        int,
        Field(ge=1, le=4096, description="Rank of the adapters: more learns more and takes a little more memory."),
        About(label="Rank", theme=Theme.ADAPTER, aliases=("lora_r", "r", "rank")),
    ] = 16
    lora_alpha: Annotated[
        float | None,
        Field(gt=0, le=1_000_000, description="Scale of the adapters' output; 2 × rank unless given. Takes no memory."),
        About(label="Alpha", theme=Theme.ADAPTER, aliases=("alpha",)),
    ] = None
    lora_dropout: Annotated[
        float,
        Field(ge=0, le=1, description="Share of adapter inputs dropped. Above 0 each adapter keeps a mask and a copy."),
        About(label="Dropout", theme=Theme.ADAPTER),
    ] = 0.0
    use_dora: Annotated[
        bool,
        Field(description="DoRA: adapters that also learn each output's magnitude. Takes more memory and time."),
        About(label="DoRA", theme=Theme.ADAPTER, aliases=("peft_use_dora",), labels=_ON_OFF),
    ] = False
    lora_target_modules: Annotated[
        LoraTargetPreset | tuple[ModuleName, ...],
        Field(description="Which projections get an adapter: attention (q, k, v, o), all-linear, qv, or names."),
        About(
            label="Layers adapted",
            theme=Theme.ADAPTER,
            aliases=("target_modules", "lora_target", "lora_targets"),
            labels={"attention": "Attention (q, k, v, o)", "all-linear": "All linear layers", "qv": "q and v only"},
            synonyms={"all": "all-linear", "all_linear": "all-linear", "attn": "attention"},
        ),
    ] = LoraTargetPreset.ATTENTION
    modules_to_save: Annotated[
        tuple[ModuleName, ...],
        Field(description="Modules trained in full beside the adapters, such as embed_tokens or lm_head."),
        About(
            label="Modules trained in full", theme=Theme.ADAPTER, aliases=("lora_modules_to_save",), empty_words=_NONE
        ),
    ] = ()
    adapter_dtype: Annotated[
        AdapterDtype,
        Field(description="Number format of the adapters; auto is float32 under a mixed precision, else as the base."),
        About(
            label="Adapter format",
            theme=Theme.ADAPTER,
            labels={"auto": "Automatic", "float32": "float32", "bfloat16": "bfloat16"},
            synonyms={"fp32": "float32", "bf16": "bfloat16"},
        ),
    ] = AdapterDtype.AUTO

    # --- quantisation
    quantization: Annotated[
        QuantizationChoice,
        Field(description="How the frozen model is stored. QLoRA alone means nf4."),
        About(
            label="Quantisation",
            theme=Theme.QUANTISATION,
            aliases=("bnb_4bit_quant_type",),
            switches={
                "load_in_4bit": {"true": "nf4", "false": None},
                "load_in_8bit": {"true": "int8", "false": None},
                "quantization_bit": {"4": "nf4", "8": "int8"},
            },
            labels={"none": "None", "nf4": "NF4, 4-bit", "fp4": "FP4, 4-bit", "int8": "INT8, 8-bit"},
        ),
    ] = QuantizationChoice.NONE
    double_quantization: Annotated[
        bool,
        Field(description="Quantise the 4-bit scales too: 0.516 instead of 0.5625 bytes a weight."),
        About(
            label="Double quantisation",
            theme=Theme.QUANTISATION,
            aliases=("bnb_4bit_use_double_quant", "use_bnb_nested_quant", "double_quant"),
            labels=_ON_OFF,
        ),
    ] = True
    upcast_non_quantized: Annotated[
        bool,
        Field(description="Hold what is not quantised in float32, as peft.prepare_model_for_kbit_training does."),
        About(
            label="Upcast the rest to float32",
            theme=Theme.QUANTISATION,
            aliases=("prepare_model_for_kbit_training",),
            labels=_ON_OFF,
        ),
    ] = False

    # --- number formats and optimizer
    precision: Annotated[
        PrecisionPolicy,
        Field(
            description="bf16 keeps everything in bfloat16; bf16-mixed trains float32 weights under bfloat16 autocast; "
            "fp16-mixed the same with float16, for cards without bfloat16; fp32 uses no 16-bit format."
        ),
        About(
            label="Precision",
            theme=Theme.NUMBERS,
            aliases=("mixed_precision",),
            switches={"bf16": {"true": "bf16-mixed", "false": None}, "fp16": {"true": "fp16-mixed", "false": None}},
            labels={"bf16": "bf16", "bf16-mixed": "bf16, mixed", "fp16-mixed": "fp16, mixed", "fp32": "fp32"},
            synonyms={"bf16_mixed": "bf16-mixed", "fp16_mixed": "fp16-mixed", "bfloat16": "bf16", "float32": "fp32"},
        ),
    ] = PrecisionPolicy.BF16
    optimizer: Annotated[
        ShortText,
        AfterValidator(_known_optimizer),
        Field(description="The optimizer, by its Hugging Face optim name."),
        About(
            label="Optimizer",
            theme=Theme.NUMBERS,
            aliases=("optim",),
            choices={name: optimizer.title for name, optimizer in OPTIMIZERS.items()},
            synonyms={"adamw_8bit": "adamw_bnb_8bit", "adamw": "adamw_torch", "adamw_hf": "adamw_torch"},
        ),
    ] = "adamw_torch_fused"
    embedding_state_32bit: Annotated[
        bool,
        Field(description="8-bit optimizers keep the embeddings' state in 32 bits, as the Trainer does."),
        About(label="32-bit embedding state", theme=Theme.NUMBERS, labels=_ON_OFF),
    ] = False
    max_grad_norm: Annotated[
        float,
        Field(ge=0, le=1_000_000, description="Gradient clipping threshold; 0 switches clipping off."),
        About(label="Gradient clipping", theme=Theme.NUMBERS, aliases=("gradient_clipping", "grad_clip")),
    ] = 1.0

    # --- batch
    micro_batch_size: Annotated[
        int,
        Field(ge=1, le=65_536, description="Sequences that one GPU holds in one forward pass."),
        About(
            label="Micro-batch",
            theme=Theme.BATCH,
            unit="sequences",
            aliases=(
                "per_device_train_batch_size",
                "per_device_batch_size",
                "train_micro_batch_size_per_gpu",
                "batch_size",
            ),
        ),
    ] = 4
    gradient_accumulation_steps: Annotated[
        int,
        Field(ge=1, le=1_048_576, description="Micro-batches summed before the weights change."),
        About(label="Accumulation", theme=Theme.BATCH, unit="micro-batches", aliases=("gradient_accumulation",)),
    ] = 1
    global_batch_size: Annotated[
        int | None,
        Field(ge=1, le=2**40, description="Sequences per weight update over all GPUs; derives the accumulation."),
        About(
            label="Global batch",
            theme=Theme.BATCH,
            unit="sequences",
            aliases=("effective_batch_size", "total_batch_size"),
        ),
    ] = None
    sequence_length: Annotated[
        int,
        Field(ge=1, le=MAX_SEQUENCE_TOKENS, description="Tokens of the longest padded or packed sequence."),
        About(
            label="Sequence length",
            theme=Theme.BATCH,
            unit="tokens",
            aliases=(
                "max_seq_length",
                "max_length",
                "sequence_len",
                "seq_length",
                "seq_len",
                "cutoff_len",
                "max_seq_len",
            ),
        ),
    ] = 512
    packing: Annotated[
        bool,
        Field(description="Pack examples into full sequences; off means padded batches with a padding mask."),
        About(
            label="Packing",
            theme=Theme.BATCH,
            aliases=("sample_packing",),
            labels={"true": "Packed", "false": "Padded"},
        ),
    ] = True

    # --- saving memory
    gradient_checkpointing: Annotated[
        Checkpointing,
        Field(
            description="Keep only each layer's input and compute the rest again on the way back: less memory, slower."
        ),
        About(
            label="Gradient checkpointing",
            theme=Theme.SAVING,
            aliases=("activation_checkpointing",),
            labels={
                "none": "Off",
                "full": "Every layer",
                "selective": "Selective",
                "reentrant": "Every layer, reentrant (Transformers 4)",
            },
            synonyms={"true": "full", "false": "none", "yes": "full", "no": "none", "on": "full", "off": "none"},
        ),
    ] = Checkpointing.NONE
    attention: Annotated[
        AttentionImplementation,
        Field(description="The attention kernel."),
        About(
            label="Attention",
            theme=Theme.SAVING,
            aliases=("attn_implementation",),
            switches={"flash_attention": {"true": "flash_attention_2", "false": None}},
            labels={"sdpa": "SDPA", "flash_attention_2": "FlashAttention 2", "eager": "Eager"},
        ),
    ] = AttentionImplementation.SDPA
    loss_kernel: Annotated[
        LossKernel,
        Field(description="standard holds every logit; liger and chunked never hold them all."),
        About(
            label="Loss kernel",
            theme=Theme.SAVING,
            switches={
                "use_liger_kernel": {"true": "liger", "false": None},
                "use_liger": {"true": "liger", "false": None},
            },
            labels={
                "standard": "Standard",
                "liger": "Liger, fused",
                "chunked": "Chunked",
                "upcast": "Transformers up to 4.45",
                "shifted": "Transformers 4.46 to 4.48",
                "upcast_in_place": "Triton, Transformers up to 4.45",
                "shifted_in_place": "Triton, Transformers 4.46 to 4.48",
            },
        ),
    ] = LossKernel.STANDARD
    keep_logits: Annotated[
        bool,
        Field(description="The trainer keeps the output logits alive through backward."),
        About(label="Keep logits", theme=Theme.SAVING, labels=_ON_OFF),
    ] = False

    # --- several GPUs
    num_gpus: Annotated[
        int,
        Field(ge=1, le=16_384, description="GPUs that share the run."),
        About(label="GPUs", theme=Theme.CLUSTER, aliases=("n_gpus", "num_processes", "world_size")),
    ] = 1
    gpus_per_node: Annotated[
        int,
        Field(ge=1, le=256, description="GPUs in one server."),
        About(label="GPUs a server", theme=Theme.CLUSTER),
    ] = 8
    interconnect: Annotated[
        Interconnect,
        Field(description="How the GPUs of one server are linked; auto is what the card has."),
        About(label="Link", theme=Theme.CLUSTER, labels={"auto": "Automatic", "nvlink": "NVLink", "pcie": "PCIe"}),
    ] = Interconnect.AUTO
    network_gbit_per_second: Annotated[
        float | None,
        Field(gt=0, le=1_000_000, description="Network between servers, for each server."),
        About(label="Network", theme=Theme.CLUSTER, unit="Gbit/s", empty_words=_NONE),
    ] = None
    strategy: Annotated[
        Strategy,
        Field(description="What the GPUs share: whole copies, or shards of state, gradients and weights."),
        About(
            label="Sharding",
            theme=Theme.CLUSTER,
            labels={
                "auto": "Choose for me",
                "single": "One GPU",
                "ddp": "DDP, whole copies",
                "zero1": "ZeRO-1",
                "zero2": "ZeRO-2",
                "zero3": "ZeRO-3",
                "fsdp": "FSDP, full shard",
                "fsdp2": "FSDP 2",
                "fsdp_grad_op": "FSDP, gradients and state",
                "fsdp_hybrid": "FSDP, hybrid",
                "device_map": "Layers split over GPUs",
            },
        ),
    ] = Strategy.AUTO
    offload: Annotated[
        Offload,
        Field(description="What leaves the GPU between uses."),
        About(
            label="Offload",
            theme=Theme.CLUSTER,
            labels={"none": "Nothing", "optimizer": "Optimizer state", "parameters": "Parameters", "both": "Both"},
        ),
    ] = Offload.NONE
    offload_target: Annotated[
        OffloadTarget,
        Field(description="Where offloaded tensors go."),
        About(label="Offload to", theme=Theme.CLUSTER, labels={"cpu": "CPU memory", "nvme": "NVMe disk"}),
    ] = OffloadTarget.CPU
    tensor_parallel: Annotated[
        int,
        Field(ge=1, le=256, description="GPUs that share each layer's matrices."),
        About(label="Tensor parallel", theme=Theme.CLUSTER),
    ] = 1
    pipeline_parallel: Annotated[
        int,
        Field(ge=1, le=256, description="GPUs that each hold a run of layers."),
        About(label="Pipeline parallel", theme=Theme.CLUSTER),
    ] = 1
    context_parallel: Annotated[
        int,
        Field(ge=1, le=256, description="GPUs that share each sequence."),
        About(label="Context parallel", theme=Theme.CLUSTER),
    ] = 1
    expert_parallel: Annotated[
        int,
        Field(ge=1, le=256, description="GPUs that share a layer's experts."),
        About(label="Expert parallel", theme=Theme.CLUSTER),
    ] = 1

    # --- data
    num_examples: Annotated[
        int,
        Field(ge=1, le=10**12, description="Examples in the training data."),
        About(label="Examples", theme=Theme.DATA, aliases=("num_samples",)),
    ] = 1000
    tokens_per_example: Annotated[
        int | None,
        Field(
            ge=1,
            le=MAX_SEQUENCE_TOKENS,
            description="Mean real tokens of an example; the sequence length unless given.",
        ),
        About(label="Tokens an example", theme=Theme.DATA, unit="tokens"),
    ] = None
    epochs: Annotated[
        float,
        Field(gt=0, le=100_000, description="Times the data is gone through."),
        About(label="Epochs", theme=Theme.DATA, aliases=("num_train_epochs", "num_epochs")),
    ] = 3.0
    max_steps: Annotated[
        int | None,
        Field(ge=1, le=10**12, description="Weight updates after which training stops; takes the place of epochs."),
        About(label="Steps", theme=Theme.DATA, empty_words=_NONE | {"-1"}),
    ] = None

    # --- card and market
    gpu: Annotated[
        ShortText | None,
        Field(description="The card to judge, by its catalogue name."),
        About(label="Card", theme=Theme.MARKET, empty_words=_ANY, example="rtx-3090"),
    ] = None
    gpus: Annotated[
        GpuListing,
        Field(description="Which cards the answer lists."),
        About(
            label="Cards listed", theme=Theme.MARKET, labels={"none": "None", "fitting": "Those that fit", "all": "All"}
        ),
    ] = GpuListing.FITTING
    currency: Annotated[
        Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$", to_upper=True, strip_whitespace=True)] | None,
        Field(description="Currency of the prices, as ISO 4217; the operator's unless given."),
        About(label="Currency", theme=Theme.MARKET, example="USD"),
    ] = None
    region: Annotated[
        ShortText | None,
        Field(description="Only offers in this region."),
        About(label="Region", theme=Theme.MARKET, empty_words=_ANY),
    ] = None
    provider: Annotated[
        ShortText | None,
        Field(description="Only offers of this provider."),
        About(label="Provider", theme=Theme.MARKET, empty_words=_ANY),
    ] = None
    offer: Annotated[
        ShortText | None,
        Field(description="Price the run with this offer, by its id, rather than with the cheapest."),
        About(label="Offer", theme=Theme.MARKET, empty_words=_ANY),
    ] = None
    spot: Annotated[
        bool,
        Field(description="Include offers that the provider may withdraw at any time."),
        About(label="Spot offers", theme=Theme.MARKET, labels={"true": "Included", "false": "Left out"}),
    ] = False
    include_workspaces: Annotated[
        bool,
        Field(description="Count library workspaces as allocated memory; off compares with traces."),
        About(label="Count workspaces", theme=Theme.NUMBERS, labels=_ON_OFF),
    ] = True
    explain: Annotated[
        bool,
        Field(description="Give each part of the peak its formula, with this run's numbers in it."),
        About(label="Formulas", theme=Theme.NUMBERS, labels=_ON_OFF),
    ] = False
