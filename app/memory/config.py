"""Read a Hugging Face ``config.json`` into an :class:`~app.memory.architecture.Architecture`.

The reader checks every number it takes and names the key it was looking for; which keys a family uses and
what its library class assumes where a key is missing is data (:mod:`app.memory.families`).
"""

from collections.abc import Mapping
from typing import Any

from app.messages import message

MAXIMUM_DIMENSION = 2**24
"""No released model has a dimension near this; larger numbers are typing errors."""
MAXIMUM_LAYERS = 1024
LONGEST_NAME = 40
"""Letters of a name that is quoted from a configuration."""
MAXIMUM_RATIO = 1024
"""Of shares and multiples of a width; released models have single digits."""

ALIASES: Mapping[str, tuple[str, ...]] = {
    # `attribute_map` of the library's configuration classes (transformers 5.23, models/*/configuration_*.py)
    "hidden_size": ("n_embd", "d_model"),
    "num_hidden_layers": ("n_layer", "n_layers", "num_layers"),
    "num_attention_heads": ("n_head", "n_heads", "num_heads", "attention_heads"),
    "num_key_value_heads": ("num_kv_heads", "n_head_kv", "num_attention_groups"),
    "intermediate_size": ("n_inner", "ffn_dim", "ffn_hidden_size"),
    "max_position_embeddings": ("n_positions", "max_seq_len", "seq_length"),
    "num_experts": ("num_local_experts", "n_routed_experts", "moe_num_experts"),
    "num_experts_per_tok": (
        *("experts_per_token", "moe_k", "moe_topk", "moe_top_k", "num_experts_per_token", "top_k_experts"),
    ),
    "hidden_act": ("activation_function", "hidden_activation", "activation", "mlp_hidden_act"),
    "partial_rotary_factor": ("rotary_pct",),
}


class ConfigError(ValueError):
    """A configuration that describes no model: which key, what was wrong and what is allowed."""

    def __init__(self, field: str, message: str, allowed: str | None = None) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message
        self.allowed = allowed


class ConfigReader:
    """Typed, checked access to a configuration with its library's defaults and aliases behind it."""

    def __init__(self, config: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
        self._config = config
        self._defaults = defaults
        self.assumed: list[str] = []
        """Keys that were taken from the library's defaults although they decide the shape."""

    def raw(self, key: str) -> Any:
        """The value under ``key`` or one of its aliases, else the library's default, else None."""
        for name in (key, *ALIASES.get(key, ())):
            value = self._config.get(name)
            if value is not None:
                return value
        if key in self._config or key not in self._defaults:
            return self._from_rope(key)
        return self._defaults[key]

    def _from_rope(self, key: str) -> Any:
        rope = self._config.get("rope_parameters") or self._config.get("rope_scaling")
        return rope.get(key) if isinstance(rope, Mapping) else None

    def with_values(self, values: Mapping[str, Any]) -> "ConfigReader":
        """The same configuration with some values replaced (another number of heads in some layers)."""
        return ConfigReader({**self._config, **values}, self._defaults)

    def has(self, key: str) -> bool:
        return self.raw(key) is not None

    def integer(
        self, key: str, default: int | None = None, *, minimum: int = 1, maximum: int = MAXIMUM_DIMENSION
    ) -> int:
        """A whole number within bounds. Raises :class:`ConfigError` where it is missing or is none."""
        value = self.raw(key)
        if value is None:
            if default is None:
                raise ConfigError(key, "is missing, and the shape cannot be known without it", "a whole number")
            return default
        return check_integer(key, value, minimum=minimum, maximum=maximum)

    def optional_integer(self, key: str, *, minimum: int = 1) -> int | None:
        value = self.raw(key)
        return None if value is None else check_integer(key, value, minimum=minimum)

    def boolean(self, key: str, default: bool = False) -> bool:
        value = self.raw(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise ConfigError(key, message("must be true or false, not {value}", value=_shown(value)), "true or false")
        return value

    def number(self, key: str, default: float) -> float:
        value = self.raw(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigError(key, message("must be a number, not {value}", value=_shown(value)), "a number")
        if not 0 <= value <= MAXIMUM_RATIO:
            template = "must be from {minimum} to {maximum}, not {value}"
            raise ConfigError(key, message(template, minimum=0, maximum=MAXIMUM_RATIO, value=_shown(value)), "a number")
        return float(value)

    def rotary_fraction(self, kind: str | None, default: float) -> float:
        """``partial_rotary_factor``, which rotary parameters may have for each kind of layer."""
        rope = self._config.get("rope_parameters")
        own = rope.get(kind) if isinstance(rope, Mapping) else None
        if isinstance(own, Mapping):
            return ConfigReader(own, {}).number("partial_rotary_factor", default)
        return self.number("partial_rotary_factor", default)

    def text(self, key: str, default: str) -> str:
        value = self.raw(key)
        if value is None:
            return default
        if not isinstance(value, str):
            raise ConfigError(key, message("must be text, not {value}", value=_shown(value)), "text")
        return value

    def section(self, key: str) -> Mapping[str, Any] | None:
        """A nested object such as ``text_config``, or None."""
        value = self.raw(key)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            raise ConfigError(key, message("must be an object, not {value}", value=_shown(value)), "an object")
        return value

    def integers(self, key: str) -> tuple[int, ...]:
        """A list of whole numbers; empty where there is none."""
        value = self.raw(key)
        if value is None:
            return ()
        if not isinstance(value, list | tuple):
            raise ConfigError(
                key, message("must be a list of whole numbers, not {value}", value=_shown(value)), "a list"
            )
        return tuple(check_integer(key, item, minimum=0) for item in value)

    def each(self, key: str, length: int) -> tuple[int | None, ...]:
        """A list with a whole number a layer; as many Nones where there is no list."""
        listed = self.integers(key)
        if listed and len(listed) != length:
            raise ConfigError(
                key,
                message("has {entries} entries for {layers} layers", entries=len(listed), layers=length),
                message("{layers} entries", layers=length),
            )
        return listed or (None,) * length

    def groups(self, key: str) -> tuple[tuple[tuple[str, ...], int], ...]:
        """A list of (names, times) pairs (GPT-Neo's ``attention_types``); empty where there is none."""
        value = self.raw(key)
        if value is None:
            return ()
        allowed = 'a list such as [[["global", "local"], 12]]'
        if not isinstance(value, list | tuple):
            raise ConfigError(key, message("must be a list, not {value}", value=_shown(value)), allowed)
        found = []
        for group in value:
            match group:
                case [list() | tuple() as names, int(times)] if all(isinstance(name, str) for name in names):
                    found.append((tuple(names), check_integer(key, times, maximum=MAXIMUM_LAYERS)))
                case _:
                    raise ConfigError(
                        key, message("has {value} where names and a number belong", value=_shown(group)), allowed
                    )
        return tuple(found)

    def letters(self, key: str, meanings: Mapping[str, str]) -> tuple[str, ...] | None:
        """A word with a letter a layer, each translated; None where there is none."""
        value = self.raw(key)
        if value is None:
            return None
        letters = "".join(meanings)
        if not isinstance(value, str) or not value or not set(value) <= set(meanings):
            raise ConfigError(
                key,
                message("must be made of {letters}, not {value}", letters=letters, value=_shown(value)),
                message("letters of {letters}", letters=letters),
            )
        return tuple(meanings[letter] for letter in value)

    def strings(self, key: str, length: int) -> tuple[str, ...] | None:
        """A list of ``length`` strings (such as ``layer_types``), or None."""
        value = self.raw(key)
        if value is None:
            return None
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
            raise ConfigError(key, "must be a list of names", "a list with one name a layer")
        if len(value) != length:
            raise ConfigError(
                key,
                message("has {entries} entries for {layers} layers", entries=len(value), layers=length),
                message("{layers} entries", layers=length),
            )
        return tuple(value)


def check_integer(key: str, value: Any, *, minimum: int = 1, maximum: int = MAXIMUM_DIMENSION) -> int:
    """``value`` as a whole number within bounds; raises :class:`ConfigError` naming ``key``."""
    allowed = message("a whole number from {minimum} to {maximum}", minimum=minimum, maximum=maximum)
    if isinstance(value, list | tuple) and len(value) > 1 and all(item == value[0] for item in value):
        # one entry a layer, all alike (Gemma 3n)
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, int):
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        else:
            raise ConfigError(key, message("must be a whole number, not {value}", value=_shown(value)), allowed)
    if not minimum <= value <= maximum:
        raise ConfigError(
            key,
            message(
                "must be from {minimum} to {maximum}, not {value}",
                minimum=minimum,
                maximum=maximum,
                value=value if abs(value) <= MAXIMUM_DIMENSION**2 else _shown(value),
            ),
            allowed,
        )
    return int(value)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "…"
