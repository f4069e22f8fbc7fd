"""Locks out networks that keep sending keys that do not open.

What it is for: 256 random bits are not guessed, so a lock need not stop a right key. It stops the
noise, tells a misconfigured program to wait, and leaves a trace in the audit. Therefore a key that
opens is let in at any time: an office behind one address is not shut out by one wrong script.

Each process counts on its own, in memory: several processes count several times as many failures.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from core.access_config import LockoutConfig
from core.denials import LockedOut
from core.logs import get_logger
from services.access.network import shared_network


@dataclass(slots=True)
class _Network:
    """What is known of one network."""

    failures: deque[float] = field(default_factory=deque)
    locks: int = 0
    locked_until_s: float = 0.0
    last_s: float = 0.0


class Lockout:
    """Counts failures by network.

    Parameters
    ----------
    config
        How many failures lock, and for how long.
    on_lock
        Told the network and the seconds of each new lock.
    monotonic
        Gives seconds that never go back.
    """

    def __init__(
        self,
        config: LockoutConfig,
        *,
        on_lock: Callable[[str, float], None] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._on_lock = on_lock
        self._monotonic = monotonic
        # The one that failed last stands last, so that the first is the one to forget.
        self._networks: OrderedDict[str, _Network] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._networks)

    def failed(self, address: str | None) -> None:
        """Count a failure.

        Parameters
        ----------
        address
            Where it came from.

        Raises
        ------
        LockedOut
            The network is locked, or is so from now on.
        """
        name = shared_network(address)
        now_s = self._monotonic()
        with self._lock:
            network = self._find(name, now_s)
            wait_s = network.locked_until_s - now_s
            if wait_s > 0:
                raise LockedOut(name, wait_s)
            if not self._is_too_much(network, now_s):
                return
            lock_s = self._close(network, now_s)
        get_logger(__name__).warning("network_locked_out", network=name, seconds=lock_s)
        if self._on_lock is not None:
            self._on_lock(name, lock_s)
        raise LockedOut(name, lock_s)

    def _find(self, name: str, now_s: float) -> _Network:
        """Give the entry of a network, a new one after a long quiet; forget the oldest ones."""
        network = self._networks.pop(name, None)
        if network is None or now_s - network.last_s > self._forget_seconds:
            network = _Network()
        network.last_s = now_s
        self._networks[name] = network
        while len(self._networks) > self._config.most_networks:
            self._networks.popitem(last=False)
        return network

    @property
    def _forget_seconds(self) -> float:
        return max(self._config.most_lock_seconds, self._config.window_seconds)

    def _is_too_much(self, network: _Network, now_s: float) -> bool:
        """Note a failure, and say whether the window holds too many now."""
        failures = network.failures
        failures.append(now_s)
        while failures[0] <= now_s - self._config.window_seconds:
            failures.popleft()
        return len(failures) >= self._config.failures

    def _close(self, network: _Network, now_s: float) -> float:
        """Lock a network, twice as long as the last time; give the seconds."""
        most_s = self._config.most_lock_seconds
        # Beyond 2**32 the shift says nothing more, and would only grow.
        lock_s = min(self._config.lock_seconds * 2.0 ** min(network.locks, 32), most_s)
        network.locks += 1
        network.locked_until_s = now_s + lock_s
        network.failures.clear()
        return lock_s
