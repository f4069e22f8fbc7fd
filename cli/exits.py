"""What the number that `septet` ends with means, so that scripts can act on it."""

from __future__ import annotations

from enum import IntEnum

from core.denials import KeyClosed, KeyUnknown, LastAdminKey, RecordsUnavailable
from core.errors import (
    ArtifactCorrupt,
    ConfigError,
    ContractError,
    ModelUnknown,
    NoChampion,
    PortInUse,
    RegistryDown,
    SeptetError,
    SourceError,
    TrainingRefused,
)
from core.refusals import AccessDenied, FieldsInvalid


class Exit(IntEnum):
    """Exit codes; the public surface of the command like its options."""

    OK = 0
    FAULT = 1
    USAGE = 2
    CONFIG = 3
    INPUT = 4
    TRAINING_REFUSED = 5
    NO_CHAMPION = 6
    PORT_IN_USE = 7
    REGISTRY_DOWN = 8
    PROGRAM_DIED = 9
    KEPT_CHAMPION = 10
    ROWS_REFUSED = 11
    ARTIFACT_REFUSED = 12
    UNHEALTHY = 13
    RECORDS_DOWN = 14
    KEY_REFUSED = 15
    PLATFORM_DOWN = 16
    PLATFORM_REFUSED = 17
    INTERRUPTED = 130

    @property
    def meaning(self) -> str:
        """One line for a person."""
        return _MEANINGS[self]


_MEANINGS = {
    Exit.OK: "done",
    Exit.FAULT: "an unforeseen fault; --debug shows where",
    Exit.USAGE: "the command line is wrong, or names an unknown model or key",
    Exit.CONFIG: "a YAML file or a SEPTET_* variable is wrong",
    Exit.INPUT: "a table or file cannot be read or used",
    Exit.TRAINING_REFUSED: "no honest model can be trained on the table",
    Exit.NO_CHAMPION: "the model has no champion yet",
    Exit.PORT_IN_USE: "a port is taken by another process",
    Exit.REGISTRY_DOWN: "MLflow does not answer",
    Exit.PROGRAM_DIED: "`up`: one of its programs ended or never got ready",
    Exit.KEPT_CHAMPION: "`train`: trained, but the gate kept the old champion",
    Exit.ROWS_REFUSED: "`predict`, `outcomes load`: done, but some rows were refused",
    Exit.ARTIFACT_REFUSED: "an artifact on disk is damaged or foreign",
    Exit.UNHEALTHY: "`doctor`: at least one check failed",
    Exit.RECORDS_DOWN: "the database of keys and audit does not answer, or is not migrated",
    Exit.KEY_REFUSED: "`keys`: the key is shut already, or is the last admin key",
    Exit.PLATFORM_DOWN: "no platform answers at the address",
    Exit.PLATFORM_REFUSED: "the platform refused the request, or the key",
    Exit.INTERRUPTED: "stopped by Ctrl-C before it was done",
}

# The first class that fits decides, so a class stands before its bases.
_BY_ERROR: tuple[tuple[type[SeptetError], Exit], ...] = (
    (ModelUnknown, Exit.USAGE),
    (KeyUnknown, Exit.USAGE),
    (FieldsInvalid, Exit.USAGE),
    (KeyClosed, Exit.KEY_REFUSED),
    (LastAdminKey, Exit.KEY_REFUSED),
    (RecordsUnavailable, Exit.RECORDS_DOWN),
    (ConfigError, Exit.CONFIG),
    (ContractError, Exit.INPUT),
    (SourceError, Exit.INPUT),
    (TrainingRefused, Exit.TRAINING_REFUSED),
    (NoChampion, Exit.NO_CHAMPION),
    (PortInUse, Exit.PORT_IN_USE),
    (RegistryDown, Exit.REGISTRY_DOWN),
    (ArtifactCorrupt, Exit.ARTIFACT_REFUSED),
    (AccessDenied, Exit.FAULT),
)


def exit_of(error: SeptetError) -> Exit:
    """Give the exit code of an error: its own when it names one, else that of its class."""
    own = getattr(error, "exit", None)
    if isinstance(own, Exit):
        return own
    return next((code for kind, code in _BY_ERROR if isinstance(error, kind)), Exit.FAULT)
