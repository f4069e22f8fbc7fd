"""Asks a prediction again: of the very release that answered, or of another one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from bentos.answering import answer_rows
from bentos.release import Release
from core.history_faults import ReleaseGone, ReplayImpossible
from services.history.answers import Difference, Prediction, ReplayPage
from services.history.lineage import Descriptions
from services.history.questions import ReplayQuestion
from services.history.reader.archive import Archive
from services.history.reader.receipt import Receipts
from services.predictions.description import inputs_of

_MOST_DIFFERENCES = 100
Answer = dict[str, Any]


@dataclass(frozen=True)
class Replays:
    """Asks again.

    Parameters
    ----------
    receipts
        Finds what was asked.
    archive
        Opens who answers.
    """

    receipts: Receipts
    archive: Archive

    def read(
        self, question: ReplayQuestion, prediction_id: str, models: Collection[str] | None
    ) -> ReplayPage:
        """Ask a prediction again, and tell the difference.

        Parameters
        ----------
        question
            Who answers.
        prediction_id
            Which.
        models
            Those that the caller may read; nothing means all.

        Raises
        ------
        PredictionUnknown
            There is no such prediction.
        ReplayImpossible
            What was asked is not all there.
        ReleaseGone
            Who answers is not there any more, or another one under the same name.
        """
        found, releases, notes = self.receipts.find(prediction_id, models)
        version = question.version or found.version
        release = self.archive.open(found.model, version)
        if version == found.version:
            _require_same(release, releases)
        [(now, refused)] = again(release, [found], releases)
        unknown = sorted(unknown_to(inputs_of(release.contract), found))
        was = answer_of(found)
        return ReplayPage(
            prediction_id=found.prediction_id,
            model=found.model,
            version=found.version,
            replayed_version=version,
            identical=now is not None and orjson.dumps(was) == orjson.dumps(now),
            was=was,
            now=now,
            refused=refused,
            differences=[] if now is None else list(differences(was, now))[:_MOST_DIFFERENCES],
            notes=[*notes, *([left_out(release, unknown)] if unknown else [])],
        )


def again(
    release: Release, predictions: Collection[Prediction], releases: Descriptions
) -> list[tuple[Answer | None, str | None]]:
    """Let a release answer what was asked before.

    Parameters
    ----------
    release
        Who answers.
    predictions
        What was asked; ``n`` of them.
    releases
        Who answered then, by version.

    Returns
    -------
    list of tuple
        ``n`` answers, or why the release refuses the row.

    Raises
    ------
    ReplayImpossible
        What was asked is not all there.
    """
    known = inputs_of(release.contract)
    asked = [row_of(one, releases, release, known) for one in predictions]
    explain = any(one.drivers is not None for one in predictions)
    told: list[tuple[Answer | None, str | None]] = []
    for one, outcome in zip(predictions, answer_rows(release, asked, explain=explain), strict=True):
        if outcome.answer is None:
            told.append((None, getattr(outcome.error, "detail", "it gave no answer")))
            continue
        answer = orjson.loads(orjson.dumps(outcome.answer))
        told.append((_told(answer, with_drivers=one.drivers is not None), None))
    return told


def unknown_to(known: Collection[str], found: Prediction) -> set[str]:
    """Name the inputs that were asked and that a release does not know, in whose config none is."""
    return {name for name, value in found.input.items() if value is not None and name not in known}


def left_out(release: Release, names: Sequence[str]) -> str:
    """Say that a release was asked without some inputs."""
    return f"Version {release.version} does not take {', '.join(names)}: asked without."


def row_of(
    found: Prediction, releases: Descriptions, release: Release, known: Collection[str]
) -> dict[str, Any]:
    """Give the row as it was asked, so far as a release takes it; what was null may be left out.

    Parameters
    ----------
    found
        What was asked.
    releases
        Who answered then, by version.
    release
        Who is asked now. Its config may name the keys otherwise.
    known
        The inputs that it takes.

    Raises
    ------
    ReplayImpossible
        An input is masked, or nothing says how the keys were named.
    """
    if found.masked:
        fault = f"{', '.join(found.masked)} is masked by history.masks, so it was not kept"
        raise ReplayImpossible(found.prediction_id, fault)
    if found.version not in releases:
        raise ReplayImpossible(found.prediction_id, "the file it stands in does not describe it")
    unknown = unknown_to(known, found)
    row = {
        name: value
        for name, value in found.input.items()
        if value is not None and name not in unknown
    }
    config = release.contract.config
    if found.entity is not None:
        row[config.entity] = found.entity
    if found.as_of is not None and config.as_of is not None:
        row[config.as_of] = found.as_of.isoformat()
    return row


def answer_of(found: Prediction) -> Answer:
    """Give what was answered, but for the id and the release."""
    return _told(
        {
            "entity": found.entity,
            "as_of": None if found.as_of is None else found.as_of.isoformat(),
            "result": found.result,
            "flags": found.flags,
            "drivers": found.drivers,
        },
        with_drivers=found.drivers is not None,
    )


def differences(was: Any, now: Any, path: str = "") -> Iterator[Difference]:
    """Tell in which fields two answers differ.

    Parameters
    ----------
    was, now
        Plain data.
    path
        Where they stand.
    """
    if isinstance(was, Mapping) and isinstance(now, Mapping):
        for name in dict.fromkeys([*was, *now]):
            yield from differences(was.get(name), now.get(name), f"{path}.{name}".lstrip("."))
    elif isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        for place, (before, after) in enumerate(zip(was, now, strict=True)):
            yield from differences(before, after, f"{path}[{place}]")
    elif orjson.dumps(was) != orjson.dumps(now):
        yield Difference(field=path, was=was, now=now)


def _told(answer: Mapping[str, Any], *, with_drivers: bool) -> Answer:
    names = ("entity", "as_of", "result", "flags", *(("drivers",) if with_drivers else ()))
    return {name: answer[name] for name in names}


def _require_same(release: Release, releases: Descriptions) -> None:
    """Refuse an artifact that only bears the name of the one that answered."""
    noted = releases.get(release.version, {}).get("manifest_sha256")
    if noted is not None and noted != release.identity.manifest_sha256:
        raise ReleaseGone(
            release.model, release.version, "its artifact is not the one that answered then"
        )
