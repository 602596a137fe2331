"""What the connections of a soak do, and what must come of each."""

from __future__ import annotations

from enum import Enum
from functools import partial
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, NamedTuple

from fastppv2 import build

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

TRUSTED = "127.0.0.0/24"
PORTS = range(1024, 65536)
FRONTEND, FRONTEND6 = ("203.0.113.1", 443), ("2001:db8::1", 443)
PAYLOAD_SIZE = 2048  # bytes, at most
PAUSE = 0.02  # seconds between pieces
LOCAL = build()


class Last(Enum):
    """What a client does once all is sent."""

    WAIT = "waits until the server ends the connection"
    CLOSE = "closes when it has its answer"
    HALF_CLOSE = "sends no more, and waits"
    RESET = "resets at once"
    RESET_LATE = "resets when it has its answer"


class Plan(NamedTuple):
    """A connection."""

    host: str  # from which it comes
    pieces: Sequence[bytes]  # what it sends, with pauses between
    last: Last
    outcome: str  # of handshake.OUTCOMES
    name: bytes = b""  # the client that the server has to see, unless that is the peer itself
    payload: bytes = b""  # which comes back

    @property
    def served(self) -> bool:
        """The application gets it."""
        return self.outcome in ("accepted", "local")


def peer(random: Random) -> str:
    """There are more of them than one address has ports for."""
    return f"127.0.0.{random.randint(1, 254)}"


def header_of(random: Random) -> tuple[bytes, bytes]:
    """A header that names a client, and what the server calls that."""
    version = random.choice((1, 2, 2))
    port = random.choice(PORTS)
    if random.random() < 0.3:
        host = str(IPv6Address(random.getrandbits(128)))
        ends = (host, port), FRONTEND6
    else:
        host = f"10.{random.randrange(256)}.{random.randrange(256)}.{random.randrange(256)}"
        ends = (host, port), FRONTEND
    more = {}
    if version == 2 and random.random() < 0.5:
        tlvs = [(5, random.randbytes(16)), (0xE0, random.randbytes(random.randrange(300)))]
        more = {"tlvs": tlvs, "checksum": True}
    return build(*ends, version=version, **more), b"%s %d" % (host.encode(), port)


def payload_of(random: Random) -> bytes:
    return random.randbytes(random.randint(1, PAYLOAD_SIZE))


def good(last: Last, random: Random) -> Plan:
    """Header and payload at once."""
    header, name = header_of(random)
    payload = payload_of(random)
    return Plan(peer(random), [header + payload], last, "accepted", name, payload)


def slow(random: Random) -> Plan:
    """The header in pieces."""
    header, name = header_of(random)
    payload = payload_of(random)
    cuts = sorted(random.sample(range(1, len(header) + 1), random.randint(1, 5)))
    data = header + payload
    pieces = [data[start:end] for start, end in zip([0, *cuts], [*cuts, None])]
    return Plan(peer(random), pieces, Last.CLOSE, "accepted", name, payload)


def check(last: Last, random: Random) -> Plan:
    """A balancer's health check."""
    payload = payload_of(random) if last is Last.CLOSE else b""
    return Plan(peer(random), [LOCAL + payload], last, "local", payload=payload)


def nothing(last: Last, outcome: str, random: Random) -> Plan:
    return Plan(peer(random), [], last, outcome)


def beginning(last: Last, outcome: str, random: Random) -> Plan:
    """Of a header, and no more of it."""
    header, _ = header_of(random)
    return Plan(peer(random), [header[: random.randint(1, 15)]], last, outcome)


def untrusted(random: Random) -> Plan:
    plan = good(Last.WAIT, random)
    return plan._replace(host=f"127.0.1.{random.randint(1, 254)}", outcome="untrusted")


def wrong(sent: Callable[[Random], bytes], outcome: str, random: Random) -> Plan:
    """What is no header that can be believed."""
    return Plan(peer(random), [sent(random)], Last.WAIT, outcome)


def request(random: Random) -> bytes:
    return b"GET /%d HTTP/1.1\r\n\r\n" % random.getrandbits(32)


def bad_port(random: Random) -> bytes:
    return b"PROXY TCP4 192.0.2.1 192.0.2.2 %d 443\r\n" % random.randint(65536, 99999)


def short_block(random: Random) -> bytes:
    header = bytearray(build(("192.0.2.1", random.choice(PORTS)), FRONTEND))
    header[15] = random.randrange(12)
    return bytes(header)


def bad_checksum(random: Random) -> bytes:
    header = build(("192.0.2.1", random.choice(PORTS)), FRONTEND, checksum=True)
    return header[:-1] + bytes([header[-1] ^ 1])


def too_large(random: Random) -> bytes:
    tlvs = [(0xE0, random.randbytes(5000))]
    return build(("192.0.2.1", 1), FRONTEND, tlvs=tlvs)


def two_headers(random: Random) -> bytes:
    return header_of(random)[0] + header_of(random)[0]


# Of a thousand connections, how many are such.
MIX: dict[str, tuple[int, Callable[[Random], Plan]]] = {
    "good": (430, partial(good, Last.CLOSE)),
    "good, half-closed": (60, partial(good, Last.HALF_CLOSE)),
    "good, reset": (30, partial(good, Last.RESET)),
    "good, reset after the answer": (30, partial(good, Last.RESET_LATE)),
    "slow": (100, slow),
    "health check": (30, partial(check, Last.CLOSE)),
    "health check, reset": (30, partial(check, Last.RESET)),
    "silent": (50, partial(nothing, Last.WAIT, "timeout")),
    "silent, half-closed": (30, partial(nothing, Last.HALF_CLOSE, "empty")),
    "silent, reset": (30, partial(nothing, Last.RESET, "empty")),
    "stalled": (20, partial(beginning, Last.WAIT, "timeout")),
    "stalled, half-closed": (20, partial(beginning, Last.HALF_CLOSE, "eof")),
    "stalled, reset": (20, partial(beginning, Last.RESET, "eof")),
    "HTTP": (30, partial(wrong, request, "missing")),
    "port": (15, partial(wrong, bad_port, "invalid")),
    "length": (15, partial(wrong, short_block, "invalid")),
    "checksum": (15, partial(wrong, bad_checksum, "checksum")),
    "size": (15, partial(wrong, too_large, "too_large")),
    "nested": (15, partial(wrong, two_headers, "nested")),
    "untrusted": (15, untrusted),
}


def plans(random: Random, count: int) -> list[tuple[str, Plan]]:
    """So many of the mix, each with its kind."""
    weights = [weight for weight, _ in MIX.values()]
    return [(kind, MIX[kind][1](random)) for kind in random.choices([*MIX], weights, k=count)]
