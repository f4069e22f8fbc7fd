"""The same home and servers as the tests of the servers themselves."""

from tests.serve.conftest import home, scratch

__all__ = ["home", "scratch"]
