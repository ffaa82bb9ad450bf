"""What serving takes, in response shapes and in words."""

from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from app.catalogue.facts import HOURS_PER_MONTH, CatalogueGpu, Period
from app.memory.architecture import Architecture
from app.memory.inputs import Adapter
from app.memory.result import Notice
from app.messages import message
from app.request.serving import ServeAs, ServeRequest
from app.services.lookup import FoundModel
from app.services.market import Quote
from app.services.serving_results import AdapterReport, CacheReport, PlacementReport, WeightReport
from app.serving.adapters import adapter_elements, slot_bytes
from app.serving.cache import BLOCK_TOKENS, request_cache
from app.serving.capacity import Placement
from app.serving.reserve import step_limits
from app.serving.support import Lack
from app.serving.weights import GROUP_SIZE, WeightFormat, weight_bytes

_CENT: Final = Decimal("0.01")


def adapter_of(given: ServeRequest) -> Adapter:
    """What each tenant brings."""
    return Adapter(rank=given.lora_rank, targets=given.lora_target_modules)


def monthly_amount(quote: Quote) -> Decimal:
    """What the quote's servers cost in a month of 730 hours, in the market's currency."""
    hours = HOURS_PER_MONTH if quote.offer.period is Period.HOUR else 1
    return (quote.amount * hours).quantize(_CENT, ROUND_HALF_UP)


def why_not(missing: Lack, gpu: CatalogueGpu) -> str:
    """What a card lacks, in words."""
    templates = {
        Lack.VENDOR: "vLLM does not list {card} among the hardware it runs on",
        Lack.FORMAT: "{card} has no kernel for this weight format in vLLM",
        Lack.FP8: "{card} has no fp8 arithmetic for an fp8 cache",
    }
    return message(templates[missing], card=gpu.device.name)


def placement_report(gpu: CatalogueGpu, found: Placement, requests: int) -> PlacementReport:
    """A placement on a card of the catalogue."""
    return PlacementReport(
        gpu=gpu.slug,
        gpu_name=gpu.device.name,
        cards=found.cards,
        memory_bytes=gpu.device.memory_bytes,
        budget_bytes=found.budget_bytes,
        weights_bytes=found.weights.total_bytes,
        adapters_low_bytes=found.adapters.low_bytes,
        adapters_high_bytes=found.adapters.high_bytes,
        reserve_low_bytes=found.reserve.low_bytes,
        reserve_high_bytes=found.reserve.high_bytes,
        cache_low_bytes=found.cache.low_bytes,
        cache_high_bytes=found.cache.high_bytes,
        request_low_bytes=found.request.low_bytes,
        request_high_bytes=found.request.high_bytes,
        requests_low=found.requests.low_bytes,
        requests_high=found.requests.high_bytes,
        fits=found.requests.low_bytes >= requests,
    )


def weight_report(architecture: Architecture, format_: WeightFormat) -> WeightReport:
    """All of a model's weights in a format."""
    found = weight_bytes(architecture, format_)
    return WeightReport(
        total_bytes=found.total_bytes,
        packed_bytes=found.packed_bytes,
        scale_bytes=found.scale_bytes,
        zero_bytes=found.zero_bytes,
        index_bytes=found.index_bytes,
        half_bytes=found.half_bytes,
        float32_bytes=found.float32_bytes,
        bits_per_parameter=round(8 * found.total_bytes / architecture.total_parameters, 2),
    )


def cache_report(model: FoundModel, given: ServeRequest) -> CacheReport:
    """What one request keeps where one card holds the model."""
    cache = request_cache(model.architecture, given.kv_cache_dtype)
    one = cache.request(given.context_length)
    return CacheReport(
        bytes_per_token=cache.token_bytes,
        bytes_per_token_beyond_windows=cache.growing_token_bytes,
        state_low_bytes=cache.state.low_bytes,
        state_high_bytes=cache.state.high_bytes,
        request_low_bytes=one.low_bytes,
        request_high_bytes=one.high_bytes,
        block_tokens=BLOCK_TOKENS,
        layers=sum(layer.count for layer in cache.layers if layer.token_bytes),
        windowed_layers=sum(layer.count for layer in cache.layers if layer.window is not None),
    )


def adapter_report(model: FoundModel, given: ServeRequest) -> AdapterReport:
    """One adapter where one card holds the model."""
    adapter = adapter_of(given)
    slot = slot_bytes(model.architecture, adapter)
    return AdapterReport(
        parameters=adapter_elements(model.architecture, adapter), bytes=slot.low_bytes, slot_bytes=slot.high_bytes
    )


def assumptions(given: ServeRequest, model: FoundModel) -> Iterator[str]:
    """What the answer rests on."""
    share = Decimal(str(given.gpu_memory_utilization)).normalize()
    yield message(
        "The server is vLLM, which may use {share} of a card (gpu_memory_utilization; 0.9 for years, 0.92 by default "
        "in recent versions) and gives the cache what weights and one trial step leave.",
        share=share,
    )
    yield message(
        "Every request is counted at its whole length, in blocks of {block} tokens. Requests that stop earlier, or "
        "share a beginning, leave room for more.",
        block=BLOCK_TOKENS,
    )
    yield message(
        "What a step takes beside weights and cache is bounded, not measured: activations of the largest step that "
        "vLLM plans for on the card, sampling, captured CUDA graphs (none to 3 GiB) and libraries. The lower count of "
        "requests holds at the upper bound."
    )
    if given.serve_as in {ServeAs.GPTQ, ServeAs.AWQ}:
        yield message(
            "4-bit checkpoints have groups of {group} weights with a float16 scale and a 4-bit zero each. Embeddings, "
            "output head, norms, biases, convolutions and routers stay in 16 bits, and so does a matrix whose sides "
            "the format cannot group.",
            group=GROUP_SIZE,
        )
    if given.serve_as is ServeAs.ADAPTERS:
        yield message(
            "An adapter on the card takes at least its own weights in 16 bits and at most a slot of vLLM's: rank "
            "rounded up to the next size, for every linear layer, embedding and head. Experts have slots only where "
            "the adapter has experts."
        )
    yield message(
        "Several cards share the model by tensor parallelism within one server, up to 8. Cards repeat key and value "
        "heads where there are fewer than cards, and each keeps the whole latent of latent attention."
    )
    cache = request_cache(model.architecture, given.kv_cache_dtype)
    if cache.windowed_token_bytes:
        yield message(
            "Layers with a window keep only that; in the step that reads a prompt they keep its tokens too, which the "
            "upper bound of the step counts."
        )
    if cache.state.high_bytes:
        yield message(
            "Recurrent layers keep a constant of each request: at least one state in 16 bits, at most two in float32 "
            "(prefix caching keeps a second)."
        )


def warnings(given: ServeRequest, model: FoundModel, gpu: CatalogueGpu | None) -> Iterator[Notice]:
    """What the reader should know of this request."""
    if model.note:
        yield Notice("model_assumed", model.note)
    if not model.summary.recognised:
        yield Notice(
            "unknown_family",
            message("Not all of this model is described here, so its weights and its cache may be off."),
        )
    limit = model.summary.max_position_embeddings
    if limit is not None and given.context_length > limit:
        yield Notice(
            "beyond_context",
            message(
                "{name} was made for {limit} tokens; requests of {asked} are longer.",
                name=model.summary.name,
                limit=limit,
                asked=given.context_length,
            ),
        )
    if gpu is not None and given.concurrent_requests > (most := step_limits(gpu.device).sequences):
        yield Notice(
            "beyond_batch",
            message(
                "vLLM runs at most {most} requests in a step on this card unless max_num_seqs says otherwise.",
                most=most,
            ),
        )
