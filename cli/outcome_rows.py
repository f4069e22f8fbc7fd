"""From the lines of a file to outcomes, as `POST /api/outcomes` takes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from bentos.catalog import model_name
from core.cells import NULL_WORDS, NULL_WORDS_OF_NUMBERS, parse_boolean, time_text
from core.config import ModelConfig, Scalar, Target
from core.errors import SeptetError, SourceError

_MODEL, _ID, _ENTITY, _AS_OF = "model", "prediction_id", "entity", "as_of"
_VALUE, _AMOUNT, _HAPPENED = "value", "amount", "happened_at"


@dataclass(frozen=True, slots=True)
class _Columns:
    """Where the fields of a model's outcomes stand in a line."""

    config: ModelConfig
    places: Mapping[str, int]
    # Whether the value stands in a column that bears the target's own name.
    is_own_value: bool


class OutcomeRows:
    """Reads the lines of one file.

    Parameters
    ----------
    header
        Names of its columns.
    source
        What it is called, for a person.
    model
        The model of lines that name none.
    config_of
        Gives the config of a model.

    Raises
    ------
    SeptetError
        There is no such model, its config is wrong, or the file lacks columns of its outcomes.
    """

    def __init__(
        self,
        header: Sequence[str],
        *,
        source: str,
        model: str | None,
        config_of: Callable[[str], ModelConfig],
    ) -> None:
        self._header = header
        self._source = source
        self._config_of = config_of
        self._known: dict[str, _Columns | SeptetError] = {}
        self._model = None if model is None else model_name(model)
        if self._model is not None:
            self._columns(self._model)
        elif _MODEL not in header:
            raise SourceError(source, "has no column model; add it, or give --model")

    def outcome(self, cells: Sequence[str]) -> dict[str, Any] | str | None:
        """Read one line, or say why that cannot be.

        Parameters
        ----------
        cells
            One a column.

        Returns
        -------
        dict, str or None
            The outcome, why there is none, or nothing when it is not known yet.
        """
        if len(cells) != len(self._header):
            return f"has {len(cells)} cells; the header has {len(self._header)}"
        texts = [cell.strip() for cell in cells]
        named = texts[self._header.index(_MODEL)] if _MODEL in self._header else ""
        try:
            model = model_name(named) if named else self._model
            if model is None:
                return "names no model; fill the column model, or give --model"
            columns = self._columns(model)
        except SeptetError as error:
            return error.detail
        found = _fields(columns, texts)
        return {"model": model, **found} if found.keys() & {_VALUE, _AMOUNT} else None

    def _columns(self, model: str) -> _Columns:
        """Find the columns of a model, once."""
        if model not in self._known:
            try:
                self._known[model] = self._find(self._config_of(model))
            except SeptetError as error:
                self._known[model] = error
        found = self._known[model]
        if isinstance(found, SeptetError):
            raise found
        return found

    def _find(self, config: ModelConfig) -> _Columns:
        """Find each field under its own name, or under that of the model's column."""
        target, given = config.target, config.source.columns
        own: dict[str, str | None] = {
            _ENTITY: config.entity,
            _AS_OF: config.as_of,
            _VALUE: target.column,
            _AMOUNT: target.amount,
        }
        places: dict[str, int] = {}
        for field in (_ID, _ENTITY, _AS_OF, _VALUE, _AMOUNT, _HAPPENED):
            column = own.get(field)
            names = (field, *((column, given.get(column, column)) if column else ()))
            found = next((name for name in names if name in self._header), None)
            if found is not None:
                places[field] = self._header.index(found)
        for needed in ((_ID, _ENTITY), (_VALUE, _AMOUNT)):
            if not places.keys() & set(needed):
                named = [name for field in needed for name in (field, own.get(field)) if name]
                fault = f"has none of the columns {', '.join(dict.fromkeys(named))}; add one"
                raise SourceError(self._source, f"{fault} for the outcomes of {config.model}")
        return _Columns(config, places, is_own_value=_VALUE not in self._header)


def _fields(columns: _Columns, texts: Sequence[str]) -> dict[str, Any]:
    """Read the cells of a line that say something."""
    config, places = columns.config, columns.places
    cells = {field: texts[place] for field, place in places.items()}
    found: dict[str, Any] = {}
    for field in (_ID, _ENTITY):
        if cells.get(field, "") not in NULL_WORDS:
            found[field] = cells[field]
    for field in (_AS_OF, _HAPPENED):
        if cells.get(field, "") not in NULL_WORDS:
            found[field] = time_text(cells[field])
    if _ID in found:
        # An export of answers has both: the id is the narrower one.
        found.pop(_ENTITY, None)
        if config.split.rule != "steps":
            found.pop(_AS_OF, None)
    value = _value(cells.get(_VALUE, ""), config.target, is_own=columns.is_own_value)
    amount = _number(cells.get(_AMOUNT, ""))
    said = {_VALUE: value, _AMOUNT: amount}
    return found | {name: one for name, one in said.items() if one is not None}


def _value(text: str, target: Target, *, is_own: bool) -> bool | float | str | None:
    """Read what happened; what cannot be read stays text, for the platform to refuse."""
    if target.positive is None:
        return None if _same(text, target.unknown) else _number(text)
    is_positive = _same(text, target.positive)
    if text in NULL_WORDS_OF_NUMBERS and not is_positive:
        return None
    known = parse_boolean(text)
    if not is_own:
        return True if known is None and is_positive else text if known is None else known
    if is_positive or _same(text, target.unknown):
        return True if is_positive else None
    wanted = parse_boolean(str(target.positive))
    if wanted is None:
        # As in training: where yes has a name of its own, every other name means no.
        return False
    return text if known is None else known == wanted


def _number(text: str) -> float | str | None:
    """Read a number; what is none stays text, for the platform to refuse."""
    if text in NULL_WORDS_OF_NUMBERS:
        return None
    try:
        number = float(text)
    except ValueError:
        return text
    # Python takes 1_000, which no export writes, and infinity, which no outcome is.
    return number if isfinite(number) and "_" not in text else text


def _same(text: str, wanted: Scalar | None) -> bool:
    """Compare as training does: 1, 1.0 and "1" are one, and true is True."""
    return wanted is not None and _plain(text) == _plain(str(wanted))


def _plain(text: str) -> str:
    return text.strip().lower().removesuffix(".0")
