"""The error of a request header; the tree is drawn in ``core.errors``."""

from __future__ import annotations

from core.errors import FieldProblem
from core.refusals import RequestError


class HeaderInvalid(RequestError):
    """A header of the request is wrong.

    Parameters
    ----------
    name
        Name of the header.
    fault
        What is wrong.
    allowed
        What would be accepted.
    """

    title = "A header is wrong"

    def __init__(self, name: str, fault: str, allowed: str) -> None:
        problem = FieldProblem(name, fault, allowed)
        super().__init__(f"The header {name} {fault}; {allowed}.", problems=[problem])
