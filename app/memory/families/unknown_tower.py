"""Towers for images or sound around a text model that nobody described here, by the keys that most of them share.

A tower for images is counted as a plain vision transformer, one for sound as Whisper's encoder
(transformers 5.23 ``modeling_clip.py``, ``modeling_whisper.py``), each with a projector of two layers as LLaVA's.
How far that goes is checked on described families under a made-up name (``tests/memory/test_unknown_tower.py``).
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final

from app.memory.architecture import Parameter
from app.memory.config import LONGEST_NAME, MAXIMUM_LAYERS, ConfigError, ConfigReader
from app.memory.families.tower_parts import bare, encoder, layer_norm, linear
from app.memory.families.wrapper import Wrapper
from app.messages import message

SEEING: Final = ("vision", "visual", "vit", "image")
HEARING: Final = ("audio", "speech")
WIDTHS: Final = ("hidden_size", "embed_dim")
DEPTHS: Final = ("num_hidden_layers", "depth", "encoder_layers")
INNER_WIDTHS: Final = ("intermediate_size", "encoder_ffn_dim")
CHANNELS: Final = ("num_channels", "in_channels", "in_chans")
MEL_BINS: Final = ("num_mel_bins", "input_size", "input_feat_size")

COMMON_MLP_RATIO: Final = 4
"""Where no width is said: ViT's and Whisper's."""
COLOURS: Final = 3
WHISPER_KERNEL: Final = 3
"""Steps that each of Whisper's two convolutions looks at."""
WHISPER_MEL_BINS: Final = 80


def unknown_wrapper(config: Mapping[str, Any]) -> Wrapper | None:
    """What a configuration of an unknown model says of towers around its text model; None where it has none.

    Raises :class:`ConfigError` where such a section is no object.
    """
    names = [name for name, value in config.items() if _is_tower(name) and value is not None]
    if not names:
        return None
    sections = {name: ConfigReader(_object(name, config[name]), {}) for name in names}
    outer = config.get("model_type")
    return Wrapper(
        text=None,
        tower=partial(_towers, tuple(sections.items())),
        images=None,
        notes=tuple(_note(outer[:LONGEST_NAME] if isinstance(outer, str) else "", *item) for item in sections.items()),
        recognised=False,
    )


def only_text(outer: str) -> Wrapper:
    """An unknown model around a described text model, of which no section says what it adds (Fuyu)."""
    return Wrapper(
        text=None,
        tower=lambda vision, whole, hidden_size: iter(()),
        images=None,
        notes=(
            message(
                "model_type “{name}” is not known; only the text model that it holds is counted.",
                name=outer[:LONGEST_NAME],
            ),
        ),
        recognised=False,
    )


def _is_tower(name: str) -> bool:
    stem = name.removesuffix("_config")
    return stem != name and stem.removesuffix("_encoder") in {*SEEING, *HEARING}


def _hears(name: str) -> bool:
    return name.startswith(HEARING)


def _object(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(name, "must be an object", "an object")
    return value


def _whole(section: ConfigReader, keys: tuple[str, ...], *, maximum: int | None = None) -> int | None:
    """The first of these keys that is there, where it is one whole number."""
    for key in keys:
        try:
            value = section.optional_integer(key)
        except ConfigError:
            return None
        if value is not None:
            return value if maximum is None or value <= maximum else None
    return None


def _inner(section: ConfigReader, width: int) -> int:
    try:
        ratio = section.number("mlp_ratio", COMMON_MLP_RATIO)
    except ConfigError:
        ratio = COMMON_MLP_RATIO
    return _whole(section, INNER_WIDTHS) or max(1, int(width * ratio))


def _shape(name: str, section: ConfigReader) -> tuple[int, int] | None:
    """Width and layers of a tower; None where it does not say them, or, seeing, the size of its patches."""
    width, layers = _whole(section, WIDTHS), _whole(section, DEPTHS, maximum=MAXIMUM_LAYERS)
    if width is None or layers is None:
        return None
    return (width, layers) if _hears(name) or _whole(section, ("patch_size",)) else None


def _towers(
    sections: tuple[tuple[str, ConfigReader], ...], vision: ConfigReader, whole: ConfigReader, hidden_size: int
) -> Iterator[Parameter]:
    for name, section in sections:
        shape = _shape(name, section)
        if shape is None:
            continue
        width, layers = shape
        yield from (_sound if _hears(name) else _patches)(section, width)
        yield from encoder(width, _inner(section, width), layers)
        yield from layer_norm(width)
        yield from linear(width, hidden_size)
        yield from linear(hidden_size, hidden_size)


def _patches(section: ConfigReader, width: int) -> Iterator[Parameter]:
    patch = _whole(section, ("patch_size",)) or 1
    side = _whole(section, ("image_size",)) or 0
    yield from linear((_whole(section, CHANNELS) or COLOURS) * patch * patch, width)
    yield from bare((side // patch) ** 2 * width)


def _sound(section: ConfigReader, width: int) -> Iterator[Parameter]:
    yield from linear(WHISPER_KERNEL * (_whole(section, MEL_BINS) or WHISPER_MEL_BINS), width)
    yield from linear(WHISPER_KERNEL * width, width)
    yield from bare((_whole(section, ("max_source_positions",)) or 0) * width)


def _note(outer: str, name: str, section: ConfigReader) -> str:
    shape = _shape(name, section)
    if shape is None:
        return message(
            "model_type “{name}” is not known; the weights that its {section} describes are not counted.",
            name=outer,
            section=name,
        )
    if _hears(name):
        return message(
            "model_type “{name}” is not known; the tower of its {section} is counted as Whisper's encoder of {layers} "
            "layers with a projector of two, and frozen.",
            name=outer,
            section=name,
            layers=shape[1],
        )
    return message(
        "model_type “{name}” is not known; the tower of its {section} is counted as a plain vision transformer of "
        "{layers} layers with a projector of two, and frozen.",
        name=outer,
        section=name,
        layers=shape[1],
    )
