"""Errors of the history: what was predicted cannot be told, or not so.

::

    SeptetError
    ├── HistoryDown            503   the process that reads the log does not answer
    ├── HistoryTooLarge        422   a question takes too long, or too much memory
    ├── ExportsBusy            503   as many large tables are written as may be at once
    ├── BacktestsWaiting       429   too many backtests wait already
    ├── LogOfLaterVersion      500   a file of the log is of a format that is not known yet
    ├── ReplayImpossible       409   what was asked is not all there
    ├── ReleaseGone            410   the version's artifact is no longer there
    ├── QueryInvalid
    │   └── PathInvalid        400   a part of the path, such as an id, is wrong
    ├── Forbidden
    │   └── ExportTooLarge     403   more rows at once than the role may take
    └── NotFound
        ├── PredictionUnknown  404
        ├── BacktestUnknown    404
        └── ErasureUnknown     404
"""

from __future__ import annotations

from collections.abc import Mapping

from core.denials import Forbidden
from core.errors import FieldProblem, NotFound, SeptetError
from core.refusals import QueryInvalid


class HistoryDown(SeptetError):
    """The process that reads the log does not answer.

    Parameters
    ----------
    address
        Where it was looked for.
    fault
        What was met there.
    """

    status = 503
    title = "The history cannot be read now"

    def __init__(self, address: str, fault: str) -> None:
        super().__init__(
            f"The historian at {address} does not answer ({fault}). Predictions go on and are "
            "kept. Try again in a few seconds; whoever runs it: `septet up` starts it, alone it is "
            "`python -m services.history.historian`, and SEPTET_HISTORY_ADDRESS says where it is."
        )

    @property
    def headers(self) -> Mapping[str, str]:
        """When to ask again."""
        return {"Retry-After": "2"}


class HistoryTooLarge(SeptetError):
    """A question takes too long, or too much memory.

    Parameters
    ----------
    seconds
        How long one may take.
    """

    status = 422
    title = "The question is too large"

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"It would take more than {seconds:g} seconds, or more memory than a question may. "
            "Ask for a shorter period, for longer steps, or for fewer measures."
        )


class ExportsBusy(SeptetError):
    """As many large tables are being written as may be at once.

    Parameters
    ----------
    most
        Large tables that are written at once.
    """

    status = 503
    title = "Other exports are under way"

    def __init__(self, most: int) -> None:
        super().__init__(
            f"{most} large tables of predictions are being written already, as many as may be at "
            "once. Try again in a few seconds, or ask for up to 1,000 rows a page."
        )

    @property
    def headers(self) -> Mapping[str, str]:
        """When to ask again."""
        return {"Retry-After": "5"}


class LogOfLaterVersion(SeptetError):
    """A file of the log is of a format that this version does not know.

    Parameters
    ----------
    place
        Where it stands.
    found, known
        Its format, and the latest one that this version reads.
    """

    title = "The prediction log is of a later version"

    def __init__(self, place: str, found: int, known: int) -> None:
        super().__init__(
            f"{place} is of format {found}, and this version of Septet reads formats up to "
            f"{known}. Start the version that wrote it, or a later one; which version a format "
            "came with stands in CHANGELOG.md. The file is untouched, and predictions go on and "
            "are kept."
        )


class BacktestsWaiting(SeptetError):
    """Too many backtests wait already.

    Parameters
    ----------
    most
        How many may wait.
    """

    status = 429
    title = "Too many backtests wait"

    def __init__(self, most: int) -> None:
        super().__init__(
            f"One backtest runs at a time, and {most} wait already. Begin this one when one of "
            "them has ended: GET /api/history/backtests/{id} tells how far each is. One that asks "
            "a few days, or one segment with `where`, ends sooner."
        )

    @property
    def headers(self) -> Mapping[str, str]:
        """When to ask again."""
        return {"Retry-After": "30"}


class PathInvalid(QueryInvalid):
    """A part of the path is wrong.

    Parameters
    ----------
    name
        Name of the part, as the route's template has it.
    fault
        What is wrong.
    allowed
        What would be accepted.
    """

    title = "A part of the path is wrong"

    def __init__(self, name: str, fault: str, allowed: str) -> None:
        # Past the sentence of a query, whose names bear a question mark.
        problem = FieldProblem(name, fault, allowed)
        end = "" if allowed.endswith(("?", ".")) else "."
        SeptetError.__init__(self, f"{name} {fault}; {allowed}{end}", problems=[problem])


class PredictionUnknown(NotFound):
    """No prediction has this id.

    Parameters
    ----------
    prediction_id
        What was asked for.
    unread
        Files in which it may stand, and which could not be read.
    """

    title = "No such prediction"

    def __init__(self, prediction_id: str, unread: int = 0) -> None:
        damage = ""
        if unread:
            files = "1 file" if unread == 1 else f"{unread} files"
            damage = (
                f" It may stand in {files} that could not be read, as the historian's log says."
            )
        super().__init__(
            f"The log has no prediction {prediction_id}. One that was made a moment ago is there "
            f"within seconds; one that is older than history.keep_days was deleted.{damage}",
            problems=[
                FieldProblem(
                    "prediction_id",
                    "is the id of no prediction in the log",
                    "the prediction_id of an answer is allowed",
                )
            ],
        )


class BacktestUnknown(NotFound):
    """No backtest has this id.

    Parameters
    ----------
    backtest_id
        What was asked for.
    """

    title = "No such backtest"

    def __init__(self, backtest_id: str) -> None:
        super().__init__(
            f"There is no backtest {backtest_id[:80]!r}. POST /api/history/backtests begins one "
            "and gives its id.",
            problems=[
                FieldProblem(
                    "backtest_id",
                    f"is {backtest_id[:80]!r}, which is the id of none",
                    "the backtest_id that POST /api/history/backtests gave is allowed",
                )
            ],
        )


class ErasureUnknown(NotFound):
    """No erasure has this id.

    Parameters
    ----------
    erasure_id
        What was asked for.
    """

    title = "No such erasure"

    def __init__(self, erasure_id: str) -> None:
        super().__init__(
            f"There is no erasure {erasure_id[:80]!r}. One that was asked for a moment ago is "
            "there within seconds.",
            problems=[
                FieldProblem(
                    "erasure_id",
                    f"is {erasure_id[:80]!r}, which is the id of none",
                    "the erasure_id that DELETE /api/history/entities/… gave is allowed",
                )
            ],
        )


class ReplayImpossible(SeptetError):
    """What was asked is not all there, so it cannot be asked again.

    Parameters
    ----------
    prediction_id
        Which prediction.
    fault
        What is missing.
    """

    status = 409
    title = "This prediction cannot be asked again"

    def __init__(self, prediction_id: str, fault: str) -> None:
        super().__init__(f"Prediction {prediction_id}: {fault}.")


class ReleaseGone(SeptetError):
    """A version's artifact is no longer there.

    Parameters
    ----------
    model, version
        Which one.
    fault
        What was met.
    """

    status = 410
    title = "The version is not there any more"

    def __init__(self, model: str, version: str, fault: str) -> None:
        super().__init__(
            f"{model} version {version[:80]} cannot be loaded: {fault}. GET /models/{model}/info "
            "names the champion; MLflow lists the versions whose artifacts are kept "
            f"(`septet models {model}`)."
        )


class ExportTooLarge(Forbidden):
    """More rows at once than the role may take.

    Parameters
    ----------
    limit
        Rows that were asked for.
    most
        Rows that the role may take at once.
    """

    title = "Too many rows for this role"

    def __init__(self, limit: int, most: int) -> None:
        super().__init__(
            f"limit={limit:,} needs the role operator; others take up to {most:,} rows a page, and "
            "the header Link leads to the following page.",
            problems=[FieldProblem("limit", f"is {limit:,}", f"1 to {most:,} are allowed")],
        )
