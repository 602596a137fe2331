"""A listening socket whose ``accept()`` no silent peer can block."""

from __future__ import annotations

import errno
import selectors
import socket
import ssl
import sys
from contextlib import suppress
from math import inf
from selectors import EVENT_READ, EVENT_WRITE
from threading import RLock
from time import monotonic

from fastppv2._log import INTERVAL, logger
from fastppv2._peer import text_of
from fastppv2.handshake import Listener, State
from fastppv2.sync._connection import Connection, Replaying, replay, secure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from fastppv2._queue import Handshake
    from fastppv2.handshake import Counters
    from fastppv2.policy import Policy


_RECEIVE_SIZE = 4096
# Of accept(), while the connection stays in the system's queue and the socket readable.
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_PAUSE = 1.0  # seconds
# Where new connections block by themselves they are read so, for two system calls less.
_AT_ONCE = int(socket.MSG_DONTWAIT) if sys.platform == "linux" else 0
_PEEK = int(socket.MSG_PEEK)
_recv = socket.socket.recv  # of the system, whatever a connection has to give first
_PENDING, _ACCEPTED, _REFUSED = State.PENDING, State.ACCEPTED, State.REFUSED


def create_server(
    address: Any,
    *,
    policy: Policy,
    ssl: ssl.SSLContext | None = None,
    metrics: Callable[[str], object] | None = None,
    **options: Any,
) -> ListeningSocket:
    """``socket.create_server``, as a ``ListeningSocket``; ``options`` are the function's own."""
    sock = socket.create_server(address, **options)
    return ListeningSocket(sock, policy, ssl=ssl, metrics=metrics)


class ListeningSocket:
    """Takes over a listening socket: ``accept()`` gives connections that are behind their header.

    ``ssl``: a context, for TLS after the header; that handshake is over by then, too. ``metrics``:
    as for ``fastppv2.handshake.Listener``. Several threads may accept.

    Peers wait here for their own header only, never for another's. Where the system's selectors
    are files (Linux, macOS, BSD), a selector can wait for this object as for a socket. What does
    so sets timeout 0, takes BlockingIOError for "nobody is ready", and calls ``sweep()`` when that
    says. Attributes not named here are those of the socket.
    """

    # Whether what is behind the header is read with it, for ``recv`` to give first.
    _ahead = False

    def __init__(
        self,
        sock: socket.socket,
        policy: Policy,
        *,
        ssl: ssl.SSLContext | None = None,
        metrics: Callable[[str], object] | None = None,
    ) -> None:
        self._timeout = sock.gettimeout()
        sock.setblocking(False)
        self._sock = sock
        self._kind = sock.family, sock.type, sock.proto
        self._sockname = sock.getsockname()
        self._context = ssl
        self._policy = policy
        self._listener = Listener(policy, metrics=metrics)
        self._flags = _AT_ONCE if self._ahead else _PEEK | _AT_ONCE
        self._arrivals: set[_Arrival] = set()
        self._securing: dict[_Arrival, float] = {}  # until when, the oldest first
        self._due = inf
        self._resume = inf  # when somebody is accepted again, where that failed
        self._logged = -inf  # when that was said last
        self._lock = RLock()
        self._selector = selectors.DefaultSelector()
        self._selector.register(sock, EVENT_READ)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def __enter__(self) -> ListeningSocket:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def counters(self) -> Counters:
        """What came of the connections so far."""
        return self._listener.counters

    def fileno(self) -> int:
        """Of what becomes readable when ``accept()`` has something to do; -1 once it is closed."""
        if self._sock.fileno() < 0:
            return -1
        if not hasattr(self._selector, "fileno"):
            raise OSError(
                errno.ENOTSUP,
                "selectors are no files on this system: call accept(), with a timeout if need be",
            )
        return self._selector.fileno()

    def getsockname(self) -> Any:
        """Where it listens, which servers ask for each connection."""
        return self._sockname

    def gettimeout(self) -> float | None:
        """Seconds that ``accept()`` waits; None: for ever."""
        return self._timeout

    def settimeout(self, timeout: float | None) -> None:
        """As for a socket."""
        self._timeout = timeout

    def setblocking(self, flag: bool) -> None:
        """As for a socket."""
        self._timeout = None if flag else 0.0

    def accept(self) -> tuple[Connection, Any]:
        """The next connection whose header is whole, and its client as ``getpeername()`` says it.

        Raises what a socket's does: BlockingIOError, TimeoutError, OSError.
        """
        if self._timeout == 0:
            return self._next(0.0)
        end = None if self._timeout is None else monotonic() + self._timeout
        while True:
            with suppress(BlockingIOError):
                return self._next(end)
            if end is not None and monotonic() >= end:
                raise socket.timeout("timed out")

    def _next(self, end: float | None) -> tuple[Connection, Any]:
        with self._lock:
            if not self._arrivals:  # nobody to wait for first
                try:
                    accepted = self._accept()
                except BlockingIOError:
                    if self._timeout == 0:
                        raise
                    accepted = None
                if accepted is not None:
                    return accepted
            # And for somebody whom another thread accepts meanwhile.
            patience = min(self.sweep(), self._policy.timeout)
        if end is not None:
            patience = min(patience, max(end - monotonic(), 0.0))
        ready = self._selector.select(patience)
        with self._lock:
            for key, _ in ready:
                with suppress(BlockingIOError):  # another thread or process was quicker
                    accepted = self._accept() if key.data is None else key.data.advance()
                    if accepted is not None:
                        return accepted
        raise BlockingIOError(errno.EAGAIN, "no connection is behind its header")

    def _accept(self) -> tuple[Connection, Any] | None:
        """Of the next one that arrived, if that is behind its header; or BlockingIOError."""
        if self._resume < inf:
            return None
        try:
            # What accept() is made of: an SSLSocket's own would begin with TLS.
            fd, peername = self._sock._accept()  # type: ignore[attr-defined]
        except ConnectionAbortedError:
            return None
        except OSError as error:
            if error.errno not in _EXHAUSTED:
                raise
            self._pause(error)
            return None
        connection = (Replaying if self._ahead else Connection)(*self._kind, fd)
        if not _AT_ONCE or connection.gettimeout() is not None:
            connection.setblocking(False)
        data = _received(connection, self._flags)
        if data:
            handshake = self._listener.receive(None, self._kind[0], peername, data)
        else:
            handshake = self._listener.connect(None, self._kind[0], peername)
            if data is not None:
                handshake.eof()
        connection._handshake = handshake
        if data:
            self._take(connection, handshake, data)
        if handshake.state is _ACCEPTED and self._context is None:
            return _given_out(connection, handshake)
        return _Arrival(self, connection, handshake).proceed()

    def _take(self, connection: Connection, handshake: Handshake, data: bytes) -> None:
        """Of what was fed the header's part is read, and not a byte more, or given back."""
        behind = handshake.trailing_data
        if self._ahead:
            if handshake.state is _ACCEPTED:
                replay(connection, behind if handshake.header is not None else behind or data)
        elif handshake.header is not None or handshake.state is _PENDING:
            connection.recv(len(data) - len(behind))
        else:
            replay(connection, behind[: len(behind) - len(data)])

    def _pause(self, error: OSError) -> None:
        """Whoever comes stays in the queue for a while, and those who wait here go on."""
        now = monotonic()
        self._selector.unregister(self._sock)
        self._resume = now + _PAUSE
        self._due = inf
        if now >= self._logged + INTERVAL:
            self._logged = now
            logger.warning(
                "accept() failed, and is tried again each second: %s; %d connections wait for "
                "their header: raise the limit of descriptors (ulimit -n) well above max_pending "
                "(%d, FASTPPV2_MAX_PENDING), or lower that",
                error,
                self._listener.pending,
                self._policy.max_pending,
            )

    def sweep(self) -> float:
        """Ends those whose time is over; seconds until the next call, ``inf`` if nobody waits."""
        with self._lock:
            if not self._arrivals and self._resume == inf and self._listener.delay is None:
                self._due = inf
                return inf
            now = monotonic()
            if now >= self._due:
                self._due = inf
                # What came while nobody looked came in time.
                for key, _ in self._selector.select(0):
                    if key.data is not None:
                        key.data.catch_up()
                self._listener.sweep()
                for arrival in [a for a, until in self._securing.items() if now >= until]:
                    arrival.end()
                if now >= self._resume:
                    self._resume = inf
                    self._selector.register(self._sock, EVENT_READ)
            if self._due == inf:
                delay = self._listener.delay
                self._due = min(next(iter(self._securing.values()), inf), self._resume)
                if delay is not None:
                    self._due = min(self._due, now + delay)
            return max(self._due - now, 0.0)

    def close(self) -> None:
        """Closes the socket, and ends at once all connections that were not given out yet."""
        with self._lock:
            self._listener.close()
            for arrival in list(self._arrivals):
                arrival.end()
            self._due = inf
            self._selector.close()
            self._sock.close()

    # For arrivals.

    def _watch(self, arrival: _Arrival, events: int) -> None:
        if arrival in self._arrivals:
            self._selector.modify(arrival.connection, events, arrival)
        else:
            self._arrivals.add(arrival)
            self._selector.register(arrival.connection, events, arrival)

    def _forget(self, arrival: _Arrival) -> None:
        if arrival in self._arrivals:
            self._arrivals.remove(arrival)
            self._selector.unregister(arrival.connection)
        self._securing.pop(arrival, None)

    def _begin_tls(self, arrival: _Arrival) -> None:
        """As long as for a header, and as many."""
        if len(self._securing) >= self._policy.max_pending:
            next(iter(self._securing)).end()
        self._securing[arrival] = monotonic() + self._policy.timeout
        self._due = inf


class _Arrival:
    """A connection that is waited for: for its header, or for TLS."""

    _over = False

    def __init__(
        self, listening: ListeningSocket, connection: Connection, handshake: Handshake
    ) -> None:
        self.connection = connection
        self._listening = listening
        self._handshake = handshake
        if handshake.state is _PENDING:
            handshake.owner = self

    def advance(self) -> tuple[Connection, Any] | None:
        """Does what can be done now; the connection and its client once that was the last step."""
        if self._over:
            return None
        if self._handshake.state is _PENDING:
            self._read()
        return self.proceed()

    def proceed(self) -> tuple[Connection, Any] | None:
        """Carries out what was decided."""
        state = self._handshake.state
        if state is _PENDING:
            self._listening._watch(self, EVENT_READ)
        elif state is _REFUSED:
            self.end()
        elif self._listening._context is None:
            return self._give_out()
        else:
            return self._secure(self._listening._context)
        return None

    def catch_up(self) -> None:
        """Takes what came of the header, and leaves what follows to ``advance``."""
        if self._handshake.state is _PENDING:
            self._read()
            if self._handshake.state is not _PENDING:
                self._advance_soon()

    def decided(self, handshake: Handshake) -> None:
        """The listener decided without being asked."""
        replay(self.connection, handshake.trailing_data)
        self._advance_soon()

    def _advance_soon(self) -> None:
        if self._handshake.state is _REFUSED:
            self.end()
        else:
            self._listening._watch(self, EVENT_WRITE)  # which is at once

    def _read(self) -> None:
        """Feeds what is there."""
        data = _received(self.connection, self._listening._flags)
        if data is None:
            return
        if data:
            self._handshake.feed(data)
        else:
            self._handshake.eof()
        self._listening._take(self.connection, self._handshake, data)

    def _secure(self, context: ssl.SSLContext) -> tuple[Connection, Any] | None:
        """The next step of the TLS handshake."""
        try:
            if not isinstance(self.connection, ssl.SSLSocket):
                self.connection.setblocking(False)
                self.connection = secure(self.connection, context)
                self._listening._begin_tls(self)
            self.connection.do_handshake()
        except ssl.SSLWantReadError:
            self._listening._watch(self, EVENT_READ)
        except ssl.SSLWantWriteError:
            self._listening._watch(self, EVENT_WRITE)
        except OSError as error:
            peer = text_of(self._handshake.source)
            logger.debug("%s: no TLS handshake behind the PROXY header: %s", peer, error)
            self.end()
        else:
            return self._give_out()
        return None

    def _give_out(self) -> tuple[Connection, Any]:
        self._over = True
        self._listening._forget(self)
        return _given_out(self.connection, self._handshake)

    def end(self) -> None:
        """Closes the connection, in other processes that inherited it, too."""
        self._over = True
        self._listening._forget(self)
        with suppress(OSError):  # not connected any more
            self.connection.shutdown(socket.SHUT_RDWR)
        self.connection.close()


def _received(connection: Connection, flags: int) -> bytes | None:
    """What can be read, b"" at the end; None where nothing came."""
    try:
        return _recv(connection, _RECEIVE_SIZE, flags)
    except BlockingIOError:
        return None
    except OSError:  # reset by the peer
        return b""


def _given_out(connection: Connection, handshake: Handshake) -> tuple[Connection, Any]:
    """It blocks from here on as any new connection does."""
    if connection.gettimeout() is not None:
        connection.settimeout(socket.getdefaulttimeout())
    return connection, handshake.source
