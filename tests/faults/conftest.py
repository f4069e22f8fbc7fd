"""The same servers as the tests that serve."""

from tests.serve.conftest import home, scratch

__all__ = ["home", "scratch"]
