"""The templates, compiled while the service is already answering: else each page's first visitor waits for them."""

import time
from collections.abc import Callable
from threading import Thread
from typing import Final

from app.web.language import LANGUAGES, catalogue, language_of
from app.web.templating import environment

PAUSE_SECONDS: Final = 0.02
"""Between two templates, so that requests have their turn."""


def load_templates(locale: str, goes_on: Callable[[], bool] = lambda: True) -> None:
    """Compile every template in every language, that of ``locale`` first, for as long as ``goes_on`` says so."""
    for language in sorted(LANGUAGES, key=lambda language: language != language_of(locale)):
        templates = environment(catalogue(language))
        for name in templates.list_templates(filter_func=lambda name: not name.rpartition("/")[2].startswith(".")):
            if not goes_on():
                return
            templates.get_template(name)
            time.sleep(PAUSE_SECONDS)


class Warming:
    """Does so in the background from ``start`` until it is done or ``stop``."""

    def __init__(self, locale: str) -> None:
        self._stopped = False
        self._thread = Thread(target=load_templates, args=(locale, lambda: not self._stopped), name="warm", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End within a template."""
        self._stopped = True
        self._thread.join(timeout=5)
