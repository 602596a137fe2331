"""What a handshake is measured on: networks that are trusted, balancers in them, first bytes."""

from __future__ import annotations

import random
from functools import cache

from bench.headers import COUNT, headers
from fastppv2 import Policy
from fastppv2.handshake import Listener

TYPE_CHECKING = False
if TYPE_CHECKING:
    Peer = tuple[str, int]

NETWORKS = 100
INET = 2  # socket.AF_INET


@cache
def networks() -> tuple[tuple[bytes, int], ...]:
    """Each a /24, all over the address space."""
    rng = random.Random(NETWORKS)
    return tuple((rng.randbytes(3) + b"\0", 24) for _ in range(NETWORKS))


@cache
def hosts() -> list[str]:
    """As ``getpeername()`` says it, each in one of the networks: balancers are trusted."""
    rng = random.Random(COUNT)
    found = []
    for _ in range(COUNT):
        network, _prefix = rng.choice(networks())
        found.append(".".join(map(str, network[:3] + rng.randbytes(1))))
    return found


@cache
def first_bytes() -> list[tuple[Peer, bytes]]:
    """Peers, and the header that each sends."""
    return [((host, 1024 + len(host)), raw) for host, raw in zip(hosts(), headers("v2 TCP4"))]


def listener() -> Listener:
    """Of the backend in use, with the networks trusted."""
    texts = [".".join(map(str, network)) + "/24" for network, _prefix in networks()]
    return Listener(Policy(texts))
