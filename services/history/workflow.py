"""Backtests as durable jobs: after a crash each goes on at the part it was at.

The steps only read; one that is carried out twice does no harm. One backtest runs at a time, a few
wait; what ended is deleted after a month, and what names an entity that is erased within a minute.

Failure policy: a part that fails by time or by what it reads is tried again, with growing waits;
one that ends the process at each start is given up. Of what was not foreseen the log alone tells.
"""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

from dbos import (
    DBOS,
    DBOSConfig,
    DBOSConfiguredInstance,
    DBOSPortableJSONSerializer,
    WorkflowStatus,
)
from dbos import error as jobs_error

from core import clock
from core.errors import RegistryDown, SeptetError
from core.history_faults import BacktestsWaiting, BacktestUnknown, HistoryTooLarge
from core.logs import get_logger
from core.settings import Settings
from services.history.answers import BacktestPage
from services.history.erasure import Erasures
from services.history.jobs_file import JobsFile
from services.history.questions import BacktestQuestion
from services.history.reader.backtest import Backtests, Part, page_of, total_of, with_part

MOST_WAITING = 8
KEPT_DAYS = 30
_NAME = "septet-history"
# Of the order of the steps: a job that another order began is not gone on with.
_VERSION = "backtest-3"
_QUEUE = "backtests"
_POLL_SECONDS = 0.5
# A part that ends the historian would end it at each start.
_MOST_STARTS = 5
_TIDY_SECONDS = 60.0
_OPEN = ["PENDING", "ENQUEUED"]
_ENDED = ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]
_UNFORESEEN = (
    "It met what was not foreseen; the historian's log says what. Begin it again, or ask for a "
    "shorter period."
)
_REASONS = {
    "CANCELLED": "Another version of Septet began it, and this one does not go on with it. Begin "
    "it again.",
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": "The historian ended each time it went on with it, so it is "
    "given up; the historian's log may say why. Ask for a shorter period.",
}


class BacktestFailed(Exception):
    """Ends a backtest with a sentence that whoever reads its page may know."""


def _may_pass(error: BaseException) -> bool:
    """Say whether a part may succeed when it is tried again."""
    return not isinstance(error, SeptetError) or isinstance(error, HistoryTooLarge | RegistryDown)


@DBOS.dbos_class("Backtest")
class BacktestJobs(DBOSConfiguredInstance):
    """Runs backtests, and tells how far each is.

    Parameters
    ----------
    rules
        What a backtest is.
    file
        Where the jobs stand, when it is a file.
    """

    def __init__(self, rules: Backtests, file: JobsFile | None = None) -> None:
        self._rules = rules
        self._file = file
        self._erasures = Erasures(rules.database.scanner.log)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        # Why a job failed, for as long as that could not be written down: the disk may be full.
        self._failed: dict[str, str] = {}
        super().__init__("history")

    @DBOS.workflow(name="backtest", max_recovery_attempts=_MOST_STARTS)
    def run(self, asked: dict[str, Any]) -> list[Part]:
        """Ask a period again, part by part.

        Parameters
        ----------
        asked
            A ``BacktestQuestion`` as plain data, its period given.

        Raises
        ------
        BacktestFailed
            It cannot be gone on with.
        """
        try:
            return self._parts(asked)
        except Exception as error:
            cause = error
            if isinstance(error, jobs_error.DBOSMaxStepRetriesExceeded):
                cause = error.errors[-1]
            reason = cause.detail if isinstance(cause, SeptetError) else _UNFORESEEN
            identity = str(DBOS.workflow_id)
            self._failed[identity] = reason
            get_logger(__name__).error("backtest_failed", id=identity, exc_info=cause)
            raise BacktestFailed(reason) from error

    def _parts(self, asked: dict[str, Any]) -> list[Part]:
        parts: list[Part] = []
        for day in self.days(asked):
            after: list[str] | None = None
            while True:
                part = self.part(asked, day, after)
                parts = with_part(parts, part)
                after = part["after"]
                # Each of them is kept until the job is deleted, so it is no longer than one part.
                DBOS.set_event("total", total_of(parts))
                if after is None:
                    break
        return parts

    @DBOS.step(name="days")
    def days(self, asked: dict[str, Any]) -> list[str]:
        """Give the days that have predictions."""
        return self._rules.days(BacktestQuestion.model_validate(asked))

    @DBOS.step(
        name="part",
        retries_allowed=True,
        max_attempts=4,
        interval_seconds=1.0,
        backoff_rate=3.0,
        should_retry=_may_pass,
    )
    def part(self, asked: dict[str, Any], day: str, after: list[str] | None) -> Part:
        """Ask some rows of a day again."""
        return self._rules.part(BacktestQuestion.model_validate(asked), day, after)

    def start(self, question: BacktestQuestion) -> BacktestPage:
        """Begin a backtest, or let it wait until those before it have ended.

        Raises
        ------
        BacktestsWaiting
            Too many wait already.
        QueryInvalid
            A filter names what there is not.
        ReleaseGone
            The version cannot be asked.
        """
        self._require_room()
        self._rules.days(question)
        since, until = question.span
        whole = question.model_copy(update={"since": since, "until": until})
        with self._lock:
            self._require_room()
            handle = DBOS.enqueue_workflow(_QUEUE, self.run, whole.model_dump(mode="json"))
        return page_of(handle.workflow_id, whole, [], state="running")

    def _require_room(self) -> None:
        if len(_found("ENQUEUED", limit=MOST_WAITING)) == MOST_WAITING:
            raise BacktestsWaiting(MOST_WAITING)

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
        reason = self._reason(status)
        if reason is None:
            total = DBOS.get_event(backtest_id, "total", timeout_seconds=0)
            return page_of(backtest_id, question, [total] if total else [], state="running")
        page = page_of(backtest_id, question, [], state="failed")
        return page.model_copy(update={"reason": reason})

    def _reason(self, status: WorkflowStatus) -> str | None:
        """Say why a job failed; nothing while it has not."""
        if status.status in _OPEN:
            return self._failed.get(status.workflow_id)
        if getattr(status.error, "name", None) == BacktestFailed.__name__:
            return str(status.error)
        return _REASONS.get(status.status, _UNFORESEEN)

    def begin_upkeep(self) -> None:
        """End what another version began, and keep tidy from now on."""
        others = [one for one in _found(_OPEN) if one.app_version != _VERSION]
        DBOS.cancel_workflows([one.workflow_id for one in others])
        threading.Thread(target=self._keep_tidy, name="backtest-upkeep", daemon=True).start()

    def end_upkeep(self) -> None:
        """Tidy no more."""
        self._stop.set()

    def _keep_tidy(self) -> None:
        while True:
            try:
                self._delete_old()
                self._forget_erased()
            except Exception as error:  # noqa: BLE001 - told in the log; it is tried again
                get_logger(__name__).error("backtests_not_tidied", exc_info=error)
            if self._stop.wait(_TIDY_SECONDS):
                return

    def _delete_old(self) -> None:
        """Delete what ended, and was begun so long ago that nobody asks for it."""
        before = (clock.now() - timedelta(days=KEPT_DAYS)).isoformat()
        old = [one.workflow_id for one in _found(_ENDED, end_time=before)]
        if old:
            DBOS.delete_workflows(old)
        for identity in old:
            self._failed.pop(identity, None)

    def _forget_erased(self) -> None:
        """Delete what names an entity that was to be erased since; where it stood too."""
        named = [(one, _names(one)) for one in _found([*_OPEN, *_ENDED], load_input=True)]
        if any(names for _, names in named):
            self._erasures.look()
        erased = [
            one.workflow_id
            for one, names in named
            if any(self._is_erased(name, one.created_at) for name in names)
        ]
        if erased:
            DBOS.cancel_workflows(erased)
            DBOS.delete_workflows(erased)
        if self._file is not None:
            self._file.scrub(anew=bool(erased))

    def _is_erased(self, name: str, at_ms: int | None) -> bool:
        asked_us = self._erasures.asked_us(name)
        return asked_us is not None and (at_ms or 0) * 1000 <= asked_us


def _found(status: str | list[str], **more: Any) -> list[WorkflowStatus]:
    """Find backtests by how far they are."""
    asked = {"load_input": False, "load_output": False, **more}
    return DBOS.list_workflows(name="backtest", status=status, **asked)


def _names(status: WorkflowStatus) -> list[str]:
    """Give the texts in a job's filters, any of which may be an entity."""
    [asked, *_] = status.input["args"] if status.input else [{}]
    names = [match.partition(":")[2] for match in asked.get("where") or ()]
    return names if asked.get("entity") is None else [*names, asked["entity"]]


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
    file = JobsFile.of(settings.jobs_url)
    if file is not None:
        file.make()
    DBOS(config=config)
    jobs = BacktestJobs(rules, file)
    DBOS.launch()
    # Each asks two cores and the log for minutes.
    DBOS.register_queue(
        _QUEUE,
        worker_concurrency=1,
        polling_interval_sec=_POLL_SECONDS,
        on_conflict="always_update",
    )
    jobs.begin_upkeep()
    return jobs


def end_jobs(jobs: BacktestJobs) -> None:
    """Stop what runs the jobs."""
    jobs.end_upkeep()
    DBOS.destroy(workflow_completion_timeout_sec=0)
