"""The run of a request against cards: the pieces that estimate, compare and recommend share."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TypeVar

from pydantic import ValidationError

from app.catalogue.facts import CatalogueGpu
from app.catalogue.snapshot import Snapshot
from app.memory.config import ConfigError
from app.memory.device import Device, Verdict
from app.memory.estimate import estimate_memory, needed, on_card
from app.memory.overheads import workspace_bytes
from app.memory.result import MemoryEstimate, Needed
from app.memory.verdict import judge
from app.request import FieldError, Groups, RequestError, ResolvedRun, Run, fill_in, resolve
from app.services.counts import fewest_gpus
from app.services.lookup import FoundModel, check_degrees, check_targets, find_model
from app.services.market import Market, Quote, node_of
from app.services.pace import Stopwatch
from app.services.policy import Policy
from app.services.results import FieldValue
from app.services.strategy import settle_strategy
from app.services.switches import Evaluated, Switch, evaluate, switches

Modelled = TypeVar("Modelled")


@dataclass(kw_only=True, slots=True)
class Assessment:
    """One request, filled in and mapped, with the estimates made for it so far."""

    resolved: ResolvedRun
    model: FoundModel
    groups: Groups
    snapshot: Snapshot
    policy: Policy
    today: date
    market: Market
    """The offers that count for this run."""
    evaluations: int = 0
    _by_workspace: dict[int, MemoryEstimate] = field(default_factory=dict)
    _stopwatch: Stopwatch | None = None

    @classmethod
    def of(cls, given: Run, snapshot: Snapshot, today: date, policy: Policy) -> "Assessment":
        """Fill in a request. Raises :class:`RequestError`."""
        model = find_model(given, snapshot, policy)
        resolved = resolve(given, currency=policy.currency)
        check_targets(resolved.run, model.architecture)
        check_degrees(resolved.run, model.architecture)
        card = snapshot.gpu(given.gpu) if given.gpu else None
        resolved, groups = settle_strategy(
            resolved, model.architecture, card.device.usable_bytes if card is not None else None
        )
        return cls(
            resolved=resolved,
            model=model,
            groups=groups,
            snapshot=snapshot,
            policy=policy,
            today=today,
            market=policy.market(resolved.run, snapshot, today),
        )

    @property
    def run(self) -> Run:
        """The run with every field filled in."""
        return self.resolved.run

    @property
    def stopwatch(self) -> Stopwatch:
        """Tells how long the job takes on a card."""
        if self._stopwatch is None:
            self._stopwatch = Stopwatch(self.model.architecture, self.groups)
        return self._stopwatch

    def memory(self, device: Device | None = None) -> MemoryEstimate:
        """What the run takes on a card (or on any, where none is named). Raises :class:`RequestError`."""
        # Of a card the estimate reads the size of its library workspaces and its context, so cards share estimates.
        key = workspace_bytes(device)
        known = self._by_workspace.get(key)
        if known is None:
            known = self._by_workspace[key] = self.memory_of(self.run, self.groups, device)
        return on_card(known, device)

    def some_memory(self) -> MemoryEstimate:
        """What the run takes on one card or another: one that was estimated already, if any was."""
        return next(iter(self._by_workspace.values()), None) or self.memory()

    def memory_of(self, run: Run, groups: Groups, device: Device | None) -> MemoryEstimate:
        """What another run of the same model takes."""
        self.evaluations += 1
        return self._modelled(estimate_memory, run, groups, device)

    def _modelled(self, model: Callable[..., Modelled], run: Run, groups: Groups, device: Device | None) -> Modelled:
        try:
            return model(
                self.model.architecture,
                groups.method,
                groups.precision,
                groups.batch,
                groups.cluster,
                device=device,
                include_workspaces=run.include_workspaces,
            )
        except ConfigError as problem:
            raise RequestError(
                FieldError(field=problem.field, message=problem.message, allowed=problem.allowed)
            ) from None

    def judged(self, gpu: CatalogueGpu) -> tuple[MemoryEstimate, Verdict, str]:
        """The run on a card: what it takes, whether the card holds it, and why."""
        estimate = self.memory(gpu.device)
        verdict, reason = judge(estimate, gpu.device, self.groups.method, self.groups.precision, self.groups.batch)
        return estimate, verdict, reason

    def fewest_gpus(self, gpu: CatalogueGpu) -> int | None:
        """The smallest number of these cards that holds the run, fully sharded, or None."""
        return fewest_gpus(self.model.architecture, self.groups, gpu.device)

    def servers(self, gpu: CatalogueGpu) -> tuple[Quote, ...]:
        """The offer that the run names, if that has enough of the card, or the cheapest servers that have, by the hour
        and by the month."""
        named = self.named_offer(gpu)
        if named is not None:
            return (named,)
        cluster = self.groups.cluster
        return self.market.quotes_for(gpu.slug, cluster.num_gpus, gpus_per_node=node_of(cluster))

    def named_offer(self, gpu: CatalogueGpu) -> Quote | None:
        """The offer that the run names, where there is one and it is of this card and enough."""
        if self.run.offer is None:
            return None
        cluster = self.groups.cluster
        return self.market.quote_of(self.run.offer, gpu.slug, cluster.num_gpus, gpus_per_node=node_of(cluster))

    def savings(self, device: Device | None) -> list[Evaluated]:
        """The single changes that save memory, evaluated."""

        def needs(run: Run, groups: Groups) -> int:
            return self.needed(run, groups, device).required_bytes

        def model(run: Run, groups: Groups) -> MemoryEstimate:
            return self._modelled(estimate_memory, run, groups, device)

        return evaluate(self.memory(device).required_bytes, self.switches(), self.with_switch, needs, model)

    def switches(self) -> Iterator[Switch]:
        """The single changes that could save memory."""
        return switches(self.run, self.model.summary.model_type)

    def with_switch(self, switch: Switch) -> Run | None:
        """The run with a switch turned, or None where that contradicts the request or leaves a field's bounds."""
        return self.changed(switch.changes)

    def changed(self, changes: Mapping[str, FieldValue]) -> Run | None:
        """The run with fields changed to values of their types that are within their bounds; None as above."""
        if self.run.num_gpus > 1 or "method" in changes:
            # What was filled in depends on these: a stack's values on the method, the strategy on what it is to hold.
            return self.with_changes(changes)
        return self.run.model_copy(update=changes)

    def needed(self, run: Run, groups: Groups, device: Device | None) -> Needed:
        """What a card must have for another run of the same model."""
        self.evaluations += 1
        return self._modelled(needed, run, groups, device)

    def with_changes(self, changes: Mapping[str, FieldValue]) -> Run | None:
        """The run with fields changed and everything not given filled in anew."""
        given = self.resolved.given
        values = {name: getattr(given, name) for name in given.model_fields_set}
        values.update(changes)
        if "method" in changes:
            # The stack fills these differently for each method, and a quantisation decides the method.
            values.pop("quantization", None)
        if "micro_batch_size" in changes:
            values.pop("global_batch_size", None)
        try:
            return fill_in(Run.model_validate(values), currency=self.policy.currency)
        except (RequestError, ValidationError):
            return None
