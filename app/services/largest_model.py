"""The largest model of the catalogue that can be trained as a request says."""

from collections.abc import Iterator
from typing import Final

from app.catalogue.facts import CatalogueGpu, CatalogueModel
from app.memory.inputs import MethodKind, Offload, PrecisionPolicy
from app.memory.overheads import CUDA_CONTEXT_LOW_BYTES, SLACK_HIGH
from app.planning.inverse import Found
from app.request import FieldError, QuantizationChoice, RequestError, Run, fill_in
from app.services.trial import Question, Trial

_FROZEN_BYTES: Final = {QuantizationChoice.NONE: 2.0, QuantizationChoice.INT8: 1.0}
"""Bytes a parameter of a frozen base; half a byte for the 4-bit formats."""
_TWO_MOMENTS: Final = frozenset({"adamw_torch_fused", "adamw_torch"})
"""Optimizers whose state is twice the weights."""
_COUNTED_OTHERWISE: Final = 0.98
"""Published counts round; a model is passed over unseen only where even this share of its count is too much."""
_LEAST_OF_TIGHT: Final = 0.7
"""No interval's low end is less than this share of what is allocated (``Evidence.UNRECOGNISED``)."""


class _Models:
    """The catalogue's models that can be trained as the request says, with what trying them cost."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self.trials: list[Trial] = []
        self._refusal: RequestError | None = None
        self._by_slug: dict[str, Trial | None] = {}
        filled = fill_in(question.base, currency=question.policy.currency)
        self._least_bytes = _least_bytes(filled) * _required_share(question) * _COUNTED_OTHERWISE
        self._sequence_length = filled.sequence_length
        # Of models of one size the newest comes first.
        self.largest_first = sorted(
            question.snapshot.models,
            key=lambda model: (model.total_parameters, model.released or "", model.slug),
            reverse=True,
        )

    def cards_for(self, model: CatalogueModel) -> tuple[CatalogueGpu, ...]:
        """The cards that have room for what no run of the model can do without."""
        least_bytes = model.text_parameters * self._least_bytes + CUDA_CONTEXT_LOW_BYTES
        return tuple(gpu for gpu in self._question.cards if gpu.device.usable_bytes >= least_bytes)

    def trial(self, model: CatalogueModel) -> Trial | None:
        """The run with a model; None where it cannot be (no such layers, too short a context)."""
        if model.slug not in self._by_slug:
            self._by_slug[model.slug] = self._made(model)
        return self._by_slug[model.slug]

    def _made(self, model: CatalogueModel) -> Trial | None:
        trial = Trial(self._question, model.slug)
        try:
            context = trial.assessment(self._question.cards[0]).model.summary.max_position_embeddings
        except RequestError as problem:
            self._refusal = problem
            return None
        if context is not None and context < self._sequence_length:
            return None
        self.trials.append(trial)
        return trial

    def smallest(self) -> Trial:
        """The run with the smallest model that can be so. Raises :class:`RequestError` where none can."""
        for model in reversed(self.largest_first):
            trial = self.trial(model)
            if trial is not None:
                return trial
        raise self._refusal or RequestError(
            FieldError(field="sequence_length", message="is longer than any model of the catalogue was made for.")
        )

    def larger(self, model: CatalogueModel) -> Iterator[CatalogueModel]:
        """Models with more parameters than this one, the next larger first."""
        return (other for other in reversed(self.largest_first) if other.total_parameters > model.total_parameters)


def _least_bytes(run: Run) -> float:
    """Bytes a parameter that one card must hold at the least at the update, however the run is spread."""
    if run.offload is not Offload.NONE:
        return 0.0
    if run.method is not MethodKind.FULL:
        return _FROZEN_BYTES.get(run.quantization, 0.5) / run.num_gpus
    width = 2 if run.precision is PrecisionPolicy.BF16 else 4
    return (4 if run.optimizer in _TWO_MOMENTS else 2) * width / run.num_gpus


def _required_share(question: Question) -> float:
    """What a card must have, at the end of the interval that decides, over what is allocated."""
    return _LEAST_OF_TIGHT if question.given.allow_tight else 1 + SLACK_HIGH[0] / SLACK_HIGH[1]


def largest_model(question: Question) -> tuple[Found[Trial], tuple[Trial, ...]]:
    """The first that fits from the largest on, so that no larger one does; ``refused`` is the next larger."""
    models = _Models(question)
    for model in models.largest_first:
        cards = models.cards_for(model)
        trial = models.trial(model) if cards else None
        if trial is not None and any(trial.fits(gpu) for gpu in cards):
            larger = (models.trial(other) for other in models.larger(model))
            refused = next((other for other in larger if other is not None), None)
            return Found(answer=trial, refused=refused), tuple(models.trials)
    return Found(answer=None, refused=models.smallest()), tuple(models.trials)
