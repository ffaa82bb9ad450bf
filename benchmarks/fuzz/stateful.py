"""schemathesis: chains of calls over the whole OpenAPI document, each taking up what earlier ones answered."""

from contextlib import suppress
from math import ceil
from typing import Any, Final

import hypothesis
import schemathesis
from hypothesis import HealthCheck, Phase, Verbosity
from hypothesis.errors import Flaky
from hypothesis.stateful import run_state_machine_as_test
from schemathesis.checks import positive_data_acceptance
from schemathesis.core.failures import FailureGroup

from benchmarks.fuzz.meter import Seen
from benchmarks.fuzz.service import Service

NAME: Final = "chains of API calls (schemathesis, stateful)"
STEPS: Final = 20
"""Calls in one chain at most."""
CHAINS_A_ROUND: Final = 50


def state_machine(service: Service, seen: Seen) -> Any:
    """The machine of schemathesis with the operator's key on every call, which measures and counts."""
    schema = schemathesis.openapi.from_asgi("/openapi.json", service.app)
    base: Any = schema.as_state_machine()
    headers = {"authorization": f"Bearer {service.key}"}

    class Measured(base):  # type: ignore[misc]
        def get_call_kwargs(self, case: Any) -> dict[str, Any]:
            return {"headers": headers}

        def call(self, case: Any, **kwargs: Any) -> Any:
            answered: list[Any] = []
            seen.measured(lambda: answered.append(case.call(**kwargs)), case.as_curl_command)
            return answered[-1]

        def validate_response(self, response: Any, case: Any, **kwargs: Any) -> None:
            # What the schema allows may still be refused: it knows neither the catalogue nor what contradicts what.
            try:
                case.validate_response(response, excluded_checks=[positive_data_acceptance], **kwargs)
            except FailureGroup as group:
                for failure in group.exceptions:
                    seen.failed += 1
                    title = f"{type(failure).__name__} at {case.method} {case.path}: {str(failure)[:300]}"
                    seen.failures.setdefault(title, case.as_curl_command()[:400])

    return Measured


def one_round(machine: Any, calls: int, seed: int) -> None:
    """Chains enough for about that many calls, but not more than a round of them."""
    settings = hypothesis.settings(
        max_examples=min(CHAINS_A_ROUND, ceil(calls / STEPS)),
        stateful_step_count=STEPS,
        phases=[Phase.generate],
        deadline=None,
        database=None,
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
    )
    # The service keeps what it is sent, so a chain need not go the same way twice; hypothesis then ends the round.
    with suppress(Flaky):
        run_state_machine_as_test(hypothesis.seed(seed)(machine), settings=settings)
