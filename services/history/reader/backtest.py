"""A backtest: what a version would have answered to the traffic of a period, and how right."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson

from bentos.predictor import Predictor
from services.history.answers import BacktestPage, Chart, Prediction, Series, SeriesColumn
from services.history.partition import utc_day
from services.history.questions import BacktestQuestion
from services.history.reader import outcomes
from services.history.reader.archive import Archive
from services.history.reader.database import Database
from services.history.reader.filters import condition
from services.history.reader.prediction import prediction_of
from services.history.reader.replay import again, answer_of
from services.history.reader.scan import Scan

# Some seconds of work: so much is done again after a crash.
PART_ROWS = 2000
_SUMS = (
    "rows", "refused", "left_out", "changed", "told", "was_sum", "now_sum", "was_error",
    "now_error",
)  # fmt: skip
Part = dict[str, Any]


@dataclass
class Tally:
    """What was found in some rows; only sums, so that parts can be added up."""

    sums: dict[str, float] = field(default_factory=lambda: dict.fromkeys(_SUMS, 0.0))

    def add(self, name: str, value: float = 1.0) -> None:
        """Add to a sum."""
        self.sums[name] += value


@dataclass(frozen=True)
class Backtests:
    """Asks past traffic again, part by part.

    Parameters
    ----------
    database
        Reads the log.
    archive
        Opens who answers.
    kind_of
        Gives the predictor class of a model.
    part_rows
        How many rows are asked again at once.
    """

    database: Database
    archive: Archive
    kind_of: Callable[[str], type[Predictor]]
    part_rows: int = PART_ROWS

    def days(self, question: BacktestQuestion) -> list[str]:
        """Give the days that have predictions, after checking all that can be wrong.

        Raises
        ------
        QueryInvalid
            A filter names what there is not.
        ReleaseGone
            The version cannot be asked.
        """
        self.archive.open(question.model, question.against)
        since, until = question.span
        scan = self.database.scanner.scan(question.model, since=since, until=until)
        condition(question, self.database.naming(scan), self.kind_of(question.model))
        first, last = utc_day(since), utc_day(until)
        return sorted({f"{fact.day}" for fact in scan.facts if first <= fact.day <= last})

    def part(self, question: BacktestQuestion, day: str, after: Sequence[str] | None) -> Part:
        """Ask some rows of a day again.

        Parameters
        ----------
        question
            Which rows, and who answers.
        day
            ISO date, UTC.
        after
            Time and id of the last row of the part before.

        Returns
        -------
        dict
            The sums, and ``after`` for the next part; nothing there when the day is done.
        """
        kind = self.kind_of(question.model)
        start = datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC)

        def scan() -> Scan:
            return self._scan(question, start)

        def ask() -> tuple[list[dict[str, Any]], list[Prediction], Scan]:
            found = scan()
            rows = self._read(question, kind, found, start, after)
            # Here, because a text that was damaged may be no JSON any more.
            return rows, [prediction_of(question.model, r, found.releases) for r in rows], found

        place = outcomes.place_of(question.model)
        rows, asked, found = self.database.ask(ask, scan, lambda: self.database.scanner.scan(place))
        tally = self._again(question, kind, list(zip(rows, asked, strict=True)), found)
        more = None
        if len(rows) == self.part_rows:
            more = [rows[-1]["at"].isoformat(), rows[-1]["prediction_id"].hex()]
        return {"day": day, "after": more, **tally.sums}

    def _scan(self, question: BacktestQuestion, start: datetime) -> Scan:
        """Find the files of a day, with the columns of the whole period: filters may name them."""
        since, until = question.span
        whole = self.database.scanner.scan(question.model, since=since, until=until)
        end = start + timedelta(days=1)
        return whole.among(
            [i for i, one in enumerate(whole.facts) if one.last_at >= start and one.first_at < end]
        )

    def _read(
        self,
        question: BacktestQuestion,
        kind: type[Predictor],
        scan: Scan,
        start: datetime,
        after: Sequence[str] | None,
    ) -> list[dict[str, Any]]:
        if not scan.files:
            return []
        sql, params = condition(question, scan, kind)
        sql += ' AND "at" >= $start AND "at" < $end'
        params |= {"start": start, "end": start + timedelta(days=1)}
        if after is not None:
            sql += ' AND "at" >= $after_at AND ("at" > $after_at OR prediction_id > $after_id)'
            params["after_at"] = datetime.fromisoformat(after[0])
            params["after_id"] = bytes.fromhex(after[1])
        query = (
            f"SELECT * FROM {scan.source} WHERE {sql} "
            f'ORDER BY "at", prediction_id LIMIT {self.part_rows}'
        )
        told = self.database.scanner.scan(outcomes.place_of(question.model))
        if told.files and kind.FORETELLS:
            params["told"] = list(told.files)
            query = outcomes.joined_few(query, kind)
            query += ' ORDER BY "at", prediction_id'
        return self.database.rows(query, params, scan)

    def _again(
        self,
        question: BacktestQuestion,
        kind: type[Predictor],
        rows: Sequence[tuple[Mapping[str, Any], Prediction]],
        scan: Scan,
    ) -> Tally:
        """Ask rows again and compare."""
        tally = Tally()
        release = self.archive.open(question.model, question.against)
        is_share = release.contract.config.target.positive is not None
        kept = []
        for row, one in rows:
            if one.masked or one.version not in scan.releases:
                tally.add("left_out")
            else:
                kept.append((one, row.get("outcome_value") if row.get("outcome_steps") else None))
        told = again(release, [one for one, _ in kept], scan.releases)
        for (one, outcome), (now, _) in zip(kept, told, strict=True):
            tally.add("rows")
            if now is None:
                tally.add("refused")
                continue
            was = answer_of(one)
            tally.add("changed", float(orjson.dumps(was) != orjson.dumps(now)))
            for name, answer in (("was", was), ("now", now)):
                tally.add(f"{name}_sum", value_of(answer["result"], kind.HEADLINE))
                if outcome is not None and kind.FORETELLS:
                    missed = value_of(answer["result"], kind.FORETELLS) - outcome
                    tally.add(f"{name}_error", missed**2 if is_share else abs(missed))
            tally.add("told", float(outcome is not None and kind.FORETELLS is not None))
        return tally


def value_of(result: Mapping[str, Any], path: str) -> float:
    """Give a number of a result; with a dot, the sum over the parts.

    Parameters
    ----------
    result
        Plain data.
    path
        As ``Predictor.HEADLINE``.
    """
    name, _, inner = path.partition(".")
    if inner:
        return float(sum(part[inner] or 0.0 for part in result[name]))
    return float(result[name] or 0.0)


def with_part(parts: Sequence[Part], part: Part) -> list[Part]:
    """Add a part to those before it; those of one day are one.

    Parameters
    ----------
    parts
        So far, one a day.
    part
        The next.
    """
    if not parts or parts[-1]["day"] != part["day"]:
        return [*parts, part]
    summed = {name: parts[-1][name] + part[name] for name in _SUMS}
    return [*parts[:-1], {**part, **summed}]


def page_of(
    backtest_id: str, question: BacktestQuestion, parts: Sequence[Part], *, state: str
) -> BacktestPage:
    """Add up what the parts found.

    Parameters
    ----------
    backtest_id
        Its id.
    question
        What was asked.
    parts
        So far.
    state
        running or done.
    """
    total = {name: sum(part[name] for part in parts) for name in _SUMS}
    counts = {name: int(total[name]) for name in _SUMS[:5]}
    told = counts["told"]
    return BacktestPage.model_validate(
        {
            "backtest_id": backtest_id,
            "state": state,
            "model": question.model,
            "against": question.against,
            **counts,
            "was_error": total["was_error"] / told if told else None,
            "now_error": total["now_error"] / told if told else None,
            "series": _series(question, parts).model_dump() if state == "done" else None,
            "reason": None,
        }
    )


def _series(question: BacktestQuestion, parts: Sequence[Part]) -> Series:
    """Give means and errors by day."""
    rows = []
    for sums in parts:
        answered, told = sums["rows"] - sums["refused"], sums["told"]
        rows.append(
            [
                f"{sums['day']}T00:00:00+00:00",
                int(sums["rows"]),
                *(sums[name] / answered if answered else None for name in ("was_sum", "now_sum")),
                *(sums[name] / told if told else None for name in ("was_error", "now_error")),
            ]
        )
    names = ("was_mean", "now_mean", "was_error", "now_error")
    return Series(
        title=f"{question.model}: what was answered, and what version {question.against} answers",
        columns=[
            SeriesColumn(name="day", kind="time", unit=None),
            SeriesColumn(name="rows", kind="integer", unit="predictions"),
            *(SeriesColumn(name=name, kind="number", unit=None) for name in names),
        ],
        rows=rows,
        chart=Chart(kind="line", x="day", y=["was_mean", "now_mean"], low=None, high=None, by=None),
        notes=[],
    )
