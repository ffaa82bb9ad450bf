"""Put an architecture together from a configuration and its family's row."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from app.memory.architecture import (
    Architecture,
    BlockKind,
    GatedMlp,
    Layer,
    Parameter,
    PerLayerInput,
    PlainMlp,
    Projection,
    SoftmaxAttention,
)
from app.memory.config import LONGEST_NAME, MAXIMUM_LAYERS, ConfigError, ConfigReader
from app.memory.families import FAMILIES, WRAPPERS, Family, Wrapper
from app.memory.families.family import LayerPlan, is_set
from app.memory.families.text_classes import TEXT_CLASSES
from app.memory.families.unknown import unknown_family
from app.memory.families.unknown_tower import only_text, unknown_wrapper
from app.memory.images import ImageTokens
from app.messages import message

NORMS_PER_BLOCK: Mapping[BlockKind, int] = {
    BlockKind.PRE_NORM: 2,
    BlockKind.SANDWICH: 4,
    BlockKind.POST_NORM: 2,
    BlockKind.AFTER_SUM: 2,
    BlockKind.PARALLEL: 1,
}
SAID_OUTSIDE = ("quantization_config",)
"""Keys beside the text model's section that say something of it: how its weights were quantised."""
TEXT_SECTIONS = ("text_config", "llm_config", "language_config")
"""Where a text model's configuration stands; the others are those of models whose code comes with them."""
NORMS_AROUND_EXPERTS = 3
"""What Gemma 4 adds where experts stand beside the MLP."""


def parse_config(config: Mapping[str, Any]) -> Architecture:
    """The architecture that a ``config.json`` describes.

    Raises :class:`ConfigError` naming the key that is missing, malformed or contradicts another. An unknown
    ``model_type`` is read by the keys that most families share and marked ``recognised=False``.
    """
    if not isinstance(config, Mapping):
        raise ConfigError("config", "must be a JSON object", "the content of a config.json")
    config = whole = _trained_part(config)
    outer = config.get("model_type")
    wrapper = (WRAPPERS.get(outer) if isinstance(outer, str) else None) or unknown_wrapper(config)
    text = _text_section(config)
    if wrapper is None and text is not None and isinstance(outer, str) and outer not in FAMILIES:
        wrapper = only_text(outer)
    if text is not None:
        config = _unwrapped(config, text, wrapper)
    elif wrapper is not None and wrapper.text is not None:
        config = {**config, "model_type": wrapper.text}
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or not model_type:
        raise ConfigError("model_type", "is missing", "a Hugging Face model type such as llama")
    family = FAMILIES.get(model_type)
    if family is not None and family.nested:
        config = {**_lifted(config, family.nested), **config}
    reader = ConfigReader(config, (family or unknown_family(ConfigReader(config, {}))).defaults)
    return _Builder(model_type, family, reader, whole).build(wrapper)


def _lifted(config: Mapping[str, Any], nested: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    """What stands in objects of their own, by the names that it has elsewhere."""
    sections = {name: ConfigReader(config, {}).section(name) or {} for name, _ in nested.values()}
    return {key: sections[name][inner] for key, (name, inner) in nested.items() if inner in sections[name]}


def _trained_part(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of a model that also speaks (Qwen's Omni), the part that reads, which is what is trained."""
    part = config.get("thinker_config")
    return part if isinstance(part, Mapping) else config


def _text_section(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    for name in TEXT_SECTIONS:
        text = config.get(name)
        if text is None:
            continue
        if not isinstance(text, Mapping):
            raise ConfigError(name, "must be an object", "an object")
        return text
    return None


def _unwrapped(config: Mapping[str, Any], text: Mapping[str, Any], wrapper: Wrapper | None) -> dict[str, Any]:
    """The text model's configuration; whether the head is tied is the whole model's to say."""
    model_type = text.get("model_type") or (wrapper.text if wrapper else config.get("model_type"))
    assumed = TEXT_CLASSES.get(model_type, {}) if isinstance(model_type, str) else {}
    merged = {**assumed, **text, "model_type": model_type}
    if wrapper is not None and wrapper.ties_as_text and text.get("tie_word_embeddings") is True:
        merged["tie_word_embeddings"] = True
    elif "tie_word_embeddings" in config:
        merged["tie_word_embeddings"] = config["tie_word_embeddings"]
    elif wrapper is not None and "tie_word_embeddings" in wrapper.defaults and "tie_word_embeddings" not in text:
        merged["tie_word_embeddings"] = wrapper.defaults["tie_word_embeddings"]
    for key in SAID_OUTSIDE:
        if key in config:
            merged[key] = config[key]
    return merged


def _last_parameter_left_alone(layer: Layer) -> Layer:
    """bitsandbytes leaves out the module of the model's last parameter, which is normally the head or the final norm
    (transformers 5.23 ``quantizers/base.py``, get_keys_to_not_convert)."""
    if not isinstance(layer.mlp, GatedMlp | PlainMlp):
        return layer
    down = replace(layer.mlp.down, quantised=False)
    return replace(layer, mlp=replace(layer.mlp, down=down))


class _Builder:
    """One architecture in the making."""

    def __init__(self, model_type: str, family: Family | None, reader: ConfigReader, whole: Mapping[str, Any]) -> None:
        self.model_type = model_type
        self.recognised = family is not None
        self.family = family or unknown_family(reader)
        self.reader = reader
        self.whole = whole
        self.hidden_size = reader.integer("hidden_size")
        self.norm = self.family.norm_over(self.hidden_size, reader)

    def build(self, wrapper: Wrapper | None) -> Architecture:
        family, reader = self.family, self.reader
        layers = self._layers(reader.integer("num_hidden_layers", self._listed_layers(), maximum=MAXIMUM_LAYERS))
        vocab_size = reader.integer("vocab_size")
        positions = reader.optional_integer("max_position_embeddings")
        learned = 0
        if family.learned_positions is not None:
            learned = reader.integer("max_position_embeddings") + family.learned_positions
        rotary = max((part.rotary_dim for part in self._attentions(layers)), default=0)
        dropout = family.embedding_dropout
        extra = family.outer_extra(reader) if family.outer_extra else ()
        return Architecture(
            model_type=self.model_type,
            vocab_size=vocab_size,
            hidden_size=self.hidden_size,
            max_position_embeddings=positions,
            tie_word_embeddings=family.ties_head and reader.boolean("tie_word_embeddings"),
            layers=layers,
            final_norm=self.norm if is_set(family.final_norm, reader) else None,
            embedding_multiplier=is_set(family.embedding_multiplier, reader),
            learned_positions=learned,
            embedding_norm=self.norm if family.embedding_norm else None,
            embedding_rows=vocab_size + family.extra_embedding_rows if family.extra_embedding_rows else None,
            embedding_size=reader.optional_integer(family.embedding_size) if family.embedding_size else None,
            embedding_dropout=dropout is not None and reader.number(dropout, 0.0) > 0,
            head_bias=is_set(family.head_bias, reader),
            logits_softcap=reader.has("final_logit_softcapping"),
            logits_multiplier=family.logits_multiplier,
            rotary_embeddings=family.rotary_embeddings if rotary else 0,
            rotary_dim=rotary,
            text_extra_parameters=extra,
            buffer_bytes=family.buffer_bytes(reader) if family.buffer_bytes else 0,
            extra_parameters=self._tower(wrapper),
            image_tokens=self._images(wrapper),
            recognised=self.recognised and not self.family.approximate and (wrapper is None or wrapper.recognised),
            notes=self._notes(wrapper),
        )

    def _listed_layers(self) -> int | None:
        """The number of layers where only a list of their kinds says it (Nemotron-H)."""
        listed = self.reader.raw("layers_block_type")
        return len(listed) if isinstance(listed, list | tuple) and listed else None

    def _layers(self, count: int) -> tuple[Layer, ...]:
        by_plan: dict[LayerPlan, Layer] = {}
        layers = []
        for plan in self.family.plan(self.reader, count):
            if plan not in by_plan:
                by_plan[plan] = self._layer(plan)
            layers.append(by_plan[plan])
        if self.family.ties_head and self.reader.boolean("tie_word_embeddings") and not self.norm.elements:
            layers[-1] = _last_parameter_left_alone(layers[-1])
        return tuple(layers)

    def _layer(self, plan: LayerPlan) -> Layer:
        family, reader = self.family, self.reader
        block = family.choose_block(reader) if family.choose_block else family.block
        block = family.blocks.get(plan.mixer or "", block)
        norms = family.norms(reader) if callable(family.norms) else family.norms
        experts = None
        if family.beside is not None and reader.boolean(family.beside[0]):
            experts = family.beside[1].build(reader, family)
        count = (norms or NORMS_PER_BLOCK[block]) + (NORMS_AROUND_EXPERTS if experts else 0)
        mixer = None
        if plan.mixer is not None:
            style = family.mixers.get(plan.mixer) or family.mixers["full_attention"]
            mixer = style.build(reader, family, plan)
        return Layer(
            block=block,
            norms=(self.norm,) * count,
            mixer=mixer,
            mlp=family.mlps[plan.mlp].build(reader, family) if plan.mlp else None,
            experts=experts,
            recurrence=family.recurrence.build(reader, family, plan) if family.recurrence else None,
            per_layer_input=self._per_layer_input(),
            residual_multiplier=family.residual_multiplier,
            extra=family.layer_extra(reader) if family.layer_extra else (),
        )

    def _per_layer_input(self) -> PerLayerInput | None:
        key = self.family.per_layer_input
        width = self.reader.optional_integer(key, minimum=0) if key else None
        if not width:
            return None
        return PerLayerInput(
            width=width,
            gate=Projection("per_layer_input_gate", self.hidden_size, width),
            projection=Projection("per_layer_projection", width, self.hidden_size),
            norm=self.norm,
        )

    def _attentions(self, layers: tuple[Layer, ...]) -> list[SoftmaxAttention]:
        return [layer.mixer for layer in set(layers) if isinstance(layer.mixer, SoftmaxAttention)]

    def _tower(self, wrapper: Wrapper | None) -> tuple[Parameter, ...]:
        if wrapper is None:
            return ()
        whole, vision = self._around(wrapper)
        return tuple(wrapper.tower(vision, whole, self.hidden_size))

    def _images(self, wrapper: Wrapper | None) -> ImageTokens | None:
        if wrapper is None or wrapper.images is None:
            return None
        whole, vision = self._around(wrapper)
        return wrapper.images(vision, whole)

    def _around(self, wrapper: Wrapper) -> tuple[ConfigReader, ConfigReader]:
        """The whole model's configuration, and its section about images."""
        whole = ConfigReader(self.whole, wrapper.defaults)
        section = whole.section("vision_config") or {}
        name = section.get("model_type")
        assumed = wrapper.vision_classes.get(name) if isinstance(name, str) else None
        return whole, ConfigReader(section, assumed or wrapper.vision_defaults)

    def _notes(self, wrapper: Wrapper | None) -> tuple[str, ...]:
        notes: list[str] = []
        if not self.recognised:
            notes.append(self._assumed())
        if self.family.note:
            notes.append(self.family.note)
        if wrapper is not None:
            notes.extend(wrapper.notes)
        quantised = self.reader.raw("quantization_config")
        method = quantised.get("quant_method") if isinstance(quantised, Mapping) else None
        if isinstance(method, str):
            notes.append(
                message(
                    "The configuration is of weights quantised by {method}; counted are the weights that they were "
                    "made from, as this run holds them.",
                    method=method[:LONGEST_NAME],
                )
            )
        return tuple(notes)

    def _assumed(self) -> str:
        """How a family that is not described here was read."""
        if "sparse" in self.family.mlps:
            return message(
                "model_type “{name}” is not known; read as a Llama-like decoder with {count} experts a layer",
                name=self.model_type,
                count=self.reader.integer("num_experts"),
            )
        return message("model_type “{name}” is not known; read as a Llama-like decoder", name=self.model_type)


@lru_cache(maxsize=1)
def supported_model_types() -> tuple[str, ...]:
    """The model types with a family row, sorted."""
    return tuple(sorted({*FAMILIES, *WRAPPERS}))
