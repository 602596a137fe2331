"""Connections that wait for their header, in order of arrival: the twin of what is compiled.

A ``Handshake`` here leaves every decision to its ``Listener``. The compiled one takes the usual
case itself (the peer is trusted, its first bytes hold a whole header, and no setting asks for
more), and leaves all others to the listener, too.
"""

from __future__ import annotations

from collections import OrderedDict
from enum import IntEnum

from fastppv2._spec import Family

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol, TypeVar

    from typing_extensions import Buffer

    from fastppv2.header import Address, Header
    from fastppv2.parser import Parser
    from fastppv2.policy import Policy

    Client = TypeVar("Client", bound=tuple[Any, ...])

    class Owner(Protocol):
        """What an adapter keeps for a connection."""

        def decided(self, handshake: Handshake, /) -> None:
            """The listener decided without being asked: carry it out."""


class State(IntEnum):
    """What is known of a connection."""

    PENDING = 0
    ACCEPTED = 1
    REFUSED = 2


class Handshake:
    """One connection until it is accepted or refused; made by ``Listener.connect``."""

    __slots__ = (
        "_arrived",
        "_listener",
        "_parser",
        "_refusal",
        "family",
        "header",
        "owner",
        "peername",
        "sockname",
        "state",
        "trailing_data",
    )

    _arrived: float
    _parser: Parser | None
    _refusal: tuple[str, str] | None
    family: int
    """The socket's, as ``socket.AF_...``."""
    header: Header | None
    """None until it is whole, and for a connection that was let through as itself."""
    owner: Any
    """The adapter's ``Owner``; None once there is a decision."""
    peername: Any
    """The real one: the balancer's."""
    sockname: object
    """The real one, if the adapter told it."""
    state: State
    trailing_data: bytes
    """Once accepted: the application's first bytes."""

    def __init__(
        self, listener: Queue, owner: Owner | None, family: int, peername: object, sockname: object
    ) -> None:
        self._listener = listener
        self._parser = None
        self._refusal = None
        self.family = family
        self.header = None
        self.owner = owner
        self.peername = peername
        self.sockname = sockname
        self.state = State.PENDING
        self.trailing_data = b""

    def feed(self, data: Buffer, /) -> State:
        """Bytes came from the peer; RuntimeError once there is a decision."""
        if self.state is not State.PENDING:
            raise RuntimeError("there is a decision already: these bytes are the application's")
        self._listener._feed(self, data)
        return self.state

    def eof(self) -> State:
        """The peer sends no more, or the connection is lost; nothing happens after a decision."""
        if self.state is State.PENDING:
            self._listener._eof(self)
        return self.state

    @property
    def reason(self) -> str:
        """Of a refusal, one of ``refusal.REASONS``."""
        return "" if self._refusal is None else self._refusal[0]

    @property
    def message(self) -> str:
        """Of a refusal, for the operator."""
        return "" if self._refusal is None else self._refusal[1]

    @property
    def source(self) -> object:
        """The client, as ``getpeername()`` would say; the real peer where no header names one."""
        return self._end(None if self.header is None else self.header.source, self.peername)

    @property
    def destination(self) -> object:
        """Where the client connected to, as ``getsockname()`` would say, or ``sockname``."""
        return self._end(None if self.header is None else self.header.destination, self.sockname)

    def _end(self, address: Address, real: object) -> object:
        if address is None:
            return real
        if self.header is not None and self.header.family == Family.INET6:
            return (*address, 0, 0)  # flow and scope, as the socket module has it
        return address


class Queue:
    """The connections of a listener that are still undecided; the base of ``Listener``."""

    # What Listener decides.
    _admit: Callable[[Handshake], None]
    _feed: Callable[[Handshake, Buffer], None]
    _eof: Callable[[Handshake], None]

    def __init__(
        self,
        policy: Policy,
        clock: Callable[[], float],
        metrics: Callable[[str], object] | None,
    ) -> None:
        self._waiting: OrderedDict[int, Handshake] = OrderedDict()
        self._clock = clock
        self._metrics = metrics
        self._room = policy.max_pending
        self._accepted = 0

    @property
    def pending(self) -> int:
        """How many connections wait for their header."""
        return len(self._waiting)

    def connect(
        self, owner: Owner | None, family: int, peername: object, sockname: object = None
    ) -> Handshake:
        """A connection was accepted; its state says whether its header is awaited.

        ``owner``: None for one that is set later, on a handshake that waits. ``family``: the
        socket's; ``peername``: what ``getpeername()`` says, None if it fails; ``sockname``: what
        ``destination`` falls back to.
        """
        handshake = Handshake(self, owner, family, peername, sockname)
        self._admit(handshake)
        return handshake

    def receive(
        self,
        owner: Owner | None,
        family: int,
        peername: object,
        data: Buffer,
        sockname: object = None,
    ) -> Handshake:
        """``connect`` and ``feed`` in one, for a connection whose first bytes are in hand."""
        handshake = self.connect(owner, family, peername, sockname)
        if handshake.state is State.PENDING:
            self._feed(handshake, data)
        return handshake

    def datagram(
        self, family: int, peername: object, data: Buffer, kind: type[Client]
    ) -> tuple[bytes, Client] | None:
        """The usual datagram in one go: its payload, and its client as ``kind``, a tuple's.

        The client's attributes are ``header`` and ``balancer``. None for any other datagram, with
        which nothing is done yet: it is for ``receive``. Here that is each.
        """
        return None

    def _enqueue(self, handshake: Handshake) -> None:
        handshake._arrived = self._clock()
        self._waiting[id(handshake)] = handshake

    def _dequeue(self, handshake: Handshake) -> None:
        self._waiting.pop(id(handshake), None)

    def _oldest(self) -> Handshake | None:
        return next(iter(self._waiting.values()), None)

    def _snapshot(self) -> list[Handshake]:
        """All that wait, the oldest first."""
        return list(self._waiting.values())
