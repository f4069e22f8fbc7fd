"""How an input was distributed over time, against training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bentos.predictor import Predictor
from core.errors import meant
from core.history_faults import PathInvalid
from services.history.answers import Chart, Series, SeriesColumn
from services.history.questions import FeatureQuestion
from services.history.reader import bins
from services.history.reader.columns import INPUT, Column, sql_of
from services.history.reader.database import Database
from services.history.reader.distribution import NUMBERS, Distribution, Profile, Spread
from services.history.reader.filters import NOTHING, condition
from services.history.reader.plot import INDEX
from services.history.reader.scan import Scan, kind_of

# Of a model and a version: what training noted of each input; nothing where it is not at hand.
ProfilesOf = Callable[[str, str], Mapping[str, Profile] | None]

_KINDS = NUMBERS | {"boolean", "text"}
_SHARES: tuple[tuple[str, Any, str | None], ...] = (
    ("step", "time", None), ("bin", "text", None), ("share", "number", "ratio"),
    ("training_share", "number", "ratio"), ("volume", "integer", "predictions"),
    ("psi", "number", INDEX), ("psi_by_chance", "number", INDEX),
)  # fmt: skip
_MIDDLE: tuple[tuple[str, Any, str | None], ...] = tuple(
    (name, "number", None)
    for name in ("median", "low", "high", "training_median", "training_low", "training_high")
)
_NOTE = (
    "psi (population stability index): under 0.1 no shift, over 0.25 a large one (Siddiqi 2006); "
    "psi_by_chance is what so few predictions stay under in 95 of 100 cases when nothing has "
    "changed."
)
_SMALL, _LARGE = 0.1, 0.25
_LAST_STEPS = 4


@dataclass(frozen=True)
class _Against:
    """What an input is held against.

    Parameters
    ----------
    profile
        Of training; nothing where none can be.
    notes
        What a reader must know.
    """

    profile: Profile | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Features:
    """Answers how inputs were distributed.

    Parameters
    ----------
    database
        Reads the log.
    profiles_of
        Gives what training of a version noted, as ``training.profile`` does.
    """

    database: Database
    profiles_of: ProfilesOf

    def read(self, question: FeatureQuestion, feature: str, kind: type[Predictor]) -> Series:
        """Give one row a step and group of values.

        Parameters
        ----------
        question
            What was asked.
        feature
            Name of the input.
        kind
            The model's predictor.

        Raises
        ------
        PathInvalid
            There is no such input, or a filter names what there is not.
        """
        since, until = question.span
        asked = question.model_copy(update={"since": since, "until": until})

        def scan() -> Scan:
            return self.database.scanner.scan(asked.model, since=since, until=until)

        def ask() -> Series:
            found = scan()
            column = _input(self.database.naming(found), feature)
            if not found.files:
                condition(asked, self.database.naming(found), kind)
                nothing = Spread([], [], 0, [], ())
                against = _Against(None, (NOTHING,))
                return _series(asked, column.name, nothing, against, found, is_number=False)
            return self._read(asked, column, found, kind)

        return self.database.ask(ask, scan)

    def _read(
        self, question: FeatureQuestion, column: Column, scan: Scan, kind: type[Predictor]
    ) -> Series:
        found = Distribution(self.database, scan, question, column, kind)
        volumes = found.versions()
        lacking = [one for one in volumes if _lacks(scan, one, column.name)]
        if lacking:
            found.leave_out(lacking)
        answered = {one: volume for one, volume in volumes.items() if one not in lacking}
        against = self._against(question.model, column.name, answered)
        spread = found.spread(against.profile or found.own_profile())
        notes = (*against.notes, *_notes_of_lacking(lacking, volumes))
        against = _Against(against.profile, notes)
        is_number = column.kind in NUMBERS
        return _series(question, column.name, spread, against, scan, is_number=is_number)

    def _against(self, model: str, feature: str, volumes: Mapping[str, int]) -> _Against:
        """Choose the training that predictions are held against: that of who answered most."""
        if not volumes:
            return _Against(None, (NOTHING,))
        version, volume = next(iter(volumes.items()))
        profiles = self.profiles_of(model, version)
        if profiles is None:
            why = (
                f"The artifact of version {version}, which answered most of these predictions, is "
                "not at hand: nothing is held against training. Where MLflow has it, a replay of "
                "one of its predictions fetches it."
            )
            return _Against(None, (why,))
        if (profile := profiles.get(feature)) is None:
            why = (
                f"Training of version {version} noted no distribution of {feature}: its table has "
                "none. Nothing is held against training."
            )
            return _Against(None, (why,))
        if len(volumes) == 1:
            return _Against(profile, (_NOTE, f"Training is that of version {version}."))
        share = volume / sum(volumes.values())
        others = (
            f"Training is that of version {version}, which answered {share:.0%} of these "
            "predictions; ask with `version` for those of another one."
        )
        return _Against(profile, (_NOTE, others))


def no_profiles(_model: str, _version: str) -> None:
    """Know nothing of training."""


def _lacks(scan: Scan, version: str, feature: str) -> bool:
    """Say whether a version has no such input, as far as the log tells."""
    description = scan.releases.get(version)
    return description is not None and feature not in description["inputs"]


def _notes_of_lacking(versions: list[str], volumes: Mapping[str, int]) -> tuple[str, ...]:
    if not versions:
        return ()
    rows = sum(volumes[one] for one in versions)
    which = f"Version {versions[0]} does" if len(versions) == 1 else (
        f"Versions {', '.join(sorted(versions))} do"
    )  # fmt: skip
    return (f"{which} not have this input: {rows:,} predictions are left out.",)


def _input(scan: Scan, feature: str) -> Column:
    """Find an input by name."""
    kinds = {
        name.removeprefix(INPUT): kind_of(scan.releases, name)
        for name in scan.types
        if name.startswith(INPUT)
    }
    name = feature.removeprefix("input.")
    kind = kinds.get(name)
    if kind in _KINDS:
        return Column(name, sql_of(scan, INPUT + name, kind), kind)
    known = sorted(one for one, of in kinds.items() if of in _KINDS)
    said = meant(name, known)
    hint = f" ({said})" if said else ""
    fault = f"{feature[:80]!r} is no input of this time that has a distribution{hint}"
    raise PathInvalid("feature", fault, ", ".join(known) or "there is none")


def _series(
    question: FeatureQuestion,
    feature: str,
    spread: Spread,
    against: _Against,
    scan: Scan,
    *,
    is_number: bool,
) -> Series:
    given = _SHARES + (_MIDDLE if is_number else ())
    is_held = against.profile is not None and bool(spread.parts)
    rows, verdict = _rows(spread, question.by, is_held=is_held, is_number=is_number)
    held = f" against training{verdict}" if is_held else f" by {question.by}"
    return Series(
        title=f"{question.model}: input {feature}{held}",
        columns=[SeriesColumn(name=name, kind=kind, unit=unit) for name, kind, unit in given],
        rows=rows,
        chart=_chart(is_number=is_number, is_held=is_held),
        notes=[*scan.notes, *(against.notes if spread.parts else _of_nothing(against.notes))],
    )


def _of_nothing(notes: tuple[str, ...]) -> tuple[str, ...]:
    """Keep of the notes those that explain why there is nothing."""
    return (NOTHING, *(note for note in notes if note.endswith("left out.")))


def _rows(
    spread: Spread, by: str, *, is_held: bool, is_number: bool
) -> tuple[list[list[Any]], str]:
    """Give the rows, and how the last steps stand in words."""
    # Groups that neither training nor any step has say nothing.
    places = [
        i for i, share in enumerate(spread.shares)
        if (share > 0 and is_held) or any(part.volumes[i] for part in spread.parts)
    ]  # fmt: skip
    then = [spread.shares[i] for i in places]
    chance = bins.Chance(then, spread.rows) if is_held else None
    rows: list[list[Any]] = []
    for part in spread.parts:
        volume = sum(part.volumes)
        shares = [part.volumes[i] / volume for i in places]
        index: list[Any] = [None, None]
        if chance is not None:
            index = [bins.stability(shares, then), chance.of(volume).most]
        middles = (part.middle, spread.middle if is_held else (None,) * 3) if is_number else ()
        # As columns have it: the median first.
        middle = [one[i] for one in middles for i in (1, 0, 2)]
        rows += [
            [part.step.isoformat(), spread.names[i], share, spread.shares[i] if is_held else None,
             part.volumes[i], *index, *middle]
            for i, share in zip(places, shares, strict=True)
        ]  # fmt: skip
    if chance is None:
        return rows, ""
    last = spread.parts[-_LAST_STEPS:]
    volumes = [sum(part.volumes[i] for part in last) for i in places]
    when = f"the last {by}" if len(last) == 1 else f"the last {len(last)} {by}s"
    return rows, f": {_verdict(volumes, then, chance)} in {when}"


def _verdict(volumes: list[int], then: list[float], chance: bins.Chance) -> str:
    """Say how the last steps stand, all together: one alone has few predictions."""
    volume = sum(volumes)
    psi = bins.stability([one / volume for one in volumes], then)
    usual = chance.of(volume)
    if psi <= usual.most:
        return "no shift" if usual.most < _LARGE else "too few predictions to tell a shift"
    shift = psi - usual.mean
    words = ("no shift", "a moderate shift", "a large shift")
    return words[(shift >= _SMALL) + (shift >= _LARGE)]


def _chart(*, is_number: bool, is_held: bool) -> Chart:
    y, by = ("median", None) if is_number else ("share", "bin")
    training = ["training_median", "training_low", "training_high"]
    return Chart(
        kind="line", x="step", y=[y, "psi"] if is_held else [y], by=by,
        low="low" if is_number else None, high="high" if is_number else None,
        reference=[*(training if is_number else ["training_share"]), "psi_by_chance"]
        if is_held else [],
    )  # fmt: skip
