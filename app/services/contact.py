"""Where to turn when no offer holds a run: the operator's contact page, with the run in its address."""

from typing import Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

RUN_PARAMETER: Final = "run"


def contact_link(contact_url: str | None, run_address: str, subject: str) -> str | None:
    """The contact address carrying the run's permalink; None where the operator gave no address.

    A web page gets it as the query's ``run`` (unless the operator's address already has one), a mail address as
    subject and text.
    """
    if contact_url is None:
        return None
    parts = urlsplit(contact_url)
    if parts.scheme == "mailto":
        added = urlencode({"subject": subject, "body": run_address}, quote_via=quote)
    elif RUN_PARAMETER in {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}:
        return contact_url
    else:
        added = urlencode({RUN_PARAMETER: run_address}, quote_via=quote)
    query = "&".join(part for part in (parts.query, added) if part)
    return urlunsplit(parts._replace(query=query))
