"""A Listener with a clock that is set by hand, and what it told its owners."""

from __future__ import annotations

from typing import Any, Callable

from backends import Api

from fastppv2._queue import Handshake

INET, INET6 = 2, 10
UNIX = 1
BALANCER = ("10.0.0.7", 4123)
CLIENT = ("198.51.100.1", 56324)
SERVER = ("203.0.113.1", 443)
SOCKNAME = ("10.0.0.1", 8443)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Owner:
    """An adapter's part of one connection: what it was told without asking."""

    def __init__(self) -> None:
        self.told: list[Handshake] = []

    def decided(self, handshake: Handshake) -> None:
        self.told.append(handshake)


class Server:
    """A listener under test and the connections to it."""

    def __init__(
        self, api: Api, *, metrics: Callable[[str], object] | None = None, **settings: Any
    ) -> None:
        self.clock = Clock()
        self.policy = api.policy.Policy(**{"trusted": "10.0.0.0/8, unix", **settings})
        self.listener = api.handshake.Listener(self.policy, metrics=metrics, clock=self.clock)
        self.owners: list[Owner] = []

    def connect(self, peername: Any = BALANCER, family: int = INET) -> Handshake:
        self.owners.append(Owner())
        handshake: Handshake = self.listener.connect(self.owners[-1], family, peername, SOCKNAME)
        return handshake

    def receive(self, data: bytes, peername: Any = BALANCER, family: int = INET) -> Handshake:
        """A connection whose first bytes are these."""
        handshake = self.connect(peername, family)
        handshake.feed(data)
        return handshake

    def counted(self) -> dict[str, int]:
        """All outcomes that were counted at all."""
        counters = self.listener.counters._asdict()
        counters.update(counters.pop("refused"))
        return {outcome: count for outcome, count in counters.items() if count}
