"""Put the bundled facts into the database; a second time changes nothing."""

from app.catalogue import repository
from app.catalogue.bundled import bundled_version, offer_from_sample, read_data
from app.catalogue.changes import Mode, apply, difference
from app.catalogue.database import Database

BUNDLE_ACTOR = "bundled catalogue"


def load_bundled(database: Database, *, actor: str = BUNDLE_ACTOR) -> str | None:
    """Load the bundled models, cards, aliases and sample offers; returns what changed, None if they are loaded already.

    The operator's own models, cards and offers are left alone. Samples that the bundle no longer holds are withdrawn,
    as are those of a provider whose own offers were imported.
    """
    bundle = bundled_version()
    with database.reading() as session:
        if repository.loaded_bundle(session) == bundle:
            return None
    with database.changing_catalogue() as session:
        if repository.loaded_bundle(session) == bundle:
            return None
        models, gpus = read_data("models")["models"], read_data("gpus")["gpus"]
        repository.write_bundled_facts(session, models=models, gpus=gpus, aliases=read_data("aliases")["aliases"])
        own = repository.providers_with_own_offers(session)
        samples = [offer_from_sample(row) for row in read_data("offers")["offers"]]
        samples = [offer for offer in samples if offer.provider_slug not in own]
        change = difference(repository.read_offers(session, samples=True), samples, Mode.REPLACE)
        summary = f"{len(models)} models, {len(gpus)} cards, sample offers: {change.summary}"
        version = repository.add_version(session, actor=actor, summary=summary, facts_changed=True, bundle=bundle)
        apply(session, change, actor=actor, action="catalogue.load", subject="sample offers", version=version)
    return summary
