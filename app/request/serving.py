"""The request of ``/serve``: a model, how it is stored, and how many requests of which length come at once."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.memory.inputs import LoraTargetPreset
from app.request.about import About, Theme
from app.request.model import MAX_SEQUENCE_TOKENS, ModuleName, Run, ShortText
from app.serving.cache import CacheDtype
from app.serving.reserve import DEFAULT_UTILISATION

MAX_ADAPTERS = 4_096
MAX_REQUESTS = 100_000


class ServeAs(StrEnum):
    """What the server loads after training."""

    MERGED = "merged"
    GPTQ = "gptq"
    AWQ = "awq"
    ADAPTERS = "adapters"


class ServeRequest(BaseModel):
    """What is to be served, to how many at once, on which card."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    model: Annotated[
        ShortText | None,
        Field(description="Catalogue name or Hugging Face id of the model, or config:<hash> of a stored config."),
        About(
            label="Model",
            theme=Theme.MODEL,
            aliases=("base_model", "model_name_or_path", "model_name", "model_id"),
            example="llama-3-8b",
        ),
    ] = None
    config: Annotated[
        dict[str, Any] | None,
        Field(description="The content of the model's config.json (at most 64 KB), instead of a model."),
        About(label="config.json", theme=Theme.MODEL, body_only=True),
    ] = None
    serve_as: Annotated[
        ServeAs,
        Field(
            description="Merged into 16-bit weights, the same in 4 bits by GPTQ or AWQ, or a 16-bit base that many "
            "adapters share."
        ),
        About(
            label="Serve as",
            theme=Theme.QUANTISATION,
            labels={
                "merged": "Merged, 16-bit",
                "gptq": "Merged, GPTQ 4-bit",
                "awq": "Merged, AWQ 4-bit",
                "adapters": "Adapters on a shared base",
            },
        ),
    ] = ServeAs.MERGED
    context_length: Annotated[
        int,
        Field(ge=1, le=MAX_SEQUENCE_TOKENS, description="Tokens of one request, prompt and answer together."),
        About(label="Context", theme=Theme.BATCH, unit="tokens", aliases=("max_model_len", "sequence_length")),
    ] = 8192
    concurrent_requests: Annotated[
        int,
        Field(ge=1, le=MAX_REQUESTS, description="Requests of that length to be held at once."),
        About(label="Requests at once", theme=Theme.BATCH, aliases=("max_num_seqs", "concurrency")),
    ] = 8
    kv_cache_dtype: Annotated[
        CacheDtype,
        Field(description="Width of cached keys and values; fp8 halves them, on cards that have it."),
        About(
            label="Cache",
            theme=Theme.NUMBERS,
            labels={"bf16": "16-bit", "fp8": "FP8"},
            synonyms={"auto": "bf16", "bfloat16": "bf16", "float16": "bf16", "fp8_e4m3": "fp8", "fp8_e5m2": "fp8"},
        ),
    ] = CacheDtype.BF16
    adapters: Annotated[
        int,
        Field(ge=1, le=MAX_ADAPTERS, description="Adapters on the card at once; only where they share a base."),
        About(label="Adapters at once", theme=Theme.ADAPTER, aliases=("max_loras", "tenants")),
    ] = 4
    lora_rank: Annotated[
        int,
        Field(ge=1, le=4096, description="Rank of each adapter."),
        About(label="Rank", theme=Theme.ADAPTER, aliases=("lora_r", "r", "rank", "max_lora_rank")),
    ] = 16
    lora_target_modules: Annotated[
        LoraTargetPreset | tuple[ModuleName, ...],
        Field(description="Which projections get an adapter: attention (q, k, v, o), all-linear, qv, or names."),
        About(
            label="Layers adapted",
            theme=Theme.ADAPTER,
            aliases=("target_modules", "lora_target", "lora_targets"),
            labels={"attention": "Attention (q, k, v, o)", "all-linear": "All linear layers", "qv": "q and v only"},
            synonyms={"all": "all-linear", "all_linear": "all-linear", "attn": "attention"},
        ),
    ] = LoraTargetPreset.ATTENTION
    gpu_memory_utilization: Annotated[
        float,
        Field(gt=0, le=1, description="Share of a card that the server may use, as vLLM's option of that name."),
        About(label="Share of the card used", theme=Theme.SAVING),
    ] = DEFAULT_UTILISATION
    gpu: Annotated[
        ShortText | None,
        Field(description="The card to judge, by its catalogue name."),
        About(label="Card", theme=Theme.MARKET, empty_words=frozenset({"any", "none"}), example="rtx-3090"),
    ] = None
    currency: Annotated[
        Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$", to_upper=True, strip_whitespace=True)] | None,
        Field(description="Currency of the prices, as ISO 4217; the operator's unless given."),
        About(label="Currency", theme=Theme.MARKET, example="USD"),
    ] = None
    region: Annotated[
        ShortText | None,
        Field(description="Only offers in this region."),
        About(label="Region", theme=Theme.MARKET, empty_words=frozenset({"any", "none"})),
    ] = None
    provider: Annotated[
        ShortText | None,
        Field(description="Only offers of this provider."),
        About(label="Provider", theme=Theme.MARKET, empty_words=frozenset({"any", "none"})),
    ] = None
    spot: Annotated[
        bool,
        Field(description="Include offers that the provider may withdraw at any time."),
        About(label="Spot offers", theme=Theme.MARKET, labels={"true": "Included", "false": "Left out"}),
    ] = False

    def as_run(self) -> Run:
        """The fields that a training run has too: model, adapter, card and market."""
        shared = self.model_fields_set & set(Run.model_fields)
        return Run(**{name: getattr(self, name) for name in shared})
