"""Inverse questions: the largest, longest, highest or fewest of one field that a card or a budget allows.

Whether a value fits is asked of the same assessment that ``/estimate`` answers from, so that the two cannot disagree.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from functools import cache
from typing import Final

from app.catalogue.facts import CatalogueGpu
from app.catalogue.snapshot import Snapshot
from app.memory.inputs import Cluster, MethodKind, Strategy
from app.planning.inverse import (
    Found,
    allocated_within,
    along_line,
    first_of,
    furthest,
    least_count,
    longest_sequence,
)
from app.request import FIELDS, FieldError, RequestError, Run, SolveRequest, Unknown, fill_in
from app.services.compare import run_of
from app.services.counts import counts_of
from app.services.largest_model import largest_model
from app.services.lookup import find_gpu, find_model
from app.services.policy import DEFAULT_POLICY, Policy
from app.services.solve_report import report
from app.services.solved import LimitedBy, SolveResult
from app.services.trial import Question, Trial
from app.spans import spanned

_DENSE_GPUS: Final = 16
_SPARSE_STEP: Final = 8
"""Within a budget or a deadline every number of cards up to two servers of eight is tried, then whole servers."""
_USUAL_RANK: Final = 64
"""The line along which a rank is first looked for goes through this one."""


@spanned("solve")
def solve(given: SolveRequest, snapshot: Snapshot, today: date, policy: Policy = DEFAULT_POLICY) -> SolveResult:
    """Answer one inverse question: the answer fits, and the value right after it does not.

    Raises :class:`app.request.RequestError` for an unknown model or card, or contradicting fields.
    """
    question = _question(given, snapshot, today, policy)
    if question.unknown is Unknown.MODEL:
        found, trials = largest_model(question)
        return report(question, found, trials, is_context=False)
    candidates, is_context = _candidates(question)
    search = _Search(question)
    found_value = search.search(candidates)
    return report(question, found_value, search.trials, is_context=is_context)


def _question(given: SolveRequest, snapshot: Snapshot, today: date, policy: Policy) -> Question:
    unknown = given.unknown
    if unknown is None:
        raise RequestError(FieldError(field="unknown", message="is required.", allowed=", ".join(Unknown)))
    if given.gpu is None and given.budget is None:
        raise RequestError(
            FieldError(field="gpu", message="is required, unless a budget is given.", allowed="a card of the catalogue")
        )
    base = _without(given, unknown)
    if unknown is Unknown.LORA_RANK and given.method is MethodKind.FULL:
        raise RequestError(
            FieldError(
                field="unknown",
                message="is the rank of adapters, which full fine-tuning does not have.",
                allowed="lora_rank with method lora or qlora",
            )
        )
    cards = (find_gpu(given.gpu, snapshot),) if given.gpu is not None else snapshot.gpus
    question = Question(
        given=given,
        unknown=unknown,
        base=base,
        cards=cards,
        snapshot=snapshot,
        today=today,
        policy=_looking_up_once(policy),
    )
    return question if given.gpu is not None else replace(question, cards=_on_offer(question))


def _without(given: SolveRequest, unknown: Unknown) -> Run:
    base = run_of(given, {})
    dropped = {unknown.value, *(("config",) if unknown is Unknown.MODEL else ())}
    return Run.model_validate({name: getattr(base, name) for name in base.model_fields_set - dropped})


def _looking_up_once(policy: Policy) -> Policy:
    """The same policy, which asks the hub and the store of configurations once for all the runs of a question."""
    return replace(
        policy,
        stored_config=cache(policy.stored_config),
        hub=cache(policy.hub) if policy.hub is not None else None,
    )


def _on_offer(question: Question) -> tuple[CatalogueGpu, ...]:
    """The cards that the market has an offer of, whatever its size; all where there is none, to say so of each."""
    market = question.policy.market(question.base, question.snapshot, question.today)
    return tuple(gpu for gpu in question.snapshot.gpus if market.quotes_for(gpu.slug, 1)) or question.snapshot.gpus


def _candidates(question: Question) -> tuple[Sequence[int], bool]:
    """Values from the easiest to hold to the hardest, and whether the model's context is what ends them."""
    unknown = question.unknown
    most = int(FIELDS[unknown.value].maximum or 0)
    if unknown is Unknown.NUM_GPUS:
        return _counts(question), False
    if unknown is Unknown.SEQUENCE_LENGTH:
        context = find_model(question.base, question.snapshot, question.policy).summary.max_position_embeddings
        return (range(1, context + 1), True) if context is not None and context < most else (range(1, most + 1), False)
    if unknown is Unknown.MICRO_BATCH_SIZE and question.base.global_batch_size is not None:
        return _shares_of(question.base.global_batch_size, most, question), False
    return range(1, most + 1), False


def _shares_of(global_batch_size: int, most: int, question: Question) -> Sequence[int]:
    """The micro-batches that make up a global batch."""
    if "gradient_accumulation_steps" in question.base.model_fields_set:
        raise RequestError(
            FieldError(
                field="global_batch_size",
                message="and gradient_accumulation_steps decide the micro-batch; leave one of them out.",
            )
        )
    divisors = [size for size in range(1, min(most, global_batch_size) + 1) if global_batch_size % size == 0]
    return _allowed(question, divisors)


def _counts(question: Question) -> Sequence[int]:
    """Numbers of cards that the run's degrees divide, the most first."""
    base, most = question.base, question.given.max_gpus
    cluster = Cluster(
        tensor_parallel=base.tensor_parallel,
        pipeline_parallel=base.pipeline_parallel,
        context_parallel=base.context_parallel,
        expert_parallel=base.expert_parallel,
    )
    counts: Sequence[int] = [1] if base.strategy is Strategy.SINGLE else counts_of(cluster, most)
    if not counts:
        raise RequestError(FieldError(field="max_gpus", message="is fewer than the parallel degrees take."))
    return counts if base.global_batch_size is None else _allowed(question, counts)


def _allowed(question: Question, values: Sequence[int]) -> list[int]:
    """Those that do not contradict the rest of the request. Raises :class:`RequestError` where all do."""
    allowed = []
    refused: RequestError | None = None
    for value in values:
        try:
            fill_in(question.run_at(value), currency=question.policy.currency)
            allowed.append(value)
        except RequestError as problem:
            refused = problem
    if refused is not None and not allowed:
        raise refused
    return allowed


class _Search:
    """Tries values, each once."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self._tried: dict[int, Trial] = {}
        self._cards = sorted(question.cards, key=lambda gpu: -gpu.device.usable_bytes)

    @property
    def trials(self) -> tuple[Trial, ...]:
        """Every value that was tried."""
        return tuple(self._tried.values())

    def at(self, value: int) -> Trial:
        """The run at one value."""
        if value not in self._tried:
            self._tried[value] = Trial(self._question, value)
        return self._tried[value]

    def search(self, candidates: Sequence[int]) -> Found[Trial]:
        """The furthest value that some card holds within the limits, as trials."""
        if self._question.unknown is Unknown.NUM_GPUS and self._question.has_limits:
            found = self._fewest_within_limits(candidates[::-1])
        elif self._is_hopeless(self.at(candidates[0])):
            found = Found(answer=None, refused=candidates[0])
        else:
            found = furthest(self._fits, candidates, guess=self._guess(candidates))
        return Found(
            answer=None if found.answer is None else self.at(found.answer),
            refused=None if found.refused is None else self.at(found.refused),
        )

    def _is_hopeless(self, easiest: Trial) -> bool:
        """Whether no card can run it or be rented, whatever the value."""
        return all(easiest.on(gpu).refused in {LimitedBy.UNSUPPORTED, LimitedBy.NO_OFFER} for gpu in self._cards)

    def _fewest_within_limits(self, counts: Sequence[int]) -> Found[int]:
        """More cards take less time and not always more money: nothing but trying says which number is the first."""
        rungs = [place for place, count in enumerate(counts) if count <= _DENSE_GPUS or count % _SPARSE_STEP == 0]
        found = first_of(self._fits, counts, sorted({*rungs, len(counts) - 1}))
        if found.answer is not None:
            return found
        # What comes closest to the limits is what the fewest or the most cards take.
        ends = sorted({counts[0], counts[-1]})
        return Found(answer=None, refused=min(ends, key=lambda count: self.at(count).best().order))

    def _fits(self, value: int) -> bool:
        trial, cards = self.at(value), self._cards
        for place, gpu in enumerate(cards):
            if trial.fits(gpu):
                # The card that held this value is asked first about the next.
                cards.insert(0, cards.pop(place))
                return True
        return False

    def _guess(self, candidates: Sequence[int]) -> int:
        """The place to look from on: where the phases of the easiest run, as they grow, meet the largest card."""
        question = self._question
        gpu = self._cards[0]
        if question.unknown is Unknown.NUM_GPUS:
            return self._guess_of_counts(candidates, gpu)
        easiest = self.at(candidates[0])
        gpu = next((card for card in self._cards if easiest.fits(card)), gpu)
        first = easiest.assessment(gpu)
        memory, run = first.memory(gpu.device), first.run
        limit = allocated_within(memory, gpu.device.usable_bytes, allow_tight=question.given.allow_tight)
        if question.unknown is Unknown.MICRO_BATCH_SIZE:
            guess = memory.growth.largest_within(limit)
        elif question.unknown is Unknown.SEQUENCE_LENGTH:
            share = run.context_parallel * run.tensor_parallel
            guess = longest_sequence(memory.growth, run.micro_batch_size, limit) * share
        else:
            guess = self._guess_of_rank(gpu, limit)
        return bisect_right(candidates, guess) - 1

    def _guess_of_rank(self, gpu: CatalogueGpu, limit: int) -> int:
        """Along a line through two ranks, drawn once more from where it leads to: another phase may decide there."""

        def point(rank: int) -> tuple[int, int]:
            return rank, self.at(rank).assessment(gpu).memory(gpu.device).peak_allocated_bytes

        usual = point(_USUAL_RANK)
        guess = along_line(point(1), usual, limit)
        within = min(max(guess, 1), int(FIELDS[Unknown.LORA_RANK.value].maximum or guess))
        if within == _USUAL_RANK:
            return within
        lower, upper = sorted((usual, point(within)))
        return along_line(lower, upper, limit)

    def _guess_of_counts(self, counts: Sequence[int], gpu: CatalogueGpu) -> int:
        """What is sharded is shared out over the cards, and the rest is not."""
        last = len(counts) - 1
        if last < 2 or self._fits(counts[last]):
            return last

        def point(count: int) -> tuple[int, int]:
            return count, self.at(count).assessment(gpu).memory(gpu.device).required.high_bytes

        likely = least_count(point(counts[last - 1]), point(counts[0]), gpu.device.usable_bytes)
        return last - bisect_left(counts[::-1], likely)
