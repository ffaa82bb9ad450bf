"""Families whose modelling code comes with the checkpoint (``trust_remote_code``).

Shapes follow that code; which tensors it keeps is taken from the closest family of the library.
"""

from collections.abc import Mapping

from app.memory.architecture import NormKind, RouterKind
from app.memory.config import ConfigReader
from app.memory.families.attention import AttentionStyle
from app.memory.families.family import Family
from app.memory.families.llama_like import BIASED_ATTENTION, GATED, LLAMA, PLAIN_ATTENTION, QWEN2
from app.memory.families.mlp import ExpertStyle, GatedStyle, shared_by_count
from app.memory.families.plans import after_first_dense, by_layer_type
from app.messages import mark, sentences

REMOTE_NOTE = mark(
    "Its modelling code is not part of Transformers; what it keeps is taken from the closest family that is."
)
PREDICTION_NOTE = mark("Multi-token-prediction layers are left out.")


def _half_width(reader: ConfigReader) -> int:
    """Qwen 1 counts gate and up together."""
    return reader.integer("intermediate_size") // 2


REMOTE: Mapping[str, Family] = {
    "baichuan": Family(
        mixers={"full_attention": AttentionStyle(fused="W_pack")}, mlps={"dense": GATED}, note=REMOTE_NOTE
    ),
    "internlm2": Family(
        mixers={"full_attention": AttentionStyle(fused="wqkv", output_name="wo", bias="bias", output_bias="bias")},
        mlps={"dense": GatedStyle(names=("w1", "w3", "w2"))},
        note=REMOTE_NOTE,
    ),
    "minicpm": Family(
        mixers={"full_attention": BIASED_ATTENTION},
        mlps={"dense": GATED},
        embedding_multiplier=True,
        residual_multiplier=True,
        logits_multiplier=True,
        defaults={"tie_word_embeddings": True},
        note=REMOTE_NOTE,
    ),
    "mimo": Family(
        mixers=QWEN2.mixers,
        mlps=QWEN2.mlps,
        note=sentences(PREDICTION_NOTE, REMOTE_NOTE),
    ),
    "orion": Family(
        norm=NormKind.LAYER,
        norm_bias=True,
        mixers={"full_attention": PLAIN_ATTENTION},
        mlps={"dense": GATED},
        note=REMOTE_NOTE,
    ),
    "qwen": Family(
        mixers={"full_attention": AttentionStyle(bias=True, fused="c_attn", output_name="c_proj")},
        mlps={"dense": GatedStyle(width=_half_width, names=("w2", "w1", "c_proj"))},
        note=REMOTE_NOTE,
    ),
    "deepseek": Family(
        mixers={"full_attention": BIASED_ATTENTION},
        mlps={
            "dense": GATED,
            "sparse": ExpertStyle(
                router=RouterKind.SOFTMAX_FLOAT32, normalises=False, shared=shared_by_count("n_shared_experts")
            ),
        },
        plan=by_layer_type(sparse=after_first_dense),
        note=REMOTE_NOTE,
    ),
    "exaone": Family(
        mixers={"full_attention": AttentionStyle(output_name="out_proj")},
        mlps={"dense": GatedStyle(names=("c_fc_0", "c_fc_1", "c_proj"))},
        note=REMOTE_NOTE,
    ),
    "yi": LLAMA,
}
