"""What a request is called in metrics, logs and traces: its method and its route's template, never its address."""

from dataclasses import dataclass
from typing import Final

from starlette.types import Scope

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNMATCHED: Final = "(none)"
"""What stands for every address without a route: a scanner's guesses must not become labels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RouteNames:
    """How requests are called: ``direct`` are addresses answered before a route is looked up.

    A router that is included under ``prefix`` does not tell it.
    """

    prefix: str
    direct: frozenset[str]

    def of(self, scope: Scope) -> tuple[str, str]:
        """Method and template, once the request is answered."""
        return scope["method"] if scope["method"] in METHODS else "other", self._template(scope)

    def _template(self, scope: Scope) -> str:
        template = getattr(scope.get("route"), "path_format", None)
        if template is None:
            return scope["path"] if scope["path"] in self.direct else UNMATCHED
        return f"{self.prefix}{template}" if scope["path"].startswith(f"{self.prefix}/") else str(template)
