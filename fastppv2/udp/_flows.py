"""By which balancer each client came last: bounded, and the silent are forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastppv2.udp._endpoint import Client


class Flows(dict[Any, "Client"]):
    """The last datagram of each client, in two generations.

    Who sends is put into this dictionary, the young generation. ``age`` makes that the old one and
    drops the one before: it costs nothing for each client, as a deadline of its own would.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.most = size // 2  # of the young ones; more are not to be put in
        self._old: dict[Any, Client] = {}

    @property
    def count(self) -> int:
        """Of both generations."""
        return len(self) + len(self._old)

    def age(self) -> None:
        """Drops who has not sent since the last time, or since the one before."""
        self._old = dict(self)
        self.clear()

    def make_room(self) -> bool:
        """Ages before time; whether nobody had to be dropped for it."""
        had_room = not self._old
        self.age()
        return had_room

    def find(self, address: Any) -> Client | None:
        """The client as its last datagram said."""
        return self.get(address) or self._old.get(address)
