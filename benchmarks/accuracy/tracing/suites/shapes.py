"""Configurations of released models, as their `config.json` files give them, and smaller ones made from them."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

_FILE = Path(__file__).with_name("shapes.json")
_LAYER_COUNT_KEYS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
# Lists with one entry a layer, to be cut with the layers.
_PER_LAYER_KEYS = ("layer_types", "no_rope_layers", "moe_layers", "mlp_layer_types")


@cache
def shapes() -> Mapping[str, Mapping[str, Any]]:
    """Every known configuration by slug; each has its `model_type`."""
    loaded: dict[str, dict[str, Any]] = json.loads(_FILE.read_text())
    return loaded


def deepened(config: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """The configuration with its layers twice, lists with an entry a layer included; and how many layers were added."""
    (key,) = [key for key in _LAYER_COUNT_KEYS if key in config]
    layers = int(config[key])
    repeated = {name: list(config[name]) * 2 for name in _PER_LAYER_KEYS if config.get(name)}
    return {**config, key: layers * 2, **repeated}, layers


def shape(slug: str, *, layers: int | None = None, **changes: Any) -> dict[str, Any]:
    """The configuration of `slug`, with only its first `layers` layers, and other keys changed."""
    config = dict(shapes()[slug])
    if layers is not None:
        (key,) = [key for key in _LAYER_COUNT_KEYS if key in config]
        config[key] = layers
        for per_layer in _PER_LAYER_KEYS:
            if config.get(per_layer):
                config[per_layer] = config[per_layer][:layers]
    return {**config, **changes}
