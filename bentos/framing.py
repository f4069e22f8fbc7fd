"""One request in the bytes of one packet, told without a parser."""

from __future__ import annotations

import re

# A header that neither says where the request ends nor how it is to be answered.
_HEADER = (
    rb"(?:(?!content-length|transfer-encoding|expect|upgrade|connection:(?! ?keep-alive\r))"
    rb"[^\s:]+:[^\r\n]*\r\n)*"
)
_PLAIN = re.compile(
    rb"(?!HEAD )[A-Z]+ [^\s]+ HTTP/1\.1\r\n" + _HEADER
    + rb"(?:content-length: ?([0-9]{1,12})\r\n" + _HEADER + rb")?\r\n",
    re.IGNORECASE,
)  # fmt: skip


def is_one_request(data: bytes) -> bool:
    """Say whether bytes are one whole HTTP/1.1 request of the plainest kind, and nothing more.

    Only such a one can be answered unread: of any other it is not known where the next begins.

    Parameters
    ----------
    data
        From the beginning of a request.
    """
    found = _PLAIN.match(data)
    return found is not None and len(data) == found.end() + int(found[1] or 0)
