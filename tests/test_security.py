"""The property that Policy serves, for every combination of settings, peers and first bytes:

no configuration short of ``trust_everyone`` lets a peer that was not named choose the address that
the application sees, and no configuration lets a second header choose it.
"""

from __future__ import annotations

import itertools
import os
import random
from typing import Any

import pytest
from backends import Api
from generate import inputs
from handshake import INET, INET6, SOCKNAME, UNIX, Server
from hypothesis import given, settings
from hypothesis import strategies as st
from make import V2, v2

from fastppv2 import Header, ProxyProtocolError, build
from fastppv2._queue import Handshake, State

CHOSEN, SECOND = ("192.0.2.66", 666), ("192.0.2.77", 777)
END = ("203.0.113.1", 443)

# Whether "10.0.0.0/8, ::ffff:172.16.0.0/108, 2001:db8::/32, unix" names them.
TRUSTED = "10.0.0.0/8, ::ffff:172.16.0.0/108, 2001:db8::/32"
PEERS: list[tuple[Any, int, bool]] = [
    (("10.0.0.7", 4123), INET, True),
    (("::ffff:10.0.0.7", 4123, 0, 0), INET6, True),
    (("172.31.255.255", 1), INET, True),
    (("2001:db8::1", 1, 0, 0), INET6, True),
    (("192.0.2.66", 1), INET, False),
    (("11.0.0.0", 1), INET, False),
    (("::ffff:172.32.0.0", 1, 0, 0), INET6, False),
    (("::10.0.0.7", 1, 0, 0), INET6, False),
    (("2001:db9::", 1, 0, 0), INET6, False),
    (("fe80::1%eth0", 1, 0, 2), INET6, False),
    ("", INET, False),
    (None, INET, False),
    (None, UNIX, False),
]
UNIX_PEERS: list[Any] = ["", "/run/peer", b"\0peer"]

FIRST = {
    "v2": build(CHOSEN, END),
    "v2 with checksum": build(CHOSEN, END, checksum=True),
    "v1": build(CHOSEN, END, version=1),
    "v2 TCP6": build(("2001:db8:66::", 6), ("::1", 1)),
    "v1 TCP6": build(("2001:db8:66::", 6), ("::1", 1), version=1),
    "unix": build("/run/chosen", ""),
    "local": build(),
    "local with addresses": v2(0x20, 0x11, build(CHOSEN, END)[16:]),
    "unknown": b"PROXY UNKNOWN 192.0.2.66 203.0.113.1 666 443\r\n",
    "cut": build(CHOSEN, END)[:20],
    "cut line": b"PROXY TCP4 192.0.2.66 ",
    "part of a signature": V2[:5],
    "wrong": V2 + b"\x21\x11\0\1" + bytes(12),
    "HTTP": b"GET / HTTP/1.1\r\n\r\n",
    "nothing": b"",
}
BEHIND = {
    "nothing": b"",
    "payload": b"hello",
    "v2": build(SECOND, END),
    "v1": build(SECOND, END, version=1),
    "cut": build(SECOND, END)[:14],
}
SETTINGS: dict[str, tuple[Any, ...]] = {
    "untrusted": ("refuse", "passthrough"),
    "header": ("required", "optional"),
    "source_preserved": (False, True),
    "versions": ({1, 2}, {1}, {2}),
    "nested": ("refuse", "payload"),
    "require_checksum": (False, True),
}


def all_settings() -> list[dict[str, Any]]:
    found = []
    for values in itertools.product(*SETTINGS.values()):
        chosen = dict(zip(SETTINGS, values))
        if chosen["header"] == "optional":
            chosen["wait"] = 1.0
        if not (chosen["require_checksum"] and chosen["versions"] == {1}):
            found.append(chosen)
    return found


def ends(server: Server, handshake: Handshake, pieces: list[bytes], close: bool) -> bytes:
    """All that is sent, and then the end or none; what of it came after the decision."""
    late = b""
    for piece in pieces:
        if handshake.state is State.PENDING:
            handshake.feed(piece)
        else:
            late += piece
    if close:
        handshake.eof()
    server.clock.now += 5.0
    server.listener.sweep()
    return late


def first_header(api: Api, data: bytes) -> Header | None:
    try:
        return api.parse(data)
    except ProxyProtocolError:
        return None


def ends_of(header: Header) -> tuple[Any, Any]:
    """Source and destination as the socket module would have them."""
    pair = [header.source, header.destination]
    for at, end in enumerate(pair):
        if isinstance(end, tuple) and ":" in end[0]:
            pair[at] = (*end, 0, 0)  # type: ignore[call-overload]
    return pair[0], pair[1]


def check(
    api: Api,
    server: Server,
    peername: Any,
    family: int,
    named: bool,
    pieces: list[bytes],
    close: bool,
) -> str:
    """The property for one connection; returns what became of it."""
    handshake = server.connect(peername, family)
    late = ends(server, handshake, pieces, close)
    assert handshake.state is not State.PENDING
    if handshake.state is State.REFUSED:
        assert handshake.header is None
        assert (handshake.source, handshake.destination) == (peername, SOCKNAME)
        return handshake.reason
    data = b"".join(pieces)
    if handshake.header is None:
        # As itself, and no byte is lost.
        assert (handshake.source, handshake.destination) == (peername, SOCKNAME)
        assert handshake.trailing_data + late == data
        return "as itself"
    # Only the first header of a peer that was named is believed, and as it stands.
    assert named
    expected = first_header(api, data)
    assert expected is not None
    assert handshake.header == expected
    assert handshake.trailing_data + late == data[expected.size :]
    source, destination = ends_of(expected)
    assert handshake.source == (peername if source is None else source)
    assert handshake.destination == (SOCKNAME if destination is None else destination)
    return "header"


def test_all_combinations(api: Api) -> None:
    outcomes: set[tuple[bool, str]] = set()
    peers = PEERS + [(peername, UNIX, True) for peername in UNIX_PEERS]
    for chosen in all_settings():
        server = Server(api, trusted=TRUSTED + ", unix", **chosen)
        for (peername, family, named), first, behind in itertools.product(
            peers, FIRST.values(), BEHIND.values()
        ):
            outcome = check(api, server, peername, family, named, [first + behind], True)
            outcomes.add((named, outcome))
            if not named:
                assert outcome in ("as itself", "untrusted", "unreadable")
            if chosen["source_preserved"] and outcome == "header" and family != UNIX:
                assert first in (FIRST["local"], FIRST["local with addresses"], FIRST["unknown"])
    assert outcomes == {
        *[(False, outcome) for outcome in ("as itself", "untrusted", "unreadable")],
        *[(True, outcome) for outcome in ("as itself", "header", "missing", "version", "invalid")],
        *[(True, outcome) for outcome in ("checksum", "source", "nested", "eof", "empty")],
    }


def test_a_second_header_is_not_believed_of_anyone(api: Api) -> None:
    """Where everyone is trusted, too."""
    everyone = api.policy.Networks.of_everyone()
    outcomes = set()
    for chosen in all_settings():
        if chosen["header"] == "optional":  # an error: each client could choose its address
            continue
        server = Server(api, trusted=everyone, **chosen)
        for (peername, family, _), first, behind in itertools.product(
            [(("192.0.2.66", 1), INET, True), (("2001:db8:66::", 1, 0, 0), INET6, True)],
            FIRST.values(),
            BEHIND.values(),
        ):
            outcomes.add(check(api, server, peername, family, True, [first + behind], True))
    assert outcomes == {
        *("header", "missing", "version", "invalid", "checksum", "source", "nested", "eof", "empty")
    }


@pytest.mark.parametrize("untrusted", ["refuse", "passthrough"])
def test_unix_peers_that_are_not_named(api: Api, untrusted: str) -> None:
    server = Server(api, trusted=TRUSTED, untrusted=untrusted)
    for peername, first in itertools.product(UNIX_PEERS, FIRST.values()):
        outcome = check(api, server, peername, UNIX, False, [first], True)
        assert outcome == ("as itself" if untrusted == "passthrough" else "untrusted")


def networks_and_peers(draw: random.Random) -> tuple[list[str], Any, bool]:
    """Some networks, and a peer that they do or do not name."""
    bits = draw.randint(1, 32)
    number = draw.getrandbits(bits) << (32 - bits)
    other = number ^ (1 << draw.randint(32 - bits, 31))
    named = draw.random() < 0.5
    host = (
        (number if named else other) | draw.getrandbits(32 - bits)
        if bits < 32
        else (number if named else other)
    )
    texts = [".".join(map(str, address.to_bytes(4, "big"))) for address in (number, host)]
    network = draw.choice((f"{texts[0]}/{bits}", f"::ffff:{texts[0]}/{96 + bits}"))
    if draw.random() < 0.5:
        return [network, "::/1"], ("::ffff:" + texts[1], 1, 0, 0), named
    return [network, "2001:db8::/32"], (texts[1], 1), named


@settings(max_examples=int(os.environ.get("HYPOTHESIS_EXAMPLES", "3000")), deadline=None)
@given(seed=st.integers(0, 2**62))
def test_any_combination(apis: list[Api], seed: int) -> None:
    draw = random.Random(seed)
    chosen = draw.choice(all_settings())
    chosen["max_size"] = draw.choice((4096, 65551, 100, 28))
    chosen["max_pending"] = draw.choice((1, 2, 1024))
    chosen["timeout"] = draw.choice((0.5, 1.0, 5.0))
    if chosen["header"] == "optional":
        chosen["wait"] = draw.choice((0.25, chosen["timeout"]))
    trusted, peername, named = networks_and_peers(draw)
    first = draw.choice([*FIRST.values(), inputs(seed, 1)[0][0]])
    data = first + draw.choice([*BEHIND.values(), inputs(seed + 1, 1)[0][0]])
    cuts = sorted([draw.randint(0, len(data)) for _ in range(draw.choice((0, 1, 3)))])
    pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)])]
    close = draw.random() < 0.5
    told = []
    for api in apis:
        server = Server(api, trusted=trusted, **chosen)
        outcome = check(api, server, peername, INET, named, pieces, close)
        assert named or outcome in ("as itself", "untrusted")
        told.append((outcome, server.counted()))
    assert all(each == told[0] for each in told)
