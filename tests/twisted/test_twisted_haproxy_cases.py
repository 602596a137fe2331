"""What Twisted tests of its own haproxy endpoint, here of ours: each case is one of theirs.

Theirs stand in twisted/protocols/haproxy/test. Those of its parser of descriptions are in
test_twisted_endpoints.py. Left out, as they assert what is wrong there:

- test_preDataReceived_getPeerHost: before the header the application is connected and sees the
  balancer. Here it has not been built; test_refused and the silent peers of test_twisted.py say so.
- ``0:0:0:0:0:0:0:1`` in test_validIPv6HeaderResolves_getPeerHost of version 2: it is ``::1`` (RFC
  5952), as for version 1 and as the socket module has it.
- test_segmentTooSmall asserts that a first piece of fewer than 16 bytes fails. Here its bytes are
  refused since they are no header; a header may come in any pieces.
"""

from __future__ import annotations

from contextlib import suppress

import pytest
from twisted_client import Server, tcp4, tcp6

V1 = b"PROXY TCP4 1.1.1.1 2.2.2.2 8080 8888\r\n"
V1_INET6 = b"PROXY TCP6 ::1 ::2 8080 8888\r\n"
INET = b"\x7f\0\0\1" * 2 + b"\x1f\x90\x22\xb8"
INET6 = (bytes(15) + b"\1") * 2 + b"\x1f\x90\x22\xb8"
PATH = b"/home/tests/mysockets/sock"
UNIX = PATH.ljust(108, b"\0") * 2
REQUEST = b"HTTP/1.1 / GET"


def v2(addresses: bytes, command: int = 0x21, family: int = 0, signature: bytes = b"") -> bytes:
    """As theirs is made, family and length by the addresses."""
    family = family or {INET: 0x11, INET6: 0x21, UNIX: 0x31}[addresses]
    signature = signature or b"\r\n\r\n\0\r\nQUIT\n"
    return signature + bytes([command, family]) + len(addresses).to_bytes(2, "big") + addresses


@pytest.mark.parametrize(
    ("header", "client", "frontend"),
    [
        (V1, tcp4(("1.1.1.1", 8080)), tcp4(("2.2.2.2", 8888))),
        (V1_INET6, tcp6(("::1", 8080)), tcp6(("::2", 8888))),
        (v2(INET), tcp4(("127.0.0.1", 8080)), tcp4(("127.0.0.1", 8888))),
        (v2(INET6), tcp6(("::1", 8080)), tcp6(("::1", 8888))),
        (v2(UNIX), ["UNIX", PATH.decode()], ["UNIX", PATH.decode()]),
    ],
    ids=["v1", "v1-inet6", "v2", "v2-inet6", "v2-unix"],
)
@pytest.mark.parametrize("at", [None, 18, -2], ids=["whole", "pieces", "end"])
def test_the_header_and_what_comes_behind_it(
    server: Server, header: bytes, client: list, frontend: list, at: int | None
) -> None:
    pieces = [header + REQUEST] if at is None else [header[:at], header[at:] + REQUEST]
    with server.open("teller", *pieces, b"\r\n\r\n") as connection:
        seen = connection.said()
        assert (seen["peer"], seen["host"]) == (client, frontend)
        assert connection.echoes(REQUEST + b"\r\n\r\n")


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY UNKNOWN anything could go here\r\n",
        *[v2(addresses, command=0x20) for addresses in (INET, INET6, UNIX)],
        *[v2(addresses, family=0x01) for addresses in (INET, INET6, UNIX)],
        *[v2(a, family=family) for a, family in ((INET, 0x10), (INET6, 0x20), (UNIX, 0x30))],
    ],
)
def test_headers_that_name_nobody(server: Server, header: bytes) -> None:
    with server.open("teller", header + REQUEST) as connection:
        seen = connection.said()
        assert seen["peer"] == seen["balancer"]
        assert seen["host"] == tcp4(("127.0.0.1", server.where["teller"]))
        assert connection.echoes(REQUEST)


@pytest.mark.parametrize(
    ("pieces", "reason"),
    [
        ([b"NOTPROXY anything can go here\r\n"], "missing"),
        ([b"NOTPROXY "], "missing"),
        ([b"PROXY TCP4 1.1.1.1\r\n", b"2.2.2.2 8080\r\n"], "invalid"),
        ([b"PROXY WUTPROTO \r\n"], "invalid"),
        ([b"PROXY TCP4 \r\n"], "invalid"),
        ([b"PROXY TCP4 127.0.0.1 8080 8888\r\n"], "invalid"),
        ([b"PROXY TCP4 127.0.0.1 127.0.0.1 ", b"8080 8888", b" " * 100], "invalid"),
        ([b"\0" + v2(INET)[1:]], "missing"),
        ([v2(INET, signature=bytes(12))], "missing"),
        ([v2(INET, command=0x11)], "invalid"),
        ([v2(INET, command=0x23)], "invalid"),
        ([v2(INET, family=0x40)], "invalid"),
        ([v2(INET, family=0x24)], "invalid"),
        ([b"NEEDMOREDATA"], "missing"),
    ],
)
def test_what_is_refused(server: Server, pieces: list[bytes], reason: str) -> None:
    before = server.counters("teller")["refused"].get(reason, 0)
    with suppress(ConnectionError), server.open("teller", *pieces) as connection:
        assert connection.ends() == b""
    assert server.counters("teller")["refused"][reason] == before + 1
