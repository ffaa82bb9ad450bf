"""How other sites find out that a page of ours can be embedded: the link in its head."""

from typing import Final
from urllib.parse import quote, urlencode

OEMBED_PATH: Final = "/oembed"


def discovery_url(page_url: str, base_url: str) -> str:
    """What a page's ``<link type="application/json+oembed">`` points to."""
    return f"{base_url}{OEMBED_PATH}?{urlencode({'url': page_url, 'format': 'json'}, quote_via=quote)}"
