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
from services.history.reader.replay import again, answer_of, left_out, unknown_to
from services.history.reader.scan import Period, Scan
from services.history.reader.units import RATIO, unit_of
from services.predictions.description import inputs_of

# Some seconds of work: so much is done again after a crash.
PART_ROWS = 2000
_MOST_NOTES = 10
_SUMS = (
    "rows", "refused", "left_out", "changed", "told", "was_sum", "now_sum", "was_error",
    "now_error",
)  # fmt: skip
Part = dict[str, Any]
# Which rows, as SQL, and the values in it.
Few = tuple[str, dict[str, Any]]


@dataclass
class Tally:
    """What was found in some rows; sums, so that parts can be added up, and notes."""

    sums: dict[str, float] = field(default_factory=lambda: dict.fromkeys(_SUMS, 0.0))
    notes: list[str] = field(default_factory=list)
    unit: str | None = None

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
        # From the manifests: a day of which nothing can be read has no rows, and a note.
        files = self.database.scanner.log.files(
            question.model, since=utc_day(since), until=utc_day(until)
        )
        return sorted(
            {f"{one.day}" for _, one in files if one.last_at >= since and one.first_at <= until}
        )

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
            The sums, ``notes``, ``unit``, and ``after`` for the next part; nothing there when the
            day is done.
        """
        kind = self.kind_of(question.model)
        start = datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC)

        place = outcomes.place_of(question.model)
        # Until the rows of the part say it better.
        about: list[Period] = [(start, start)]

        def scan() -> Scan:
            return self._scan(question, start)

        def scan_told() -> Scan:
            return self.database.scanner.scan(place, about=about)

        def ask() -> tuple[list[dict[str, Any]], list[Prediction], Scan, list[str]]:
            found = scan()
            few = self._few(question, kind, found, start, after)
            about[:] = self._about(few, kind, found) or about
            told = scan_told()
            rows = self._read(few, kind, found, told)
            # Here, because a text that was damaged may be no JSON any more.
            asked = [prediction_of(question.model, row, found.releases) for row in rows]
            return rows, asked, found, [*found.notes, *told.notes]

        rows, asked, found, notes = self.database.ask(ask, scan, scan_told)
        tally = self._again(question, kind, list(zip(rows, asked, strict=True)), found)
        more = None
        if len(rows) == self.part_rows:
            more = [rows[-1]["at"].isoformat(), rows[-1]["prediction_id"].hex()]
        told = {"notes": [*notes, *tally.notes], "unit": tally.unit}
        return {"day": day, "after": more, **told, **tally.sums}

    def _scan(self, question: BacktestQuestion, start: datetime) -> Scan:
        """Find the files of a day, with the columns of the whole period: filters may name them."""
        since, until = question.span
        whole = self.database.scanner.scan(question.model, since=since, until=until)
        end = start + timedelta(days=1)
        return whole.among(
            [i for i, one in enumerate(whole.facts) if one.last_at >= start and one.first_at < end]
        )

    def _few(
        self,
        question: BacktestQuestion,
        kind: type[Predictor],
        scan: Scan,
        start: datetime,
        after: Sequence[str] | None,
    ) -> Few | None:
        """Say which rows the part has; nothing where there are no files."""
        if not scan.files:
            return None
        sql, params = condition(question, scan, kind)
        sql += ' AND "at" >= $start AND "at" < $end'
        params |= {"start": start, "end": start + timedelta(days=1)}
        if after is not None:
            sql += ' AND "at" >= $after_at AND ("at" > $after_at OR prediction_id > $after_id)'
            params["after_at"] = datetime.fromisoformat(after[0])
            params["after_id"] = bytes.fromhex(after[1])
        order = f'WHERE {sql} ORDER BY "at", prediction_id LIMIT {self.part_rows}'
        return order, params

    def _about(self, few: Few | None, kind: type[Predictor], scan: Scan) -> list[Period]:
        """Say what the outcomes of the part's rows are about, so that no others are read."""
        if few is None or not kind.FORETELLS:
            return []
        order, params = few
        query = f"SELECT {outcomes.needs(kind)} FROM {scan.source} {order}"
        return outcomes.about_few(self.database.rows(query, params, scan), kind)

    def _read(
        self, few: Few | None, kind: type[Predictor], scan: Scan, told: Scan
    ) -> list[dict[str, Any]]:
        """Read the rows of the part, with what is known of what happened."""
        if few is None:
            return []
        order, params = few
        query = f"SELECT * FROM {scan.source} {order}"
        if told.files and kind.FORETELLS:
            params = {**params, "told": list(told.files)}
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
        release = self.archive.open(question.model, question.against)
        config = release.contract.config
        tally = Tally(unit=unit_of(config, kind, kind.HEADLINE))
        is_share = config.target.positive is not None
        kept = []
        for row, one in rows:
            if one.masked or one.version not in scan.releases:
                tally.add("left_out")
            else:
                kept.append((one, happened_to(row, kind)))
        told = again(release, [one for one, _ in kept], scan.releases)
        known = inputs_of(release.contract)
        unknown = sorted({name for one, _ in kept for name in unknown_to(known, one)})
        tally.notes += [left_out(release, unknown)] if unknown else []
        for (one, outcome), (now, refused) in zip(kept, told, strict=True):
            tally.add("rows")
            if now is None:
                if not tally.sums["refused"]:
                    tally.notes.append(f"Rows are refused, for example: {refused}")
                tally.add("refused")
                continue
            was = answer_of(one)
            tally.add("changed", float(orjson.dumps(was) != orjson.dumps(now)))
            for name, answer in (("was", was), ("now", now)):
                tally.add(f"{name}_sum", value_of(answer["result"], kind.HEADLINE))
                if outcome is not None and kind.FORETELLS:
                    said = outcome.cut(answer["result"], kind)
                    missed = value_of(said, kind.FORETELLS) - outcome.value
                    tally.add(f"{name}_error", missed**2 if is_share else abs(missed))
            tally.add("told", float(outcome is not None and kind.FORETELLS is not None))
        return tally


@dataclass(frozen=True)
class Happened:
    """What happened, and of which steps, in an answer about many.

    Parameters
    ----------
    value
        Of all these steps.
    steps
        Their times; nothing for an answer without steps.
    """

    value: float
    steps: frozenset[datetime] | None

    def cut(self, result: Mapping[str, Any], kind: type[Predictor]) -> Mapping[str, Any]:
        """Leave in a result the steps whose outcome is known.

        Parameters
        ----------
        result
            Plain data.
        kind
            The model's predictor.
        """
        if self.steps is None or kind.STEPS is None:
            return result
        name, _, time = kind.STEPS.partition(".")
        known = [one for one in result[name] if datetime.fromisoformat(one[time]) in self.steps]
        return {**result, name: known}


def happened_to(row: Mapping[str, Any], kind: type[Predictor]) -> Happened | None:
    """Give what is known to have happened, of a row that was read with it.

    Parameters
    ----------
    row
        As ``outcomes.joined_few`` gives it.
    kind
        The model's predictor.
    """
    value = row.get("told_value" if kind.STEPS else "outcome_value")
    if value is None or not row.get("outcome_steps"):
        return None
    return Happened(value, frozenset(row["told_steps"]) if kind.STEPS else None)


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
    return [*parts[:-1], {**part, **total_of([parts[-1], part])}]


def total_of(parts: Sequence[Part]) -> Part:
    """Add parts up, whatever their days.

    Parameters
    ----------
    parts
        So far, one a day.
    """
    notes = [*dict.fromkeys(note for part in parts for note in part["notes"])]
    sums = {name: sum(part[name] for part in parts) for name in _SUMS}
    return {**sums, "notes": notes[:_MOST_NOTES]}


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
    total = total_of(parts)
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
            "notes": total["notes"],
        }
    )


def _series(question: BacktestQuestion, parts: Sequence[Part]) -> Series:
    """Give means and errors by day."""
    unit = next((part["unit"] for part in parts), None)
    rows = []
    for sums in parts:
        answered, told = sums["rows"] - sums["refused"], sums["told"]
        rows.append(
            [
                f"{sums['day']}T00:00:00+00:00",
                int(sums["rows"]),
                *(sums[name] / answered if answered else None for name in ("now_sum", "was_sum")),
                *(sums[name] / told if told else None for name in ("now_error", "was_error")),
            ]
        )
    return Series(
        title=f"{question.model}: what version {question.against} answers, and what was answered",
        columns=[
            SeriesColumn(name="day", kind="time", unit=None),
            SeriesColumn(name="rows", kind="integer", unit="predictions"),
            SeriesColumn(name="mean", kind="number", unit=unit),
            SeriesColumn(name="mean_was", kind="number", unit=unit),
            # Of a share the error is squared.
            *(
                SeriesColumn(name=name, kind="number", unit=None if unit == RATIO else unit)
                for name in ("error", "error_was")
            ),
        ],
        rows=rows,
        chart=Chart(
            kind="line", x="day", y=["mean", "error"], low=None, high=None, by=None,
            step="day", reference=["mean_was", "error_was"],
        ),
        notes=total_of(parts)["notes"],
    )  # fmt: skip
