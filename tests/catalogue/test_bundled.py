"""The bundled facts hold together, and follow the rules for memory, prices and names."""

import re
from datetime import date, timedelta
from decimal import Decimal

import pytest

from app.catalogue.bundled import offer_from_sample, read_data
from app.catalogue.facts import HOURS_PER_MONTH, Commitment, Offer, Period
from app.catalogue.snapshot import OfferFilter, Snapshot
from app.units import GIB, MIB


def test_everything_is_there(snapshot: Snapshot) -> None:
    assert len(snapshot.models) == len(read_data("models")["models"]) >= 360
    assert (len(snapshot.gpus), snapshot.offer_count) == (97, 497)
    assert {offer.gpu for offer in snapshot.offers()} <= {gpu.slug for gpu in snapshot.gpus}


def test_a_models_slug_is_its_name_with_hyphens(snapshot: Snapshot) -> None:
    for model in snapshot.models:
        assert model.slug == re.sub(r"[^a-z0-9.]+", "-", model.name.lower()).strip("-")
        assert model.config["model_type"]
        assert model.sources


def test_every_name_and_id_finds_its_own_model(snapshot: Snapshot) -> None:
    for model in snapshot.models:
        assert snapshot.model(model.slug) is model
        assert snapshot.model(model.hub_id) is model
        assert snapshot.model(model.hub_id.upper()) is model
        assert snapshot.model(model.name) is model


def test_every_alias_leads_to_the_model_it_names(snapshot: Snapshot) -> None:
    for row in read_data("aliases")["aliases"]:
        found = snapshot.model(row["alias"])
        assert found is not None
        assert found.slug == row["slug"]
        assert row["why"]


@pytest.mark.parametrize(
    ("slug", "memory_mib", "usable_gib"),
    [("rtx-3090", 24_576, 23.68), ("rtx-4090", 24_564, 23.64), ("h100-sxm", 81_559, 79.18), ("l40s", 46_068, 44.39)],
)
def test_memory_is_what_the_driver_reports(snapshot: Snapshot, slug: str, memory_mib: int, usable_gib: float) -> None:
    gpu = snapshot.gpu(slug)
    assert gpu is not None
    assert gpu.device.memory_bytes == memory_mib * MIB
    assert not gpu.device.memory_is_estimated
    assert gpu.device.usable_bytes == pytest.approx(usable_gib * GIB, abs=1)


def test_forty_five_cards_have_the_drivers_figure_and_the_others_are_marked(snapshot: Snapshot) -> None:
    known = [gpu for gpu in snapshot.gpus if not gpu.device.memory_is_estimated]
    assert len(known) == 45
    assert all(gpu.memory_source.startswith("estimated") for gpu in snapshot.gpus if gpu not in known)


def test_no_card_gives_more_than_it_has_nor_has_more_than_its_label(snapshot: Snapshot) -> None:
    for gpu in snapshot.gpus:
        label = int(gpu.memory_gb * GIB) // gpu.devices_per_board
        # NVIDIA's labels of its 94 to 186 GB parts round down, by up to 2 %.
        assert gpu.device.usable_bytes < gpu.device.memory_bytes <= label * 1.02, gpu.slug
        assert gpu.usable_source
        assert gpu.sources


def test_an_mi250_is_two_devices_of_64_gb(snapshot: Snapshot) -> None:
    gpu = snapshot.gpu("mi250")
    assert gpu is not None
    assert gpu.devices_per_board == 2
    assert 63 * GIB < gpu.device.memory_bytes < 64 * GIB


def test_a_price_of_one_card_is_multiplied_to_the_whole_server() -> None:
    for row in read_data("offers")["offers"]:
        offer = offer_from_sample(row)
        expected = Decimal(row["amount"]) * (row["gpus_per_server"] if row["amount_is_per_gpu"] else 1)
        assert offer.amount == expected
        assert offer.is_sample
        assert offer.order_url is None
        assert len(offer.currency) == 3


def test_a_sample_that_is_not_spot_is_on_demand_with_its_word_kept(snapshot: Snapshot) -> None:
    assert {offer.commitment for offer in snapshot.offers()} == {Commitment.ON_DEMAND, Commitment.SPOT}
    noted = [offer for offer in snapshot.offers() if "listed as: community" in (offer.note or "")]
    assert noted
    assert {offer.commitment for offer in noted} == {Commitment.ON_DEMAND}


def test_old_and_spot_offers_are_off_by_default(snapshot: Snapshot, market: OfferFilter) -> None:
    default = list(snapshot.offers(market))
    assert default
    assert all(offer.commitment is not Commitment.SPOT for offer in default)
    dates = [offer.observed_on for offer in default if offer.observed_on]
    assert min(dates) >= market.today - timedelta(days=365)
    assert any(offer.observed_on is None for offer in default)
    everything = OfferFilter(today=market.today, include_spot=True, max_age_days=None)
    assert len(list(snapshot.offers(everything))) == snapshot.offer_count


def test_the_day_decides_not_the_clock(snapshot: Snapshot) -> None:
    year_2100 = OfferFilter(today=date(2100, 1, 1))
    assert all(offer.observed_on is None for offer in snapshot.offers(year_2100))


def test_hourly_comes_before_monthly_and_currencies_stay_apart(snapshot: Snapshot, market: OfferFilter) -> None:
    for gpu in snapshot.gpus:
        offers = snapshot.offers_for(gpu.slug, market)
        keys = [(offer.period, offer.currency, offer.hourly_amount_per_gpu) for offer in offers]
        assert keys == sorted(keys)


def test_the_best_offers_are_the_cheapest_of_their_kind(snapshot: Snapshot, market: OfferFilter) -> None:
    offers, best = snapshot.offers_for("h100-sxm", market), snapshot.best_offers_for("h100-sxm", market)
    kinds = {(offer.period, offer.currency, offer.gpus_per_server) for offer in offers}
    assert len(best) == len(kinds) > 1
    for chosen in best:
        alike = [
            offer.amount
            for offer in offers
            if (offer.period, offer.currency, offer.gpus_per_server)
            == (chosen.period, chosen.currency, chosen.gpus_per_server)
        ]
        assert chosen.amount == min(alike)


def test_filters_narrow(snapshot: Snapshot, today: date) -> None:
    assert {o.provider for o in snapshot.offers(OfferFilter(today=today, provider="runpod"))} == {"RunPod"}
    assert {o.currency for o in snapshot.offers(OfferFilter(today=today, currencies=frozenset({"GBP"})))} == {"GBP"}
    assert {o.period for o in snapshot.offers(OfferFilter(today=today, period=Period.MONTH))} == {Period.MONTH}
    assert not list(snapshot.offers(OfferFilter(today=today, include_samples=False)))
    assert not list(snapshot.offers(OfferFilter(today=today, region="atlantis")))


def _monthly(**changes: object) -> Offer:
    values: dict[str, object] = {
        "id": "x", "provider": "X", "provider_slug": "x", "gpu": "rtx-4090", "gpus_per_server": 2,
        "amount": Decimal(730), "currency": "EUR", "period": Period.MONTH,
    }  # fmt: skip
    return Offer(**(values | changes))  # type: ignore[arg-type]


def test_a_month_has_730_hours() -> None:
    offer = _monthly()
    assert (offer.hourly_amount, offer.hourly_amount_per_gpu) == (Decimal("1.0000"), Decimal("0.5"))
    assert offer.minimum_hours == HOURS_PER_MONTH
    assert _monthly(minimum_term="3 months").minimum_hours == 3 * HOURS_PER_MONTH
    assert _monthly(period=Period.HOUR).minimum_hours == 1


def test_an_order_link_fills_its_placeholders_safely() -> None:
    offer = _monthly(order_url="https://shop.example/o?gpu={gpu}&ref={ref}&{utm}")
    link = offer.order_link(ref="a&b=\r\nX", utm="utm_source=blog")
    assert link == "https://shop.example/o?gpu=rtx-4090&ref=a%26b%3D%0D%0AX&utm_source=blog"
    assert _monthly().order_link() is None
