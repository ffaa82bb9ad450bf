"""Names in a request to things in the catalogue, or an error that offers the nearest."""

import difflib
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from app.catalogue.facts import CatalogueGpu
from app.catalogue.hub_answer import HubLookup, HubRefusal, HubShape, hub_id_of
from app.catalogue.snapshot import Resolution, Snapshot
from app.memory.architecture import Architecture, ParameterKind
from app.memory.build import parse_config
from app.memory.config import ConfigError
from app.memory.inputs import MethodKind
from app.memory.states import EMBEDDING_NAMES, HEAD_NAMES
from app.messages import did_you_mean, mark, message, sentence, sentences
from app.request import FieldError, RequestError, Run
from app.services.policy import Policy
from app.services.results import ModelSummary

CONFIG_PREFIX = "config:"
MAX_CONFIG_BYTES = 64 * 1024
MAX_BASES = 3
"""How far from an adapter or a copy to its base: an adapter of a copy of a model is two."""


NOT_IN_CATALOGUE = mark("is not in the catalogue.")


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundModel:
    """The shape to compute with and what to call it."""

    architecture: Architecture
    summary: ModelSummary
    reference: str
    """What a permalink names: the catalogue slug, or ``config:<hash>``."""
    note: str | None
    source: str | None = None
    """Where the shape was read, if not in the catalogue."""


def find_model(given: Run, snapshot: Snapshot, policy: Policy) -> FoundModel:
    """The model of a request. Raises :class:`RequestError` on ``model`` or ``config``."""
    if given.model is not None and given.config is not None:
        raise RequestError(FieldError(field="config", message="contradicts model: give one of the two."))
    if given.config is not None:
        return _from_config(given.config, config_hash(given.config), field="config")
    if given.model is None:
        raise RequestError(
            FieldError(
                field="model",
                message="is required, unless a config is given.",
                allowed="a catalogue name or Hugging Face id",
            )
        )
    if given.model.lower().startswith(CONFIG_PREFIX):
        key = given.model[len(CONFIG_PREFIX) :].lower()
        config = policy.stored_config(key)
        if config is None:
            raise RequestError(
                FieldError(
                    field="model", message="names a configuration that is not kept any more; send it again as config."
                )
            )
        return _from_config(config, key, field="model")
    found = snapshot.resolve_model(given.model)
    if found is not None:
        return _from_catalogue(found)
    hub_id = hub_id_of(given.model)
    if hub_id is not None and policy.hub is not None:
        return _from_hub(hub_id, snapshot, policy.hub)
    raise _unknown(given.model, snapshot)


def asks_hub(name: str | None, snapshot: Snapshot, policy: Policy) -> bool:
    """Whether finding this model may take a look at the hub, which is not for an event loop to wait for."""
    return (
        policy.hub is not None
        and name is not None
        and "/" in name
        and hub_id_of(name) is not None
        and snapshot.resolve_model(name) is None
    )


def _unknown(name: str, snapshot: Snapshot, problem: str = NOT_IN_CATALOGUE) -> RequestError:
    near = tuple(model.slug for model in snapshot.nearest_models(name))
    return RequestError(FieldError(field="model", message=did_you_mean(problem, near), suggestions=near))


def _from_hub(hub_id: str, snapshot: Snapshot, lookup: HubLookup) -> FoundModel:
    """What the hub has under an id, or the base it leads to, which the catalogue may know."""
    notes: list[str] = []
    copy: HubShape | None = None
    asked = hub_id
    for _ in range(MAX_BASES + 1):
        answer = lookup(asked)
        if isinstance(answer, HubShape):
            return _from_shape(answer, notes)
        if isinstance(answer, HubRefusal):
            if copy is not None:
                return _from_shape(copy, [])
            leads = message("leads to {model}, which {problem}", model=asked, problem=answer.message)
            raise _unknown(hub_id, snapshot, leads if notes else answer.message)
        notes.append(answer.note)
        copy, asked = copy or answer.copy, answer.hub_id
        found = snapshot.resolve_model(asked)
        if found is not None:
            return _from_catalogue(Resolution(found.model, sentences(*notes, found.note or "")))
    raise _unknown(hub_id, snapshot, mark("leads from one base model to the next without an end."))


def _from_shape(shape: HubShape, notes: Sequence[str]) -> FoundModel:
    try:
        architecture = _parsed(canonical_config(shape.config).decode())
    except ConfigError as problem:
        text = message(
            "has a config.json on the hub that cannot be computed with: {field} {problem}.",
            field=problem.field,
            problem=problem.message,
        )
        raise RequestError(FieldError(field="model", message=text)) from None
    summary = ModelSummary(
        slug=shape.hub_id,
        name=shape.hub_id,
        hf_id=shape.hub_id,
        model_type=architecture.model_type,
        recognised=architecture.recognised,
        max_position_embeddings=architecture.max_position_embeddings,
        image_tokens=architecture.image_tokens,
    )
    note = sentences(*notes, shape.note or "") or None
    return FoundModel(
        architecture=architecture, summary=summary, reference=shape.hub_id, note=note, source=shape.source
    )


def _from_catalogue(found: Resolution) -> FoundModel:
    model = found.model
    try:
        architecture = model.architecture
    except ConfigError as problem:
        raise RequestError(
            FieldError(
                field="model",
                message=message(
                    "has a shape that is not supported yet: {field} {problem}.",
                    field=problem.field,
                    problem=problem.message,
                ),
            )
        ) from None
    summary = ModelSummary(
        slug=model.slug,
        name=model.name,
        hf_id=model.hub_id,
        model_type=architecture.model_type,
        recognised=architecture.recognised,
        max_position_embeddings=architecture.max_position_embeddings,
        image_tokens=architecture.image_tokens,
    )
    return FoundModel(architecture=architecture, summary=summary, reference=model.slug, note=found.note)


def _from_config(config: Mapping[str, Any], key: str, *, field: str) -> FoundModel:
    if field == "config" and len(canonical_config(config)) > MAX_CONFIG_BYTES:
        raise RequestError(FieldError(field="config", message="is larger than 64 KB.", allowed="at most 64 KB"))
    try:
        architecture = _parsed(canonical_config(config).decode())
    except ConfigError as problem:
        raise RequestError(
            FieldError(field=f"config.{problem.field}", message=sentence(problem.message), allowed=problem.allowed)
        ) from None
    if not architecture.layers:
        raise RequestError(FieldError(field="config", message="comes to a model without layers; is it complete?"))
    name = str(config.get("_name_or_path") or "")[:80] or message(
        "{name} from a config.json", name=architecture.model_type
    )
    summary = ModelSummary(
        slug=f"{CONFIG_PREFIX}{key}",
        name=name,
        hf_id=None,
        model_type=architecture.model_type,
        recognised=architecture.recognised,
        max_position_embeddings=architecture.max_position_embeddings,
        image_tokens=architecture.image_tokens,
    )
    return FoundModel(architecture=architecture, summary=summary, reference=summary.slug, note=None)


@lru_cache(maxsize=256)
def _parsed(text: str) -> Architecture:
    return parse_config(json.loads(text))


def canonical_config(config: Mapping[str, Any]) -> bytes:
    """A configuration as the bytes its hash is taken of: sorted keys, no blanks, ASCII."""
    return json.dumps(config, sort_keys=True, separators=(",", ":")).encode("ascii")


def config_hash(config: Mapping[str, Any]) -> str:
    """The name under which a posted configuration is kept: the first 32 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(canonical_config(config)).hexdigest()[:32]


_SAVED_MODULES = EMBEDDING_NAMES | HEAD_NAMES


def check_targets(run: Run, architecture: Architecture) -> None:
    """Refuse adapter targets of which the model has none, as PEFT does, and saved modules that are not counted.

    Raises :class:`RequestError` on ``lora_target_modules`` or ``modules_to_save``.
    """
    if run.method is MethodKind.FULL:
        return
    if isinstance(run.lora_target_modules, tuple):
        names = _projection_names(architecture)
        if not set(run.lora_target_modules) & set(names):
            raise RequestError(
                FieldError(
                    field="lora_target_modules",
                    message="names no projection of this model.",
                    allowed=", ".join(names),
                    suggestions=_nearest(run.lora_target_modules, names),
                )
            )
    unknown = [name for name in run.modules_to_save if name not in _SAVED_MODULES]
    if unknown:
        raise RequestError(
            FieldError(
                field="modules_to_save",
                message=message("{name} cannot be counted.", name=unknown[0]),
                allowed=", ".join(sorted(_SAVED_MODULES)),
                suggestions=_nearest(unknown, sorted(_SAVED_MODULES)),
            )
        )


def check_degrees(run: Run, architecture: Architecture) -> None:
    """Refuse more pipeline stages than layers, and expert groups that do not share a layer's experts evenly.

    Raises :class:`RequestError` on ``pipeline_parallel`` or ``expert_parallel``.
    """
    layers = architecture.num_hidden_layers
    if run.pipeline_parallel > layers:
        raise RequestError(
            FieldError(
                field="pipeline_parallel",
                message=message("is more stages than the model's {layers} layers.", layers=layers),
                allowed=message("a whole number from {minimum} to {maximum}", minimum=1, maximum=layers),
            )
        )
    for experts in _expert_counts(architecture):
        if experts % run.expert_parallel:
            raise RequestError(
                FieldError(
                    field="expert_parallel",
                    message=message("does not divide the {experts} experts of a layer.", experts=experts),
                    allowed=message("a divisor of {number}", number=experts),
                )
            )


def _expert_counts(architecture: Architecture) -> tuple[int, ...]:
    """The different numbers of experts a layer has; none for a dense model, which expert parallelism leaves alone."""
    fused = (parameter for parameter in architecture.parameters if parameter.kind is ParameterKind.EXPERTS)
    return tuple(sorted({parameter.rows for parameter in fused}))


def _projection_names(architecture: Architecture) -> tuple[str, ...]:
    found = (projection.name for layer, _ in architecture.distinct_layers for projection in layer.projections())
    return tuple(dict.fromkeys(found))


def _nearest(given: Iterable[str], known: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(near for name in given for near in difflib.get_close_matches(name, known, n=1)))


def find_gpu(name: str, snapshot: Snapshot, *, field: str = "gpu") -> CatalogueGpu:
    """The card of a request. Raises :class:`RequestError`."""
    gpu = snapshot.gpu(name)
    if gpu is None:
        near = tuple(card.slug for card in snapshot.nearest_gpus(name))
        raise RequestError(FieldError(field=field, message=did_you_mean(NOT_IN_CATALOGUE, near), suggestions=near))
    return gpu
