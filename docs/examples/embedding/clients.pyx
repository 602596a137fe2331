# cython: language_level=3
"""Reads the headers that stand one behind another in memory, without a Python object for any."""

from libc.stdint cimport uint8_t, uint16_t

from fastppv2.core cimport *

cdef extern from "fastppv2_all.h":
    pass  # compiles the core into this module


def read_clients(const uint8_t[::1] block, char[:, ::1] hosts, uint16_t[::1] ports):
    """Fills a row of ``hosts`` (46 bytes: text, then NUL) and an item of ``ports`` per header.

    The row is empty where a header names no client or a UNIX one. Returns how many headers were
    read, and the offset of the first that is broken, cut off, or has no row left.
    """
    cdef fpp_header header
    cdef fpp_error why
    cdef Py_ssize_t at = 0
    cdef Py_ssize_t count = 0
    cdef Py_ssize_t room = min(hosts.shape[0], ports.shape[0])
    if hosts.shape[1] != FPP_ADDRESS_TEXT_SIZE:
        raise ValueError(f"hosts: expected rows of {FPP_ADDRESS_TEXT_SIZE}, got {hosts.shape[1]}")
    with nogil:
        while count < room and at < block.shape[0]:
            if fpp_parse(&block[at], block.shape[0] - at, FPP_MAX_SIZE, &header,
                         &why) != FPP_STATUS_OK:
                break
            hosts[count, 0] = 0
            if header.family == FPP_FAMILY_INET or header.family == FPP_FAMILY_INET6:
                fpp_format_address(&hosts[count, 0], header.family, header.source)
            ports[count] = header.source_port
            at += header.size
            count += 1
    return count, at
