"""A CSV file in, a CSV file of answers out; in blocks, so that its size does not matter."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any

from bentos.answering import answer_rows
from bentos.release import Release
from cli.lines import Lines, open_csv
from core.cells import null_words, parse_boolean, time_text
from core.config import Feature, ModelConfig
from core.contract import Contract
from core.errors import RowInvalid, SeptetError, SourceError

_BLOCK_ROWS = 2000
_SHOWN_REFUSALS = 5
_STRONGEST_DRIVERS = 3


@dataclass
class Tally:
    """What became of a file; counted while it is answered.

    Parameters
    ----------
    left_out
        Columns of the file that are no inputs of the model.
    answered
        Rows with an answer.
    refused
        Rows without.
    first_refusals
        Line in the file and reason, of the first few.
    """

    left_out: tuple[str, ...]
    answered: int = 0
    refused: int = 0
    first_refusals: list[tuple[int, str]] = field(default_factory=list)

    def refuse(self, line: int, reason: str) -> None:
        """Count a row that was not answered."""
        self.refused += 1
        if len(self.first_refusals) < _SHOWN_REFUSALS:
            self.first_refusals.append((line, reason))


@dataclass(frozen=True)
class _Table:
    """An opened table: its lines, and which of its columns are inputs.

    A column of what the task asks, such as a horizon or limits, holds JSON.
    """

    lines: Iterator[tuple[int, list[str]]]
    header: Sequence[str]
    inputs: Mapping[int, str]
    config: ModelConfig

    def row(self, cells: Sequence[str]) -> dict[str, Any] | str:
        """Turn a line's cells into a row, or say why that cannot be."""
        if len(cells) != len(self.header):
            return f"has {len(cells)} cells; the header has {len(self.header)}"
        return {
            name: self._value(name, cells[place].strip()) for place, name in self.inputs.items()
        }

    def _value(self, name: str, text: str) -> object:
        """Read a cell of a column of the model."""
        if text in null_words(self.config.features.get(name)):
            return None
        if name == self.config.entity:
            return text
        if name == self.config.as_of:
            return time_text(text)
        if name not in self.config.features:
            return _json(text)
        return _typed(text, feature=self.config.features[name])


def score_file(release: Release, table: Path, *, output: Path, explain: bool = False) -> Tally:
    """Answer every row of a CSV file.

    Parameters
    ----------
    release
        What answers.
    table
        CSV in UTF-8 with a header; the columns bear our names, or the source's as in training.
    output
        Written beside itself first, and moved into place when it is whole.
    explain
        Whether to add the strongest drivers of each answer.

    Raises
    ------
    SourceError
        The file cannot be read or written, or is no table of this model.
    """
    if output.resolve() == table.resolve():
        raise SourceError(str(output), "this is the input; name another file with -o")
    draft = output.with_name(output.name + ".part")
    try:
        with open_csv(table) as lines:
            opened = _open_table(lines, path=table, contract=release.contract)
            with draft.open("w", encoding="utf-8", newline="") as target:
                tally = _score(release, opened, target=target, explain=explain)
            draft.replace(output)
    finally:
        draft.unlink(missing_ok=True)
    return tally


def _open_table(opened: Lines, *, path: Path, contract: Contract) -> _Table:
    """Find the model's columns in the header."""
    config, fields = contract.config, contract.row_type.model_fields
    given, header = config.source.columns, opened.header
    ours = {given.get(name, name): name for name in fields} | {name: name for name in fields}
    inputs = {place: ours[name] for place, name in enumerate(header) if name in ours}
    needed = [name for name, field in fields.items() if field.is_required()]
    missing = [given.get(name, name) for name in needed if name not in inputs.values()]
    if missing:
        fault = f"misses the columns {', '.join(missing)}; see `septet template {config.model}`"
        raise SourceError(str(path), fault)
    return _Table(lines=opened.lines, header=header, inputs=inputs, config=config)


def _score(release: Release, table: _Table, *, target: IO[str], explain: bool) -> Tally:
    """Answer the rows block by block."""
    left_out = [name for place, name in enumerate(table.header) if place not in table.inputs]
    tally = Tally(left_out=tuple(left_out))
    results = list(release.predictor.RESULT.model_fields)
    heads = ["line", "entity", "as_of", *results, "flags", *(["drivers"] if explain else [])]
    writer = csv.DictWriter(target, [*heads, "prediction_id", "model", "version", "problem"])
    writer.writeheader()
    while block := list(islice(table.lines, _BLOCK_ROWS)):
        rows = [table.row(cells) for _, cells in block]
        # A broken line goes along as the text that says why: the contract refuses it in its place.
        outcomes = answer_rows(release, rows, explain=explain)
        for (line, _), row, outcome in zip(block, rows, outcomes, strict=True):
            if outcome.answer is not None:
                tally.answered += 1
                writer.writerow({"line": line, **_cells(outcome.answer, explain=explain)})
                continue
            reason = row if isinstance(row, str) else _reason(outcome.error)
            tally.refuse(line, reason)
            known = {} if isinstance(row, str) else _keys(row, config=table.config)
            writer.writerow({"line": line, **known, "model": release.model, "problem": reason})
    return tally


def _typed(text: str, *, feature: Feature) -> object:
    """Read a cell as its feature's type; what is none stays text, for the contract to name."""
    if feature.type == "boolean":
        known = parse_boolean(text)
        return text if known is None else known
    if feature.type == "category":
        return text
    try:
        number = float(text)
    except ValueError:
        return text
    return int(number) if feature.type == "integer" and number.is_integer() else number


def _json(text: str) -> object:
    """Read a cell of what the task asks; what is no JSON stays text, for the contract to judge."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _keys(row: Mapping[str, object], *, config: ModelConfig) -> dict[str, object]:
    """Give whom and when a row is about, as an answer would name them."""
    as_of = row.get(config.as_of) if config.as_of else None
    return {"entity": row.get(config.entity) or "", "as_of": as_of or ""}


def _reason(error: SeptetError | None) -> str:
    """Say in one line why a row was refused."""
    if isinstance(error, RowInvalid):
        return "; ".join(f"{p.field} {p.problem} ({p.allowed})" for p in error.problems)
    return error.detail if error is not None else "it was not answered"


def _cell(value: object) -> object:
    """Write a part with parts of its own as JSON."""
    return json.dumps(value) if isinstance(value, dict | list) else value


def _cells(answer: Mapping[str, Any], *, explain: bool) -> dict[str, object]:
    """Lay an answer out in columns."""
    cells: dict[str, object] = {
        name: answer[name] for name in ("prediction_id", "model", "version")
    }
    cells |= {"entity": answer["entity"] or "", "as_of": answer["as_of"] or ""}
    cells |= {name: _cell(value) for name, value in answer["result"].items()}
    cells["flags"] = "; ".join(f"{flag['feature']}: {flag['flag']}" for flag in answer["flags"])
    if explain:
        strongest = answer["drivers"]["contributions"][:_STRONGEST_DRIVERS]
        cells["drivers"] = "; ".join(
            f"{driver['feature']} {driver['contribution']:+.4g}" for driver in strongest
        )
    return cells
