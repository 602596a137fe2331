"""Many connections at once, from one thread, each of which does what its plan says."""

from __future__ import annotations

import errno
import heapq
import socket
import struct
from collections import Counter
from select import EPOLLIN, EPOLLOUT, epoll
from time import monotonic
from typing import TYPE_CHECKING

from soak_mix import PAUSE, Last

if TYPE_CHECKING:
    from collections.abc import Iterable

    from soak_mix import Plan

AT_ONCE = 800  # connections
STARTED = 20  # connections, before others go on
PATIENCE = 60.0  # seconds, after which a connection that has not ended will not
CLOCK_TICK = 0.02  # seconds: a server may have a coarser clock
RECEIVE_SIZE = 65536
BIND_ADDRESS_NO_PORT = 24  # Linux, linux/in.h
LINGER = struct.pack("ii", 1, 0)  # none: what is left is dropped, and the peer is told so


class Client:
    """One connection."""

    def __init__(self, kind: str, plan: Plan) -> None:
        self.kind = kind
        self.plan = plan
        self.started = monotonic()
        self._answer = b""
        self._received = b""
        self._error: OSError | None = None
        self._left = iter(plan.pieces)
        self.socket = socket.socket()
        self.socket.setblocking(False)
        # The port is chosen when it is known where to: it may be in use for elsewhere.
        self.socket.setsockopt(socket.IPPROTO_IP, BIND_ADDRESS_NO_PORT, 1)
        self.socket.bind((plan.host, 0))

    def connect(self, address: tuple[str, int]) -> None:
        code = self.socket.connect_ex(address)
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, errno.errorcode[code])

    def connected(self) -> None:
        """Now it has a name."""
        plan = self.plan
        if plan.served:
            name = plan.name or b"%s %d" % (plan.host.encode(), self.socket.getsockname()[1])
            self._answer = name + b"\n" + plan.payload

    def send(self) -> bool:
        """The next piece; whether there may be more."""
        piece = next(self._left, None)
        if piece is None:
            return False
        try:
            sent = self.socket.send(piece)
        except OSError as error:
            self._error = error
        else:
            assert sent == len(piece)
        return True

    def sent_all(self) -> bool:
        """Whether that was the last of it."""
        last = self.plan.last
        if last is Last.HALF_CLOSE and self._error is None:
            self.socket.shutdown(socket.SHUT_WR)
        return last is Last.RESET

    def receive(self) -> bool:
        """What is there; whether that was the last of it."""
        try:
            data = self.socket.recv(RECEIVE_SIZE)
        except ConnectionResetError as error:
            self._error = error
            return True
        self._received += data
        if data and self.plan.last in (Last.CLOSE, Last.RESET_LATE):
            return len(self._received) >= len(self._answer)
        return not data

    def complaint(self, timeout: float) -> str:
        """What is wrong with how it ended."""
        plan = self.plan
        if plan.last is not Last.RESET and self._received != self._answer:
            return f"expected {self._answer[:80]!r}, got {self._received[:80]!r}, {self._error}"
        seconds = monotonic() - self.started
        if plan.outcome == "timeout" and seconds < timeout - CLOCK_TICK:
            return f"ended after {seconds:.3f} s, before its time"
        return ""

    def close(self) -> None:
        if self.plan.last in (Last.RESET, Last.RESET_LATE):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
        self.socket.close()


class Driver:
    """Drives connections to ``address``, where a header has ``timeout`` seconds.

    ``outcomes``: what they had to come to, so far.
    """

    def __init__(self, address: tuple[str, int], timeout: float) -> None:
        self.outcomes: Counter[str] = Counter()
        self._address = address
        self._timeout = timeout
        self._clients: dict[int, Client] = {}  # by descriptor, the oldest first
        self._later: list[tuple[float, int, Client]] = []  # when the next piece is sent
        self._epoll = epoll()

    def run(self, plans: Iterable[tuple[str, Plan]], at_once: int = AT_ONCE) -> None:
        """All of them, until each has ended."""
        for number, (kind, plan) in enumerate(plans):
            while len(self._clients) >= at_once:
                self._step()
            self._start(Client(kind, plan))
            if number % STARTED == 0:  # nobody waits for long, however slow the machine is
                self._step()
        while self._clients:
            self._step()

    def close(self) -> None:
        for client in self._clients.values():
            client.socket.close()
        self._epoll.close()

    def _start(self, client: Client) -> None:
        number = client.socket.fileno()
        self._clients[number] = client
        client.connect(self._address)
        self._epoll.register(number, EPOLLOUT)

    def _step(self) -> None:
        now = monotonic()
        while self._later and self._later[0][0] <= now:
            _, number, client = heapq.heappop(self._later)
            if self._clients.get(number) is client:
                self._send(number, client)
        for number, event in self._epoll.poll(PAUSE):
            client = self._clients[number]
            if event & EPOLLOUT:
                client.connected()
                self._epoll.modify(number, EPOLLIN)
                self._send(number, client)
            elif client.receive():
                self._end(number, client)
        for client in self._clients.values():
            assert now - client.started < PATIENCE, f"no end of {client.kind}: {client.plan}"
            break  # the others came later

    def _send(self, number: int, client: Client) -> None:
        if client.send():
            heapq.heappush(self._later, (monotonic() + PAUSE, number, client))
        elif client.sent_all():
            self._end(number, client)

    def _end(self, number: int, client: Client) -> None:
        complaint = client.complaint(self._timeout)
        assert not complaint, f"{client.kind}: {complaint}; {client.plan}"
        self.outcomes[client.plan.outcome] += 1
        del self._clients[number]
        client.close()
