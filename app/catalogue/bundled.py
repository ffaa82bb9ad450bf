"""The facts that come with the program: ``data/*.json``, each row with its sources."""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final

from app.catalogue.devices import gpu_from_record
from app.catalogue.facts import CatalogueModel, Commitment, Offer, Period
from app.catalogue.snapshot import Snapshot

DATA: Final = Path(__file__).with_name("data")


@cache
def read_data(name: str) -> dict[str, Any]:
    """One of the bundled files, with decimals kept as written."""
    content: dict[str, Any] = json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))
    return content


def bundled_version() -> str:
    """Changes whenever a bundled fact does."""
    digest = hashlib.sha256()
    for name in ("models", "gpus", "offers", "aliases"):
        digest.update((DATA / f"{name}.json").read_bytes())
    return f"bundled-{read_data('models')['collected_on']}-{digest.hexdigest()[:8]}"


def bundled_aliases() -> dict[str, str]:
    """What people type for a model, and the slug that it stands for here."""
    return {row["alias"]: row["slug"] for row in read_data("aliases")["aliases"]}


def bundled_snapshot() -> Snapshot:
    """The bundled catalogue; see :meth:`Snapshot.bundled`."""
    return Snapshot(
        version=bundled_version(),
        models=[model_from_record(row) for row in read_data("models")["models"]],
        gpus=[gpu_from_record(row) for row in read_data("gpus")["gpus"]],
        offers=[offer_from_sample(row) for row in read_data("offers")["offers"]],
        aliases=bundled_aliases(),
    )


def model_from_record(record: Mapping[str, Any]) -> CatalogueModel:
    """Read one row of ``data/models.json`` (or its like from SQL)."""
    return CatalogueModel(
        slug=record["slug"],
        hub_id=record["hub_id"],
        name=record["name"],
        family=record["family"],
        released=record["released"],
        licence=record["licence"],
        model_type=record["model_type"],
        total_parameters=record["total_parameters"],
        active_parameters=record["active_parameters"],
        text_parameters=record["text_parameters"],
        verified=record["verified"],
        note=record["note"],
        sources=tuple(record["sources"]),
        config=record["config"],
    )


def offer_from_sample(record: Mapping[str, Any]) -> Offer:
    """Read one row of ``data/offers.json``; a price of one card is multiplied to the whole server's."""
    count = record["gpus_per_server"]
    amount, note = Decimal(record["amount"]), record["note"]
    if record["amount_is_per_gpu"] and count > 1:
        note = "; ".join(part for part in (f"stated as {amount} per GPU", note) if part)
        amount *= count
    slug = slugify(record["provider"])
    return Offer(
        id=offer_id(slug, record["sku"]),
        provider=record["provider"],
        provider_slug=slug,
        gpu=record["gpu"],
        gpus_per_server=count,
        amount=amount,
        currency=record["currency"],
        period=Period(record["period"]),
        commitment=Commitment(record["commitment"]),
        region=record["region"],
        observed_on=date.fromisoformat(record["observed_on"]) if record["observed_on"] else None,
        is_sample=True,
        source=record["source"],
        source_url=record["source_url"],
        cpu_count=record["cpu_count"],
        memory_gb=None if record["memory_gb"] is None else Decimal(str(record["memory_gb"])),
        sku=record["sku"],
        note=note,
    )


def slugify(name: str) -> str:
    """A name's fixed form in addresses: lower case, runs outside ``[a-z0-9.]`` as one hyphen."""
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-")


def offer_id(provider_slug: str, identity: str) -> str:
    """A server's fixed name through all its prices: 16 hexadecimal digits of its provider and identity."""
    return hashlib.sha256(f"{provider_slug}\n{identity}".encode()).hexdigest()[:16]
