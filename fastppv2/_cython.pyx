# cython: language_level=3, binding=False, embedsignature=True, embedsignature.format=clinic
# cython: boundscheck=False, wraparound=False, initializedcheck=False
# cython: freethreading_compatible=True
"""The backend over the C core."""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release
from cpython.bytes cimport (
    PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE,
)
from cpython.exc cimport PyErr_Clear
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.object cimport PyObject
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE
from libc.string cimport memcpy, memset

from fastppv2.core cimport *

import os

from fastppv2 import header as interface
from fastppv2._arguments import plan
from fastppv2._spec import MAX_SIZE, Command, Detected, Family, Transport
from fastppv2.errors import SEEN_SIZE, check_max_size, fail, view_of
from fastppv2.header import SSL, TLV

cdef class Header

cdef extern from *:
    # One translation unit: calls between the files of the core vanish. A text is made here, for
    # Cython would count a reference to it up and at once down again, which costs as much as all
    # the rest.
    """
    #include "fastppv2_all.h"

    /* The first piece and the last, which may overlap: a size the compiler knows takes no call. */
    static inline void copy_ends(uint8_t *target, const uint8_t *bytes, size_t size, size_t piece) {
        memcpy(target, bytes, piece);
        memcpy(target + size - piece, bytes + size - piece, piece);
    }

    static inline void copy_few(uint8_t *target, const void *bytes, size_t size) {
        if (size >= 16 && size <= 32)
            copy_ends(target, bytes, size, 16);
        else if (size >= 32 && size <= 64)
            copy_ends(target, bytes, size, 32);
        else if (size >= 8 && size <= 16)
            copy_ends(target, bytes, size, 8);
        else
            memcpy(target, bytes, size);
    }

    static inline PyObject *address_text(uint8_t family, const uint8_t *address) {
        char text[FPP_ADDRESS_TEXT_SIZE];
        size_t size = fpp_format_address(text, family, address);
        PyObject *result = PyUnicode_New((Py_ssize_t)size, 127);
        if (result == NULL)
            return NULL;
        copy_few(PyUnicode_1BYTE_DATA(result), text, size);
        return result;
    }

    /* The body of a Header lies behind the struct, not in it: what is in it is cleared by each use
     * of the freelist, which for more than 80 bytes takes gcc's code as long as to parse. */
    enum { BODY_SIZE = 128 };
    #define body_of(header) ((uint8_t *)((header) + 1))
    static PyObject *with_body(PyTypeObject *type, Py_ssize_t Py_UNUSED(items)) {
        size_t size = (size_t)type->tp_basicsize;
        PyObject *header = PyObject_Malloc(size + BODY_SIZE);
        if (header == NULL)
            return PyErr_NoMemory();
        memset(header, 0, size);
        return PyObject_Init(header, type);
    }
    #define allocate_by(type, allocate) ((PyTypeObject *)(type))->tp_alloc = (allocate)

    /* To take keywords, Cython counts references to each argument and each default up and down, a
     * third of what it takes to parse. So the usual call enters elsewhere, and hands on all others. */
    typedef PyObject *(*entry)(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);
    static entry enter_by(PyObject *function, entry usual) {
        PyMethodDef *method = ((PyCFunctionObject *)function)->m_ml;
        entry replaced = (entry)(void (*)(void))method->ml_meth;
        method->ml_meth = (PyCFunction)(void (*)(void))usual;
        return replaced;
    }

    /* For "return moved(variable)": Cython would count a reference up and at once down again, for
     * which CPython 3.12 and 3.13 wait, as they write 32 bits of the count and then read 64. */
    #define moved(variable) move((PyObject **)&(variable))
    static inline void *move(PyObject **variable) {
        PyObject *object = *variable;
        *variable = NULL;
        return object;
    }
    """
    void copy_few(uint8_t *target, const void *bytes, size_t size)
    str address_text(uint8_t family, const uint8_t *address)
    enum: BODY_SIZE
    uint8_t *body_of(Header header)
    void *with_body
    void allocate_by(object type, void *allocate)
    ctypedef object (*entry)(PyObject *, PyObject *const *, Py_ssize_t, PyObject *)
    entry enter_by(object function, entry usual)
    Header moved(Header variable)

cdef extern from "Python.h":
    # Redeclared without Cython's exception check: the error is replaced by our own wording.
    int PyObject_GetBuffer(object exporter, Py_buffer *view, int flags)
    # Redeclared for borrowed references: a tuple holds its items while it is read, and who calls
    # holds the arguments.
    PyObject *borrow "PyTuple_GET_ITEM"(object items, Py_ssize_t at)
    bint PyUnicode_CheckExact(PyObject *item)
    bint PyLong_CheckExact(PyObject *item)
    bint is_bytes "PyBytes_CheckExact"(PyObject *item)
    const char *bytes_of "PyBytes_AS_STRING"(PyObject *data)
    Py_ssize_t count_of "PyBytes_GET_SIZE"(PyObject *data)
    bint PyUnicode_IS_COMPACT_ASCII(PyObject *text)
    const char *ascii_of "PyUnicode_DATA"(PyObject *text)
    Py_ssize_t length_of "PyUnicode_GET_LENGTH"(PyObject *text)
    long PyLong_AsLongAndOverflow(PyObject *number, int *overflow)

# Names of Python's are looked up at every use, these are not.
cdef tuple COMMANDS = tuple(Command)
cdef tuple FAMILIES = tuple(Family)
cdef tuple TRANSPORTS = tuple(Transport)
cdef tuple DETECTED = tuple(Detected)
cdef object DEFAULT_MAX_SIZE = MAX_SIZE
cdef object STREAM = Transport.STREAM
cdef object TLV_TYPE = TLV
cdef Py_ssize_t SEEN = SEEN_SIZE
cdef enum:
    # PROXY over TCP or UDP without TLVs takes so many bytes in v2 at most.
    PLAIN_SIZE = FPP_V2_HEAD_SIZE + FPP_INET6_BLOCK_SIZE
    # A line of v1 that leaves room for an address block behind it.
    LINE_SIZE = BODY_SIZE - FPP_INET6_BLOCK_SIZE
    # The longest that build writes without TLVs, but for UNIX.
    SHORT_SIZE = 128

crc32c_kind = fpp_crc32c_kind().decode()


@cython.final
@cython.no_gc
@cython.freelist(64)
cdef class Header:
    """A header as this backend holds it; see ``fastppv2.header.Header``."""

    # Either the first size bytes of the body are the header, or raw has it. The address block is at
    # that offset in the body in any case: as in v2 (2.2), whatever the version.
    cdef bytes _raw
    # Not in the order of fpp_header, in which four would be copied as one word: the processor waits
    # before it reads as one what was just written one by one.
    cdef uint8_t _version
    cdef uint8_t _size
    cdef uint8_t _family
    cdef uint8_t _block
    cdef uint8_t _command
    cdef uint8_t _transport

    def __init__(self):
        raise TypeError("a Header comes from parse() or Parser")

    def __sizeof__(self):
        return object.__sizeof__(self) + BODY_SIZE

    @property
    def version(self):
        return self._version

    @property
    def command(self):
        return <object>PyTuple_GET_ITEM(COMMANDS, self._command)

    @property
    def family(self):
        return <object>PyTuple_GET_ITEM(FAMILIES, self._family)

    @property
    def transport(self):
        return <object>PyTuple_GET_ITEM(TRANSPORTS, self._transport)

    @property
    def source(self):
        return end_of(self, 0)

    @property
    def destination(self):
        return end_of(self, 1)

    @property
    def size(self):
        return size_of(self)

    @property
    def raw(self):
        if self._raw is None:
            return PyBytes_FromStringAndSize(<const char *>body_of(self), self._size)
        return self._raw

    @property
    def tlvs(self):
        return read_tlvs(data_of(self), fields_of(self).tlvs)

    @property
    def ssl(self):
        cdef const uint8_t *data = data_of(self)
        cdef fpp_span rest = fields_of(self).tlvs
        cdef fpp_tlv tlv
        cdef fpp_ssl ssl
        while fpp_tlv_next(data, &rest, &tlv) > 0:
            if tlv.type == FPP_TLV_SSL and fpp_ssl_open(data, tlv.value, &ssl):
                return SSL(ssl.client, ssl.verify, read_tlvs(data, ssl.tlvs))
        return None

    @staticmethod
    def _build(*ends, **choices):
        return build(*ends, **choices)

    is_local = interface.Header.is_local
    get = interface.Header.get
    getall = interface.Header.getall
    alpn = interface.Header.alpn
    authority = interface.Header.authority
    unique_id = interface.Header.unique_id
    netns = interface.Header.netns
    checksum = interface.Header.checksum
    encode = interface.Header.encode
    as_dict = interface.Header.as_dict

    def __eq__(self, other):
        return interface.Header.__eq__(self, other)

    def __hash__(self):
        return interface.Header.__hash__(self)

    def __repr__(self):
        return interface.Header.__repr__(self)

    def __reduce__(self):
        return interface.Header.__reduce__(self)


interface.Header.register(Header)
allocate_by(Header, with_body)


# These are functions, for a table of methods would take eight bytes of each header.
cdef inline Header make_header(const fpp_header *fields, const uint8_t *data, PyObject *whole):
    """``whole`` is the header as bytes that may be kept, or NULL."""
    cdef Header header = Header.__new__(Header)
    cdef uint32_t room = BODY_SIZE if whole is NULL else PLAIN_SIZE
    header._version = fields.version
    header._family = fields.family
    header._command = fields.command
    header._transport = fields.transport
    if fields.version == 2 and fields.size <= room:
        header._size = fields.size
        header._block = FPP_V2_HEAD_SIZE
        copy_few(body_of(header), data, fields.size)
        return moved(header)
    if whole is not NULL:
        header._raw = <bytes>whole
    elif fields.version == 1 and fields.size <= LINE_SIZE:
        header._size = fields.size
        header._block = fields.size
        copy_few(body_of(header), data, fields.size)
    else:
        header._raw = PyBytes_FromStringAndSize(<const char *>data, fields.size)
    if fields.family == FPP_FAMILY_INET:
        write_block(body_of(header) + header._block, fields, FPP_IPV4_SIZE)
    elif fields.family == FPP_FAMILY_INET6:
        write_block(body_of(header) + header._block, fields, FPP_IPV6_SIZE)
    return moved(header)


cdef inline void write_block(uint8_t *block, const fpp_header *fields, size_t size) noexcept:
    memcpy(block, fields.source, size)
    memcpy(block + size, fields.destination, size)
    block[2 * size] = fields.source_port >> 8
    block[2 * size + 1] = fields.source_port & 0xFF
    block[2 * size + 2] = fields.destination_port >> 8
    block[2 * size + 3] = fields.destination_port & 0xFF


cdef inline const uint8_t *data_of(Header header) noexcept:
    if header._raw is None:
        return body_of(header)
    return <const uint8_t *>PyBytes_AS_STRING(header._raw)


cdef inline Py_ssize_t size_of(Header header) noexcept:
    if header._raw is None:
        return header._size
    return PyBytes_GET_SIZE(header._raw)


cdef fpp_header fields_of(Header header) noexcept:
    """What the parser found, found again: only addresses are asked for often."""
    cdef fpp_header fields
    cdef fpp_error why
    memset(&fields, 0, sizeof(fields))
    if fpp_parse(data_of(header), size_of(header), FPP_MAX_SIZE, &fields, &why) != FPP_STATUS_OK:
        memset(&fields, 0, sizeof(fields))
    return fields


cdef object end_of(Header header, int which):
    cdef const uint8_t *block = body_of(header) + header._block
    cdef size_t size = FPP_IPV4_SIZE
    cdef const uint8_t *port
    if header._family == FPP_FAMILY_INET6:
        size = FPP_IPV6_SIZE
    elif header._family != FPP_FAMILY_INET:
        return path_of(header, which) if header._family == FPP_FAMILY_UNIX else None
    port = block + 2 * size + 2 * which
    return (address_text(header._family, block + which * size), port[0] << 8 | port[1])


cdef object path_of(Header header, int which):
    cdef fpp_header fields = fields_of(header)
    cdef fpp_span path = fields.destination_path if which else fields.source_path
    cdef bytes name = slice_of(data_of(header), path)
    return name if name.startswith(b"\0") else os.fsdecode(name)


cdef inline bytes slice_of(const uint8_t *data, fpp_span span):
    return PyBytes_FromStringAndSize(<const char *>data + span.offset, span.length)


cdef tuple read_tlvs(const uint8_t *data, fpp_span rest):
    cdef list tlvs = []
    cdef fpp_tlv tlv
    while fpp_tlv_next(data, &rest, &tlv) > 0:
        if tlv.type != FPP_TLV_NOOP:
            tlvs.append(tuple.__new__(TLV_TYPE, (tlv.type, slice_of(data, tlv.value))))
    return tuple(tlvs)


cdef int refuse(int status, const fpp_error *why, const uint8_t *data, Py_ssize_t held,
                Py_ssize_t length) except -1:
    """Raises what the status stands for; ``held`` of the ``length`` bytes are at ``data``."""
    cdef Py_ssize_t size = min(held - <Py_ssize_t>why.offset, SEEN)
    fail(status, why.offset, length,
         PyBytes_FromStringAndSize(<const char *>data + why.offset, size), why.needed)


cdef Header parse_bytes(PyObject *data, uint32_t max_size):
    cdef const uint8_t *start = <const uint8_t *>bytes_of(data)
    cdef Py_ssize_t length = count_of(data)
    cdef fpp_header fields
    cdef fpp_error why
    cdef int status = fpp_parse(start, length, max_size, &fields, &why)
    if status != FPP_STATUS_OK:
        refuse(status, &why, start, length, length)
    return make_header(&fields, start, data if fields.size == length else NULL)


cdef int open_buffer(object data, Py_buffer *view) except -1:
    if PyObject_GetBuffer(data, view, PyBUF_SIMPLE) < 0:
        PyErr_Clear()
        view_of(data)
        raise BufferError("the buffer could not be read")
    return 0


cdef Header parse_view(const Py_buffer *view, uint32_t max_size):
    """Copies the header and parses the copy: others may write to the buffer at any time."""
    cdef uint8_t copy[FPP_V1_MAX_SIZE]
    cdef const uint8_t *source = <const uint8_t *>view.buf
    cdef uint8_t *target = copy
    cdef bytes whole = None
    cdef Py_ssize_t held = min(view.len, FPP_V2_HEAD_SIZE)
    cdef Py_ssize_t size = FPP_V1_MAX_SIZE
    cdef fpp_header fields
    cdef fpp_error why
    memcpy(copy, source, held)
    if fpp_detect(copy, held) == FPP_DETECTED_V2:
        size = held
        if held == FPP_V2_HEAD_SIZE:
            size += copy[FPP_V2_HEAD_SIZE - 2] << 8 | copy[FPP_V2_HEAD_SIZE - 1]
        if size > max_size:
            size = held
    size = min(size, view.len)
    if size > <Py_ssize_t>sizeof(copy):
        whole = PyBytes_FromStringAndSize(NULL, size)
        target = <uint8_t *>PyBytes_AS_STRING(whole)
        memcpy(target, copy, held)
    memcpy(target + held, source + held, size - held)
    cdef int status = fpp_parse(target, size, max_size, &fields, &why)
    if status != FPP_STATUS_OK:
        refuse(status, &why, target, size, view.len)
    return make_header(&fields, target, <PyObject *>whole if target is not copy else NULL)


cdef Header parse_buffer(object data, uint32_t max_size):
    cdef Py_buffer view
    open_buffer(data, &view)
    try:
        return parse_view(&view, max_size)
    finally:
        PyBuffer_Release(&view)


def parse(data, /, *, max_size=MAX_SIZE):
    """The header at the start of ``data``, any contiguous bytes-like object.

    The payload behind it is left alone: it starts at ``header.size``. ``max_size`` (bytes, 16
    to 65551) bounds v2 headers; a v1 line never exceeds 107 bytes.

    Raises ``IncompleteHeaderError`` (``.needed`` bytes in all before trying again),
    ``MissingHeaderError``, or ``InvalidHeaderError`` (``.offset``) and its ``ChecksumError``
    and ``HeaderTooLargeError``. Section 2 of the specification; the checks run in the order
    signature, version, command, family and transport, length, ``max_size``, completeness, TLVs
    from left to right, checksum.
    """
    cdef uint32_t limit = FPP_MAX_SIZE
    if max_size is not DEFAULT_MAX_SIZE:
        limit = check_max_size(max_size)
    if PyBytes_CheckExact(data):
        return parse_bytes(<PyObject *>data, limit)
    return parse_buffer(data, limit)


cdef object parse_usual(PyObject *module, PyObject *const *arguments, Py_ssize_t count,
                        PyObject *keywords):
    if keywords is NULL and count == 1 and is_bytes(arguments[0]):
        return parse_bytes(arguments[0], FPP_MAX_SIZE)
    return parse_any(module, arguments, count, keywords)


cdef entry parse_any = enter_by(parse, parse_usual)


def detect(data, /):
    """Which version ``data``, any contiguous bytes-like object, starts, if it can at all.

    ``V1`` once 5 bytes match, ``V2`` once 12 match, ``MISSING`` as soon as neither can come,
    else ``UNDECIDED`` (2.2: "identifying the protocol version is easy").
    """
    cdef Py_buffer view
    cdef int found
    if PyBytes_CheckExact(data):
        found = fpp_detect(<const uint8_t *>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
    else:
        open_buffer(data, &view)
        found = fpp_detect(<const uint8_t *>view.buf, view.len)
        PyBuffer_Release(&view)
    return <object>PyTuple_GET_ITEM(DETECTED, found)


cdef bint read_end(object end, uint8_t *family, uint8_t *address, uint16_t *port) noexcept:
    """The usual ``(str, int)``; anything else is for ``plan`` to read or to refuse."""
    cdef PyObject *host
    cdef const char *text
    cdef Py_ssize_t size
    cdef int overflow
    cdef long number
    if type(end) is not tuple or PyTuple_GET_SIZE(end) < 2:
        return False
    host = borrow(end, 0)
    if not PyUnicode_CheckExact(host) or not PyUnicode_IS_COMPACT_ASCII(host):
        return False
    if not PyLong_CheckExact(borrow(end, 1)):
        return False
    number = PyLong_AsLongAndOverflow(borrow(end, 1), &overflow)
    if overflow or not 0 <= number <= 0xFFFF:
        return False
    port[0] = <uint16_t>number
    text = ascii_of(host)
    size = length_of(host)
    family[0] = FPP_FAMILY_INET
    if fpp_read_address(address, FPP_FAMILY_INET, text, size):
        return True
    family[0] = FPP_FAMILY_INET6
    return fpp_read_address(address, FPP_FAMILY_INET6, text, size)


cdef bytes build_planned(object fields):
    cdef fpp_header header
    cdef uint8_t paths[FPP_UNIX_BLOCK_SIZE]
    cdef list tlvs = fields.tlvs
    cdef Py_ssize_t count = len(tlvs)
    cdef fpp_tlv_in *items
    cdef bytes source = fields.source
    cdef bytes destination = fields.destination
    memset(&header, 0, sizeof(header))
    header.version = fields.version
    header.command = fields.command
    header.family = fields.family
    header.transport = fields.transport
    header.source_port = fields.source_port
    header.destination_port = fields.destination_port
    if header.family == FPP_FAMILY_UNIX:
        header.source_path.length = len(source)
        header.destination_path.offset = FPP_UNIX_PATH_SIZE
        header.destination_path.length = len(destination)
        memcpy(paths, <const char *>source, len(source))
        memcpy(paths + FPP_UNIX_PATH_SIZE, <const char *>destination, len(destination))
    else:
        memcpy(header.source, <const char *>source, len(source))
        memcpy(header.destination, <const char *>destination, len(destination))
    items = <fpp_tlv_in *>PyMem_Malloc((count + 1) * sizeof(fpp_tlv_in))
    if items is NULL:
        raise MemoryError
    try:
        for at, (type, value) in enumerate(tlvs):
            items[at].type = type
            items[at].length = <uint16_t>PyBytes_GET_SIZE(value)
            items[at].value = <const uint8_t *>PyBytes_AS_STRING(value)
        return build_bytes(&header, paths, items, count,
                           FPP_BUILD_CHECKSUM if fields.checksum else 0)
    finally:
        PyMem_Free(items)


cdef bytes build_bytes(const fpp_header *header, const uint8_t *paths, const fpp_tlv_in *tlvs,
                       size_t count, unsigned flags):
    cdef uint8_t room[SHORT_SIZE]
    cdef size_t size = fpp_build(room, SHORT_SIZE, header, paths, tlvs, count, flags)
    cdef bytes result
    if size == 0:
        raise SystemError("the C core refused what plan() had passed")
    if size <= SHORT_SIZE:
        return PyBytes_FromStringAndSize(<const char *>room, size)
    result = PyBytes_FromStringAndSize(NULL, size)
    fpp_build(<uint8_t *>PyBytes_AS_STRING(result), size, header, paths, tlvs, count, flags)
    return result


def build(source=None, destination=None, *, version=2, command=None, transport=Transport.STREAM,
          tlvs=(), checksum=False):
    """The bytes of a header.

    ``source`` and ``destination``: ``(host, port)`` or the longer tuple of ``getpeername()``,
    the host as text or ``ipaddress`` object; ``str`` or ``bytes`` for UNIX; None for LOCAL (v2)
    or UNKNOWN (v1), and with ``command=Command.PROXY`` in v2 for PROXY without addresses.
    ``tlvs``: ``(type, bytes)`` pairs in order. ``checksum`` fills the CRC32C TLV, which is put
    first unless ``tlvs`` has one (2.2.3).

    Raises ValueError or TypeError that names the argument.
    """
    cdef fpp_header header
    cdef uint8_t family
    # The shape of nearly every call; whatever differs takes the way of all backends.
    if (command is None and transport is STREAM and checksum is False
            and type(tlvs) is tuple and PyTuple_GET_SIZE(tlvs) == 0
            and type(version) is int and (version == 2 or version == 1)):
        memset(&header, 0, sizeof(header))
        if (read_end(source, &header.family, header.source, &header.source_port)
                and read_end(destination, &family, header.destination, &header.destination_port)
                and family == header.family):
            header.version = version
            header.command = FPP_COMMAND_PROXY
            header.transport = FPP_TRANSPORT_STREAM
            return build_bytes(&header, NULL, NULL, 0, 0)
    return build_planned(
        plan(source, destination, version, command, transport, tlvs, checksum))


include "_handshake.pxi"
