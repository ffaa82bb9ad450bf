"""The largest model of the catalogue that can be trained as a request says."""

from collections.abc import Iterator
from typing import Final

from app.catalogue.facts import CatalogueModel
from app.memory.inputs import MethodKind, Offload
from app.memory.overheads import CUDA_CONTEXT_LOW_BYTES
from app.planning.inverse import Found
from app.request import QuantizationChoice, RequestError, Run, fill_in
from app.services.trial import Question, Trial

_LEAST_BYTES: Final = {MethodKind.FULL: 4.0, MethodKind.LORA: 2.0, MethodKind.QLORA: 0.5}
"""Bytes a parameter that a step cannot do without: 16-bit weights and gradients, 16-bit weights, 4-bit weights."""
_COUNTED_OTHERWISE: Final = 0.9
"""Published counts are of more than the language model at times; a model is passed over unseen only where even this
share of it is too much."""


class _Models:
    """The catalogue's models that can be trained as the request says, with what trying them cost."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self.trials: list[Trial] = []
        self._by_slug: dict[str, Trial | None] = {}
        filled = fill_in(question.base, currency=question.policy.currency)
        self._room_bytes = max(gpu.device.usable_bytes for gpu in question.cards) - CUDA_CONTEXT_LOW_BYTES
        self._least_bytes = _least_bytes(filled)
        self._sequence_length = filled.sequence_length
        # Of models of one size the newest comes first.
        self.largest_first = sorted(
            question.snapshot.models,
            key=lambda model: (model.total_parameters, model.released or "", model.slug),
            reverse=True,
        )

    def is_beyond(self, model: CatalogueModel) -> bool:
        """Whether the weights alone are too much for every card."""
        return model.text_parameters * _COUNTED_OTHERWISE * self._least_bytes > self._room_bytes

    def trial(self, model: CatalogueModel) -> Trial | None:
        """The run with a model; None where it cannot be (no such layers, too short a context)."""
        if model.slug not in self._by_slug:
            self._by_slug[model.slug] = self._made(model)
        return self._by_slug[model.slug]

    def _made(self, model: CatalogueModel) -> Trial | None:
        trial = Trial(self._question, model.slug)
        try:
            context = trial.assessment(self._question.cards[0]).model.summary.max_position_embeddings
        except RequestError:
            return None
        if context is not None and context < self._sequence_length:
            return None
        self.trials.append(trial)
        return trial

    def fits(self, trial: Trial) -> bool:
        """Whether some card holds it within the limits."""
        return any(trial.fits(gpu) for gpu in self._question.cards)

    def larger(self, model: CatalogueModel) -> Iterator[CatalogueModel]:
        """Models with more parameters than this one, the next larger first."""
        return (other for other in reversed(self.largest_first) if other.total_parameters > model.total_parameters)


def _least_bytes(run: Run) -> float:
    """Bytes a parameter on one card at the least, however the run is spread."""
    if run.offload in {Offload.PARAMETERS, Offload.BOTH}:
        return 0.0
    least = 1.0 if run.quantization is QuantizationChoice.INT8 else _LEAST_BYTES[run.method]
    return least / run.num_gpus


def largest_model(question: Question) -> tuple[Found[Trial], tuple[Trial, ...]]:
    """The first that fits from the largest on, so that no larger one does; ``refused`` is the next larger."""
    models = _Models(question)
    smallest: Trial | None = None
    for model in models.largest_first:
        if models.is_beyond(model):
            continue
        trial = models.trial(model)
        if trial is None:
            continue
        smallest = trial
        if models.fits(trial):
            larger = (models.trial(other) for other in models.larger(model))
            refused = next((other for other in larger if other is not None), None)
            return Found(answer=trial, refused=refused), tuple(models.trials)
    if smallest is None:
        smallest = next(trial for model in reversed(models.largest_first) if (trial := models.trial(model)) is not None)
    return Found(answer=None, refused=smallest), tuple(models.trials)
