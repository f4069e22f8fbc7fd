"""One request in the bytes of one packet, told without a parser."""

from __future__ import annotations

_END = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length:"
_CONNECTION, _KEEPS = b"\r\nconnection:", b"\r\nconnection: keep-alive\r\n"
# What changes where a request ends, or how it is answered.
_OTHER = (b"\r\ntransfer-encoding", b"\r\nexpect", b"\r\nupgrade")


def is_one_request(data: bytes) -> bool:
    """Say whether bytes are one whole HTTP/1.1 request of the plainest kind, and nothing more.

    Only such a one can be answered unread: of any other it is not known where the next begins.

    Parameters
    ----------
    data
        From the beginning of a request.
    """
    end = data.find(_END)
    if end < 0:
        return False
    head = data[: end + 2].lower()
    if not head[: head.find(b"\r\n")].endswith(b" http/1.1") or head.startswith(b"head "):
        return False
    if any(name in head for name in _OTHER) or (_CONNECTION in head and _KEEPS not in head):
        return False
    return len(data) == end + len(_END) + _length(head)


def _length(head: bytes) -> int:
    """Give the length that a head declares; -1 when it is none, or declared twice."""
    _, _, rest = head.partition(_LENGTH)
    if not rest:
        return 0
    value, _, others = rest.partition(b"\r\n")
    value = value.strip()
    return int(value) if value.isdigit() and _LENGTH not in b"\r\n" + others else -1
