"""Loading the bundled catalogue, and noticing changes of it, on both databases."""

import time
from dataclasses import replace
from decimal import Decimal

import pytest

from app.catalogue import repository
from app.catalogue.bundled import offer_from_sample, read_data
from app.catalogue.changes import Mode, apply, difference
from app.catalogue.database import Database
from app.catalogue.facts import Offer
from app.catalogue.loading import load_bundled
from app.catalogue.service import CatalogueService
from app.catalogue.snapshot import Snapshot
from app.settings import Settings


def _change_price(database: Database, offer_id: str, amount: str, actor: str = "tester") -> None:
    with database.changing_catalogue() as session:
        current = repository.read_offers(session)
        wanted = [replace(offer, amount=Decimal(amount)) for offer in current if offer.id == offer_id]
        apply(session, difference(current, wanted, Mode.MERGE), actor=actor, action="offers.edit", subject="a test")


def _change_price_and_fail(database: Database, offer: Offer) -> None:
    with database.changing_catalogue() as session:
        change = difference([offer], [replace(offer, amount=Decimal(9))], Mode.MERGE)
        apply(session, change, actor="tester", action="offers.edit", subject="a test")
        raise RuntimeError("the power went")


def test_the_database_gives_back_what_the_bundle_holds(catalogue_database: Database) -> None:
    bundled, loaded = Snapshot.bundled(), CatalogueService(catalogue_database).snapshot
    assert loaded.models == bundled.models
    assert loaded.gpus == bundled.gpus
    assert list(loaded.offers()) == list(bundled.offers())
    assert loaded.model("mistral") == bundled.model("mistral")


def test_loading_twice_changes_nothing(catalogue_database: Database) -> None:
    assert load_bundled(catalogue_database) is None
    assert CatalogueService(catalogue_database).snapshot.version == "1"


def test_a_changed_price_is_swapped_in_and_its_history_kept(catalogue_database: Database) -> None:
    service = CatalogueService(catalogue_database)
    before = service.snapshot
    offer = next(before.offers())
    assert not service.refresh()
    _change_price(catalogue_database, offer.id, "0.123456789")
    assert service.refresh()
    after = service.snapshot.offer(offer.id)
    assert after is not None
    assert after.amount == Decimal("0.123456789")
    assert before.offer(offer.id) == offer
    assert service.snapshot.version == "2"
    assert service.snapshot.models[0] is before.models[0]
    with catalogue_database.reading() as session:
        newest, oldest = repository.offer_history(session, offer.id)
    assert (newest.offer.amount, newest.recorded_by, newest.retired_at) == (after.amount, "tester", None)
    assert (oldest.offer, oldest.retired_by) == (offer, "tester")
    assert oldest.retired_at == newest.recorded_at


def test_a_replica_that_looks_every_second_notices(catalogue_database: Database) -> None:
    assert Settings().catalogue_poll_seconds <= 1
    service = CatalogueService(catalogue_database, poll_seconds=Settings().catalogue_poll_seconds)
    offer = next(service.snapshot.offers())
    service.start()
    try:
        _change_price(catalogue_database, offer.id, "77")
        # a busy machine may be late; each replica looks every second
        end = time.monotonic() + 20
        while time.monotonic() < end:
            seen = service.snapshot.offer(offer.id)
            if seen is not None and seen.amount == 77:
                return
            time.sleep(0.02)
        pytest.fail("the new price was never seen")
    finally:
        service.stop()


def test_withdrawn_offers_leave_the_snapshot_but_not_the_history(catalogue_database: Database) -> None:
    service = CatalogueService(catalogue_database)
    samples = [offer_from_sample(row) for row in read_data("offers")["offers"]]
    with catalogue_database.changing_catalogue() as session:
        change = difference(repository.read_offers(session), samples[10:], Mode.REPLACE)
        apply(session, change, actor="tester", action="offers.import", subject="fewer samples")
    service.refresh()
    assert service.snapshot.offer_count == len(samples) - 10
    with catalogue_database.reading() as session:
        assert len(repository.offer_history(session, samples[0].id)) == 1


def test_an_error_in_the_middle_changes_nothing(catalogue_database: Database) -> None:
    service = CatalogueService(catalogue_database)
    offer = next(service.snapshot.offers())
    with pytest.raises(RuntimeError, match="the power went"):
        _change_price_and_fail(catalogue_database, offer)
    assert not service.refresh()
    assert CatalogueService(catalogue_database).snapshot.offer(offer.id) == offer
