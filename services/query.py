"""The query of an address, read strictly: what is not plainly meant is refused, never guessed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Annotated

from pydantic import BeforeValidator
from starlette.requests import Request

from core.refusals import QueryInvalid

_WHOLE = re.compile(r"-?(0|[1-9][0-9]*)")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_YES_OR_NO = re.compile(r"true|false")


def _written(form: re.Pattern[str], name: str) -> BeforeValidator:
    """Refuse a text of another form; what is no text is a default, or of Python."""

    def check(value: object) -> object:
        if isinstance(value, str) and form.fullmatch(value) is None:
            raise ValueError(f"it should be {name}")
        return value

    return BeforeValidator(check)


# Pydantic would also take 1_0, +5, 5.0 and spaces around.
AS_WHOLE = _written(_WHOLE, "a whole number, such as 20")
Whole = Annotated[int, AS_WHOLE]
Number = Annotated[float, _written(_NUMBER, "a finite number, such as 12.5")]
YesOrNo = Annotated[bool, _written(_YES_OR_NO, "true or false")]


def said_once(*several: str) -> Callable[[Request], None]:
    """Build the check that nothing is said twice, of which one alone would count.

    Parameters
    ----------
    several
        Names that may be given again.
    """

    def check(request: Request) -> None:
        counts = Counter(name for name, _ in request.query_params.multi_items())
        for name, count in counts.items():
            if count > 1 and name not in several:
                raise QueryInvalid(name[:120], f"is given {count} times", "once is allowed")

    return check
