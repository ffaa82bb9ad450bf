"""Fill in what a request left open, refuse contradictions, and say where each value came from."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from app.memory.inputs import MethodKind, Offload, Strategy
from app.messages import Value, message
from app.request.fields import FIELDS
from app.request.model import QuantizationChoice, Run
from app.request.parsing import FieldError, RequestError
from app.stacks import STACKS, Stack


class FieldSource(StrEnum):
    """Where a field's value came from."""

    REQUEST = "request"
    STACK = "stack"
    DEFAULT = "default"
    DERIVED = "derived"


@dataclass(frozen=True, kw_only=True, slots=True)
class ResolvedRun:
    """A run with every field filled in."""

    given: Run
    """As it was asked: only its set fields belong into a permalink."""
    run: Run
    stack: Stack
    field_sources: Mapping[str, FieldSource]
    ignored: tuple[str, ...]
    """Fields that were given but have no effect on this run."""


_DEFAULT_SOURCES: Mapping[str, FieldSource] = dict.fromkeys(FIELDS, FieldSource.DEFAULT)
_ADAPTER_FIELDS = (
    "lora_rank",
    "lora_alpha",
    "lora_dropout",
    "use_dora",
    "modules_to_save",
    "lora_target_modules",
    "adapter_dtype",
)
_QUANTISATION_FIELDS = ("double_quantization", "upcast_non_quantized")
_ONE_GPU_FIELDS = ("gpus_per_node", "interconnect", "network_gbit_per_second")


def resolve(given: Run, *, currency: str = "USD") -> ResolvedRun:
    """Fill in a request. ``currency`` is the operator's. Raises :class:`RequestError` where fields contradict."""
    asked = given.model_fields_set
    stack = _stack(given.stack)
    run, of_stack, derived = _fill(given, stack, currency)
    sources = dict(_DEFAULT_SOURCES)
    for names, source in (
        (asked, FieldSource.REQUEST),
        (of_stack, FieldSource.STACK),
        (derived, FieldSource.DERIVED),
    ):
        sources.update(dict.fromkeys(names, source))
    return ResolvedRun(given=given, run=run, stack=stack, field_sources=sources, ignored=_ignored(run, asked))


def fill_in(given: Run, *, currency: str = "USD") -> Run:
    """The run of :func:`resolve`, where nobody asks which value came from where. Raises :class:`RequestError`."""
    run, _, _ = _fill(given, _stack(given.stack), currency)
    return run


def _fill(given: Run, stack: Stack, currency: str) -> tuple[Run, Mapping[str, Any], Mapping[str, Any]]:
    """The filled run, what the stack set and what was derived."""
    asked = given.model_fields_set
    derived = _method(given, asked)
    method: MethodKind = derived.get("method", given.method)
    of_stack = {name: value for name, value in stack.values_for(method).items() if name not in asked}
    if given.lora_alpha is None:
        derived["lora_alpha"] = 2.0 * given.lora_rank
    if given.tokens_per_example is None:
        derived["tokens_per_example"] = given.sequence_length
    derived.update(_batch(given, asked))
    updates = {**of_stack, **derived}
    if given.currency is None:
        updates["currency"] = currency
    return given.model_copy(update=updates), of_stack, derived


def _stack(name: str) -> Stack:
    stack = STACKS.get(name.lower())
    if stack is None:
        near = tuple(difflib.get_close_matches(name.lower(), STACKS, n=2, cutoff=0.4))
        raise RequestError(
            FieldError(field="stack", message="is not a known stack.", allowed=", ".join(STACKS), suggestions=near)
        )
    return stack


def _method(given: Run, asked: set[str]) -> dict[str, Any]:
    """The method and the quantisation imply each other: ``qlora`` alone is nf4, ``lora`` with a value is ``qlora``."""
    quantised = given.quantization is not QuantizationChoice.NONE
    if given.method is MethodKind.QLORA and not quantised:
        if "quantization" in asked:
            raise RequestError(
                FieldError(
                    field="quantization",
                    message="is none, but QLoRA trains over a quantised model; use method lora for one that is not.",
                    allowed="nf4, fp4, int8",
                )
            )
        return {"quantization": QuantizationChoice.NF4}
    if given.method is MethodKind.FULL and quantised:
        raise RequestError(
            FieldError(
                field="quantization",
                message="contradicts method full: quantised weights cannot be trained. Leave it out or use qlora.",
                allowed="none",
            )
        )
    if given.method is MethodKind.LORA and quantised:
        return {"method": MethodKind.QLORA}
    return {}


def _batch(given: Run, asked: set[str]) -> dict[str, Any]:
    """Micro-batch × accumulation × replicas = global batch: derive what is missing, refuse what does not add up."""
    replicas = _replicas(given)
    if given.global_batch_size is None:
        return {"global_batch_size": given.micro_batch_size * given.gradient_accumulation_steps * replicas}
    a_step_of_all = given.micro_batch_size * replicas
    if "gradient_accumulation_steps" in asked:
        if "micro_batch_size" not in asked:
            return {"micro_batch_size": _divided(given, given.gradient_accumulation_steps * replicas)}
        if a_step_of_all * given.gradient_accumulation_steps != given.global_batch_size:
            raise _uneven(given, a_step_of_all * given.gradient_accumulation_steps, exact=True)
        return {}
    if "micro_batch_size" not in asked:
        per_replica = _divided(given, replicas)
        micro = next(size for size in range(min(given.micro_batch_size, per_replica), 0, -1) if per_replica % size == 0)
        return {"micro_batch_size": micro, "gradient_accumulation_steps": per_replica // micro}
    return {"gradient_accumulation_steps": _divided(given, a_step_of_all)}


def _divided(given: Run, divisor: int) -> int:
    whole, rest = divmod(given.global_batch_size or 0, divisor)
    if rest or not whole:
        raise _uneven(given, divisor, exact=False)
    return whole


def _uneven(given: Run, product: int, *, exact: bool) -> RequestError:
    values: dict[str, Value] = {"given": given.global_batch_size or 0, "product": product}
    if exact:
        text = message("{given} is not {product}, the other batch fields times the GPUs.", **values)
        allowed = message("{number}", number=product)
    else:
        text = message("{given} is not a multiple of {product}, the other batch fields times the GPUs.", **values)
        allowed = message("a multiple of {number}", number=product)
    return RequestError(FieldError(field="global_batch_size", message=text, allowed=allowed))


def _replicas(given: Run) -> int:
    """GPUs that each see different sequences."""
    model_parallel = given.tensor_parallel * given.pipeline_parallel * given.context_parallel
    if given.strategy is Strategy.SINGLE and given.num_gpus > 1:
        raise RequestError(
            FieldError(
                field="strategy",
                message=message("single uses one GPU, but num_gpus is {count}.", count=given.num_gpus),
                allowed="another strategy",
            )
        )
    if given.num_gpus % model_parallel:
        raise RequestError(
            FieldError(
                field="num_gpus",
                message=message(
                    "{count} is no multiple of tensor × pipeline × context parallel = {degree}.",
                    count=given.num_gpus,
                    degree=model_parallel,
                ),
                allowed=message("a multiple of {number}", number=model_parallel),
            )
        )
    if given.num_gpus % given.expert_parallel:
        raise RequestError(
            FieldError(
                field="expert_parallel",
                message=message("does not divide the {count} GPUs.", count=given.num_gpus),
                allowed=message("a divisor of {number}", number=given.num_gpus),
            )
        )
    return 1 if given.strategy is Strategy.DEVICE_MAP else given.num_gpus // model_parallel


def _ignored(run: Run, asked: set[str]) -> tuple[str, ...]:
    without_effect: set[str] = set()
    if run.method is MethodKind.FULL:
        without_effect.update(_ADAPTER_FIELDS)
    if run.method is not MethodKind.QLORA:
        without_effect.update(_QUANTISATION_FIELDS)
    if run.quantization is QuantizationChoice.INT8:
        without_effect.add("double_quantization")
    if "8bit" not in run.optimizer:
        without_effect.add("embedding_state_32bit")
    if run.num_gpus == 1:
        without_effect.update(_ONE_GPU_FIELDS)
    if run.offload is Offload.NONE:
        without_effect.add("offload_target")
    if run.max_steps is not None:
        without_effect.add("epochs")
    without_effect &= asked
    return tuple(name for name in FIELDS if name in without_effect) if without_effect else ()
