"""What a run's method and precision mean for each tensor: widths, what trains, which kernels run.

A :class:`Policy` is all that a layer's memory depends on besides the layer itself, so that a layer is
derived once for a model and a policy.
"""

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from app.memory.architecture import Adaptable, Attention, KeyValueForm, SoftmaxAttention
from app.memory.inputs import (
    AdapterDtype,
    AttentionImplementation,
    Batch,
    LoraTargetPreset,
    LossKernel,
    Method,
    MethodKind,
    PrecisionPolicy,
    QuantizationFormat,
    Strategy,
)
from app.memory.parallelism import TRAITS, Traits
from app.memory.tape import FLOAT32, HALF

QUERY_VALUE_NAMES = frozenset({"q_proj", "v_proj", "qkv_proj", "query_key_value", "c_attn", "Wqkv", "W_pack", "wqkv"})
"""Query and value, or the fused projection that makes them (PEFT's own default for such models,
``peft/utils/constants.py``)."""

WIDEST_FLASH_HEAD = 256
"""Wider heads reach the memory-efficient kernel, keys and values repeated (``use_gqa_in_sdpa``)."""

MIXED = frozenset({PrecisionPolicy.BF16_MIXED, PrecisionPolicy.FP16_MIXED})


class AttentionPath(Enum):
    """The code that computes attention; each keeps something else."""

    FLASH = "flash"
    EFFICIENT = "efficient"
    MATH = "math"
    EAGER = "eager"


@dataclass(frozen=True, slots=True)
class Policy:
    """Widths are bytes an element."""

    base_width: int
    """Weights of the base model that are not quantised and not upcast."""
    plain_width: int
    """Norms, biases, embeddings and head: float32 after k-bit preparation."""
    autocast: int | None
    trains_base: bool
    quantization: QuantizationFormat | None
    double_quantization: bool
    adapter_width: int
    has_adapter: bool
    adapts_all: bool
    adapts_attention: bool
    adapted_names: frozenset[str]
    dropout: bool
    use_dora: bool
    accumulating: bool
    attention: AttentionImplementation
    repeats_heads: bool
    """Keys and values are written out for each query head before PyTorch's attention (``repeat_kv``)."""
    head_major: bool
    """Queries are made contiguous by head, and with them flash's output."""
    padded: bool
    adapter_resident_width: int
    """Adapters as they live between steps."""
    resident_width: int
    """Trained base weights as they live between steps: float32 shards under FSDP's mixed precision, whose
    layers see ``base_width``."""
    masters: bool = False
    """DeepSpeed's float32 masters stand beside the 16-bit weights, with the optimizer's state."""

    def adapts(self, target: Adaptable) -> bool:
        """Whether a weight carries an adapter: by where it stands, or by the names that PEFT knows it under."""
        if not self.has_adapter or not target.target_names:
            return False
        if self.adapts_all or (self.adapts_attention and target.in_attention):
            return True
        return self.adapted_names.issuperset(target.target_names)

    def attention_path(self, attention: SoftmaxAttention, sequence_length: int) -> AttentionPath:
        """The kernel that scaled-dot-product attention reaches.

        Source: transformers 5.23 ``integrations/sdpa_attention.py`` and ``masking_utils.py``
        (``_ignore_causal_mask_sdpa``: a mask is built where rows are padded or the sequence reaches a window);
        PyTorch ``sdp_utils.cpp`` (flash takes no mask, 16 bits, heads up to 256 wide; the efficient kernel
        takes no grouped heads, flash no values of another width).
        """
        if self.attention is AttentionImplementation.FLASH_ATTENTION_2 and attention.sdpa:
            return AttentionPath.FLASH
        if self.attention is AttentionImplementation.EAGER or not attention.sdpa:
            return AttentionPath.EAGER
        return self._sdpa_path(attention, sequence_length)

    def _sdpa_path(self, attention: SoftmaxAttention, sequence_length: int) -> AttentionPath:
        if isinstance(attention, Attention) and attention.key_value_form is KeyValueForm.BROADCAST:
            return AttentionPath.MATH
        if attention.value_head_dim != attention.head_dim or attention.head_dim > WIDEST_FLASH_HEAD:
            return AttentionPath.EFFICIENT
        windowed = attention.window is not None and attention.window <= sequence_length
        if isinstance(attention, Attention) and attention.mask is not None:
            return AttentionPath.EFFICIENT
        masked = self.padded or windowed or attention.selects
        if masked:
            return AttentionPath.EFFICIENT
        if self.attention_width == HALF:
            return AttentionPath.FLASH
        grouped = attention.num_key_value_heads != attention.num_heads and not self.repeats_heads
        return AttentionPath.MATH if grouped else AttentionPath.EFFICIENT

    @property
    def linear_bits(self) -> int:
        """Bits a weight of a linear layer as it is stored and gathered."""
        match self.quantization:
            case None:
                return 8 * self.base_width
            case QuantizationFormat.INT8:
                return 8
            case _:
                return 4

    @property
    def attention_width(self) -> int:
        """Width of the queries that reach the kernel."""
        return self.autocast or self.stream_width

    @property
    def stream_width(self) -> int:
        """Width of the residual stream: that of the embedding."""
        return self.plain_width


def make_policy(
    method: Method, precision: PrecisionPolicy, batch: Batch, traits: Traits = TRAITS[Strategy.SINGLE]
) -> Policy:
    """The policy of a run. ``adapter_dtype: auto`` is float32 under a mixed precision, else the base's."""
    accumulating = batch.gradient_accumulation_steps > 1
    # transformers 4.45.2 ``LlamaSdpaAttention``, 4.48.1 ``integrations/sdpa_attention.py``; today's let PyTorch do it
    repeats = batch.attention is AttentionImplementation.SDPA and batch.loss_kernel.shifts
    head_major = repeats and batch.loss_kernel in {LossKernel.SHIFTED, LossKernel.SHIFTED_IN_PLACE}
    return _policy(method, precision, traits, batch.attention, accumulating, not batch.packing, repeats, head_major)


@lru_cache(maxsize=4096)
def _policy(
    method: Method,
    precision: PrecisionPolicy,
    traits: Traits,
    attention: AttentionImplementation,
    accumulating: bool,
    padded: bool,
    repeats_heads: bool,
    head_major: bool,
) -> Policy:
    mixed = precision in MIXED
    full = method.kind is MethodKind.FULL
    resident_width = FLOAT32 if precision is PrecisionPolicy.FP32 or (mixed and full) else HALF
    base_width = HALF if mixed and traits.half_compute else resident_width
    masters = mixed and traits.keeps_masters
    if masters:
        resident_width = HALF
    quantization = method.quantization
    upcast = quantization is not None and quantization.upcast_non_quantized
    adapter = method.adapter
    adapter_width = base_width
    names: frozenset[str] = frozenset()
    adapts_all = adapts_attention = False
    if adapter is not None:
        automatic = FLOAT32 if mixed and not masters else base_width
        if adapter.dtype is AdapterDtype.FLOAT32 or (adapter.dtype is AdapterDtype.AUTO and automatic == FLOAT32):
            adapter_width = FLOAT32
        elif adapter.dtype is AdapterDtype.BFLOAT16:
            adapter_width = HALF
        if quantization is not None and quantization.format is QuantizationFormat.INT8:
            # made in float32, and moved to the base's dtype only where that is a floating one
            # (peft/tuners/tuners_utils.py, _move_adapter_to_device_of_base_layer)
            adapter_width = FLOAT32
        match adapter.targets:
            case LoraTargetPreset.ALL_LINEAR:
                adapts_all = True
            case LoraTargetPreset.ATTENTION:
                adapts_attention = True
            case LoraTargetPreset.QV:
                names = QUERY_VALUE_NAMES
            case targets:
                names = frozenset(target.rpartition(".")[2] for target in targets)
    upcasts = traits.upcasts_adapters if quantization is None else traits.upcasts_adapters_of_quantised
    adapter_resident_width = FLOAT32 if mixed and upcasts else adapter_width
    if mixed and traits.casts_adapters:
        adapter_width = HALF
    return Policy(
        base_width=base_width,
        plain_width=FLOAT32 if upcast else base_width,
        autocast=HALF if mixed and not masters else None,
        trains_base=full,
        quantization=None if quantization is None else quantization.format,
        double_quantization=quantization is not None and quantization.double_quantization,
        adapter_width=adapter_width,
        adapter_resident_width=adapter_resident_width,
        has_adapter=adapter is not None,
        adapts_all=adapts_all,
        adapts_attention=adapts_attention,
        adapted_names=names,
        dropout=adapter is not None and adapter.dropout > 0,
        use_dora=adapter is not None and adapter.use_dora,
        accumulating=accumulating,
        attention=attention,
        repeats_heads=repeats_heads,
        head_major=head_major,
        padded=padded,
        resident_width=resident_width,
        masters=masters,
    )
