"""What published configurations of wrapped models leave out of ``text_config``: the defaults of the class it names.

A section is saved without what its own class assumes, also its shape (transformers 5.23 ``models/<type>/``,
``configuration_<type>.py``).
"""

from collections.abc import Mapping
from typing import Any, Final

_SEVEN_BILLION: Final = {"hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32}
_QWEN: Final = {**_SEVEN_BILLION, "intermediate_size": 22016, "num_key_value_heads": 32, "vocab_size": 151936}
_MISTRAL: Final = {**_SEVEN_BILLION, "intermediate_size": 14336, "num_key_value_heads": 8, "vocab_size": 32000}

TEXT_CLASSES: Final[Mapping[str, Mapping[str, Any]]] = {
    "llama": {**_SEVEN_BILLION, "intermediate_size": 11008, "vocab_size": 32000},
    "mistral": _MISTRAL,
    "ministral3": {**_MISTRAL, "num_hidden_layers": 34, "head_dim": 128, "vocab_size": 131072},
    "qwen2": _QWEN,
    "qwen3": {**_QWEN, "head_dim": 128},
    "granite": {**_SEVEN_BILLION, "intermediate_size": 11008, "vocab_size": 32000},
    "exaone4": {**_SEVEN_BILLION, "intermediate_size": 16384, "num_key_value_heads": 32, "vocab_size": 102400},
    "phi3": {**_SEVEN_BILLION, "hidden_size": 3072, "intermediate_size": 8192, "vocab_size": 32064},
    "gemma": {"hidden_size": 3072, "intermediate_size": 24576, "num_hidden_layers": 28, "num_attention_heads": 16,
              "num_key_value_heads": 16, "head_dim": 256, "vocab_size": 256000},
    "gemma2": {"hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26, "num_attention_heads": 8,
               "num_key_value_heads": 4, "head_dim": 256, "vocab_size": 256000},
    "cohere2": {"hidden_size": 8192, "intermediate_size": 22528, "num_hidden_layers": 40, "num_attention_heads": 64,
                "vocab_size": 256000},
    "lfm2": {"hidden_size": 2560, "intermediate_size": 12288, "num_hidden_layers": 32, "num_attention_heads": 32,
             "num_key_value_heads": 8, "vocab_size": 65536},
}  # fmt: skip
