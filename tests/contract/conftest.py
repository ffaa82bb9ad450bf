"""The same application as the API's tests use."""

from tests.api.conftest import application, client

__all__ = ["application", "client"]
