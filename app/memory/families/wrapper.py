"""What surrounds a text model, as data: a tower for images or sound, and what is said of it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.memory.architecture import Parameter
from app.memory.config import ConfigReader
from app.memory.families.image_tokens import Images
from app.messages import mark

Tower = Callable[[ConfigReader, ConfigReader, int], Iterator[Parameter]]
"""Parameters by the vision configuration, the whole configuration and the text model's width."""


@dataclass(frozen=True, kw_only=True)
class Wrapper:
    """A model around a text model."""

    text: str | None
    """The model type of the text model; None where only its own configuration says it."""
    tower: Tower
    images: Images | None
    """What an image takes of a sequence; None where it is not known, or the model only hears."""
    vision_defaults: Mapping[str, Any] = field(default_factory=dict)
    vision_classes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What a tower's own configuration class assumes, by the ``model_type`` that ``vision_config`` names;
    ``vision_defaults`` hold where it names none."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    ties_as_text: bool = False
    """The head is tied where the text model's configuration says so, whatever the whole model's says."""
    notes: tuple[str, ...] = (mark("The vision tower is frozen: it adds its weights."),)
    recognised: bool = True
    """False where nobody described what stands around the text model."""
