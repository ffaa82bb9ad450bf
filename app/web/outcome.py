"""One answered run as the views take it: the results, what the visitor chose, and how to name and order cards."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from app.memory.inputs import MethodKind
from app.services.by_count import CountFit
from app.services.cards import CardOnRun, Cards
from app.services.estimate import Outlook
from app.services.results import EstimateResult, OfferReport
from app.web.links import RunFields

OrderLink = Callable[[OfferReport], str]
"""Where an offer is ordered; empty where it cannot be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """A run's estimate beside the same run by each method."""

    run: Outlook
    by_method: Mapping[MethodKind, Outlook]
    """The same run by each method that it can be done with, in the order of ``MethodKind``."""
    chosen: RunFields
    """What a link to this result carries."""
    labels: Mapping[str, str]
    """What each card is sold as, such as ``24 GB``, by slug."""
    order: OrderLink
    by_count: tuple[CountFit, ...] = ()
    """The run on more cards, where their number is a question."""
    contact_url: str = ""
    """Where the operator may be asked about this run; empty where nobody is to be asked."""

    @property
    def methods(self) -> Sequence[EstimateResult]:
        """The estimates by method."""
        return tuple([found.result for found in self.by_method.values()])

    @property
    def outlooks(self) -> Sequence[Outlook]:
        """The run by each method, of which not everything need be worked out."""
        return tuple(self.by_method.values())

    def cards_of(self, result: EstimateResult) -> Cards:
        """The catalogue's cards against one of the ``methods``."""
        return self.by_method[result.run.method].cards

    @property
    def result(self) -> EstimateResult:
        """The run's estimate."""
        return self.run.result

    @property
    def cards(self) -> Cards:
        """The catalogue's cards against the run."""
        return self.run.cards

    @property
    def chosen_card(self) -> CardOnRun | None:
        """The card that the run was judged for, if one was chosen."""
        verdict = self.result.verdict
        return self.run.cards.by_slug.get(verdict.gpu) if verdict else None
