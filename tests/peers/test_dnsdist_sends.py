"""dnsdist sends: a header in front of each datagram, and one in front of each connection."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import closing

import pytest
from programs import HOST, TIMEOUT, Program
from servers import reserved_port
from tools import require_tool

from fastppv2 import Parser, Policy, Transport, udp

CONFIGURATION = """\
newServer({{address="{host}:{backend}", useProxyProtocol=true, checkInterval=1}}){more}
setLocal("{host}:{front}")
setACL("{host}/8")
setSecurityPollSuffix("")
addAction(AllRule(), SetProxyProtocolValuesAction({{["5"]="an id"}}))
"""
QUESTION = b"\7example\3org\0" + struct.pack("!HH", 1, 1)
QUERY = struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + QUESTION  # RFC 1035 4.1.1


def answer(query: bytes) -> bytes:
    """The query back as a response without any record."""
    return query[:2] + b"\x81\x80" + query[4:]


@pytest.fixture
def start(tmp_path):
    """dnsdist in front of a port, and where it listens itself."""
    with reserved_port() as front:

        def start(backend: int, more: str = "") -> tuple[Program, tuple[str, int]]:
            config = tmp_path / "dnsdist.conf"
            config.write_text(
                CONFIGURATION.format(host=HOST, backend=backend, front=front, more=more)
            )
            command = [require_tool("dnsdist"), "--supervised", "--disable-syslog", "-C", config]
            return Program(command, tmp_path / "dnsdist.log", front), (HOST, front)

        yield start


class Resolver(asyncio.DatagramProtocol):
    """Answers every query, and says when one came of a client's own."""

    def __init__(self) -> None:
        self.asked: asyncio.Future[udp.Client] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, client: udp.Client) -> None:
        self.transport.sendto(answer(data), client)
        if not client.header.is_local:
            self.asked.set_result(client)


class Asker(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, address: object) -> None:
        self.answered.set_result(data)


async def ask_over_udp(start) -> None:
    loop = asyncio.get_running_loop()
    transport, resolver = await udp.create_datagram_endpoint(
        Resolver, (HOST, 0), policy=Policy(HOST)
    )
    program, front = start(transport.get_extra_info("sockname")[1])
    with closing(program), closing(transport):
        # It takes queries once a health check, a LOCAL header each, was answered.
        await loop.run_in_executor(None, program.wait_until_said, "as 'up'")
        asking, asker = await loop.create_datagram_endpoint(Asker, remote_addr=front)
        with closing(asking):
            asking.sendto(QUERY)
            assert await asyncio.wait_for(asker.answered, TIMEOUT) == answer(QUERY)
            client = await resolver.asked
            assert client == asking.get_extra_info("sockname")
        assert client.header.destination == front
        assert client.header.transport == Transport.DGRAM
        assert client.header.unique_id == b"an id"
        counters = transport.proxy_counters
        assert counters.local > 0
        assert counters.accepted == 1
        assert not any(counters.refused.values())


def test_udp(start):
    asyncio.run(ask_over_udp(start))


def test_tcp(start):
    with socket.create_server((HOST, 0)) as server:
        server.settimeout(TIMEOUT)
        program, front = start(server.getsockname()[1], ":setUp()")  # unchecked
        with closing(program), program.connect() as client:
            client.sendall(struct.pack("!H", len(QUERY)) + QUERY)  # RFC 1035 4.2.2
            connection, _ = server.accept()
            with connection:
                connection.settimeout(TIMEOUT)
                parser = Parser()
                header = None
                while header is None:
                    header = parser.feed(connection.recv(4096))
            assert (header.source, header.destination) == (client.getsockname(), front)
            assert header.transport == Transport.STREAM
            assert header.unique_id == b"an id"
