"""Rendered pages, kept by everything that went into them."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

MAX_PAGES: Final = 512
"""At about 60 KB a page, 30 MB a worker."""


class PageCache:
    """The last pages that were asked for."""

    def __init__(self, max_pages: int = MAX_PAGES) -> None:
        self._max_pages = max_pages
        self._pages: OrderedDict[Hashable, bytes] = OrderedDict()

    def get(self, key: Hashable) -> bytes | None:
        """The page, or None where it has to be made."""
        page = self._pages.get(key)
        if page is not None:
            self._pages.move_to_end(key)
        return page

    def put(self, key: Hashable, page: bytes) -> None:
        """Keep a page; the one asked for longest ago goes."""
        self._pages[key] = page
        if len(self._pages) > self._max_pages:
            self._pages.popitem(last=False)
