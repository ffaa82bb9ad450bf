"""What pages tell search engines, in schema.org's words: only what the page itself says."""

import json
from typing import Any

from app.catalogue.facts import CatalogueGpu
from app.services.results import OfferReport
from app.web.formatting import plain


def as_script(data: dict[str, Any]) -> str:
    """JSON that may stand inside a script element: no ``<`` in it can end the element."""
    text = json.dumps({"@context": "https://schema.org", **data}, ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def faq_page(answers: tuple[tuple[str, str], ...]) -> str:
    """Questions and answers that the page shows, as an ``FAQPage``, with plain spaces for those that may not break."""
    return as_script(
        {
            "@type": "FAQPage",
            "mainEntity": [
                {"@type": "Question", "name": question, "acceptedAnswer": {"@type": "Answer", "text": text}}
                for question, text in ((plain(question), plain(text)) for question, text in answers)
            ],
        }
    )


def product(gpu: CatalogueGpu, offer: OfferReport | None, url: str, description: str) -> str:
    """A card as a ``Product``; with an ``Offer`` only where someone asks a price for it that is no sample."""
    data: dict[str, Any] = {
        "@type": "Product",
        "name": gpu.name,
        "description": description,
        "url": url,
        "brand": {"@type": "Brand", "name": gpu.device.vendor},
    }
    if offer is not None and not offer.is_sample:
        data["offers"] = {
            "@type": "Offer",
            "price": str(offer.price.amount),
            "priceCurrency": offer.price.currency,
            "seller": {"@type": "Organization", "name": offer.provider},
            "url": offer.order_url or url,
        }
    return as_script(data)
