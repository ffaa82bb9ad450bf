"""schemathesis over the whole OpenAPI document: whatever is sent, the answer is one that the document declares."""

from datetime import date
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase
from schemathesis.checks import positive_data_acceptance

from app.catalogue.snapshot import Snapshot
from app.main import create_app
from app.settings import Settings
from tests.api.conftest import ConfigsInMemory

# The operations are found while tests are collected, before any fixture exists.
schema = schemathesis.openapi.from_asgi(
    "/openapi.json",
    create_app(Settings(), snapshot=Snapshot.bundled(), configs=ConfigsInMemory(), today=lambda: date(2026, 11, 24)),
)


@pytest.mark.slow
@schema.parametrize()
@hypothesis.settings(
    max_examples=15,  # of each operation; `make fuzz` sends them half a million
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_any_request_gets_a_declared_answer(case: "schemathesis.Case[Any]") -> None:
    # What the schema allows may still be refused with 422: a schema knows neither the catalogue's models nor which
    # fields contradict each other.
    case.call_and_validate(excluded_checks=[positive_data_acceptance])
