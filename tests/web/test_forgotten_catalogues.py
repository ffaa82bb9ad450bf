"""A catalogue that was replaced is forgotten, and all that pages were made of it."""

import gc
import weakref
from datetime import date, timedelta

from app.catalogue.bundled import bundled_snapshot
from app.web.answer import DAYS_KEPT, card_labels, choices
from app.web.formatting import MemoryUnit
from app.web.language import formatter
from app.web.pages import published

TODAY = date(2026, 11, 24)


def test_what_pages_are_made_of_does_not_hold_a_catalogue_that_was_replaced() -> None:
    snapshot = bundled_snapshot()
    lists = choices(snapshot, TODAY)
    assert lists.labels is card_labels(snapshot)
    published(snapshot, formatter("en-GB", MemoryUnit.GB))
    held = weakref.ref(snapshot)
    del snapshot
    gc.unfreeze()  # a service may have begun meanwhile, which tells the collector to leave alone what is there
    gc.collect()
    assert held() is None


def test_the_lists_of_a_catalogue_are_made_once_a_day_and_of_old_days_forgotten() -> None:
    snapshot = bundled_snapshot()
    first = choices(snapshot, TODAY)
    assert choices(snapshot, TODAY) is first
    for days in range(1, DAYS_KEPT + 1):
        assert choices(snapshot, TODAY + timedelta(days=days)) is not first
    assert choices(snapshot, TODAY) is not first
