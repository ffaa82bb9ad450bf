"""Towers that several vision-language models have in common, by the ``model_type`` of their ``vision_config``.

From transformers 5.23 ``models/<type>/``; the defaults are those of its configuration classes.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from app.memory.architecture import Parameter
from app.memory.config import ConfigReader
from app.memory.families.image_tokens import patches
from app.memory.families.tower_parts import bare, encoder, layer_norm, linear

Encoder = Callable[[ConfigReader], Iterator[Parameter]]
"""A tower's parameters by its own configuration."""


def clip(vision: ConfigReader) -> Iterator[Parameter]:
    """``modeling_clip.py``, CLIPVisionModel: a class token, norms before and after the layers."""
    width, patch = vision.integer("hidden_size"), vision.integer("patch_size")
    yield from bare(width)
    yield from bare(vision.integer("num_channels", 3) * patch * patch * width)
    yield from bare((patches(vision) + 1) * width)
    yield from encoder(width, vision.integer("intermediate_size"), vision.integer("num_hidden_layers"))
    yield from layer_norm(width, 2)


def siglip_encoder(vision: ConfigReader) -> Iterator[Parameter]:
    """``modeling_siglip.py`` and its copies in Idefics 2 and 3, without the pooling head."""
    width, patch = vision.integer("hidden_size"), vision.integer("patch_size")
    yield from bare(vision.integer("num_channels", 3) * patch * patch * width)
    yield from bare(width)
    yield from bare(patches(vision) * width)
    yield from encoder(width, vision.integer("intermediate_size"), vision.integer("num_hidden_layers"))
    yield from layer_norm(width)


def pooling_head(vision: ConfigReader) -> Iterator[Parameter]:
    """SigLIP's: there unless the configuration leaves it out."""
    if vision.boolean("vision_use_head", default=True):
        width, inner = vision.integer("hidden_size"), vision.integer("intermediate_size")
        yield from bare(width)
        yield from bare(3 * width * width)
        yield from bare(3 * width)
        yield from linear(width, width)
        yield from layer_norm(width)
        yield from linear(width, inner)
        yield from linear(inner, width)


def siglip(vision: ConfigReader) -> Iterator[Parameter]:
    """``modeling_siglip.py``, SiglipVisionModel."""
    yield from siglip_encoder(vision)
    yield from pooling_head(vision)


def siglip2(vision: ConfigReader) -> Iterator[Parameter]:
    """``modeling_siglip2.py``: patches through a linear layer, positions for a number of them."""
    width, patch = vision.integer("hidden_size"), vision.integer("patch_size")
    yield from linear(vision.integer("num_channels") * patch * patch, width)
    yield from bare(vision.integer("num_patches") * width)
    yield from encoder(width, vision.integer("intermediate_size"), vision.integer("num_hidden_layers"))
    yield from layer_norm(width)
    yield from pooling_head(vision)


def pixtral(vision: ConfigReader) -> Iterator[Parameter]:
    """``modeling_pixtral.py``: RMS norms and gated MLPs without biases."""
    width, patch, layers = (
        vision.integer("hidden_size"),
        vision.integer("patch_size"),
        vision.integer("num_hidden_layers"),
    )
    yield from bare(vision.integer("num_channels", 3) * patch * patch * width)
    yield from bare(width, 2 * layers + 1)
    yield from linear(width, width, 4 * layers, bias=False)
    yield from linear(width, vision.integer("intermediate_size"), 3 * layers, bias=False)


ENCODERS: Final[Mapping[str, Encoder]] = {
    "clip_vision_model": clip,
    "siglip_vision_model": siglip,
    "siglip2_vision_model": siglip2,
    "pixtral": pixtral,
}
BASE: Final = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_channels": 3,
               "image_size": 224}  # fmt: skip
CLASSES: Final[Mapping[str, Mapping[str, Any]]] = {
    "clip_vision_model": {**BASE, "patch_size": 32},
    "siglip_vision_model": {**BASE, "patch_size": 16},
    "siglip2_vision_model": {**BASE, "patch_size": 16, "num_patches": 256},
    "pixtral": {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_channels": 3,
                "image_size": 1024, "patch_size": 16},
}  # fmt: skip
"""What published configurations leave out of ``vision_config``: the defaults of the class that it names."""


def named(vision: ConfigReader, otherwise: str) -> Iterator[Parameter]:
    """The tower that ``vision_config`` names, or the one that the model's class takes where it names none."""
    yield from ENCODERS.get(vision.text("model_type", otherwise), ENCODERS[otherwise])(vision)
