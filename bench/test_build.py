"""Building: each backend, and proxy-protocol, which is the one peer that builds headers."""

from __future__ import annotations

import socket

import pytest

from bench import backends, peers, timing
from bench.headers import endpoints
from fastppv2._crc32c import kind as crc32c_kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[..., None]

BACKENDS = backends.load()
LOOPS = {
    "build v2 TCP4": timing.build_v2,
    "build v2 TCP4 with checksum": timing.build_checksum,
    "build v1 TCP4": timing.build_v1,
}


@pytest.mark.parametrize("group", LOOPS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_build(run: Run, backend: str, group: str) -> None:
    run(group, LOOPS[group], BACKENDS[backend].build, endpoints(socket.AF_INET))


def test_proxy_protocol_v2(run: Run) -> None:
    v2 = pytest.importorskip("proxyprotocol.v2")
    with peers.without_checksum():
        run("build v2 TCP4", timing.call, v2.ProxyProtocolV2().pack, peers.results_to_pack())


@pytest.mark.skipif(crc32c_kind != "crc32c", reason="pack() adds it where crc32c is installed")
def test_proxy_protocol_v2_with_checksum(run: Run) -> None:
    v2 = pytest.importorskip("proxyprotocol.v2")
    pack = v2.ProxyProtocolV2().pack
    run("build v2 TCP4 with checksum", timing.call, pack, peers.results_to_pack())


def test_proxy_protocol_v1(run: Run) -> None:
    v1 = pytest.importorskip("proxyprotocol.v1")
    run("build v1 TCP4", timing.call, v1.ProxyProtocolV1().pack, peers.results_to_pack())
