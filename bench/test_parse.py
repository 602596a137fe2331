"""Parsing: each backend, the peers, and an empty call."""

from __future__ import annotations

import pytest

from bench import backends, native, peers, timing
from bench.headers import KINDS, headers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from bench.peers import Peer

    Run = Callable[..., None]

BACKENDS = backends.load()
PEERS, _ = peers.load()

each_backend = pytest.mark.parametrize("backend", BACKENDS)
each_kind = pytest.mark.parametrize("kind", KINDS)
alone_and_not = pytest.mark.parametrize("payload", [False, True], ids=["alone", "payload"])


def _group(operation: str, kind: str, payload: bool) -> str:
    return f"{operation} {kind}{' with payload' if payload else ''}"


@pytest.fixture(scope="module")
def empty_call() -> Callable[[object], None]:
    return native.empty_calls().f


@alone_and_not
@each_kind
def test_empty_call(run: Run, empty_call: Any, kind: str, payload: bool) -> None:
    run(_group("parse", kind, payload), timing.call, empty_call, headers(kind, payload))


@alone_and_not
@each_kind
@each_backend
def test_parse(run: Run, backend: str, kind: str, payload: bool) -> None:
    function, data = BACKENDS[backend].parse, headers(kind, payload)
    run(_group("parse", kind, payload), timing.call, function, data)


@alone_and_not
@pytest.mark.parametrize("buffer", [memoryview, bytearray])
@each_backend
def test_parse_buffer(run: Run, backend: str, buffer: Any, payload: bool) -> None:
    data = [buffer(raw) for raw in headers("v2 TCP4", payload)]
    group = _group(f"parse {buffer.__name__}", "v2 TCP4", payload)
    run(group, timing.call, BACKENDS[backend].parse, data)


@each_kind
@each_backend
def test_parse_and_read_both_ends(run: Run, backend: str, kind: str) -> None:
    run(f"ends {kind}", timing.read_ends, BACKENDS[backend].parse, headers(kind))


@alone_and_not
@each_kind
@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_peer(run: Run, peer: Peer, kind: str, payload: bool) -> None:
    if kind in peer.refuses:
        pytest.skip(peer.refuses[kind])
    if payload and peer.refuses_payload:
        pytest.skip(peer.refuses_payload)
    run(_group("ends", kind, payload), peer.loop, peer.parse, headers(kind, payload))


@each_kind
@each_backend
def test_detect(run: Run, backend: str, kind: str) -> None:
    run(f"detect {kind}", timing.call, BACKENDS[backend].detect, headers(kind))


@alone_and_not
@each_kind
@each_backend
def test_parser(run: Run, backend: str, kind: str, payload: bool) -> None:
    parser = backends.parser_of(BACKENDS[backend])
    run(_group("Parser", kind, payload), timing.feed_new, parser, headers(kind, payload))
