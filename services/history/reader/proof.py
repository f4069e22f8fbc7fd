"""What became of an erasure, as the workers wrote it down."""

from __future__ import annotations

from core.history_faults import ErasureUnknown
from services.history.answers import ErasurePage
from services.history.erasure import proofs
from services.history.log import PredictionLog


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
    found = proofs(log, erasure_id)
    if not found:
        raise ErasureUnknown(erasure_id)
    # Each worker that shares the log erases what it wrote.
    done = {proof.owner for proof in found if proof.state == "done"}
    return ErasurePage(
        erasure_id=erasure_id,
        state="done" if done.issuperset(log.owners()) else "running",
        proofs=[proof.model_dump(mode="json", exclude={"predictions"}) for proof in found],
    )
