"""What a page's first visitor would wait for and what is the same for all, made while the service already answers."""

import time
from collections.abc import Callable
from threading import Thread
from typing import Final

from app.catalogue.snapshot import Snapshot
from app.web.formatting import MemoryUnit
from app.web.language import LANGUAGES, catalogue, formatter, language_of, locale_of
from app.web.pages import published
from app.web.templating import environment

PAUSE_SECONDS: Final = 0.02
"""Between two templates, so that requests have their turn."""

GoesOn = Callable[[], bool]


def _languages(locale: str) -> list[str]:
    """All, that of ``locale`` first."""
    return sorted(LANGUAGES, key=lambda language: language != language_of(locale))


def load_templates(locale: str, goes_on: GoesOn = lambda: True) -> None:
    """Compile every template in every language, that of ``locale`` first, for as long as ``goes_on`` says so."""
    for language in _languages(locale):
        templates = environment(catalogue(language))
        for name in templates.list_templates(filter_func=lambda name: not name.rpartition("/")[2].startswith(".")):
            if not goes_on():
                return
            templates.get_template(name)
            time.sleep(PAUSE_SECONDS)


def compare_published(locale: str, snapshot: Snapshot, goes_on: GoesOn = lambda: True) -> None:
    """Make the table of published figures, two hundred estimates, of ``/compare`` in every language."""
    for language in _languages(locale):
        if goes_on():
            published(snapshot, formatter(locale_of(language, locale), MemoryUnit.GB))


class Warming:
    """Does so in the background from ``start`` until it is done or ``stop``."""

    def __init__(self, locale: str, snapshot: Callable[[], Snapshot]) -> None:
        self._locale = locale
        self._snapshot = snapshot
        self._stopped = False
        self._thread = Thread(target=self._warm, name="warm", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End within a template or a table."""
        self._stopped = True
        self._thread.join(timeout=5)

    def _warm(self) -> None:
        load_templates(self._locale, self._goes_on)
        compare_published(self._locale, self._snapshot(), self._goes_on)

    def _goes_on(self) -> bool:
        return not self._stopped
