"""LLaVA's successors and others that project a tower of CLIP's or SigLIP's kind into a text model.

From transformers 5.23 ``models/<type>/``; the defaults are those of its configuration classes.
"""

from collections.abc import Iterator, Mapping

from app.memory.architecture import Parameter
from app.memory.config import ConfigReader
from app.memory.families.image_grids import any_resolution, any_resolution_scaled, latents, lfm2_tiles, marked_tiles
from app.memory.families.image_tokens import plain_patches
from app.memory.families.text_classes import TEXT_CLASSES
from app.memory.families.tower_parts import bare, layer_norm, linear
from app.memory.families.towers import CLASSES, named, siglip_encoder
from app.memory.families.vision_older import CLIP_LARGE, feature_layers, projector
from app.memory.families.wrapper import Wrapper


def llava_next(vision: ConfigReader, whole: ConfigReader, hidden_size: int) -> Iterator[Parameter]:
    """``modeling_llava_next.py``, ``modeling_llava_onevision.py``: LLaVA, and a learned end of a row."""
    yield from named(vision, "clip_vision_model")
    yield from projector(vision, whole, hidden_size)
    yield from bare(hidden_size)


def vipllava(vision: ConfigReader, whole: ConfigReader, hidden_size: int) -> Iterator[Parameter]:
    """``modeling_vipllava.py``: several of the tower's layers, normed and projected."""
    read = feature_layers(whole) * vision.integer("hidden_size")
    yield from named(vision, "clip_vision_model")
    yield from layer_norm(read)
    yield from linear(read, hidden_size)
    yield from linear(hidden_size, hidden_size)


def video_llava(vision: ConfigReader, whole: ConfigReader, hidden_size: int) -> Iterator[Parameter]:
    """``modeling_video_llava.py``: two towers alike, one for images and one for films."""
    yield from named(vision, "clip_vision_model")
    yield from named(vision, "clip_vision_model")
    yield from projector(vision, whole, hidden_size)


def shuffled_and_gated(vision: ConfigReader, whole: ConfigReader, hidden_size: int, inner: int) -> Iterator[Parameter]:
    """SigLIP, patches shuffled into a gated projector: half of its inner width gates the other."""
    yield from named(vision, "siglip_vision_model")
    yield from linear(vision.integer("hidden_size") * whole.integer("downsample_factor", 2) ** 2, inner)
    yield from linear(inner // 2, hidden_size)


def aya(vision: ConfigReader, whole: ConfigReader, hidden_size: int) -> Iterator[Parameter]:
    """``modeling_aya_vision.py``: what is shuffled is normed first."""
    inner = whole.integer("alignment_intermediate_size", hidden_size)
    yield from layer_norm(vision.integer("hidden_size") * whole.integer("downsample_factor", 2) ** 2)
    yield from shuffled_and_gated(vision, whole, hidden_size, inner)


def cohere2(vision: ConfigReader, whole: ConfigReader, hidden_size: int) -> Iterator[Parameter]:
    """``modeling_cohere2_vision.py``."""
    yield from shuffled_and_gated(vision, whole, hidden_size, whole.integer("alignment_intermediate_size", 36864))


def lfm2(vision: ConfigReader, whole: ConfigReader, hidden_size: int) -> Iterator[Parameter]:
    """``modeling_lfm2_vl.py``: SigLIP 2, patches shuffled into a projector of its own width."""
    merged = vision.integer("hidden_size") * whole.integer("downsample_factor", 2) ** 2
    inner, bias = whole.integer("projector_hidden_size", 2560), whole.boolean("projector_bias", default=True)
    yield from named(vision, "siglip2_vision_model")
    if whole.boolean("projector_use_layernorm", default=True):
        yield from layer_norm(merged)
    yield from linear(merged, inner, bias=bias)
    yield from linear(inner, hidden_size, bias=bias)


def deepseek_vl(vision: ConfigReader, whole: ConfigReader, hidden_size: int) -> Iterator[Parameter]:
    """``modeling_deepseek_vl.py``: SigLIP and two layers."""
    yield from named(vision, "siglip_vision_model")
    yield from linear(vision.integer("hidden_size"), hidden_size)
    yield from linear(hidden_size, hidden_size)


def idefics2(vision: ConfigReader, whole: ConfigReader, hidden_size: int) -> Iterator[Parameter]:
    """``modeling_idefics2.py``: SigLIP's layers, a gated projector as wide as the text model's MLPs, and a Perceiver
    that resamples into a few latents."""
    text = ConfigReader(whole.section("text_config") or {}, TEXT_CLASSES["mistral"])
    resampler = ConfigReader(whole.section("perceiver_config") or {}, PERCEIVER)
    width, inner, layers = (
        vision.integer("hidden_size"),
        text.integer("intermediate_size"),
        resampler.integer("resampler_depth"),
    )
    head_dim = resampler.integer("resampler_head_dim")
    query, keys = resampler.integer("resampler_n_heads") * head_dim, resampler.integer("num_key_value_heads") * head_dim
    yield from siglip_encoder(vision)
    yield from linear(width, inner, 2, bias=False)
    yield from linear(inner, hidden_size, bias=False)
    yield from bare(resampler.integer("resampler_n_latents") * hidden_size)
    yield from bare(hidden_size, 3 * layers + 1)
    yield from linear(hidden_size, query, layers, bias=False)
    yield from linear(hidden_size, keys, 2 * layers, bias=False)
    yield from linear(query, hidden_size, layers, bias=False)
    yield from linear(hidden_size, 4 * hidden_size, 2 * layers, bias=False)
    yield from linear(4 * hidden_size, hidden_size, layers, bias=False)


PERCEIVER = {"resampler_n_latents": 64, "resampler_depth": 3, "resampler_n_heads": 16, "resampler_head_dim": 96,
             "num_key_value_heads": 4}  # fmt: skip
IDEFICS2 = {"hidden_size": 768, "intermediate_size": 3072, "patch_size": 32, "image_size": 224, "num_hidden_layers": 12}
SIGLIP_SO400M = {"hidden_size": 1152, "intermediate_size": 4304, "patch_size": 14, "image_size": 384,
                 "num_hidden_layers": 26, "vision_use_head": False}  # fmt: skip
COHERE2_VISION = {"hidden_size": 1152, "intermediate_size": 3072, "patch_size": 16, "image_size": 512,
                  "num_hidden_layers": 27}  # fmt: skip
LLAVA_GRIDS = ((336, 672), (672, 336), (672, 672), (1008, 336), (336, 1008))
ONEVISION_GRIDS = tuple((384 * rows, 384 * columns) for rows in range(1, 7) for columns in range(1, 7))

PROJECTED_WRAPPERS: Mapping[str, Wrapper] = {
    "llava_next": Wrapper(
        text="llama",
        tower=llava_next,
        images=any_resolution,
        vision_defaults=CLIP_LARGE,
        vision_classes=CLASSES,
        defaults={"image_grid_pinpoints": LLAVA_GRIDS},
    ),
    "llava_next_video": Wrapper(
        text="llama",
        tower=llava_next,
        images=any_resolution,
        vision_defaults=CLIP_LARGE,
        vision_classes=CLASSES,
        defaults={"image_grid_pinpoints": LLAVA_GRIDS},
        ties_as_text=True,
    ),
    "llava_onevision": Wrapper(
        text="qwen2",
        tower=llava_next,
        images=any_resolution_scaled,
        vision_defaults=SIGLIP_SO400M,
        vision_classes=CLASSES,
        defaults={"image_grid_pinpoints": ONEVISION_GRIDS, "vision_feature_select_strategy": "full"},
        ties_as_text=True,
    ),
    "vipllava": Wrapper(
        text="llama",
        tower=vipllava,
        images=plain_patches,
        vision_defaults=CLIP_LARGE,
        vision_classes=CLASSES,
        defaults={"vision_feature_layer": (-2, -5, -8, -11, 6)},
    ),
    "video_llava": Wrapper(
        text="llama",
        tower=video_llava,
        images=plain_patches,
        vision_defaults={**CLIP_LARGE, "image_size": 224},
        vision_classes=CLASSES,
    ),
    "aya_vision": Wrapper(
        text="cohere2",
        tower=aya,
        images=marked_tiles,
        vision_defaults=SIGLIP_SO400M,
        vision_classes=CLASSES,
        defaults={"tie_word_embeddings": True},
    ),
    "cohere2_vision": Wrapper(
        text="cohere2",
        tower=cohere2,
        images=marked_tiles,
        vision_defaults=COHERE2_VISION,
        vision_classes=CLASSES,
        defaults={"tie_word_embeddings": True},
    ),
    "lfm2_vl": Wrapper(
        text="lfm2",
        tower=lfm2,
        images=lfm2_tiles,
        vision_defaults=CLASSES["siglip2_vision_model"],
        defaults={"tie_word_embeddings": True},
    ),
    "deepseek_vl": Wrapper(
        text="llama",
        tower=deepseek_vl,
        images=plain_patches,
        vision_defaults=CLASSES["siglip_vision_model"],
        defaults={"tie_word_embeddings": True},
    ),
    "idefics2": Wrapper(text="mistral", tower=idefics2, images=latents, vision_defaults=IDEFICS2),
}
