# cython: language_level=3, binding=False, embedsignature=True, embedsignature.format=clinic
# cython: freethreading_compatible=True
"""The usual way of a connection to its application; _pure.py says the same in Python.

Whatever is not usual is left to Receiver and View, which are Python with either.
"""

cimport cython
from cpython.dict cimport PyDict_Update

import sys
from asyncio import (
    BufferedProtocol, Handle, Protocol, StreamReaderProtocol, get_running_loop, selector_events
)
from collections import deque
from socket import AF_INET, AF_INET6

from fastppv2._queue import State
from fastppv2.asyncio import _addresses, _deliver

KINDS = {}

# Names of Python's are looked up at every use, these are not.
cdef object ACCEPTED = State.ACCEPTED
cdef object PENDING = State.PENDING
cdef object PROTOCOL = Protocol
cdef object BUFFERED = BufferedProtocol
cdef object STREAM = StreamReaderProtocol
cdef object INET = AF_INET
cdef object INET6 = AF_INET6
cdef dict kinds = KINDS
cdef frozenset NAMES = _addresses.NAMES
cdef object addresses = _addresses.addresses
cdef object deliver = _deliver.deliver
cdef object fail = _deliver.fail
cdef object running_loop = get_running_loop
# Of asyncio's own transport of a socket attributes are read and set, for each of its methods is a
# call in Python; in the versions whose attributes are known. In others it is one like any other.
cdef object SOCKET = (
    selector_events._SelectorSocketTransport if sys.version_info < (3, 15) else None
)


cdef class Factory:
    """What the loop calls for the protocol of each connection; the base of ``Acceptor``."""

    cdef public object protocol_factory
    cdef public object listener
    cdef public object tls
    cdef public bint enabled
    cdef public object timer
    cdef type _receiver
    cdef Steps _steps

    def __init__(self, protocol_factory, listener, tls, receiver):
        self.protocol_factory = protocol_factory
        self.listener = listener
        self.tls = tls
        self.enabled = True
        self._receiver = receiver

    def __call__(self):
        cdef type receiver = self._receiver
        cdef Arrival arrival
        if not self.enabled and self.tls is None:
            return self.protocol_factory()
        arrival = <Arrival>receiver.__new__(receiver)
        arrival._acceptor = self
        return arrival

    cdef Steps steps(self, ready):
        """Those of the loop with this queue."""
        if self._steps is None or self._steps._ready is not ready:
            self._steps = Steps(ready)
        return self._steps


cdef class Arrival:
    """What the loop calls for a connection until its header is over; the base of ``Receiver``."""

    cdef readonly Factory _acceptor
    cdef readonly object _handshake
    cdef readonly object _transport
    cdef public object application

    def connection_made(self, transport):
        cdef Factory acceptor = self._acceptor
        self._transport = transport
        if not acceptor.enabled:
            self._secure(transport, b"")
            return
        if type(transport) is SOCKET:
            peername = (<dict?>transport._extra).get("peername")
        else:
            peername = transport.get_extra_info("peername")
        if type(peername) is tuple:
            family = INET if len(<tuple>peername) == 2 else INET6
        else:
            family, peername = self._ask_socket(peername)
        self._handshake = handshake = acceptor.listener.connect(self, family, peername)
        if handshake.state is not PENDING:
            self.decided(handshake)
        if acceptor.timer is None:
            acceptor.watch()

    def data_received(self, data):
        application = self.application
        if application is None:
            state = self._handshake.feed(data)
            if state is ACCEPTED:
                self.accepted()
            elif state is not PENDING:
                self.decided(self._handshake)
        else:
            self.application = None
            self._transport.set_protocol(application)
            application.data_received(data)

    def eof_received(self):
        if self.application is None:
            return self._ended()
        return self.application.eof_received()

    def connection_lost(self, exc):
        application, self.application = self.application, None
        if application is None:
            self._handshake.eof()
        else:
            application.connection_lost(exc)

    cdef int accepted(self) except -1:
        transport, handshake = self._transport, self._handshake
        if handshake.header is None or self._acceptor.tls is not None:
            self.decided(handshake)
        elif type(transport) is SOCKET:
            self.connect(transport, handshake)
        else:
            kind = kinds.get(type(transport))
            if kind is None:
                self.decided(handshake)
            else:
                self.stand_in(view_of(kind, transport, handshake), handshake.trailing_data)
        return 0

    cdef int connect(self, transport, handshake) except -1:
        """As ``_connect.connect``, on asyncio."""
        cdef FirstBytes first = None
        ready = getattr(running_loop(), "_ready", None)
        if ready is None:
            self.decided(handshake)
            return 0
        transport._extra = extra_of(transport._extra, handshake)
        data = handshake.trailing_data
        if data:
            first = first_bytes(transport, data)
        steps = len(ready)
        try:
            protocol = self._acceptor.protocol_factory()
            if isinstance(protocol, BUFFERED):
                transport.set_protocol(protocol)
            else:
                transport._protocol = protocol
            protocol.connection_made(transport)
        except Exception as error:
            fail(transport, error)
            return 0
        if first is None:
            return 0
        if len(ready) == steps:
            first.deliver()
        elif type(protocol) is STREAM:
            self._acceptor.steps(ready).wait(first)
        else:
            running_loop().call_soon(first.deliver)
        return 0

    def _stand_in(self, view, data):
        self.stand_in(view, data)

    cdef int stand_in(self, BareView view, data) except -1:
        """The application is connected, and the loop is not told yet."""
        try:
            protocol = self._acceptor.protocol_factory()
            if isinstance(protocol, PROTOCOL):
                self.application = protocol
                view.receiver = self
            else:
                view.set_protocol(protocol)
            protocol.connection_made(view)
        except Exception as error:
            fail(view, error)
        else:
            if data:
                view.deliver(data)
        return 0


@cython.final
cdef class FirstBytes:
    """What was read too far, for the application on asyncio's own transport once it reads."""

    cdef object _transport
    cdef object _data

    def __init__(self, transport, data):
        self.wait(transport, data)

    cdef int wait(self, transport, data) except -1:
        self._transport = transport
        self._data = data
        transport.resume_reading = self
        return 0

    def __call__(self):
        """The transport's ``resume_reading``; asyncio looks at the socket after the step that
        delivers.
        """
        transport = self._transport
        running_loop().call_soon(self.deliver)
        del transport.resume_reading
        transport.resume_reading()
        transport.resume_reading = self

    cpdef deliver(self):
        """Now, unless reading is paused."""
        transport, data = self._transport, self._data
        if data is None:
            return
        if type(transport) is SOCKET:
            is_closing, is_paused, protocol = (
                transport._closing, transport._paused, transport._protocol
            )
        else:
            is_closing = transport.is_closing()
            is_paused, protocol = not transport.is_reading(), transport.get_protocol()
        if is_closing or not is_paused:
            self._data = None
            del transport.resume_reading
            if not is_closing:
                hand_over(transport, protocol, data)


@cython.final
cdef class Steps:
    """First bytes of streams, each of which waits for one step of the loop.

    One handle in its queue is for all of them, in turn: one for each takes 3,000 instructions.
    So they have one context, which makes no difference to streams: nobody's code runs in it.
    """

    cdef object _ready
    cdef object _waiting
    cdef object _handle

    def __init__(self, ready):
        self._ready = ready
        self._waiting = deque()
        self._handle = Handle(self, (), running_loop())

    cdef int wait(self, FirstBytes first) except -1:
        self._waiting.append(first)
        self._ready.append(self._handle)
        return 0

    def __call__(self):
        self._waiting.popleft().deliver()


cdef inline FirstBytes first_bytes(transport, data):
    cdef FirstBytes first = FirstBytes.__new__(FirstBytes)
    first.wait(transport, data)
    return first


cdef int hand_over(transport, protocol, data) except -1:
    """As ``_deliver.deliver``, to an application that has not closed the connection."""
    if not isinstance(protocol, PROTOCOL):
        deliver(transport, data)
        return 0
    try:
        protocol.data_received(data)
    except Exception as error:
        fail(transport, error)
    return 0


cdef class Extra(dict):
    """asyncio's names and what they give, to which the header's addresses come when asked for."""

    cdef object _handshake

    def __init__(self, own, handshake):
        self.set_up(own, handshake)

    cdef int set_up(self, own, handshake) except -1:
        PyDict_Update(self, own)
        self._handshake = handshake
        return 0

    def get(self, name, default=None):
        handshake = self._handshake
        if handshake is not None and name in NAMES:
            self._handshake = None
            self.update(addresses(self.get, handshake))
        return dict.get(self, name, default)


cdef inline Extra extra_of(own, handshake):
    cdef Extra extra = Extra.__new__(Extra)
    extra.set_up(own, handshake)
    return extra


cdef class BareView:
    """What an application often does with its transport; the base of ``View``."""

    cdef readonly object transport
    cdef readonly object _handshake
    cdef public dict _extra
    cdef public bint _resumed
    cdef public bytes first_bytes
    cdef public object receiver

    def __init__(self, transport, handshake):
        self.set_up(transport, handshake)

    cdef void set_up(self, transport, handshake) noexcept:
        self.transport = transport
        self._handshake = handshake
        self.first_bytes = b""

    def get_extra_info(self, name, default=None):
        """The header's, else the loop's."""
        if self._handshake is not None and name in NAMES:
            return (self._extra or self._shown())[name]
        return self.transport.get_extra_info(name, default)

    def write(self, data):
        self.transport.write(data)

    def is_closing(self):
        return self.transport.is_closing()

    def close(self):
        self.transport.close()

    cpdef deliver(self, data):
        """To the application, once it reads."""
        if not self.transport.is_reading():
            self.first_bytes = data
        elif self.receiver is None:
            deliver(self, data)
        elif not self.transport.is_closing():
            hand_over(self, self.receiver.application, data)


cdef inline BareView view_of(type kind, transport, handshake):
    cdef BareView view = <BareView>kind.__new__(kind)
    view.set_up(transport, handshake)
    return view
