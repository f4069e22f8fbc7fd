"""Backtests as durable jobs: after a crash each goes on at the part it was at.

The steps only read; one that is carried out twice does no harm.
"""

from __future__ import annotations

from typing import Any

from dbos import DBOS, DBOSConfig, DBOSConfiguredInstance, DBOSPortableJSONSerializer

from core.history_faults import BacktestUnknown
from core.settings import Settings
from services.history.answers import BacktestPage
from services.history.questions import BacktestQuestion
from services.history.reader.backtest import Backtests, Part, page_of, with_part

_NAME = "septet-history"
# Of the order of the steps: a job that another order began is not gone on with.
_VERSION = "backtest-1"


@DBOS.dbos_class("Backtest")
class BacktestJobs(DBOSConfiguredInstance):
    """Runs backtests, and tells how far each is.

    Parameters
    ----------
    rules
        What a backtest is.
    """

    def __init__(self, rules: Backtests) -> None:
        self._rules = rules
        super().__init__("history")

    @DBOS.workflow(name="backtest")
    def run(self, asked: dict[str, Any]) -> list[Part]:
        """Ask a period again, part by part.

        Parameters
        ----------
        asked
            A ``BacktestQuestion`` as plain data, its period given.
        """
        parts: list[Part] = []
        for day in self.days(asked):
            after: list[str] | None = None
            while True:
                part = self.part(asked, day, after)
                parts = with_part(parts, part)
                after = part["after"]
                DBOS.set_event("parts", parts)
                if after is None:
                    break
        return parts

    @DBOS.step(name="days")
    def days(self, asked: dict[str, Any]) -> list[str]:
        """Give the days that have predictions."""
        return self._rules.days(BacktestQuestion.model_validate(asked))

    @DBOS.step(name="part")
    def part(self, asked: dict[str, Any], day: str, after: list[str] | None) -> Part:
        """Ask some rows of a day again."""
        return self._rules.part(BacktestQuestion.model_validate(asked), day, after)

    def start(self, question: BacktestQuestion) -> BacktestPage:
        """Begin a backtest.

        Raises
        ------
        QueryInvalid
            A filter names what there is not.
        ReleaseGone
            The version cannot be asked.
        """
        self._rules.days(question)
        since, until = question.span
        whole = question.model_copy(update={"since": since, "until": until})
        handle = DBOS.start_workflow(self.run, whole.model_dump(mode="json"))
        return page_of(handle.workflow_id, whole, [], state="running")

    def read(self, backtest_id: str) -> BacktestPage:
        """Tell how far a backtest is.

        Raises
        ------
        BacktestUnknown
            There is none of this id.
        """
        status = DBOS.get_workflow_status(backtest_id)
        if status is None or status.name != "backtest" or not status.input:
            raise BacktestUnknown(backtest_id)
        question = BacktestQuestion.model_validate(status.input["args"][0])
        if status.status == "SUCCESS":
            return page_of(backtest_id, question, status.output or [], state="done")
        if status.status in {"PENDING", "ENQUEUED"}:
            parts = DBOS.get_event(backtest_id, "parts", timeout_seconds=0) or []
            return page_of(backtest_id, question, parts, state="running")
        page = page_of(backtest_id, question, [], state="failed")
        return page.model_copy(update={"reason": str(status.error)[:500]})


def launch_jobs(settings: Settings, rules: Backtests) -> BacktestJobs:
    """Start what runs the jobs; what a crash interrupted goes on.

    Parameters
    ----------
    settings
        Place of the jobs' database.
    rules
        What a backtest is.
    """
    config: DBOSConfig = {
        "name": _NAME,
        "system_database_url": settings.jobs_url,
        "application_version": _VERSION,
        "executor_id": "historian",
        "serializer": DBOSPortableJSONSerializer(),
        "log_level": "WARNING",
    }
    DBOS(config=config)
    jobs = BacktestJobs(rules)
    DBOS.launch()
    return jobs


def end_jobs() -> None:
    """Stop what runs the jobs."""
    DBOS.destroy(workflow_completion_timeout_sec=0)
