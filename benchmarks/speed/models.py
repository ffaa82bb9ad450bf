"""The architectures of the models in the measured runs: the catalogue's configurations, and shapes it lacks."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from app.catalogue.bundled import read_data
from app.memory.architecture import Architecture, Attention, BlockKind, Layer, Norm, NormKind, PlainMlp, Projection
from app.memory.build import parse_config

SAME_SHAPE: Final[Mapping[str, str]] = {
    "mistralai/Mistral-7B-v0.2": "mistralai/Mistral-7B-Instruct-v0.2",
    "Qwen/Qwen3-0.6B-Base": "Qwen/Qwen3-0.6B",
    "TinyLlama/TinyLlama-1.1B": "TinyLlama/TinyLlama-1.1B-Chat-v1.0",
}

LLAMA_LIKE: Final[Mapping[str, Mapping[str, Any]]] = {
    # QwenLM/Qwen README.md, section "Model": gated MLP of half the configuration's intermediate_size.
    "Qwen/Qwen-1_8B": {
        "model_type": "qwen2",
        "hidden_size": 2048,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 5504,
        "vocab_size": 151936,
        "tie_word_embeddings": False,
    },
    "Qwen/Qwen-7B": {
        "model_type": "qwen2",
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "intermediate_size": 11008,
        "vocab_size": 151936,
        "tie_word_embeddings": False,
    },
    "Qwen/Qwen-72B": {
        "model_type": "qwen2",
        "hidden_size": 8192,
        "num_hidden_layers": 80,
        "num_attention_heads": 64,
        "intermediate_size": 24576,
        "vocab_size": 152064,
        "tie_word_embeddings": False,
    },
    # huggingface.co/ibm/PowerLM-3b config.json; 3.512 B parameters.
    "ibm/PowerLM-3b": {
        "model_type": "llama",
        "hidden_size": 2304,
        "num_hidden_layers": 40,
        "num_attention_heads": 36,
        "intermediate_size": 9216,
        "vocab_size": 49152,
        "tie_word_embeddings": True,
    },
    # huggingface.co/internlm/internlm-7b config.json; 7.322 B parameters.
    "internlm/internlm-7b": {
        "model_type": "llama",
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "intermediate_size": 11008,
        "vocab_size": 103168,
        "attention_bias": True,
        "tie_word_embeddings": False,
    },
}

# mosaicml/llm-foundry scripts/train/yamls/pretrain/mpt-*.yaml: (d_model, n_layers, n_heads).
MPT: Final[Mapping[str, tuple[int, int, int]]] = {
    "MPT-350m": (1024, 24, 16),
    "MPT-760m": (1536, 24, 12),
    "MPT-1b": (2048, 24, 16),
    "MPT-3b": (2560, 32, 20),
    "MPT-7b": (4096, 32, 32),
    "MPT-13b": (5120, 40, 40),
    "MPT-30b": (7168, 48, 56),
    "MPT-70b": (8192, 80, 64),
}
MPT_VOCABULARY: Final = 50368


@cache
def architecture_of(name: str) -> Architecture | None:
    """The architecture of a model as the measured runs name it; None where its shape was not printed."""
    if name in MPT:
        hidden_size, layers, heads = MPT[name]
        return _plain_decoder(hidden_size, layers, heads, heads, MPT_VOCABULARY)
    if name == "bigcode/gpt_bigcode-santacoder":  # huggingface.co config.json: multi-query, 1.125 B parameters
        return _plain_decoder(2048, 24, 16, 1, 49280)
    if name in LLAMA_LIKE:
        return parse_config(LLAMA_LIKE[name])
    config = _catalogue_configs().get(SAME_SHAPE.get(name, name))
    return None if config is None else parse_config(config)


@cache
def _catalogue_configs() -> Mapping[str, Mapping[str, Any]]:
    return {row["hub_id"]: row["config"] for row in read_data("models")["models"] if row["config"]}


def _plain_decoder(hidden_size: int, layers: int, heads: int, key_value_heads: int, vocabulary: int) -> Architecture:
    """A decoder with ``nn.LayerNorm``, a plain four-fold MLP, a tied head and no rotary embedding."""
    head_dim = hidden_size // heads
    norm = Norm(NormKind.LAYER, hidden_size, hidden_size)
    inner = 4 * hidden_size
    layer = Layer(
        block=BlockKind.PRE_NORM,
        norms=(norm, norm),
        mixer=Attention(
            num_heads=heads,
            num_key_value_heads=key_value_heads,
            head_dim=head_dim,
            fused=Projection("c_attn", hidden_size, hidden_size + 2 * key_value_heads * head_dim),
            output=Projection("out_proj", hidden_size, hidden_size),
        ),
        mlp=PlainMlp(
            intermediate_size=inner,
            up=Projection("up_proj", hidden_size, inner),
            down=Projection("down_proj", inner, hidden_size),
        ),
    )
    return Architecture(
        model_type="mpt",
        vocab_size=vocabulary,
        hidden_size=hidden_size,
        max_position_embeddings=None,
        tie_word_embeddings=True,
        layers=(layer,) * layers,
        final_norm=norm,
    )
