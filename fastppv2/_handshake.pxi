# Networks of peers, and the usual way of a connection through its handshake: the peer is trusted,
# its first bytes hold a whole header, and no setting asks for more. Whatever differs is left to
# Listener (handshake.py); _networks.py and _queue.py say the same in Python.
#
# A Listener is for one thread at a time, its counters for any at any time. Without the GIL a
# caller that forgets so finds wrong numbers at worst: what reads or writes a Queue or a Handshake
# holds its lock, as the accessors do that Cython makes. With the GIL these sections are nothing.

from cpython.mem cimport PyMem_Calloc
from cpython.time cimport monotonic
from libc.string cimport memchr, memcmp

from time import monotonic as MONOTONIC

from fastppv2._queue import State

cdef extern from "Python.h":
    # Of borrowed references, as in _cython.pyx.
    bint PyUnicode_IS_COMPACT_ASCII(PyObject *text)
    Py_ssize_t ascii_size "PyUnicode_GET_LENGTH"(PyObject *text)
    void *ascii_data "PyUnicode_DATA"(PyObject *text)
    int set_dict "PyObject_GenericSetDict"(object, object, void *) except -1

cdef class Handshake

cdef extern from *:
    """
    #include <time.h>

    static const uint8_t NESTED_V1[] = "PROXY ";
    static const uint8_t NESTED_V2[] = FPP_SIGNATURE_V2_BYTES;

    /* What time.monotonic() says, behind by some milliseconds, for a sixth of the price. */
    #ifdef CLOCK_MONOTONIC_COARSE
    enum { HAS_COARSE_CLOCK = 1 };
    static inline double coarse_monotonic(void) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
        return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    }
    #else
    enum { HAS_COARSE_CLOCK = 0 };
    #define coarse_monotonic() 0.0
    #endif
    """
    Handshake moved_handshake "moved"(Handshake variable)
    bint HAS_COARSE_CLOCK
    double coarse_monotonic()
    const uint8_t NESTED_V1[]
    const uint8_t NESTED_V2[]

cdef enum:
    AF_UNIX = 1  # see _peer.py

cdef tuple STATES = tuple(State)
cdef enum:
    PENDING = 0
    ACCEPTED = 1


cdef uint8_t read_host(PyObject *host, uint8_t *address) noexcept:
    """The family of what ``getpeername()`` calls a host, or 0; a zone is left out."""
    cdef Py_ssize_t size
    cdef const char *text
    cdef const char *zone
    if not PyUnicode_IS_COMPACT_ASCII(host):
        return FPP_FAMILY_UNSPEC
    text = <const char *>ascii_data(host)
    size = ascii_size(host)
    if fpp_read_address(address, FPP_FAMILY_INET, text, size):
        return FPP_FAMILY_INET
    zone = <const char *>memchr(text, b'%', size)
    if zone is not NULL:
        if zone == text + size - 1:
            return FPP_FAMILY_UNSPEC
        size = zone - text
    return FPP_FAMILY_INET6 if fpp_read_address(address, FPP_FAMILY_INET6, text, size) else 0


cdef class Members:
    """Which hosts are in any of the networks, by ``in``; ``everyone``: all that are addresses."""

    cdef fpp_networks _networks
    cdef fpp_network *_items
    cdef uint32_t *_room
    cdef bint _everyone

    def __cinit__(self, *arguments, **settings):
        self._take(0)

    def __init__(self, networks, bint everyone=False):
        cdef list found = list(networks)
        cdef Py_ssize_t at
        self._take(len(found))
        for at, (address, prefix) in enumerate(found):
            self._items[at].family = (
                FPP_FAMILY_INET if len(address) == FPP_IPV4_SIZE else FPP_FAMILY_INET6)
            self._items[at].prefix = prefix
            memcpy(self._items[at].address, PyBytes_AS_STRING(address), PyBytes_GET_SIZE(address))
        fpp_order_networks(&self._networks, self._items, len(found), self._room)
        self._everyone = everyone

    cdef int _take(self, Py_ssize_t count) except -1:
        """Room for so many, and none in it so far."""
        memset(&self._networks, 0, sizeof(self._networks))
        PyMem_Free(self._items)
        PyMem_Free(self._room)
        self._items = <fpp_network *>PyMem_Calloc(count + 1, sizeof(fpp_network))
        self._room = <uint32_t *>PyMem_Calloc(2 * count + FPP_NETWORKS_ROOM, sizeof(uint32_t))
        if self._items is NULL or self._room is NULL:
            raise MemoryError
        fpp_order_networks(&self._networks, self._items, 0, self._room)
        return 0

    def __dealloc__(self):
        PyMem_Free(self._items)
        PyMem_Free(self._room)

    @cython.final
    cdef inline bint holds(self, PyObject *host) noexcept:
        cdef uint8_t address[FPP_IPV6_SIZE]
        cdef uint8_t family = read_host(host, address)
        if family == FPP_FAMILY_UNSPEC:
            return False
        return self._everyone | fpp_in_networks(&self._networks, family, address)

    def __contains__(self, host):
        if type(host) is str:
            return self.holds(<PyObject *>host)
        return isinstance(host, str) and str.__str__(host) in self


# The garbage collector breaks cycles at the queue or the owner, never here, so that _queue is there
# as long as the handshake is.
@cython.final
@cython.no_gc_clear
@cython.freelist(64)
cdef class Handshake:
    """One connection until it is accepted or refused; see ``fastppv2._queue.Handshake``."""

    cdef Queue _queue
    cdef Handshake _next
    cdef PyObject *_previous
    cdef bint _waits
    cdef int _state
    cdef readonly int family
    cdef readonly double _arrived
    cdef public object _parser
    cdef public Header header
    cdef public object owner
    cdef readonly object peername
    cdef readonly object sockname
    # None stands for no refusal and for no bytes.
    cdef public tuple _refusal
    cdef object _trailing_data

    def __init__(self):
        raise TypeError("a Handshake comes from Listener.connect()")

    def feed(self, data, /):
        """Bytes came from the peer; RuntimeError once there is a decision."""
        with cython.critical_section(self, self._queue):
            if self._state != PENDING or self._queue is None:
                raise RuntimeError("there is a decision already: these bytes are the application's")
            if not self._queue.accepts(self, data):
                self._queue._feed(self, data)
            return <object>PyTuple_GET_ITEM(STATES, self._state)

    @cython.critical_section
    def eof(self):
        """The peer sends no more, or the connection is lost; nothing happens after a decision."""
        if self._state == PENDING:
            self._queue._eof(self)
        return <object>PyTuple_GET_ITEM(STATES, self._state)

    @property
    @cython.critical_section
    def state(self):
        return <object>PyTuple_GET_ITEM(STATES, self._state)

    @state.setter
    @cython.critical_section
    def state(self, state):
        self._state = state

    @property
    @cython.critical_section
    def reason(self):
        return "" if self._refusal is None else self._refusal[0]

    @property
    @cython.critical_section
    def message(self):
        return "" if self._refusal is None else self._refusal[1]

    @property
    @cython.critical_section
    def trailing_data(self):
        return b"" if self._trailing_data is None else self._trailing_data

    @trailing_data.setter
    @cython.critical_section
    def trailing_data(self, trailing_data):
        self._trailing_data = trailing_data

    cdef bint _names_ends(self) noexcept:
        return self.header is not None and self.header._family != FPP_FAMILY_UNSPEC

    @property
    @cython.critical_section
    def source(self):
        """The client, as ``getpeername()`` would say; the real peer where no header names one."""
        return name_of(self.header, 0) if self._names_ends() else self.peername

    @property
    @cython.critical_section
    def destination(self):
        """Where the client connected to, as ``getsockname()`` would say, or ``sockname``."""
        return name_of(self.header, 1) if self._names_ends() else self.sockname


cdef class Queue:
    """The connections of a listener that are still undecided; see ``fastppv2._queue.Queue``."""

    cdef Handshake _first
    cdef PyObject *_last
    cdef object _clock
    cdef Members _trusted
    cdef bint _unix
    cdef bint _plain
    cdef bint _is_monotonic
    cdef uint32_t _max_size
    cdef readonly Py_ssize_t pending
    cdef public object _metrics
    cdef public Py_ssize_t _accepted
    cdef public Py_ssize_t _room

    def __init__(self, policy, clock, metrics):
        self._clock = clock
        self._is_monotonic = clock is MONOTONIC
        self._metrics = metrics
        self._trusted = policy.trusted
        self._unix = policy.trusted.unix
        self._plain = not (policy.source_preserved or policy.require_checksum
                           or len(policy.versions) == 1)
        self._max_size = policy.max_size
        self._room = policy.max_pending

    def __del__(self):
        # One by one: each holds the next, and they may be many.
        while self._first is not None:
            self.leave(self._first)

    @cython.critical_section
    def connect(self, owner, int family, peername, sockname=None):
        """A connection was accepted; its state says whether its header is awaited.

        ``owner``: None for one that is set later, on a handshake that waits. ``family``: the
        socket's; ``peername``: what ``getpeername()`` says, None if it fails; ``sockname``: what
        ``destination`` falls back to.
        """
        cdef Handshake handshake = Handshake.__new__(Handshake)
        self.take(handshake, family, peername, sockname)
        handshake.owner = owner
        if self.pending < self._room and self.trusts(family, peername):
            self.enter(handshake)
        else:
            self._admit(handshake)
        return handshake

    @cython.critical_section
    def receive(self, owner, int family, peername, data, sockname=None):
        """``connect`` and ``feed`` in one, for a connection whose first bytes are in hand."""
        cdef Handshake handshake = Handshake.__new__(Handshake)
        self.take(handshake, family, peername, sockname)
        cdef bint usual = self.pending < self._room and self.trusts(family, peername)
        if usual and self.accepts(handshake, data):
            return moved_handshake(handshake)
        handshake.owner = owner
        if usual:
            self.enter(handshake)
        else:
            self._admit(handshake)
        if handshake._state == PENDING:
            self._feed(handshake, data)
        return moved_handshake(handshake)

    @cython.final
    cdef inline void take(self, Handshake handshake, int family, peername, sockname) noexcept:
        handshake._queue = self
        handshake._state = PENDING
        handshake.family = family
        handshake.peername = peername
        handshake.sockname = sockname

    @cython.final
    cdef bint trusts(self, int family, peername) except -1:
        """The peername is of the usual kind, and names one that is trusted."""
        if type(peername) is tuple:
            return (PyTuple_GET_SIZE(peername) >= 2 and PyUnicode_CheckExact(borrow(peername, 0))
                    and self._trusted.holds(borrow(peername, 0)))
        return self._unix and type(peername) is str and family == AF_UNIX

    @cython.final
    cdef bint accepts(self, Handshake handshake, data) except -1:
        """The header was whole at once, and nothing more is asked of it."""
        cdef fpp_header fields
        if handshake._parser is not None or not self.reads(data, &fields):
            return False
        handshake._trailing_data = behind(<bytes>data, &fields)
        handshake.header = header_of(<bytes>data, &fields)
        handshake._state = ACCEPTED
        if handshake._waits:
            handshake.owner = None
            self.leave(handshake)
        self.count()
        return True

    @cython.final
    cdef inline bint reads(self, data, fpp_header *fields) noexcept:
        """The usual case: these are bytes with a whole header, and nothing more is asked of it."""
        cdef const uint8_t *start
        cdef fpp_error why
        if not self._plain or not PyBytes_CheckExact(data):
            return False
        start = <const uint8_t *>PyBytes_AS_STRING(data)
        if fpp_parse(start, PyBytes_GET_SIZE(data), self._max_size, fields, &why):
            return False
        return (fields.command == FPP_COMMAND_PROXY
                and not starts_header(start + fields.size, PyBytes_GET_SIZE(data) - fields.size))

    @cython.final
    cdef inline int count(self) except -1:
        self._accepted += 1
        if self._metrics is not None:
            self._tell("accepted")
        return 0

    @cython.critical_section
    def datagram(self, int family, peername, data, type kind not None):
        """The usual datagram in one go: its payload, and its client as ``kind``, a tuple's.

        The client's attributes are ``header`` and ``balancer``. None for any other datagram, with
        which nothing is done yet: it is for ``receive``.
        """
        cdef fpp_header fields
        cdef Header header
        if not (self.pending < self._room and self.trusts(family, peername)
                and self.reads(data, &fields)):
            return None
        if fields.family != FPP_FAMILY_INET and fields.family != FPP_FAMILY_INET6:
            return None
        header = header_of(<bytes>data, &fields)
        client = tuple.__new__(kind, name_of(header, 0))
        set_dict(client, {"header": header, "balancer": peername}, NULL)
        payload = behind(<bytes>data, &fields)
        self.count()
        return (b"" if payload is None else payload, client)

    @cython.final
    cdef void leave(self, Handshake handshake) noexcept:
        cdef Handshake behind = handshake._next
        if behind is None:
            self._last = handshake._previous
        else:
            behind._previous = handshake._previous
        if handshake._previous is NULL:
            self._first = behind
        else:
            (<Handshake>handshake._previous)._next = behind
        handshake._next = None
        handshake._waits = False
        self.pending -= 1

    @cython.final
    cdef int enter(self, Handshake handshake) except -1:
        if not self._is_monotonic:
            handshake._arrived = self._clock()
        elif HAS_COARSE_CLOCK:
            handshake._arrived = coarse_monotonic()
        else:
            handshake._arrived = monotonic()
        handshake._previous = self._last
        if self._last is NULL:
            self._first = handshake
        else:
            (<Handshake>self._last)._next = handshake
        self._last = <PyObject *>handshake
        handshake._waits = True
        self.pending += 1
        return 0

    @cython.critical_section
    def _enqueue(self, Handshake handshake not None):
        self.enter(handshake)

    @cython.critical_section
    def _dequeue(self, Handshake handshake not None):
        if handshake._waits:
            self.leave(handshake)

    @cython.critical_section
    def _oldest(self):
        return self._first

    @cython.critical_section
    def _snapshot(self):
        """All that wait, the oldest first."""
        cdef list found = []
        cdef Handshake handshake = self._first
        while handshake is not None:
            found.append(handshake)
            handshake = handshake._next
        return found


cdef inline object behind(bytes data, const fpp_header *fields):
    """The bytes that follow the header; None if there are none."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data) - fields.size
    if size == 0:
        return None
    return PyBytes_FromStringAndSize(PyBytes_AS_STRING(data) + fields.size, size)


cdef inline Header header_of(bytes data, const fpp_header *fields):
    return make_header(fields, <const uint8_t *>PyBytes_AS_STRING(data),
                       <PyObject *>data if PyBytes_GET_SIZE(data) == fields.size else NULL)


cdef inline object name_of(Header header, int which):
    """An end as the system's calls have it: with flow and scope where it is IPv6."""
    if header._family != FPP_FAMILY_INET6:
        return end_of(header, which)
    host, port = end_of(header, which)
    return (host, port, 0, 0)


cdef inline bint starts_header(const uint8_t *data, Py_ssize_t length) noexcept:
    """A second header stands there, as far as it is in hand."""
    return ((length > FPP_SIGNATURE_V1_SIZE
             and memcmp(data, NESTED_V1, FPP_SIGNATURE_V1_SIZE + 1) == 0)
            or (length >= FPP_SIGNATURE_V2_SIZE
                and memcmp(data, NESTED_V2, FPP_SIGNATURE_V2_SIZE) == 0))
