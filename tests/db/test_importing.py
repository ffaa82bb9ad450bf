"""Importing price lists into both databases: all or nothing, idempotent, with history, whoever else is at it."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import event, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session

from app.catalogue import repository
from app.catalogue.changes import Mode
from app.catalogue.database import Database
from app.catalogue.importing import (
    FileFormat,
    ImportRefusedError,
    ImportReport,
    edit_offer,
    export_offers,
    import_offers,
    read_price_list,
    withdraw_offer,
)
from app.catalogue.loading import load_bundled
from app.catalogue.rates import import_rates
from app.catalogue.service import CatalogueService
from app.catalogue.tables import AuditEntry, OfferRow
from tests.conftest import TODAY
from tools.postgres import PostgresServer

HEADER = "sku,gpu,amount,currency,period,order_url\n"


def _list(*rows: str) -> bytes:
    return (HEADER + "".join(f"{row}\n" for row in rows)).encode()


def _import(database: Database, content: bytes, *, mode: Mode = Mode.MERGE, dry_run: bool = False) -> ImportReport:
    price_list = read_price_list(content, FileFormat.CSV)
    return import_offers(
        database, price_list, provider="Example Hosting", mode=mode, actor="tester", today=TODAY, dry_run=dry_run
    )


def _prices(database: Database) -> Mapping[str | None, Decimal]:
    with database.reading() as session:
        return {offer.sku: offer.amount for offer in repository.read_offers(session, provider="example-hosting")}


def _rows(session: Session) -> int:
    count: int = session.execute(select(func.count()).select_from(OfferRow)).scalar_one()
    return count


def test_a_list_is_imported_once_and_again_changes_nothing(catalogue_database: Database) -> None:
    content = _list("a,rtx-4090,0.35,USD,hour,", "b,rtx-3090,0.20,USD,hour,")
    first, second = _import(catalogue_database, content), _import(catalogue_database, content)
    assert (len(first.difference.added), first.version) == (2, 2)
    assert (second.difference.is_empty, second.difference.unchanged, second.version) == (True, 2, None)
    assert _prices(catalogue_database) == {"a": Decimal("0.35"), "b": Decimal("0.20")}


def test_merge_leaves_what_the_list_does_not_name_and_replace_withdraws_it(catalogue_database: Database) -> None:
    _import(catalogue_database, _list("a,rtx-4090,0.35,USD,hour,", "b,rtx-3090,0.20,USD,hour,"))
    merged = _import(catalogue_database, _list("a,rtx-4090,0.40,USD,hour,", "c,l40s,1,USD,hour,"))
    assert merged.difference.summary == "1 added, 1 changed, 0 withdrawn, 0 unchanged"
    replaced = _import(catalogue_database, _list("c,l40s,1,USD,hour,"), mode=Mode.REPLACE)
    assert replaced.difference.summary == "0 added, 0 changed, 2 withdrawn, 1 unchanged"
    assert _prices(catalogue_database) == {"c": Decimal(1)}
    with catalogue_database.reading() as session:
        (gone,) = [offer for offer in merged.difference.changed if offer[1].sku == "a"]
        amounts = [record.offer.amount for record in repository.offer_history(session, gone[1].id)]
        others = [offer for offer in repository.read_offers(session) if offer.provider_slug != "example-hosting"]
    assert amounts == [Decimal("0.40"), Decimal("0.35")]
    assert len(others) == 497


def test_a_dry_run_says_what_would_change_and_changes_nothing(catalogue_database: Database) -> None:
    report = _import(catalogue_database, _list("a,rtx-4090,0.35,USD,hour,"), dry_run=True)
    assert (len(report.difference.added), report.version) == (1, None)
    assert _prices(catalogue_database) == {}


def test_one_bad_row_changes_nothing_and_is_named(catalogue_database: Database) -> None:
    content = _list("a,rtx-4090,0.35,USD,hour,", "b,rtx-3090,cheap,USD,hour,")
    with pytest.raises(ImportRefusedError) as refusal:
        _import(catalogue_database, content)
    assert [(error.row, error.field) for error in refusal.value.errors] == [(3, "amount")]
    assert _prices(catalogue_database) == {}


def test_an_export_imports_as_no_change(catalogue_database: Database) -> None:
    _import(catalogue_database, _list("a,rtx-4090,0.350,USD,hour,https://x.example/{gpu}?{utm}", "=b,l4,1,EUR,month,"))
    with catalogue_database.reading() as session:
        offers = repository.read_offers(session, provider="example-hosting")
    exported = export_offers(offers, FileFormat.CSV).encode()
    assert _import(catalogue_database, exported, mode=Mode.REPLACE).difference.is_empty


def test_an_edit_keeps_the_server_and_its_history(catalogue_database: Database) -> None:
    offer = _import(catalogue_database, _list("a,rtx-4090,0.35,USD,hour,")).difference.added[0]
    changed = edit_offer(
        catalogue_database, offer.id, {"amount": "0.5", "region": "eu", "sku": ""}, actor="admin", today=TODAY
    )
    assert changed is not None
    with catalogue_database.reading() as session:
        newest, oldest = repository.offer_history(session, offer.id)
    assert (newest.offer.amount, newest.offer.region, newest.offer.sku) == (Decimal("0.5"), "eu", None)
    assert (newest.recorded_by, oldest.recorded_by, oldest.retired_by) == ("admin", "tester", "admin")
    assert edit_offer(catalogue_database, "unknown", {"amount": "1"}, actor="admin", today=TODAY) is None
    with pytest.raises(ImportRefusedError):
        edit_offer(catalogue_database, offer.id, {"amount": ""}, actor="admin", today=TODAY)


def test_a_withdrawn_offer_can_come_back(catalogue_database: Database) -> None:
    content = _list("a,rtx-4090,0.35,USD,hour,")
    offer = _import(catalogue_database, content).difference.added[0]
    assert withdraw_offer(catalogue_database, offer.id, actor="admin")
    assert not withdraw_offer(catalogue_database, offer.id, actor="admin")
    assert _prices(catalogue_database) == {}
    assert _import(catalogue_database, content).difference.added == (offer,)


def test_every_change_is_in_the_audit_trail(catalogue_database: Database) -> None:
    _import(catalogue_database, _list("a,rtx-4090,0.35,USD,hour,"))
    _import(catalogue_database, _list("a,rtx-4090,0.40,USD,hour,"))
    with catalogue_database.reading() as session:
        entries = session.execute(select(AuditEntry).order_by(AuditEntry.__table__.c.id)).scalars().all()  # type: ignore[attr-defined]
    last = entries[-1]
    assert (last.actor, last.action, last.subject) == ("tester", "offers.import.merge", "Example Hosting")
    assert last.detail["examples"][0] | {"offer": ""} == {"offer": "", "from": "0.35 USD", "to": "0.40 USD"}
    assert last.at.tzinfo is not None


def test_an_own_list_puts_the_providers_samples_away_for_good(catalogue_database: Database) -> None:
    price_list = read_price_list(_list("a,rtx-4090,299,GBP,month,"), FileFormat.CSV)
    import_offers(catalogue_database, price_list, provider="GigaGPU", mode=Mode.REPLACE, actor="tester", today=TODAY)
    service = CatalogueService(catalogue_database)
    mine = [offer for offer in service.snapshot.offers() if offer.provider_slug == "gigagpu"]
    assert [(offer.amount, offer.is_sample) for offer in mine] == [(Decimal(299), False)]
    assert load_bundled(catalogue_database) is None


def test_rates_are_kept_as_history_and_used(catalogue_database: Database) -> None:
    content = b"base,currency,rate,observed_on\nEUR,USD,1.10,2026-11-20\nEUR,GBP,0.80,2026-11-20\n"
    service = CatalogueService(catalogue_database)
    assert service.snapshot.rates.convert(Decimal(1), source="EUR", target="USD") is None
    first = import_rates(catalogue_database, content, is_json=False, actor="tester", today=TODAY)
    again = import_rates(catalogue_database, content, is_json=False, actor="tester", today=TODAY)
    assert (len(first.changed), len(again.changed)) == (2, 0)
    import_rates(catalogue_database, content.replace(b"1.10", b"1.2"), is_json=False, actor="tester", today=TODAY)
    models = service.snapshot.models
    assert service.refresh()
    assert all(new is old for new, old in zip(service.snapshot.models, models, strict=True))
    rates = service.snapshot.rates
    assert rates.convert(Decimal(10), source="EUR", target="USD") == 12
    assert rates.convert(Decimal(8), source="GBP", target="USD") == 12
    assert rates.convert(Decimal(1), source="USD", target="JPY") is None


@pytest.mark.parametrize("bad", [b"EUR,USD,-1,2026-11-20", b"EUR,US,1,2026-11-20", b"EUR,USD,1,2027-11-20", b"EUR,USD"])
def test_bad_rates_change_nothing(database: Database, bad: bytes) -> None:
    content = b"base,currency,rate,observed_on\nEUR,GBP,0.8,2026-11-20\n" + bad + b"\n"
    with pytest.raises(ImportRefusedError):
        import_rates(database, content, is_json=False, actor="tester", today=TODAY)
    with database.reading() as session:
        assert repository.latest_version(session) == 0


def test_two_importers_at_once_both_get_through(catalogue_database: Database) -> None:
    failures: list[BaseException] = []

    def work(name: str) -> None:
        try:
            for price in range(1, 6):
                _import(catalogue_database, _list(f"{name},rtx-4090,{price},USD,hour,", f"shared,l4,{price},USD,hour,"))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert _prices(catalogue_database) == dict.fromkeys(("a", "b", "c", "shared"), Decimal(5))
    with catalogue_database.reading() as session:
        assert _rows(session) == 497 + 3 * 5 + _shared_rows(session)


def _shared_rows(session: Session) -> int:
    history = [o for o in repository.read_offers(session, provider="example-hosting") if o.sku == "shared"]
    return len(repository.offer_history(session, history[0].id))


@pytest.mark.slow
def test_an_importer_killed_in_the_middle_leaves_nothing_behind(catalogue_database: Database, tmp_path: Path) -> None:
    before = _list(*(f"s{number},rtx-4090,1,USD,hour," for number in range(10)))
    _import(catalogue_database, before)
    big = tmp_path / "big.csv"
    big.write_bytes(_list(*(f"s{number},rtx-4090,2,USD,hour," for number in range(5_000))))
    environment = os.environ | {"DATABASE_URL": catalogue_database.engine.url.render_as_string(hide_password=False)}
    command = [sys.executable, "-m", "tests.db.slow_import", str(big)]
    importer = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
    assert importer.stdout is not None
    assert importer.stdout.readline() == b"inside\n"
    importer.send_signal(signal.SIGKILL)
    importer.wait()
    assert set(_prices(catalogue_database).values()) == {Decimal(1)}
    assert _import(catalogue_database, before).difference.is_empty
    assert len(_import(catalogue_database, _list("s1,rtx-4090,3,USD,hour,")).difference.changed) == 1


def _trouble(service: CatalogueService) -> str | None:
    return service.state.database_error


@pytest.mark.postgres
def test_reads_go_on_from_the_snapshot_while_the_database_is_away(
    postgres_catalogue: Database, postgres_server: PostgresServer
) -> None:
    service = CatalogueService(postgres_catalogue)
    postgres_server.stop()
    try:
        assert not service.refresh()
        assert _trouble(service)
        assert service.snapshot.offer_count == 497
        with pytest.raises(SQLAlchemyError):
            _import(postgres_catalogue, _list("a,rtx-4090,0.35,USD,hour,"))
    finally:
        postgres_server.start()
    service.refresh()
    assert not _trouble(service)
    assert _prices(postgres_catalogue) == {}
    _import(postgres_catalogue, _list("a,rtx-4090,0.35,USD,hour,"))
    assert service.refresh()


def test_a_full_disk_loses_nothing_and_says_so(sqlite_catalogue: Database) -> None:
    with sqlite_catalogue.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    event.listen(sqlite_catalogue.engine, "connect", lambda raw, _: raw.execute(f"PRAGMA max_page_count={pages + 20}"))
    sqlite_catalogue.engine.dispose()
    content = _list(*(f"s{number},rtx-4090,2,USD,hour," for number in range(5_000)))
    with pytest.raises(SQLAlchemyError, match="full"):
        _import(sqlite_catalogue, content)
    assert _prices(sqlite_catalogue) == {}
    assert CatalogueService(sqlite_catalogue).snapshot.offer_count == 497


@pytest.mark.slow
def test_many_offers_are_imported_at_the_pace_of_a_hundred_thousand_a_minute(catalogue_database: Database) -> None:
    count = 20_000
    cards = ("rtx-4090", "rtx-3090", "h100-sxm", "l40s", "a100-80gb-sxm")
    rows = [f"s{number},{cards[number % 5]},{1 + number % 900}.{number % 100:02d},USD,hour," for number in range(count)]
    start = time.monotonic()
    _import(catalogue_database, _list(*rows))
    assert time.monotonic() - start < 60 * count / 100_000
    rows[7_777] = "s7777,rtx-4090,free,USD,hour,"
    with pytest.raises(ImportRefusedError) as refusal:
        _import(catalogue_database, _list(*rows))
    assert [error.row for error in refusal.value.errors] == [7_779]
    assert len(_prices(catalogue_database)) == count


def test_today_bounds_what_may_have_been_observed(catalogue_database: Database) -> None:
    price_list = read_price_list(b"gpu,amount,currency,period,observed_on\nl4,1,USD,hour,2026-11-24\n", FileFormat.CSV)
    with pytest.raises(ImportRefusedError, match="1 errors"):
        import_offers(catalogue_database, price_list, provider="X", mode=Mode.MERGE, actor="t", today=date(2026, 1, 1))
