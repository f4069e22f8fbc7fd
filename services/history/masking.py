"""What of a prediction is not kept: columns that are left out or hashed, and how many are kept.

It is done where rows go from the spool into the log, which is seconds after they were answered. A
hash is keyed, so that who has the log alone cannot try names; equal values stay equal.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from uuid import uuid4

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from bentos.catalog import CATALOG, contract_of
from core.config import load_model_config
from core.errors import ConfigError, nearest
from core.platform_config import History
from core.settings import Settings
from services.durable import replace_file, sync_folder
from services.history.decoding import OUTCOMES_OF, REFUSED
from services.history.predicted import INPUT
from services.history.wanted import digest_of
from services.predictions.description import inputs_of

_SECRET_BYTES = 32
_HASH_DIGITS = 32
_DROP, _HASH = "drop", "hash"
_ENTITY, _ID, _MASKED = "entity", "prediction_id", "masked"
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_Words = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Secret:
    """What the hashes of the log are keyed with.

    Parameters
    ----------
    key
        Its bytes.
    """

    key: bytes

    def __repr__(self) -> str:
        """Show nothing of it."""
        return "Secret()"

    def mask(self, digest: str) -> str:
        """Give what stands in the log in the place of a text whose SHA-256 is known.

        Parameters
        ----------
        digest
            In hex. An erasure knows no more of its entity than this.
        """
        return hmac.new(self.key, digest.encode(), sha256).hexdigest()[:_HASH_DIGITS]

    def hash(self, text: str) -> str:
        """Give what stands in the log in the place of a text."""
        return self.mask(digest_of(text))


@dataclass(frozen=True)
class Masks:
    """What of one model's rows is masked.

    Parameters
    ----------
    inputs
        By the name of an input, ``drop`` or ``hash``.
    entity
        Name of the column whose entities are hashed; nothing where they are not.
    """

    inputs: Mapping[str, str]
    entity: str | None


class Masking:
    """Masks and samples rows on their way into the log.

    Parameters
    ----------
    masks
        By model.
    samples
        By model, the share of predictions, and of refusals, that is kept.
    secret
        For hashes.
    """

    def __init__(
        self,
        masks: Mapping[str, Masks] | None = None,
        samples: Mapping[str, float] | None = None,
        *,
        secret: Secret | None = None,
    ) -> None:
        self._masks = masks or {}
        self._samples = samples or {}
        self._secret = secret

    def apply(self, place: str, table: pa.Table) -> pa.Table:
        """Give the rows as they are to be kept.

        Parameters
        ----------
        place
            Model, model and ``.outcomes``, or where refusals are.
        table
            What was said by one release, what happened, or all refusals of one segment.
        """
        if place == REFUSED:
            return self._sampled(table)
        model = place.removesuffix(OUTCOMES_OF)
        masks = self._masks.get(model)
        if place == model and model in self._samples:
            table = table.filter(pa.array(_chosen(table.column(_ID), self._samples[model])))
        if masks is None:
            return table
        names = []
        for name, how in masks.inputs.items() if place == model else ():
            if f"{INPUT}{name}" in table.column_names:
                table = self._masked(table, f"{INPUT}{name}", how)
                names.append(name)
        if masks.entity is not None:
            table = self._masked(table, _ENTITY, _HASH)
            names.append(masks.entity)
        if not names or place != model:
            return table
        return _replaced(table, _MASKED, pa.array([",".join(names)] * len(table), pa.string()))

    def _sampled(self, refusals: pa.Table) -> pa.Table:
        """Keep as large a share of a model's refusals as of its predictions."""
        models = refusals.column("model")
        here = [name for name in pc.unique(models).to_pylist() if name in self._samples]
        if not here:
            return refusals
        lots = _lots(refusals)
        is_kept = np.ones(len(refusals), bool)
        for name in here:
            is_kept &= ~pc.equal(models, name).to_numpy() | (lots < self._samples[name])
        return refusals.filter(pa.array(is_kept))

    def _masked(self, table: pa.Table, column: str, how: str) -> pa.Table:
        kind = table.schema.field(column).type
        # An earlier version's column may be no text, and cannot be hashed.
        if how == _DROP or self._secret is None or not pa.types.is_string(kind):
            return _replaced(table, column, pa.nulls(len(table), kind))
        codes = table.column(column).combine_chunks().dictionary_encode()
        hashes = [self._secret.hash(text) for text in codes.dictionary.to_pylist()]
        return _replaced(table, column, pc.take(pa.array(hashes, kind), codes.indices))


def _replaced(table: pa.Table, column: str, values: pa.Array) -> pa.Table:
    place = table.column_names.index(column)
    return table.set_column(place, table.schema.field(column), values)


def _chosen(ids: pa.ChunkedArray, share: float) -> npt.NDArray[np.bool_]:
    """Choose that share of predictions by their ids alone, whoever asks and whenever."""
    halves = np.frombuffer(b"".join(ids.to_pylist()), dtype="<u8").reshape(-1, 2)
    chosen: npt.NDArray[np.bool_] = _mixed(halves[:, 0], halves[:, 1]) < share
    return chosen


def _lots(refusals: pa.Table) -> npt.NDArray[np.float64]:
    """Draw a lot for each refusal, 0 to 1, the same whenever its segment is moved.

    They have no ids, and a batch may be refused of which all rows say the same: there the place in
    the segment tells them apart.
    """
    who = np.arange(len(refusals), dtype=np.uint64)
    for name in ("model", "caller", "code"):
        codes = refusals.column(name).combine_chunks().dictionary_encode()
        digests = [int(digest_of(text)[:16], 16) for text in codes.dictionary.to_pylist()]
        who = who * _GOLDEN + np.array(digests, np.uint64)[codes.indices.to_numpy()]
    at_us = refusals.column("at").cast(pa.int64()).to_numpy().astype(np.uint64)
    return _mixed(at_us, who)


def _mixed(first: _Words, second: _Words) -> npt.NDArray[np.float64]:
    """Give numbers from 0 to 1 that have nothing in common, of words that may have much."""
    # The finalizer of SplitMix64 (Steele, Lea, Flood 2014).
    mixed = first * _GOLDEN + second
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    lots: npt.NDArray[np.float64] = mixed / 2.0**64
    return lots


def open_masking(settings: Settings, config: History) -> tuple[Masking, Secret | None]:
    """Build what masks, and give the secret, with which an erasure finds what was hashed.

    Parameters
    ----------
    settings
        Places of the models' configs and of the secret, which is made when it is needed.
    config
        What is masked.

    Raises
    ------
    ConfigError
        A mask or a sample names a model or a column that there is not, or the secret is damaged.
    """
    masks = read_masks(settings, config)
    is_needed = any(one.entity or _HASH in one.inputs.values() for one in masks.values())
    secret = _open_secret(settings.predictions_secret, is_needed=is_needed)
    return Masking(masks, config.samples, secret=secret), secret


def read_masks(settings: Settings, config: History) -> dict[str, Masks]:
    """Hold the masks against the configs of their models.

    Parameters
    ----------
    settings
        Place of the models' configs.
    config
        What is masked.

    Raises
    ------
    ConfigError
        A mask or a sample names a model or a column that there is not.
    """
    for part, models in (("masks", config.masks), ("samples", config.samples)):
        for model in models:
            if model not in CATALOG:
                fault = f"there is no such model.{nearest(model, CATALOG)}"
                raise _error(settings, f"{part}.{model}", f"{fault} Models: {', '.join(CATALOG)}")
    return {model: _read(settings, model, given) for model, given in config.masks.items() if given}


def _read(settings: Settings, model: str, given: Mapping[str, str]) -> Masks:
    config = load_model_config(settings.model_config_path(model))
    inputs = inputs_of(contract_of(config))
    for name, how in given.items():
        key = f"masks.{model}.{name}"
        if name == config.entity:
            if how == _DROP:
                raise _error(settings, key, "it tells whom a row is about; use hash")
        elif name not in inputs:
            known = [config.entity, *inputs]
            fault = f"{model} has no such input.{nearest(name, known)} Inputs: {', '.join(known)}"
            raise _error(settings, key, fault)
        elif how == _HASH and inputs[name] != "text":
            fault = f"a hash takes a text, and {name} is of the kind {inputs[name]}; use drop"
            raise _error(settings, key, fault)
    entity = config.entity if config.entity in given else None
    return Masks({name: how for name, how in given.items() if name != entity}, entity)


def _error(settings: Settings, key: str, fault: str) -> ConfigError:
    return ConfigError(fault, file=str(settings.platform_config_path), key=f"history.{key}")


def _open_secret(path: Path, *, is_needed: bool) -> Secret | None:
    """Read the secret; without one it is made where it is needed."""
    if not path.exists():
        if not is_needed:
            return None
        _make_secret(path)
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii"))
    except ValueError:
        key = b""
    if len(key) != _SECRET_BYTES:
        raise ConfigError(
            f"{path} is not the secret that the worker wrote. Put it back from a backup: with "
            "another one, entities that were hashed before are not found again"
        )
    return Secret(key)


def _make_secret(path: Path) -> None:
    """Write a new secret, unless another process was sooner."""
    draft = path.with_name(f".{path.name}.{uuid4().hex}")
    replace_file(draft, token_hex(_SECRET_BYTES).encode(), mode=0o600)
    try:
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    sync_folder(path.parent)
