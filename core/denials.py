"""Errors about keys and the records they stand in; the tree is drawn in ``core.errors``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil

from core.errors import NotFound, SeptetError


class Forbidden(SeptetError):
    """The key opens the platform, but not this."""

    status = 403
    title = "The key does not open this"


class RoleTooLow(Forbidden):
    """The role of the key may not do this.

    Parameters
    ----------
    held
        The role of the key.
    needed
        The least role that may; nothing when no role may.
    """

    title = "The role is not enough"

    def __init__(self, held: str, needed: str | None) -> None:
        self.held, self.needed = held, needed
        need = f"this needs {needed}" if needed else "this is open to no role"
        super().__init__(
            f"The key has the role {held}; {need}. Ask an admin for a key that may do it."
        )


class ModelOutOfScope(Forbidden):
    """The key may not ask this model.

    Parameters
    ----------
    model
        The model asked for.
    allowed
        The models that the key may ask.
    """

    title = "The model is out of the key's scope"

    def __init__(self, model: str, allowed: Sequence[str]) -> None:
        self.model, self.allowed = model, tuple(allowed)
        super().__init__(
            f"The key does not open {model[:80]!r}, only {', '.join(allowed)}. Ask an admin for a "
            "key with this model."
        )


class LockedOut(SeptetError):
    """Too many keys that do not open came from one network.

    Parameters
    ----------
    network
        The network, as it was locked.
    wait_seconds
        Seconds until its failures are answered again.
    """

    status = 429
    title = "Too many keys that do not open"

    def __init__(self, network: str, wait_seconds: float) -> None:
        self.wait_seconds = max(1, ceil(wait_seconds))
        super().__init__(
            f"Too many requests with a key that does not open came from {network}. Correct the "
            f"key, and ask again in {self.wait_seconds} seconds; keys that open are still let in."
        )

    @property
    def headers(self) -> Mapping[str, str]:
        """When to ask again."""
        return {"Retry-After": str(self.wait_seconds)}


class KeyUnknown(NotFound):
    """No key has that id.

    Parameters
    ----------
    key_id
        The id asked for.
    """

    title = "No such key"

    def __init__(self, key_id: str) -> None:
        super().__init__(
            f"There is no key {key_id[:80]!r}. The id is the part between `sep_live_` and the next "
            "`_`; `septet keys list` and GET /api/keys show all of them."
        )


class KeyClosed(SeptetError):
    """The key was revoked or has expired, and cannot be given another secret.

    Parameters
    ----------
    key_id
        Its id.
    state
        ``revoked`` or ``expired``.
    """

    status = 409
    title = "The key does not open any more"

    def __init__(self, key_id: str, state: str) -> None:
        super().__init__(f"The key {key_id} is {state} and stays so. Create a new key instead.")


class LastAdminKey(SeptetError):
    """The only key that may manage keys would go.

    Parameters
    ----------
    key_id
        Its id.
    """

    status = 409
    title = "The last admin key stays"

    def __init__(self, key_id: str) -> None:
        super().__init__(
            f"{key_id} is the last key with the role admin that opens. Create another one first, "
            "or rotate this one: that gives it a new secret."
        )


class RecordsUnavailable(SeptetError):
    """The records cannot be worked with now; callers are not told where they are."""

    status = 503
    title = "The records are not available"

    @property
    def headers(self) -> Mapping[str, str]:
        """When to ask again."""
        return {"Retry-After": "5"}

    def to_problem(self, *, instance: str | None = None) -> dict[str, object]:
        """Give the problem document, without the address and what the driver said."""
        return super().to_problem(instance=instance) | {
            "detail": "The database of keys and audit is not available; the reason stands in the "
            "server's log, and `septet migrate` names it. Try again in some seconds; predictions "
            "go on."
        }


class RecordsDown(RecordsUnavailable):
    """The database of the records does not answer.

    Parameters
    ----------
    address
        Its address, without the password.
    fault
        What the driver met.
    """

    title = "The records cannot be read"

    def __init__(self, address: str, fault: str) -> None:
        super().__init__(
            f"The records in {address} cannot be reached ({fault}). Check that the database runs "
            "and that SEPTET_RECORDS_ADDRESS is right; keys that were read before go on opening."
        )


class RecordsBehind(RecordsUnavailable):
    """The database has not the tables that this version works with.

    Parameters
    ----------
    address
        Its address, without the password.
    found
        The revision of its tables; nothing when it has none.
    wanted
        The revision that this version needs.
    """

    title = "The records are not migrated"

    def __init__(self, address: str, found: str | None, wanted: str) -> None:
        state = f"are at revision {found}" if found else "have no tables yet"
        super().__init__(
            f"The records in {address} {state}; this version needs revision {wanted}. Run `septet "
            "migrate`; a running platform takes notice within seconds."
        )


class HostUnknown(SeptetError):
    """The request was sent to a name that is not ours.

    Parameters
    ----------
    host
        The name it was sent to.
    """

    status = 421
    title = "Another host is meant"

    def __init__(self, host: str) -> None:
        super().__init__(
            f"Nothing is answered under the host name {host[:80]!r}; the names are set by "
            "`access.hosts` in platform.yaml."
        )


class OriginUnknown(SeptetError):
    """A page of another site asks whether it may call.

    Parameters
    ----------
    origin
        Where the page is from.
    """

    status = 403
    title = "The page may not call"

    def __init__(self, origin: str) -> None:
        super().__init__(
            f"Pages of {origin[:120]!r} may not call; the origins are set by "
            "`access.cors_origins` in platform.yaml."
        )
