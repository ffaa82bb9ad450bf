"""Layer patterns: which layers slide, which are sparse, which are recurrent."""

from collections.abc import Callable

from app.memory.config import ConfigReader
from app.memory.families.family import LayerPlan, Plan

FULL, SLIDING, CHUNKED = "full_attention", "sliding_attention", "chunked_attention"
LINEAR, CONVOLUTION = "linear_attention", "conv"

LayerType = Callable[[ConfigReader, int], str]
"""The kind of layer ``index`` where the configuration has no ``layer_types``."""
IsSparse = Callable[[ConfigReader, int], bool]


def uniform_window(reader: ConfigReader, layers: int) -> tuple[LayerPlan, ...]:
    """``sliding_window`` applies to all layers (Mistral, Phi-3, StarCoder 2)."""
    return (LayerPlan(window=reader.optional_integer("sliding_window")),) * layers


def always_full(reader: ConfigReader, index: int) -> str:
    return FULL


def every_nth(
    default: int, *, last: str = FULL, others: str = SLIDING, key: str = "sliding_window_pattern"
) -> LayerType:
    """Of each ``key`` layers the last is of kind ``last``."""

    def layer_type(reader: ConfigReader, index: int) -> str:
        return last if (index + 1) % reader.integer(key, default) == 0 else others

    return layer_type


def first_of_each(count: int) -> LayerType:
    """Of each ``count`` layers the first sees everything (CWM, Granite SWA)."""
    return lambda reader, index: SLIDING if index % count else FULL


def qwen2_layer_type(reader: ConfigReader, index: int) -> str:
    """The first ``max_window_layers`` see everything, if a window is used at all."""
    if not reader.boolean("use_sliding_window") or not reader.has("sliding_window"):
        return FULL
    return SLIDING if index >= reader.integer("max_window_layers", 28, minimum=0) else FULL


def alternating(first: str, second: str) -> LayerType:
    """Even layers are of one kind, odd ones of the other."""
    return lambda reader, index: second if index % 2 else first


def all_sparse(reader: ConfigReader, index: int) -> bool:
    return True


def no_sparse(reader: ConfigReader, index: int) -> bool:
    return False


def after_first_dense(reader: ConfigReader, index: int) -> bool:
    """Experts where ``mlp_layer_types`` says, or after ``first_k_dense_replace`` layers (DeepSeek, GLM-4.5, dots)."""
    listed = reader.raw("mlp_layer_types")
    if isinstance(listed, list | tuple) and index < len(listed):
        return bool(listed[index] == "sparse")
    return index >= reader.integer("first_k_dense_replace", 0, minimum=0)


def sparse_step(reader: ConfigReader, index: int) -> bool:
    """Experts in every ``decoder_sparse_step``-th layer that is not among ``mlp_only_layers`` (Qwen)."""
    if index in reader.integers("mlp_only_layers"):
        return False
    return (index + 1) % reader.integer("decoder_sparse_step", 1) == 0


def ernie_step(reader: ConfigReader, index: int) -> bool:
    """Experts between ``moe_layer_start_index`` and ``moe_layer_end_index``."""
    last = reader.raw("moe_layer_end_index")
    start = reader.integer("moe_layer_start_index", 0, minimum=0)
    if isinstance(last, int) and 0 <= last < index:
        return False
    return index >= start and (index + 1) % reader.integer("moe_layer_interval", 1) == 0


def interleaved_step(reader: ConfigReader, index: int) -> bool:
    """Experts in every ``interleave_moe_layer_step``-th layer (Llama 4)."""
    return (index + 1) % reader.integer("interleave_moe_layer_step", 1) == 0


def by_layer_type(
    default: LayerType = always_full,
    *,
    sparse: IsSparse = no_sparse,
    rotary: Callable[[ConfigReader, int, str], bool] | None = None,
    window_key: str = "sliding_window",
) -> Plan:
    """``layer_types`` says what each layer is; ``default`` says it where the configuration does not."""

    def plan(reader: ConfigReader, layers: int) -> tuple[LayerPlan, ...]:
        kinds = reader.strings("layer_types", layers) or tuple(default(reader, index) for index in range(layers))
        window = reader.optional_integer(window_key) if {SLIDING, CHUNKED} & set(kinds) else None
        return tuple(
            LayerPlan(
                mixer=kind,
                mlp="sparse" if sparse(reader, index) else "dense",
                window=window if kind in (SLIDING, CHUNKED) else None,
                rotary=rotary is None or rotary(reader, index, kind),
            )
            for index, kind in enumerate(kinds)
        )

    return plan


def with_own_heads(plan: Plan) -> Plan:
    """``num_attention_heads_per_layer`` says how many query heads each layer has (Laguna)."""

    def planned(reader: ConfigReader, layers: int) -> tuple[LayerPlan, ...]:
        heads = reader.each("num_attention_heads_per_layer", layers)
        return tuple(layer._replace(heads=own) for layer, own in zip(plan(reader, layers), heads, strict=True))

    return planned


def rotates_by_interval(reader: ConfigReader, index: int, kind: str) -> bool:
    """Every ``no_rope_layer_interval``-th layer has no positions (SmolLM 3, Llama 4)."""
    listed = reader.integers("no_rope_layers")
    if index < len(listed):
        return bool(listed[index])
    return (index + 1) % reader.integer("no_rope_layer_interval", 4) != 0


def rotates_if_sliding(reader: ConfigReader, index: int, kind: str) -> bool:
    """Layers that see everything have no positions (Command R7B)."""
    return kind == SLIDING


def rotates_if_sliding_or_no_window(reader: ConfigReader, index: int, kind: str) -> bool:
    """The same, if the model has windows at all (EXAONE 4)."""
    return kind == SLIDING or not reader.has("sliding_window")


def rotates_by_base(reader: ConfigReader, index: int, kind: str) -> bool:
    """A layer whose ``layer_rope_theta`` is 0 has no positions (Granite SWA)."""
    listed = reader.raw("layer_rope_theta")
    return not isinstance(listed, list | tuple) or index >= len(listed) or bool(listed[index])


NEMOTRON_KINDS = {"M": "mamba", "*": FULL, "-": "dense", "E": "sparse"}
"""``hybrid_override_pattern``, a letter a layer (``configuration_nemotron_h.py``)."""
NEMOTRON_NAMES = {"linear_attention": "mamba", "mamba": "mamba", "attention": FULL, "mlp": "dense", "moe": "sparse"}


def nemotron_pattern(reader: ConfigReader, layers: int) -> tuple[LayerPlan, ...]:
    """Each layer is one thing: a Mamba mixer, attention, an MLP or experts; the pattern says how many there are."""
    kinds = reader.letters("hybrid_override_pattern", NEMOTRON_KINDS)
    if kinds is None:
        names = reader.strings("layers_block_type", layers) or reader.strings("layer_types", layers) or ()
        kinds = tuple(NEMOTRON_NAMES.get(name, name) for name in names)
    return tuple(
        LayerPlan(mixer=None, mlp=kind) if kind in ("dense", "sparse") else LayerPlan(mixer=kind, mlp=None)
        for kind in kinds
    )


def lfm2_layer_type(reader: ConfigReader, index: int) -> str:
    """Attention where ``full_attn_idxs`` says, else a short convolution."""
    listed = reader.raw("full_attn_idxs")
    return FULL if listed is None or index in reader.integers("full_attn_idxs") else CONVOLUTION


def gpt_neo_pattern(reader: ConfigReader, layers: int) -> tuple[LayerPlan, ...]:
    """``attention_types``: runs of global and local layers."""
    kinds: list[str] = []
    for group in reader.groups("attention_types"):
        names, times = group
        kinds.extend(list(names) * times)
    window = reader.integer("window_size", 256)
    local = {index for index, kind in enumerate(kinds) if kind == "local"}
    return tuple(LayerPlan(window=window if index in local else None) for index in range(layers))


def cross_attention_layers(reader: ConfigReader, layers: int) -> tuple[LayerPlan, ...]:
    """Mllama: the listed layers attend to the image."""
    listed = set(reader.integers("cross_attention_layers"))
    cross = LayerPlan(mixer="cross_attention", rotary=False)
    return tuple(cross if index in listed else LayerPlan() for index in range(layers))
