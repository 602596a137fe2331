"""Who is believed, decided for one connection after the other: ``Listener``.

Every adapter drives this machine; it does no I/O and has no timer. It decides on deadline, size,
the order of eviction, counters, messages and how often they are logged; an adapter carries out::

    listener = Listener(policy)                    # one for each listening server

    handshake = listener.connect(self, family, peername)     # a connection was accepted
    if no timer runs and listener.delay is not None:
        call timer in listener.delay seconds

    handshake.feed(data)                           # bytes came (receive() does both at once)
    handshake.eof()                                # the peer sends no more, or is gone

    listener.sweep()                               # in timer; then again while delay is not None
    listener.close()                               # the server is being closed

After each of these ``handshake.state`` says what to do:

- ``PENDING``: wait for more bytes.
- ``ACCEPTED``: the connection is the application's. ``handshake.source`` and ``.destination`` are
  what it sees as peername and sockname (``destination`` is what ``connect`` was given as sockname
  where no header names one), ``.header`` is the Header or None, ``.peername`` the balancer, and
  ``.trailing_data`` the first bytes. A peer that is let through as itself (untrusted="passthrough")
  is accepted by ``connect`` already.
- ``REFUSED``: end the connection at once, without an answer. ``.reason`` and ``.message`` say why;
  both are counted and logged already.

``connect``, ``sweep`` and ``close`` also decide on *other* connections (the one that has waited
longest, those whose time is over). For each of them ``owner.decided(handshake)`` is called, the
``owner`` being what the adapter gave to ``connect``; it must not raise. An adapter that blocks
reads with a timeout until ``listener.deadline(handshake)``, calls ``sweep`` then, and finds in
``listener.wanted(handshake)`` how many bytes it may read without reading past the header.

A Listener is for one thread at a time: an adapter with several holds a lock around each call.
"""

from __future__ import annotations

from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from fastppv2 import refusal
from fastppv2._backend import Queue, detect
from fastppv2._log import OperatorLog, logger
from fastppv2._networks import read_host
from fastppv2._peer import UNIX, address_of, network_of, text_of
from fastppv2._queue import State
from fastppv2._spec import SIGNATURE_V1, SIGNATURE_V2, V1_MIN_SIZE, Detected
from fastppv2.errors import (
    ChecksumError,
    HeaderTooLargeError,
    IncompleteHeaderError,
    MissingHeaderError,
    ProxyProtocolError,
)
from fastppv2.parser import Parser

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

    from fastppv2._queue import Handshake
    from fastppv2.header import Header
    from fastppv2.policy import Policy

__all__ = ["OUTCOMES", "Counters", "Listener", "State"]

# What the metrics callback is told.
OUTCOMES = ("accepted", "local", "passthrough", *refusal.REASONS)
_HEADER_STARTS = (SIGNATURE_V1 + b" ", SIGNATURE_V2)
_BEGUN = (Detected.V1, Detected.V2)
# Sweeps are at least this part of a timeout apart, so that they cost nothing.
_SWEEPS_PER_TIMEOUT = 16


class Counters(NamedTuple):
    """How many connections came to what; ``pending`` is the number of those that wait now."""

    accepted: int
    local: int
    passthrough: int
    pending: int
    refused: dict[str, int]


class Listener(Queue):
    """The connections of one listening server; see the module for how it is driven.

    ``metrics`` is called with one of ``OUTCOMES`` for each connection that is decided; if it
    raises, that is logged once and hurts no connection. ``clock`` gives seconds.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        metrics: Callable[[str], object] | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        super().__init__(policy, clock, metrics)
        self.policy = policy
        self._clock = clock
        self._metrics_failed = False
        self._log = OperatorLog(clock)
        self._local = 0
        self._passed = 0
        self._refused = dict.fromkeys(refusal.REASONS, 0)
        self._make_parser = partial(Parser, max_size=policy.max_size)
        if len(policy.versions) == 1:
            self._make_parser = partial(self._make_parser, versions=policy.versions)
        self._shortest = policy.timeout if policy.wait is None else policy.wait

    @property
    def counters(self) -> Counters:
        """As they are now."""
        refused = dict(self._refused)
        return Counters(self._accepted, self._local, self._passed, self.pending, refused)

    # Time.

    @property
    def delay(self) -> float | None:
        """Seconds until ``sweep`` is to be called; None while there is nothing to wait for.

        Never more than a connection has that comes meanwhile.
        """
        due = self._log.due
        oldest = self._oldest()
        if oldest is not None:
            end = oldest._arrived + self._shortest
            due = end if due is None else min(due, end)
        if due is None:
            return None
        delay = min(due - self._clock(), self._shortest)
        return max(delay, self._shortest / _SWEEPS_PER_TIMEOUT)

    def deadline(self, handshake: Handshake) -> float:
        """When ``sweep`` decides on that connection if nothing comes, by the clock."""
        wait, timeout = self.policy.wait, self.policy.timeout
        patience = timeout if wait is None or _begun(handshake) else wait
        return handshake._arrived + patience

    def sweep(self) -> None:
        """Decides on the connections whose time is over, and tells the log what it kept back."""
        now = self._clock()
        for handshake in self._snapshot():
            if handshake.state is State.PENDING and now >= self.deadline(handshake):
                self._expire(handshake)
        self._log.flush()

    def _expire(self, handshake: Handshake) -> None:
        data = _held(handshake)
        owner = handshake.owner
        if self.policy.wait is not None and not _begun(handshake):
            self._pass(handshake, data, refusal.passed_silent())
        else:
            self._refuse(handshake, "timeout", refusal.timeout(self.policy, data))
        owner.decided(handshake)

    def close(self) -> None:
        """Ends every connection that still waits for its header; those that come later, too."""
        self._room = 0
        for handshake in self._snapshot():
            self._end_other(handshake, "closed", refusal.closed())
        self._log.flush(everything=True)

    def _end_other(self, handshake: Handshake, reason: str, text: str) -> None:
        owner = handshake.owner
        if handshake.state is State.PENDING:
            self._refuse(handshake, reason, text)
            owner.decided(handshake)

    # A connection's way.

    def wanted(self, handshake: Handshake) -> int:
        """How many bytes can be read that are all the header's, if it is one."""
        parser = handshake._parser
        return V1_MIN_SIZE if parser is None else parser._needed - len(parser._held)

    def _admit(self, handshake: Handshake) -> None:
        """A connection was accepted."""
        policy = self.policy
        address = address_of(handshake.family, handshake.peername)
        if not self._room:
            self._refuse(handshake, "closed", refusal.closed())
        elif address is None:
            text = refusal.unreadable(handshake.peername, handshake.family)
            self._refuse(handshake, "unreadable", text)
        elif policy.trusted.unix if address == UNIX else handshake.peername[0] in policy.trusted:
            self._make_room()
            self._enqueue(handshake)
        elif policy.untrusted == "passthrough":
            self._pass(handshake, b"", refusal.passed_untrusted(policy, address))
        else:
            self._refuse(handshake, "untrusted", refusal.untrusted(policy, address))

    def _make_room(self) -> None:
        oldest = self._oldest()
        if oldest is not None and self.pending >= self._room:
            self._end_other(oldest, "evicted", refusal.evicted(self.policy))

    def _feed(self, handshake: Handshake, data: Buffer) -> None:
        """Bytes came from a peer that is trusted."""
        parser = handshake._parser
        if parser is None:
            parser = handshake._parser = self._make_parser()
        try:
            header = parser.feed(data)
        except ProxyProtocolError as error:
            self._fail(handshake, error, parser.trailing_data)
        else:
            if header is not None:
                self._judge(handshake, header, parser.trailing_data)

    def _eof(self, handshake: Handshake) -> None:
        """No more comes, and no header is there."""
        parser = handshake._parser
        if parser is None or not parser._held:
            self._refuse(handshake, "empty", refusal.empty())
            return
        try:
            parser.eof()
        except ProxyProtocolError as error:
            self._fail(handshake, error, parser.trailing_data)

    def _fail(self, handshake: Handshake, error: ProxyProtocolError, data: bytes) -> None:
        """The bytes are no header, and will not become one."""
        policy = self.policy
        found = detect(data)
        if policy.header == "optional" and found not in _BEGUN:
            self._pass(handshake, data, refusal.passed_silent())
        elif isinstance(error, MissingHeaderError):
            self._refuse(handshake, "missing", refusal.missing(data))
        elif found in _BEGUN and found not in policy.versions:
            self._refuse(handshake, "version", refusal.version(policy, data))
        elif isinstance(error, IncompleteHeaderError):
            self._refuse(handshake, "eof", refusal.truncated(data))
        elif isinstance(error, ChecksumError):
            self._refuse(handshake, "checksum", refusal.checksum(error))
        elif isinstance(error, HeaderTooLargeError):
            self._refuse(handshake, "too_large", refusal.too_large(policy, error))
        else:
            self._refuse(handshake, "invalid", refusal.invalid(error))

    def _judge(self, handshake: Handshake, header: Header, behind: bytes) -> None:
        """A whole, valid header from a peer that is trusted, and the bytes in hand behind it."""
        policy = self.policy
        if policy.require_checksum and header.checksum is None:
            self._refuse(handshake, "checksum", refusal.no_checksum(header))
        elif policy.source_preserved and not _names_peer(header, handshake):
            self._refuse(handshake, "source", refusal.source(header))
        elif policy.nested == "refuse" and behind.startswith(_HEADER_STARTS):
            self._refuse(handshake, "nested", refusal.nested())
        else:
            self._accept(handshake, header, behind)

    # Decisions.

    def _accept(self, handshake: Handshake, header: Header, behind: bytes) -> None:
        handshake.header = header
        handshake.trailing_data = behind
        self._decide(handshake, State.ACCEPTED)
        if header.is_local:
            self._local += 1
            self._tell("local")
        else:
            self._accepted += 1
            self._tell("accepted")

    def _pass(self, handshake: Handshake, data: bytes, text: str) -> None:
        """Let through as itself."""
        handshake.trailing_data = data
        self._decide(handshake, State.ACCEPTED)
        self._passed += 1
        self._tell("passthrough")
        logger.debug("%s %s", text_of(handshake.peername), text)

    def _refuse(self, handshake: Handshake, reason: str, text: str) -> None:
        message = f"{text_of(handshake.peername)} refused: {text}"
        handshake._refusal = reason, message
        self._decide(handshake, State.REFUSED)
        self._refused[reason] += 1
        self._tell(reason)
        if reason in refusal.QUIET:
            logger.debug("%s", message)
        else:
            network = network_of(address_of(handshake.family, handshake.peername))
            self._log.warn(reason, network, message)

    def _decide(self, handshake: Handshake, state: State) -> None:
        self._dequeue(handshake)
        handshake.state = state
        handshake.owner = None
        handshake._parser = None

    def _tell(self, outcome: str) -> None:
        if self._metrics is None:
            return
        try:
            self._metrics(outcome)
        except Exception:
            if not self._metrics_failed:
                self._metrics_failed = True
                logger.exception("the metrics callback failed, which is not logged again")


def _held(handshake: Handshake) -> bytes:
    """What has come so far."""
    return b"" if handshake._parser is None else handshake._parser._held


def _begun(handshake: Handshake) -> bool:
    """A header is on its way, and not something else."""
    return detect(_held(handshake)) in _BEGUN


def _names_peer(header: Header, handshake: Handshake) -> bool:
    """The header's source is the peer itself, or there is none."""
    source = header.source
    if source is None:
        return True
    peer = address_of(handshake.family, handshake.peername)
    return isinstance(source, tuple) and read_host(source[0]) == peer
