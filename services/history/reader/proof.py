"""What became of an erasure, as the workers wrote it down."""

from __future__ import annotations

import re

from pydantic import ValidationError

from core.history_faults import ErasureUnknown
from services.history.answers import ErasurePage
from services.history.erasure import FOLDER, Erasure
from services.history.log import PredictionLog

_ID = re.compile(r"[0-9a-f]{32}")


def read_erasure(log: PredictionLog, erasure_id: str) -> ErasurePage:
    """Tell what became of an erasure.

    Parameters
    ----------
    log
        The log.
    erasure_id
        As the answer to the request gave it.

    Raises
    ------
    ErasureUnknown
        No worker has met it yet, or there is none.
    """
    if _ID.fullmatch(erasure_id) is None:
        raise ErasureUnknown(erasure_id)
    # One by each worker that shares the log.
    found = [_read(log, key) for key in log.store.keys(f"{FOLDER}/{erasure_id}*.json")]
    proofs = [proof for proof in found if proof is not None]
    if not proofs:
        raise ErasureUnknown(erasure_id)
    is_done = all(proof.state == "done" for proof in proofs)
    return ErasurePage(
        erasure_id=erasure_id,
        state="done" if is_done else "running",
        proofs=[proof.model_dump(mode="json") for proof in proofs],
    )


def _read(log: PredictionLog, key: str) -> Erasure | None:
    try:
        return Erasure.model_validate_json(log.store.read(key))
    except (FileNotFoundError, ValidationError):
        return None
