"""The model families: which parts each is made of, as data."""

from collections.abc import Mapping

from app.memory.families.classic import CLASSIC
from app.memory.families.classic_seldom import CLASSIC_SELDOM
from app.memory.families.compressed import COMPRESSED
from app.memory.families.delta import DELTA
from app.memory.families.doge import DOGE
from app.memory.families.ernie_vision import ERNIE_TEXT, ERNIE_WRAPPER
from app.memory.families.family import Family
from app.memory.families.hearing import HEARING_WRAPPERS
from app.memory.families.hybrid import HYBRID
from app.memory.families.latent import LATENT
from app.memory.families.latent_newer import LATENT_NEWER
from app.memory.families.llama_like import LLAMA_LIKE
from app.memory.families.newer_dense import NEWER_DENSE
from app.memory.families.newer_sparse import NEWER_SPARSE
from app.memory.families.phi4_multimodal import PHI4_TEXT, PHI4_WRAPPER
from app.memory.families.remote import REMOTE
from app.memory.families.scans import SCANS
from app.memory.families.short_convolution import SHORT_CONVOLUTION
from app.memory.families.sparse import SPARSE
from app.memory.families.state_space import STATE_SPACE
from app.memory.families.vision import WRAPPERS as NEWER_WRAPPERS
from app.memory.families.vision_merging import MERGING_WRAPPERS
from app.memory.families.vision_older import OLDER_WRAPPERS
from app.memory.families.vision_projected import PROJECTED_WRAPPERS
from app.memory.families.windowed_sparse import WINDOWED_SPARSE
from app.memory.families.wrapped_text import WRAPPED_TEXT
from app.memory.families.wrapper import Wrapper

FAMILIES: Mapping[str, Family] = {
    **LLAMA_LIKE,
    **CLASSIC,
    **CLASSIC_SELDOM,
    **SPARSE,
    **LATENT,
    **HYBRID,
    **REMOTE,
    **NEWER_DENSE,
    **PHI4_TEXT,
    **ERNIE_TEXT,
    **NEWER_SPARSE,
    **DOGE,
    **WINDOWED_SPARSE,
    **LATENT_NEWER,
    **STATE_SPACE,
    **DELTA,
    **COMPRESSED,
    **SCANS,
    **SHORT_CONVOLUTION,
    **WRAPPED_TEXT,
}
WRAPPERS: Mapping[str, Wrapper] = {
    **NEWER_WRAPPERS,
    **OLDER_WRAPPERS,
    **PROJECTED_WRAPPERS,
    **MERGING_WRAPPERS,
    **HEARING_WRAPPERS,
    **PHI4_WRAPPER,
    **ERNIE_WRAPPER,
}

__all__ = ["FAMILIES", "WRAPPERS", "Family", "Wrapper"]
