"""``/go/…``: on to the stored link and nowhere else."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

import pytest
from fastapi.testclient import TestClient

from app.catalogue.facts import Offer
from app.catalogue.snapshot import Snapshot
from app.services.contact import contact_link
from app.settings import Settings
from app.web.embed.query import Campaign
from app.web.orders import CONTACT_CLICKS, ORDER_CLICKS, destination, order_path
from tests.web.embedding import with_order_links
from tests.web.reading import Page
from tests.web.test_embed_frames import visitor

CAMPAIGN = Campaign.of({"ref": "partner-1", "utm_source": "blog", "utm_medium": "widget"})


@pytest.fixture(scope="module")
def shop(snapshot: Snapshot) -> Iterator[TestClient]:
    with visitor(with_order_links(snapshot)) as client:
        yield client


@pytest.fixture(scope="module")
def offer(snapshot: Snapshot) -> Offer:
    return next(with_order_links(snapshot).offers())


def clicks(offer: Offer) -> float:
    return float(ORDER_CLICKS.labels(provider=offer.provider_slug, gpu=offer.gpu)._value.get())


def test_a_click_goes_to_the_stored_link_with_ref_and_utm_and_is_counted(
    shop: TestClient, offer: Offer, caplog: pytest.LogCaptureFixture
) -> None:
    before = clicks(offer)
    with caplog.at_level(logging.INFO):
        response = shop.get(order_path(offer.id, CAMPAIGN))
    assert response.status_code == 302
    assert response.headers["cache-control"] == "no-store"
    parts = urlsplit(response.headers["location"])
    assert (parts.scheme, parts.netloc, parts.path) == ("https", "shop.example", f"/order/{offer.gpu}")
    assert dict(parse_qsl(parts.query)) == {
        "ref": "partner-1",
        "plan": "bare",
        "utm_source": "blog",
        "utm_medium": "widget",
    }
    assert clicks(offer) == before + 1
    assert any(record.message == "order_click" for record in caplog.records)


def test_checks_and_guesses_are_not_counted(shop: TestClient, offer: Offer) -> None:
    before = clicks(offer)
    assert shop.head(order_path(offer.id)).status_code == 302
    assert shop.get(order_path(offer.id), headers={"sec-purpose": "prefetch"}).status_code == 302
    assert clicks(offer) == before


@pytest.mark.parametrize(
    "query",
    [
        "url=https://evil.example",
        "ref=https://evil.example/",
        "utm_source=%0d%0aLocation:%20https://evil.example",
        "ref=..%2f..%2f&next=//evil.example",
        "utm_source=x%26redirect%3Dhttps://evil.example",
    ],
)
def test_nothing_in_the_query_changes_where_it_leads(shop: TestClient, offer: Offer, query: str) -> None:
    response = shop.get(f"/go/{offer.id}?{query}")
    location = urlsplit(response.headers["location"])
    assert (location.scheme, location.netloc, location.path) == ("https", "shop.example", f"/order/{offer.gpu}")
    assert "\r" not in response.headers["location"]
    assert {name for name, _ in parse_qsl(location.query)} <= {"ref", "plan", "utm_source"}


@pytest.mark.parametrize("name", ["nothing", "https:%2f%2fevil.example", "%2f%2fevil.example", "..%2f..%2fetc"])
def test_an_unknown_offer_is_not_found(shop: TestClient, name: str) -> None:
    assert shop.get(f"/go/{name}").status_code == 404


def test_an_offer_without_a_link_is_not_found(snapshot: Snapshot) -> None:
    with visitor(snapshot) as client:
        assert client.get(f"/go/{next(snapshot.offers()).id}").status_code == 404


@pytest.mark.parametrize(
    "link", ["javascript:alert(1)", "data:text/html,x", "//evil.example", "/local", "ftp://shop.example/x"]
)
def test_only_web_addresses_are_gone_to(offer: Offer, link: str) -> None:
    assert destination(replace(offer, order_url=link), CAMPAIGN) is None


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("https://shop.example/o", "https://shop.example/o?ref=partner-1&utm_source=blog&utm_medium=widget"),
        (
            "https://shop.example/o?a=1#top",
            "https://shop.example/o?a=1&ref=partner-1&utm_source=blog&utm_medium=widget#top",
        ),
        (
            "https://shop.example/o?{utm}&r={ref}",
            "https://shop.example/o?utm_source=blog&utm_medium=widget&r=partner-1",
        ),
        (
            "https://shop.example/o?utm_source=own&ref=own",
            "https://shop.example/o?utm_source=own&ref=own&utm_medium=widget",
        ),
    ],
)
def test_the_campaign_fills_placeholders_and_never_replaces_what_is_there(
    offer: Offer, link: str, expected: str
) -> None:
    assert destination(replace(offer, order_url=link), CAMPAIGN) == expected


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("https://shop.example/o?partner={ref}&{utm}", "https://shop.example/o"),
        ("https://shop.example/o?plan=a&partner={ref}&{utm}#top", "https://shop.example/o?plan=a#top"),
        ("https://shop.example/o?plan=a", "https://shop.example/o?plan=a"),
    ],
)
def test_a_link_without_a_campaign_has_no_empty_parts(offer: Offer, link: str, expected: str) -> None:
    linked = replace(offer, order_url=link)
    assert linked.order_link() == expected
    assert destination(linked, Campaign.of({})) == expected


def test_a_frame_carries_its_campaign_into_its_order_links(shop: TestClient) -> None:
    text = shop.get("/embed/result?model=llama-3-8b&method=qlora&gpu=rtx-3090&ref=partner-1&utm_source=blog").text
    assert "?ref=partner-1&amp;utm_source=blog" in text


@pytest.mark.parametrize(
    ("contact", "expected"),
    [
        (None, None),
        ("https://harbour.example/talk", "https://harbour.example/talk?run=https%3A%2F%2Ffit.example%2F%3Fmodel%3Dx"),
        ("https://harbour.example/talk?run=mine", "https://harbour.example/talk?run=mine"),
        (
            "mailto:sales@harbour.example",
            "mailto:sales@harbour.example?subject=QLoRA%20of%20x&body=https%3A%2F%2Ffit.example%2F%3Fmodel%3Dx",
        ),
    ],
)
def test_a_contact_address_carries_the_run(contact: str | None, expected: str | None) -> None:
    assert contact_link(contact, "https://fit.example/?model=x", "QLoRA of x") == expected


def test_contact_and_overview_clicks_are_counted(snapshot: Snapshot) -> None:
    settings = Settings(contact_url="mailto:sales@harbour.example", browse_url="https://harbour.example/servers")
    with visitor(snapshot, settings) as client:
        before = CONTACT_CLICKS.labels(page="contact")._value.get()
        sent = client.get("/go/contact?model=llama-3-8b&method=qlora&url=https://evil.example")
        assert sent.headers["location"].startswith("mailto:sales@harbour.example?subject=Fine-tuning%20Llama%203%208B")
        assert "evil" not in sent.headers["location"]
        assert CONTACT_CLICKS.labels(page="contact")._value.get() == before + 1
        assert client.get("/go/contact?lora_rank=abc").status_code == 302


def test_the_api_gives_the_contact_link_with_the_run(snapshot: Snapshot) -> None:
    settings = Settings(contact_url="https://harbour.example/talk", public_url="https://fit.example")
    with visitor(snapshot, settings) as client:
        answer = client.get("/api/v1/recommend?model=llama-3-70b&method=full&sequence_length=4096").json()
        query = dict(parse_qsl(urlsplit(answer["contact_url"]).query))
        assert query["run"] == "https://fit.example/?model=llama-3-70b&method=full&sequence_length=4096"
    with visitor(snapshot) as client:
        assert client.get("/api/v1/recommend?model=llama-3-8b&method=qlora").json()["contact_url"] is None


def test_pages_show_the_operators_colour_picture_and_where_to_turn(snapshot: Snapshot) -> None:
    settings = Settings(
        brand_colour="#B4400F", contact_url="https://harbour.example/talk", browse_url="https://harbour.example/all"
    )
    path = "/?model=llama-3-70b&method=full&sequence_length=4096"
    with visitor(snapshot, settings) as client:
        page = Page(client.get(path).text)
        assert "/brand/b4400f.css" in page.attribute("link", "href")
        turns = {a.text: a.attributes["href"] for a in page.all("a") if a.attributes.get("href", "").startswith("/go/")}
        assert set(turns) == {"Ask us about this run", "See all servers"}
        assert "sequence_length=4096" in turns["Ask us about this run"]
        (picture,) = [e.attributes["content"] for e in page.all("meta") if e.attributes.get("property") == "og:image"]
        assert client.get(picture).headers["content-type"] == "image/png"
    with visitor(with_order_links(snapshot), settings) as client:
        text = client.get("/?model=llama-3-8b&method=qlora&gpu=rtx-3090").text
        assert "Ask us about this run" not in text
        assert 'href="/go/' in text
