"""Every error a person can meet, in one tree.

::

    SeptetError                       500
    ├── ConfigError                   500   a YAML file or a setting is wrong
    ├── ContractError                 422
    │   ├── RowInvalid                422   a row breaks its model's contract
    │   └── FieldsInvalid             422   fields of a body or a command are wrong
    ├── RequestError                  400   the request itself is malformed
    │   ├── JsonInvalid               400
    │   ├── QueryInvalid              400
    │   ├── TableInvalid              400   of an Arrow or Parquet body
    │   ├── BodyTooLarge              413
    │   ├── BodyTooSlow               408   the body did not come in time
    │   ├── HttpInvalid               400   the bytes are no HTTP
    │   ├── HeadersTooLarge           431
    │   └── ContentTypeUnsupported    415
    ├── AccessDenied                  401   no key, or a wrong one
    ├── Forbidden                     403   the key does not open this
    │   ├── RoleTooLow                403
    │   └── ModelOutOfScope           403
    ├── LockedOut                     429   too many wrong keys from one network
    ├── OriginUnknown                 403   another site's page
    ├── HostUnknown                   421   sent to another name
    ├── NotFound                      404
    │   ├── ModelUnknown              404
    │   ├── KeyUnknown                404
    │   └── PathUnknown               404
    ├── KeyClosed                     409   a revoked or expired key stays closed
    ├── LastAdminKey                  409   somebody must be able to manage keys
    ├── MethodNotAllowed              405
    ├── TooManyConnections            503   of one process
    ├── BatchTooLarge                 413
    ├── IdempotencyKeyInvalid         400
    ├── IdempotencyReused             422   with another request
    ├── StillRunning                  409   the same request, at this moment
    ├── RequestInterrupted            409   by a crash, with an effect unknown
    ├── RateLimited                   429   more than the caller's tier allows
    ├── TooManyAtOnce                 429
    ├── Overloaded                    503   more than this process can do
    ├── SpoolFull                     503   nothing is answered that cannot be kept
    ├── NoChampion                    503   nothing trained yet
    ├── AnswerRefused                 409   what was learned cannot answer this
    ├── RowUnanswered                 500   the model failed on a valid row
    ├── ModelUnhealthy                503   the model does not answer its own example
    ├── ModelUnreachable              503   the model's own process does not answer
    ├── NotReady                      503   the process serves nothing yet
    ├── DeadlinePassed                504   the answer took too long
    ├── ArtifactCorrupt               500   an artifact is damaged or foreign
    ├── SourceError, TrainingRefused  500   a table cannot be read, or not be trained on
    ├── RegistryDown                  503   MLflow does not answer
    ├── RecordsUnavailable            503   the database of keys and audit
    │   ├── RecordsDown               503
    │   └── RecordsBehind             503   its tables are older than this version
    ├── LibraryMissing                500   a system library is not installed
    └── PortInUse                     500   another process listens there

A class builds its own sentence from typed arguments: what is wrong, then how to mend it. Its name
is the code of the problem document (RFC 9457). What only a request can meet stands in
``core.refusals``, keys and their records in ``core.denials``, under the same root.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One thing wrong with one field.

    Parameters
    ----------
    field
        Name of the field, or a path such as ``rows[3].tenure_months``.
    problem
        What is wrong with the value that was given.
    allowed
        What would have been accepted.
    """

    field: str
    problem: str
    allowed: str

    def __str__(self) -> str:
        end = "" if self.allowed.endswith(("?", ".")) else "."
        return f"{self.field}: {self.problem}; {self.allowed}{end}"


class SeptetError(Exception):
    """Base of every error that is meant for a person.

    Parameters
    ----------
    detail
        A sentence or two: what is wrong, and what to do.
    problems
        The single faults, where fields are at fault.
    """

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Something went wrong"

    def __init__(self, detail: str, *, problems: Sequence[FieldProblem] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.problems = tuple(problems)

    @property
    def code(self) -> str:
        """Machine-readable name: the class's own."""
        return type(self).__name__

    @property
    def headers(self) -> Mapping[str, str]:
        """HTTP headers that belong to this error."""
        return {}

    def to_problem(self, *, instance: str | None = None) -> dict[str, object]:
        """Give the problem document (RFC 9457) of this error.

        Parameters
        ----------
        instance
            The request's id, when there is one.
        """
        problem: dict[str, object] = {
            "type": f"urn:septet:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        }
        if instance is not None:
            problem["instance"] = instance
        if self.problems:
            problem["problems"] = [asdict(p) for p in self.problems]
        return problem


def nearest(name: str, known: Sequence[str]) -> str:
    """Say which known name was probably meant, as a sentence to append, or nothing."""
    said = meant(name, known)
    return f" D{said[1:]}" if said else ""


def meant(name: str, known: Sequence[str]) -> str:
    """Ask whether the nearest known name was meant, as a clause, or say nothing."""
    close = get_close_matches(name, known, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else ""


class ConfigError(SeptetError):
    """A configuration file or setting is wrong.

    Parameters
    ----------
    fault
        What is wrong, and what is allowed.
    file
        The file it stands in.
    key
        Dotted path of the key.
    line
        Line of the key, from 1.
    """

    title = "The configuration is wrong"

    def __init__(
        self,
        fault: str,
        *,
        file: str | None = None,
        key: str | None = None,
        line: int | None = None,
    ) -> None:
        self.file, self.key, self.line = file, key, line
        place = (file or "") + ("" if line is None else f", line {line}")
        if key:
            place += f"{', ' if place else ''}key {key!r}"
        super().__init__(f"{place}: {fault}" if place else fault)


class ContractError(SeptetError):
    """Input does not keep to a contract."""

    status = 422
    title = "The input breaks the contract"


class RowInvalid(ContractError):
    """A row breaks its model's contract.

    Parameters
    ----------
    problems
        At least one fault.
    """

    def __init__(self, problems: Sequence[FieldProblem]) -> None:
        several = f"{len(problems)} fields are wrong, the first: " if len(problems) > 1 else ""
        super().__init__(f"{several}{problems[0]}", problems=problems)


class AnswerRefused(SeptetError):
    """The row is valid, but what the model learned from cannot answer it.

    Parameters
    ----------
    reason
        What it lacks, and what to do.
    """

    status: ClassVar[int] = 409
    title: ClassVar[str] = "The model did not learn enough to answer this"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)


class NotFound(SeptetError):
    """There is nothing under that name."""

    status = 404
    title = "Not found"


class ModelUnknown(NotFound):
    """No model has that name.

    Parameters
    ----------
    name
        The name asked for.
    known
        The names there are.
    """

    title = "No such model"

    def __init__(self, name: str, known: Sequence[str]) -> None:
        asked, models = f"{name[:80]!r}", ", ".join(known)
        super().__init__(
            f"There is no model {asked}.{nearest(name, known)} The models: {models}.",
            problems=[FieldProblem("model", f"is {asked}", f"one of {models} is allowed")],
        )


class NoChampion(SeptetError):
    """The model has no release to serve.

    Parameters
    ----------
    model
        Name of the model.
    reason
        Why, when it is known: for example the last refusal.
    """

    status = 503
    title = "The model has no champion yet"

    def __init__(self, model: str, reason: str | None = None) -> None:
        self.model = model
        why = f" ({reason})" if reason else ""
        super().__init__(
            f"{model} has no champion to answer with{why}. Run `septet train {model}`."
        )

    @property
    def headers(self) -> Mapping[str, str]:
        """When to ask again."""
        return {"Retry-After": "10"}


class ArtifactCorrupt(SeptetError):
    """An artifact is damaged, incomplete, or not the one it says it is.

    Parameters
    ----------
    folder
        Where the artifact lies.
    fault
        What does not hold.
    """

    title = "The artifact is refused"

    def __init__(self, folder: str, fault: str) -> None:
        self.folder, self.fault = folder, fault
        super().__init__(
            f"The artifact in {folder} is refused: {fault}. The champion before it goes on; train "
            "the model again, or move the alias back."
        )


class SourceError(SeptetError):
    """A table cannot be read.

    Parameters
    ----------
    source
        What was to be read (a path, a query's address without its password).
    fault
        What is wrong, and what to do.
    """

    title = "The source cannot be read"

    def __init__(self, source: str, fault: str) -> None:
        self.source = source
        super().__init__(f"{source}: {fault}")


class TrainingRefused(SeptetError):
    """The table was read, but no honest model can be trained on it.

    Parameters
    ----------
    model
        Name of the model.
    fault
        What is wrong, and what to do.
    problems
        The first of the bad values: field is ``row N, column``.
    """

    title = "Training is refused"

    def __init__(self, model: str, fault: str, *, problems: Sequence[FieldProblem] = ()) -> None:
        self.model = model
        super().__init__(f"{model}: {fault}", problems=problems)


class RegistryDown(SeptetError):
    """MLflow does not answer.

    Parameters
    ----------
    address
        The tracking address, without its password.
    fault
        What the client met.
    """

    status = 503
    title = "The model registry does not answer"

    def __init__(self, address: str, fault: str) -> None:
        super().__init__(
            f"MLflow at {address} does not answer ({fault}). Check that it runs and that "
            "SEPTET_TRACKING_URI is right; what is served goes on."
        )


class LibraryMissing(SeptetError):
    """A library that the system must have cannot be loaded.

    Parameters
    ----------
    library
        Its name.
    fix
        What was met, and what to install.
    """

    title = "A library is missing"

    def __init__(self, library: str, fix: str) -> None:
        super().__init__(f"{library} cannot be loaded: {fix}.")


class PortInUse(SeptetError):
    """Another process listens on the port.

    Parameters
    ----------
    port
        The port.
    service
        What was to listen there.
    setting
        The environment variable that moves it.
    """

    title = "A port is in use"

    def __init__(self, port: int, service: str, setting: str) -> None:
        super().__init__(
            f"Port {port}, wanted for {service}, is in use by another process. Stop that one, or "
            f"choose another port: {setting}={port + 10}."
        )
