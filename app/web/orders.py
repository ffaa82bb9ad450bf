"""``/go/…``: on to an offer's order page or the operator's own pages and nowhere else, counted."""

import logging
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from fastapi import APIRouter, Request
from prometheus_client import Counter
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from app.api.state import state_of
from app.catalogue.facts import Offer
from app.request import RequestError, Run, parse_query
from app.services.contact import contact_link
from app.web.embed.query import Campaign
from app.web.links import RunFields, chosen_fields, page_link, run_query

logger = logging.getLogger(__name__)
router = APIRouter(include_in_schema=False)

GO_PATH: Final = "/go/"

ORDER_CLICKS: Final = Counter(
    "vram_fit_order_clicks", "Visitors sent on to an order page, by provider and card.", ["provider", "gpu"]
)

CONTACT_CLICKS: Final = Counter(
    "vram_fit_contact_clicks", "Visitors sent on to the operator's contact or overview page.", ["page"]
)


def order_path(offer_id: str, campaign: Campaign | None = None) -> str:
    """The address on this site that leads to an offer's order page; the campaign travels along."""
    pairs = campaign.pairs if campaign is not None else ()
    query = f"?{urlencode(pairs, quote_via=quote)}" if pairs else ""
    return f"{GO_PATH}{quote(offer_id, safe='')}{query}"


def destination(offer: Offer, campaign: Campaign) -> str | None:
    """An offer's order page with the campaign in it, or None where it has none that a browser may be sent to.

    Placeholders take the campaign where the operator put them; what has no placeholder is appended, never replacing
    a parameter that the stored link already has.
    """
    link = offer.order_link(ref=campaign.ref, utm=campaign.utm_query)
    if link is None:
        return None
    parts = urlsplit(link)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return None
    template = offer.order_url or ""
    present = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
    wanted = [
        *((("ref", campaign.ref),) if campaign.ref and "{ref}" not in template else ()),
        *(campaign.utm if "{utm}" not in template else ()),
    ]
    added = urlencode([pair for pair in wanted if pair[0] not in present], quote_via=quote)
    query = "&".join(part for part in (parts.query.strip("&"), added) if part)
    return urlunsplit(parts._replace(query=query))


def contact_path(chosen: RunFields) -> str:
    """The address on this site that leads to the operator's contact page, carrying a run."""
    return f"{GO_PATH}contact?{run_query(chosen)}"


def browse_path() -> str:
    """The address on this site that leads to the operator's page of all servers."""
    return f"{GO_PATH}browse"


def _sent_on(target: str | None) -> Response:
    if target is None:
        raise HTTPException(404)
    return RedirectResponse(
        target, status_code=302, headers={"cache-control": "no-store", "x-robots-tag": "noindex, nofollow"}
    )


def _counts(request: Request) -> bool:
    """A visitor's own click: not a check of the address, nor a browser's guess at the next one."""
    purpose = request.headers.get("sec-purpose", request.headers.get("purpose", ""))
    return request.method == "GET" and "prefetch" not in purpose


@router.api_route("/go/contact", methods=["GET", "HEAD"])
async def go_to_contact(request: Request) -> Response:
    """Send a visitor on to the operator's contact page with their run; of the query only a run's fields count."""
    parts = state_of(request)
    try:
        run: Run = parse_query(request.query_params.multi_items(), ignore_unknown=True)
        chosen = chosen_fields(run)
    except RequestError:
        chosen = {}
    base_url = (parts.settings.public_url or str(request.base_url)).rstrip("/")
    model = parts.snapshot().model(str(chosen.get("model", "")))
    subject = f"Fine-tuning {model.name}" if model else "Fine-tuning"
    response = _sent_on(contact_link(parts.settings.contact_url, base_url + page_link(chosen), subject))
    if _counts(request):
        CONTACT_CLICKS.labels(page="contact").inc()
    return response


@router.api_route("/go/browse", methods=["GET", "HEAD"])
async def go_to_servers(request: Request) -> Response:
    """Send a visitor on to the operator's page of all servers."""
    response = _sent_on(state_of(request).settings.browse_url)
    if _counts(request):
        CONTACT_CLICKS.labels(page="browse").inc()
    return response


@router.api_route("/go/{offer_id}", methods=["GET", "HEAD"])
async def go(request: Request, offer_id: str) -> Response:
    """Send a visitor on to an order page. Only the address stored with the offer counts; the query cannot change it."""
    offer = state_of(request).snapshot().offer(offer_id)
    campaign = Campaign.of(request.query_params)
    response = _sent_on(destination(offer, campaign) if offer is not None else None)
    if offer is not None and _counts(request):
        state_of(request).asked.click(offer.id)
        ORDER_CLICKS.labels(provider=offer.provider_slug, gpu=offer.gpu).inc()
        logger.info("order_click", extra={"offer": offer.id, "ref": campaign.ref, "utm": campaign.utm_query})
    return response
