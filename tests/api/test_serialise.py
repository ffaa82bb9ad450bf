"""The fast serialiser writes what pydantic writes."""

from datetime import date

from pydantic import TypeAdapter

from app.api.serialise import Serialiser
from app.catalogue.snapshot import Snapshot
from app.request import RecommendRequest, parse_json
from app.services.estimate import estimate
from app.services.recommend import recommend
from app.services.results import EstimateResult, RecommendResult


def test_an_estimate_is_written_as_pydantic_would(snapshot: Snapshot, today: date) -> None:
    run = parse_json({"model": "mistral-7b-v0.1", "method": "qlora", "gpu": "rtx-3090", "gpus": "all"})
    result = estimate(run, snapshot, today)
    assert Serialiser[EstimateResult](EstimateResult)(result) == TypeAdapter(EstimateResult).dump_json(result)


def test_a_recommendation_is_written_as_pydantic_would(snapshot: Snapshot, today: date) -> None:
    given = parse_json({"model": "llama-3-8b", "limit": 3}, model=RecommendRequest)
    result = recommend(given, snapshot, today)
    assert Serialiser[RecommendResult](RecommendResult)(result) == TypeAdapter(RecommendResult).dump_json(result)
