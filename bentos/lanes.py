"""Whose request is begun next, when more is asked than a process can answer.

What is beyond its means waits as it came, before a byte of it is looked at: that costs a hundredth
of an answer, while a refusal would cost a third of one, so that three times the load would leave
nothing to answer with. Connections wait in the lane of their caller and the lanes are served by
turns, so that whoever asks much waits behind its own requests.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from uvicorn.server import ServerState

# Requests begun at a time: two batches of slow rows and some to gather the next from, and what a
# processor's own memory still holds. With what a caller always has, fewer than the widest tier of
# one key allows.
MOST_UNDER_WAY = 160
# Of these a caller always has a few, whatever the others ask; probes come from addresses that ask
# for nothing else.
ALWAYS_EACH = 8
# As many wait as are answered within a second, by the pace of the last fraction of one.
MOST_WAIT_SECONDS = 1.0
PACE_SECONDS = 0.25
LEAST_ROOM, MOST_ROOM = 256, 4096


class Waiter(Protocol):
    """A connection whose next request was not looked at yet."""

    def go_on(self) -> None:
        """Look at it now."""


class Lanes:
    """Counts the requests under way by caller, and holds the connections that wait.

    Parameters
    ----------
    most_under_way
        Requests begun at a time, of all callers.
    always_each
        Requests that a caller may have under way even then.
    now
        Gives the time in seconds.
    """

    def __init__(
        self,
        *,
        most_under_way: int = MOST_UNDER_WAY,
        always_each: int = ALWAYS_EACH,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = most_under_way
        self._always = always_each
        self._now = now
        self._under_way: dict[str, int] = {}
        self._total = 0
        self._queues: OrderedDict[str, deque[Waiter]] = OrderedDict()
        self.waiting = 0
        self.refused = 0
        # How many admissions are under way, each begun by the end of what the other admitted.
        self.depth = 0
        self.room = MOST_ROOM
        self._since_s = 0.0
        self._ended = 0

    def is_open(self, lane: str) -> bool:
        """Say whether a request of a lane may begin now."""
        return self._total < self._most or self._under_way.get(lane, 0) < self._always

    def wait(self, lane: str, waiter: Waiter) -> bool:
        """Let a connection wait for its turn; say whether there was room for it.

        Parameters
        ----------
        lane
            Name of its caller.
        waiter
            Told when it is its turn; one that is gone by then begins nothing.
        """
        queue = self._queues.get(lane)
        if not self.waiting:
            self._since_s, self._ended = self._now(), 0
        elif self.waiting >= self.room and (queue is not None and len(queue) >= self._share()):
            # Whoever has its share already; one caller does not fill the room for the others.
            return False
        if queue is None:
            queue = self._queues[lane] = deque()
        queue.append(waiter)
        self.waiting += 1
        return True

    def enter(self, lane: str) -> None:
        """Count a request that begins."""
        self._total += 1
        self._under_way[lane] = self._under_way.get(lane, 0) + 1

    def leave(self, lane: str) -> None:
        """Count a request that has ended, and let those begin whose turn it is."""
        self._total -= 1
        now = self._under_way[lane] - 1
        if now:
            self._under_way[lane] = now
        else:
            del self._under_way[lane]
        if not self.waiting:
            return
        self._keep_pace()
        while lane in self._queues and self._under_way.get(lane, 0) < self._always:
            self._admit(lane)
        while self._queues and self._total < self._most:
            self._admit(next(iter(self._queues)))

    def _share(self) -> int:
        return self.room // len(self._queues)

    def _keep_pace(self) -> None:
        """Let only as many wait as are answered soon, at the pace of late."""
        self._ended += 1
        passed_s = self._now() - self._since_s
        if passed_s >= PACE_SECONDS:
            soon = int(MOST_WAIT_SECONDS * self._ended / passed_s)
            self.room = min(MOST_ROOM, max(LEAST_ROOM, soon))
            self._since_s, self._ended = self._now(), 0

    def _admit(self, lane: str) -> None:
        queue = self._queues[lane]
        waiter = queue.popleft()
        if not queue:
            del self._queues[lane]
        elif len(self._queues) > 1:
            # Back to the end of the line: the others are served before its next one.
            self._queues.move_to_end(lane)
        self.waiting -= 1
        self.depth += 1
        try:
            waiter.go_on()
        finally:
            self.depth -= 1


@dataclass(frozen=True)
class Load:
    """What a process has not begun.

    Parameters
    ----------
    waiting
        Connections whose next request waits for its turn.
    refused
        Requests that were refused since the start, for too many waited.
    """

    waiting: int
    refused: int


# Of each server of this process; there is one but in tests.
_OF_SERVERS: WeakKeyDictionary[ServerState, Lanes] = WeakKeyDictionary()


def lanes_of(server: ServerState) -> Lanes:
    """Give the lanes that all connections of a server share."""
    found = _OF_SERVERS.get(server)
    if found is None:
        found = _OF_SERVERS[server] = Lanes()
    return found


def load_of_process() -> Load:
    """Tell what waits in this process, and what it has refused."""
    every = list(_OF_SERVERS.values())
    return Load(sum(one.waiting for one in every), sum(one.refused for one in every))
