"""schemathesis: chains of calls over the whole OpenAPI document, each taking up what earlier ones answered."""

from contextlib import suppress
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Final

import hypothesis
import schemathesis
from hypothesis import HealthCheck, Phase, Verbosity
from hypothesis.errors import Flaky
from hypothesis.stateful import run_state_machine_as_test
from schemathesis.checks import positive_data_acceptance
from schemathesis.core.failures import FailureGroup
from starlette.types import Receive, Scope, Send

from benchmarks.fuzz.meter import Outcome, Seen
from benchmarks.fuzz.service import Answer, Asked
from benchmarks.fuzz.subject import Subject

STEPS: Final = 20
"""Calls in one chain at most."""
CHAINS_A_ROUND: Final = 50
_ESCAPED: Final = Answer(status=500, headers=(), content=b"")
"""What a server would answer in place of an exception that escaped the application."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Distant:
    """The application of the other process, called as if it were in this one."""

    subject: Subject
    outcomes: list[Outcome] = field(default_factory=list)
    """Of the requests since it was last emptied."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; what belongs to the start and the end of a server is not needed twice."""
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        query = scope["query_string"]
        outcome = self.subject.answer(
            Asked(
                method=scope["method"],
                target=scope["raw_path"] + (b"?" + query if query else b""),
                content=await _whole(receive),
                headers=[(bytes(name), bytes(value)) for name, value in scope["headers"]],
            )
        )
        self.outcomes.append(outcome)
        answer: Answer = outcome.answer or _ESCAPED
        await send({"type": "http.response.start", "status": answer.status, "headers": list(answer.headers)})
        await send({"type": "http.response.body", "body": answer.content})


async def _whole(receive: Receive) -> bytes:
    parts, goes_on = [], True
    while goes_on:
        message = await receive()
        parts.append(message.get("body", b""))
        goes_on = message.get("more_body", False)
    return b"".join(parts)


def state_machine(subject: Subject, seen: Seen) -> Any:
    """The machine of schemathesis with the operator's key on every call, which counts."""
    distant = Distant(subject=subject)
    schema = schemathesis.openapi.from_asgi("/openapi.json", distant)
    base: Any = schema.as_state_machine()
    headers = {"authorization": f"Bearer {subject.key}"}

    class Counted(base):  # type: ignore[misc]
        def get_call_kwargs(self, case: Any) -> dict[str, Any]:
            return {"headers": headers}

        def call(self, case: Any, **kwargs: Any) -> Any:
            distant.outcomes.clear()
            answer = case.call(**kwargs)
            for outcome in distant.outcomes:
                seen.count(outcome, case.as_curl_command)
            return answer

        def validate_response(self, response: Any, case: Any, **kwargs: Any) -> None:
            # What the schema allows may still be refused: it knows neither the catalogue nor what contradicts what.
            try:
                case.validate_response(response, excluded_checks=[positive_data_acceptance], **kwargs)
            except FailureGroup as group:
                for failure in group.exceptions:
                    seen.failed += 1
                    title = f"{type(failure).__name__} at {case.method} {case.path}: {str(failure)[:300]}"
                    seen.failures.setdefault(title, case.as_curl_command()[:400])

    return Counted


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
