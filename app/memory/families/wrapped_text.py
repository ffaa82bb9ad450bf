"""Text models that stand only inside a vision-language model: each is another family's code with small differences.

From transformers 5.23 ``models/<type>/modeling_<type>.py``.
"""

from collections.abc import Mapping
from dataclasses import replace

from app.memory.families.attention import AttentionStyle
from app.memory.families.family import Family
from app.memory.families.llama_like import INTERLEAVED_HALF, LLAMA_LIKE, QWEN2, QWEN3_ATTENTION
from app.memory.families.mlp import GatedStyle
from app.memory.families.sparse import SPARSE

GLM4 = LLAMA_LIKE["glm4"]
GLM4_MOE = SPARSE["glm4_moe"]
QWEN3_VL_MOE = SPARSE["qwen3_vl_moe_text"]

WRAPPED_TEXT: Mapping[str, Family] = {
    "glm4v_text": replace(GLM4, mixers={"full_attention": replace(INTERLEAVED_HALF, bias=True, head_dim=None)}),
    "glm4v_moe_text": replace(GLM4_MOE, defaults={**GLM4_MOE.defaults, "attention_bias": True}),
    "qwen2_5_omni_text": replace(QWEN2, defaults={**QWEN2.defaults, "num_key_value_heads": 4}),
    "qwen3_omni_moe_text": replace(
        QWEN3_VL_MOE,
        mixers={"full_attention": replace(QWEN3_ATTENTION, head_dim=None)},
        defaults={
            **QWEN3_VL_MOE.defaults,
            "num_experts": 128,
            "num_experts_per_tok": 8,
            "moe_intermediate_size": 768,
            "num_key_value_heads": 4,
        },
    ),
    "paddleocr_vl_text": Family(
        mixers={"full_attention": AttentionStyle(bias="use_bias", output_bias="use_bias")},
        mlps={"dense": GatedStyle(bias="use_bias")},
        defaults={"tie_word_embeddings": True, "num_key_value_heads": 2, "head_dim": 128},
    ),
}
