"""Any contiguous buffer is taken, nothing of it is kept, and the payload is never touched."""

from __future__ import annotations

import array
import ctypes
import gc
import mmap
import sys
from pathlib import Path
from typing import Any

import pytest
from backends import Api
from make import CRC, V2, tlv, v2

from fastppv2 import Detected, IncompleteHeaderError

INET = b"\xc0\0\2\1\xc6\x33\x64\2\xdc\4\1\xbb"
TCP4 = v2(0x21, 0x11, INET)
AWS = v2(0x21, 0x11, INET + CRC + tlv(0xEA, b"\1vpce-0a1b2c") + tlv(4, bytes(200)), checksum=True)
LINE = b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"
PYPY = sys.implementation.name == "pypy"


class Subclass(bytes):
    pass


@pytest.mark.parametrize("raw", [TCP4, AWS, LINE, b"PROXY UNKNOWN\r\n", v2(0x20, 0, b"")])
def test_kinds_of_buffers(api: Api, raw: bytes) -> None:
    expected = api.parse(raw)
    even = raw + b"x" * (len(raw) % 2)
    shared = mmap.mmap(-1, 4096)
    shared[: len(raw)] = raw
    # PyPy 7.3 raises MemoryError where such a view is made bytes.
    recast = memoryview(array.array("H", even)).cast("B").cast("H", (len(even) // 2,))
    for data in (
        raw + b"payload",
        Subclass(raw),
        bytearray(raw + bytes(70000)),
        memoryview(raw),
        memoryview(b"xx" + raw)[2:],
        memoryview(bytearray(raw)).toreadonly(),
        array.array("B", raw),
        array.array("H", even),
        *([] if PYPY else [recast]),
        memoryview(even).cast("B", (len(even) // 2, 2)),
        (ctypes.c_char * len(raw)).from_buffer_copy(raw),
        shared,
    ):
        assert api.parse(data) == expected
        assert type(api.parse(data).raw) is bytes
        assert api.detect(data) == expected.version
        assert api.Parser().feed(data) == expected


@pytest.mark.parametrize("data", [b"", bytearray(), memoryview(b""), array.array("I")])
def test_empty(api: Api, data: Any) -> None:
    assert api.detect(data) == Detected.UNDECIDED
    with pytest.raises(IncompleteHeaderError):
        api.parse(data)


@pytest.mark.parametrize(
    ("data", "kind", "message"),
    [
        ("PROXY UNKNOWN\r\n", TypeError, "expected a bytes-like object, got str"),
        (None, TypeError, "expected a bytes-like object, got NoneType"),
        (5, TypeError, "expected a bytes-like object, got int"),
        ([80], TypeError, "expected a bytes-like object, got list"),
        (memoryview(TCP4 * 2)[::2], BufferError, "expected a contiguous buffer, pass a copy"),
        (memoryview(TCP4)[::-1], BufferError, "expected a contiguous buffer, pass a copy"),
    ],
)
def test_what_is_no_contiguous_buffer(
    api: Api, data: Any, kind: type[Exception], message: str
) -> None:
    for call in (api.parse, api.detect, api.Parser().feed):
        with pytest.raises(kind, match=message):
            call(data)


def test_a_released_view(api: Api) -> None:
    view = memoryview(TCP4)
    view.release()
    for call in (api.parse, api.detect):
        with pytest.raises(ValueError, match="released"):
            call(view)


def test_calls_take_what_the_signature_says(api: Api) -> None:
    for call in (api.parse, api.detect):
        with pytest.raises(TypeError):
            call()
        with pytest.raises(TypeError):
            call(data=TCP4)
    with pytest.raises(TypeError):
        api.parse(TCP4, 4096)
    with pytest.raises(TypeError):
        api.build(("1.2.3.4", 1), ("1.2.3.4", 1), 2)


def references(data: bytes) -> int:
    """PyPy counts none."""
    return sys.getrefcount(data) if hasattr(sys, "getrefcount") else 0


def test_nothing_is_exported_or_kept(api: Api) -> None:
    for raw in (TCP4, AWS, LINE):
        data = bytearray(raw + bytes(1000))
        header = api.parse(data)
        data.clear()  # a bytearray with an export cannot be resized
        data.extend(bytes(5000))
        assert header.raw == raw
        payload = raw + bytes(100000)
        before = references(payload)
        header = api.parse(payload)
        assert references(payload) == before
        assert header.raw == raw


def test_memory_taken_by_a_parse(api: Api) -> None:
    """In front of 64 MiB no more is allocated than the header's size and the object."""
    tracemalloc = pytest.importorskip("tracemalloc", reason="PyPy has none")
    large = memoryview(bytearray(64 << 20))
    for raw in (TCP4, AWS, LINE):
        large[: len(raw)] = raw
        api.parse(large)
        gc.collect()
        tracemalloc.start()
        try:
            header = api.parse(large)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert header.raw == raw
        if api.name == "cython":
            assert peak <= sys.getsizeof(raw) + sys.getsizeof(header) + 64
        else:
            assert peak <= 8192


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
def test_memory_stays_flat(api: Api) -> None:
    def resident() -> int:
        gc.collect()
        return int(Path("/proc/self/statm").read_text().split()[1])

    def work(times: int) -> None:
        for _ in range(times):
            for raw in (TCP4, AWS, LINE, view):
                header = api.parse(raw)
                _ = (header.source, header.destination, header.tlvs, header.raw)
            with pytest.raises(IncompleteHeaderError):
                api.parse(V2)
            api.build(("192.0.2.1", 1), ("192.0.2.2", 2), tlvs=[(1, b"h2")], checksum=True)

    view = memoryview(AWS)
    work(500)
    before = resident()
    work(20000 if api.name == "cython" else 2000)
    assert resident() - before < 128  # pages: half a megabyte
