"""A door before a server of S3 that hands on whole requests alone, as S3 itself takes them.

rclone begins a put before it has all of it: when the client dies amid it, it deletes what stands
under the key, be it what was there before or what another client has put since. Behind this door a
put is one step: a request that was cut short is none, and a whole one is carried out whatever
becomes of its client.

``python -m tests.services.history.whole_puts http://127.0.0.1:PORT``
"""

from __future__ import annotations

import sys

from aiohttp import ClientSession, DummyCookieJar, TCPConnector, web

# Asked for by the tests: how many requests are being carried out.
BUSY = "/-/busy"
_OWN = frozenset({"connection", "content-length", "expect", "keep-alive", "transfer-encoding"})


class Door:
    """Hands requests on.

    Parameters
    ----------
    target
        Address of the server.
    """

    def __init__(self, target: str) -> None:
        self._target = target
        self._busy = 0
        self._session: ClientSession | None = None

    async def busy(self, _request: web.Request) -> web.Response:
        """Say how many requests are being carried out."""
        return web.Response(text=str(self._busy))

    async def hand_on(self, request: web.Request) -> web.Response:
        """Read all of a request, then have it answered."""
        self._busy += 1
        try:
            return await self._answer(request, await request.read())
        finally:
            self._busy -= 1

    async def _answer(self, request: web.Request, body: bytes) -> web.Response:
        if self._session is None:
            # Bytes as they come: a checksum may be over them.
            self._session = ClientSession(
                connector=TCPConnector(force_close=True),
                cookie_jar=DummyCookieJar(),
                auto_decompress=False,
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            )
        headers = [(k, v) for k, v in request.headers.items() if k.lower() not in _OWN]
        async with self._session.request(
            request.method, self._target + request.raw_path, headers=headers, data=body
        ) as found:
            content = await found.read()
            # Of what is only looked at, the length is that of the object.
            is_look = request.method == "HEAD"
            own = _OWN - {"content-length"} if is_look else _OWN
            kept = [(k, v) for k, v in found.headers.items() if k.lower() not in own]
            answer = None if is_look else content
            return web.Response(status=found.status, headers=kept, body=answer)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(target: str) -> None:
    """Serve until killed; the port is said in the first line."""
    door = Door(target)
    app = web.Application(client_max_size=1 << 30)
    app.router.add_get(BUSY, door.busy)
    app.router.add_route("*", "/{tail:.*}", door.hand_on)
    web.run_app(app, host="127.0.0.1", port=0, print=_say)


if __name__ == "__main__":
    main(sys.argv[1])
