"""By which balancer each client came last: bounded, and the silent are forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from fastppv2.udp._endpoint import Client


class Flows:
    """The last datagram of each client, in two generations.

    A client that sends is always in the young one. ``age`` makes that the old one and drops the one
    before: it costs nothing for each client, as a deadline of its own would.
    """

    def __init__(self, size: int) -> None:
        self._half = size // 2
        self._young: dict[Any, Client] = {}
        self._old: dict[Any, Client] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def remember(self, client: Client) -> bool:
        """Whether there was room, so that nobody was dropped before time."""
        self._young[client] = client
        if len(self._young) < self._half:
            return True
        room = not self._old
        self.age()
        return room

    def age(self) -> None:
        """Drops who has not sent since the last time, or since the one before."""
        self._old, self._young = self._young, {}

    def find(self, address: Any) -> Client | None:
        """The client as its last datagram said."""
        return self._young.get(address) or self._old.get(address)
