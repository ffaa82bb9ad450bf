"""Names for what takes time, so that whoever records traces can say where it went; without one nothing is done."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import ContextVar
from functools import wraps
from typing import Final, ParamSpec, TypeVar

Given = ParamSpec("Given")
Result = TypeVar("Result")

OPENER: Final[ContextVar[Callable[[str], AbstractContextManager[object]] | None]] = ContextVar("opener", default=None)
"""Opens a span of that name under the current request's; set for the time of a request that is traced."""


def spanned(name: str) -> Callable[[Callable[Given, Result]], Callable[Given, Result]]:
    """A span of this name around every call within a traced request."""

    def decorate(function: Callable[Given, Result]) -> Callable[Given, Result]:
        @wraps(function)
        def call(*args: Given.args, **keywords: Given.kwargs) -> Result:
            opener = OPENER.get()
            if opener is None:
                return function(*args, **keywords)
            with opener(name):
                return function(*args, **keywords)

        return call

    return decorate
