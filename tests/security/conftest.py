"""Real servers, as the tests in ``tests/serve`` run them."""

from tests.serve.conftest import home, scratch

__all__ = ["home", "scratch"]
