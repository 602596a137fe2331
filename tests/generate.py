"""Inputs for holding the backends against one another: good headers, broken ones, and noise.

Everything is drawn from one ``random.Random``, so a seed and a count name a run.
"""

from __future__ import annotations

import random
from typing import Callable

from make import V2, crc32c, tlv, v2

_BLOCK = {0: 0, 1: 12, 2: 36, 3: 216}


def _chain(draw: random.Random) -> bytes:
    chain = b""
    for _ in range(draw.choice((0, 0, 1, 2, 5))):
        kind = draw.choice((1, 2, 4, 5, 0x20, 0x30, 0xE0, 0xEA, 0xFF, draw.randrange(256)))
        size = draw.choice((0, 1, 4, 5, draw.randrange(40), 127, 128, 129))
        value = draw.randbytes(size)
        if kind == 0x20 and draw.random() < 0.7:
            value = b"\1" + bytes(4) + tlv(draw.randrange(0x20, 0x29), value)
        chain += tlv(kind, value)
    return chain


def _v2(draw: random.Random) -> bytes:
    command = draw.choice((0x21, 0x21, 0x21, 0x20, draw.randrange(256)))
    kind = draw.choice((0x11, 0x12, 0x21, 0x22, 0x31, 0x32, 0, 0x10, draw.randrange(256)))
    block = draw.randbytes(_BLOCK.get(kind >> 4, 0))
    if kind >> 4 == 3 and draw.random() < 0.8:
        paths = [draw.choice((b"", b"/run/a", b"\0name", b"/a\0b")) for _ in range(2)]
        block = b"".join([path.ljust(108, b"\0") for path in paths])
    chain = _chain(draw)
    checksums = draw.choice((0, 0, 1, 1, 1, 2))
    for _ in range(checksums):
        crc = tlv(3, bytes(draw.choice((4, 4, 4, 4, 4, 4, 3, 5, 0))))
        chain = crc + chain if draw.random() < 0.5 else chain + crc
    if command == 0x20 and draw.random() < 0.5:
        block = b""
    ragged = draw.randrange(12)  # now and then a byte or two too many, or a block cut short
    if ragged == 0:
        chain += draw.randbytes(draw.choice((1, 2)))
    elif ragged == 1:
        block, chain = block[: draw.randrange(len(block) + 1)], b""
    data = v2(command, kind, block + chain)
    at = data.find(b"\3\0\4\0\0\0\0", 16)
    if at >= 0 and draw.random() < 0.9:
        data = data[: at + 3] + crc32c(data).to_bytes(4, "big") + data[at + 7 :]
    return data


def _host(draw: random.Random, family: bytes) -> bytes:
    if family == b"TCP4":
        return b".".join([b"%d" % draw.randrange(256) for _ in range(4)])
    groups = [b"%x" % draw.choice((0, 0, 1, draw.randrange(65536))) for _ in range(8)]
    text = b":".join(groups)
    if draw.random() < 0.5:
        cut = draw.randrange(8)
        text = b":".join(groups[:cut]) + b"::" + b":".join(groups[cut + draw.randrange(1, 8) :])
    if draw.random() < 0.2:
        text = draw.choice((b"::ffff:", b"::", b"1::2:")) + _host(draw, b"TCP4")
    return text


def _v1(draw: random.Random) -> bytes:
    family = draw.choice((b"TCP4", b"TCP4", b"TCP6", b"UNKNOWN", b"TCP5"))
    fields = [b"PROXY", family, _host(draw, family), _host(draw, family)]
    fields += [b"%d" % draw.randrange(65536), b"%d" % draw.choice((0, 443, 65535, 65536))]
    if family == b"UNKNOWN":
        fields = fields[: draw.randrange(2, 7)]
    behind = draw.choice((b"", b"", b"", b"", b"", b" ", b"x", b" 1"))
    return b" ".join(fields) + behind + draw.choice((b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r\r\n"))


def _mutated(draw: random.Random, data: bytes) -> bytes:
    mutable = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 4))):
        at = draw.randrange(len(mutable) + 1)
        what = draw.randrange(4)
        if what == 0 and at < len(mutable):
            mutable[at] ^= 1 << draw.randrange(8)
        elif what == 1 and at < len(mutable):
            del mutable[at]
        elif what == 2:
            mutable.insert(at, draw.choice(b"\0\r\n .:0129fPROXY\xff" + draw.randbytes(1)))
        elif at < len(mutable):
            mutable[at] = draw.choice(b"\0\1\2\3\4\5 \r\n.:0123456789afF\xff")
    return bytes(mutable)


def _cut(draw: random.Random, data: bytes) -> bytes:
    return data[: draw.randrange(len(data) + 1)]


def _long_line(draw: random.Random) -> bytes:
    text = draw.choice((b"PROXY UNKNOWN ", b"PROXY TCP6 ", b"PROXY "))
    return text.ljust(draw.randrange(100, 112), b"x") + draw.choice((b"", b"\r", b"\r\n", b"\n"))


def _start(draw: random.Random) -> bytes:
    start = draw.choice((V2, b"PROXY ", b"GET / HTTP/1.1\r\n", b"\x16\3\1"))
    return draw.choice((start, start[: draw.randrange(len(start) + 1)])) + draw.randbytes(
        draw.choice((0, 0, 1, 4, 40))
    )


def inputs(seed: int, count: int) -> list[tuple[bytes, int]]:
    """Pairs of data and ``max_size``."""
    draw = random.Random(seed)
    whole: tuple[Callable[[random.Random], bytes], ...] = (_v2, _v2, _v1)
    made = []
    for _ in range(count):
        data = draw.choice(whole)(draw)
        way = draw.randrange(10)
        if way < 3:
            data += draw.choice((b"", b"payload", data))
        elif way < 6:
            data = _mutated(draw, data)
        elif way < 8:
            data = _cut(draw, data)
        elif way < 9:
            data = _cut(draw, _mutated(draw, data))
        else:
            data = draw.choice((_start, _long_line))(draw)
        made.append((data, draw.choice((65551, 65551, 65551, 4096, draw.randrange(16, 300)))))
    return made
