"""Datagrams through a relay, on both loops, over real sockets."""

from __future__ import annotations

import asyncio
import re
import select
import socket
import time
from contextlib import ExitStack, contextmanager

import pytest
from loops import NAMES, TIMEOUT, running

from fastppv2 import Policy, Transport, build, udp
from fastppv2.relay import DatagramRelay, Place, Sender

HOST = "127.0.0.1"
CLIENT, SERVER = ("192.0.2.1", 56324), ("198.51.100.2", 443)
TRUSTED = Policy(HOST)
TLVS = [(2, b"example.org")]


class Relay:
    def __init__(self, loop, relay: DatagramRelay, lines: list[str], address) -> None:
        self.loop = loop
        self.relay = relay
        self.lines = lines
        self.address = address

    def line(self) -> str:
        """Once it is there, from the client on."""
        deadline = time.monotonic() + TIMEOUT
        while not self.lines:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return re.sub(r"\d+\.\d{3} s", "T s", self.lines[0].partition(" ")[2])


@pytest.fixture(params=NAMES)
def start(request):
    with ExitStack() as stack:
        loop = stack.enter_context(running(request.param))

        def start(*upstreams: socket.socket, **options) -> Relay:
            lines: list[str] = []
            places = [Place(*upstream.getsockname()[:2]) for upstream in upstreams]

            async def listen():
                relay = DatagramRelay(places, access=lines.append, **options)
                (name,) = await relay.listen(Place(HOST, 0))
                return relay, name

            relay, name = loop.run(listen())
            stack.callback(lambda: loop.run(relay.close(0)))
            return Relay(loop, relay, lines, name)

        yield start


@contextmanager
def datagram_socket(host: str = HOST):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind((host, 0))
        sock.settimeout(TIMEOUT)
        yield sock


@pytest.fixture
def upstream():
    with datagram_socket() as sock:
        yield sock


@pytest.fixture
def client():
    with datagram_socket() as sock:
        yield sock


def test_there_and_back(start, upstream, client):
    relay = start(upstream)
    client.sendto(b"query", relay.address)
    data, peer = upstream.recvfrom(100)
    assert data == b"query"
    assert peer != client.getsockname()
    for reply in (b"one", b"two"):
        upstream.sendto(reply, peer)
        assert client.recvfrom(100) == (reply, relay.address)
    client.sendto(b"again", relay.address)
    assert upstream.recvfrom(100) == (b"again", peer)  # the same flow
    relay.loop.run(relay.relay.close(0))
    port, to = client.getsockname()[1], upstream.getsockname()[1]
    assert relay.line() == (
        f"{HOST}:{port} to {HOST}:{to}: 10 bytes sent, 6 received, T s, shutdown"
    )


def test_a_header_for_the_client(start, upstream, client):
    relay = start(upstream, sender=Sender(2, added=tuple(TLVS), checksum=True))
    client.sendto(b"query", relay.address)
    header, payload = udp.parse_datagram(upstream.recv(1000))
    assert payload == b"query"
    assert (header.source, header.destination) == (client.getsockname(), relay.address)
    assert header.transport == Transport.DGRAM
    assert header.authority == "example.org"
    assert header.checksum is not None


@pytest.mark.parametrize("format", ["proxy", "simple"])
def test_a_header_that_came(start, upstream, client, format):
    """The header of each datagram goes with it; the reply goes back through the balancer."""
    relay = start(upstream, policy=TRUSTED, sender=Sender(2), format=format)
    sent = udp.build_datagram(b"query", CLIENT, SERVER, format=format)
    client.sendto(sent, relay.address)
    data, peer = upstream.recvfrom(1000)
    assert data == udp.build_datagram(b"query", CLIENT, SERVER)
    upstream.sendto(b"reply", peer)
    assert client.recv(1000) == (sent[:38] if format == "simple" else b"") + b"reply"
    relay.loop.call(relay.relay.abort_all)
    assert relay.line().startswith(f"192.0.2.1:56324 by {HOST}:{client.getsockname()[1]} to ")


def test_a_header_taken_off(start, upstream, client):
    relay = start(upstream, policy=TRUSTED)
    client.sendto(build(CLIENT, SERVER, transport=Transport.DGRAM) + b"query", relay.address)
    assert upstream.recv(100) == b"query"


def test_a_client_that_comes_by_another_balancer(start, upstream, client):
    relay = start(upstream, policy=TRUSTED)
    datagram = udp.build_datagram(b"query", CLIENT, SERVER)
    with datagram_socket() as other:
        client.sendto(datagram, relay.address)
        _, peer = upstream.recvfrom(100)
        other.sendto(datagram, relay.address)
        assert upstream.recvfrom(100) == (b"query", peer)
        upstream.sendto(b"reply", peer)
        assert other.recv(100) == b"reply"


def test_clients_take_turns_at_upstreams(start, upstream, client):
    with datagram_socket() as second, datagram_socket() as other:
        relay = start(upstream, second)
        client.sendto(b"1", relay.address)
        assert upstream.recv(100) == b"1"
        other.sendto(b"2", relay.address)
        assert second.recv(100) == b"2"
        client.sendto(b"3", relay.address)
        assert upstream.recv(100) == b"3"


def test_upstream_over_ipv6(start, client):
    with datagram_socket("::1") as upstream:
        relay = start(upstream)
        client.sendto(b"query", relay.address)
        _, peer = upstream.recvfrom(100)
        upstream.sendto(b"reply", peer)
        assert client.recv(100) == b"reply"


def test_flows_are_bounded(start, upstream):
    """The one that has been silent longest goes, and comes back as a new one."""
    relay = start(upstream, max_flows=10, policy=TRUSTED)
    with datagram_socket() as balancer:
        for number in range(100):
            datagram = udp.build_datagram(b"%d" % number, ("192.0.2.1", number), SERVER)
            balancer.sendto(datagram, relay.address)
            assert upstream.recv(100) == b"%d" % number
            assert len(relay.relay._flows) <= 10
    assert len(relay.lines) == 90
    assert relay.line().endswith("T s, too many clients")


def test_silent_flows_end(start, upstream, client):
    relay = start(upstream, flow_timeout=0.1)
    client.sendto(b"query", relay.address)
    upstream.recv(100)
    assert relay.line().endswith("5 bytes sent, 0 received, T s, ok")
    deadline = time.monotonic() + TIMEOUT
    while relay.relay._timer is not None:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_flow_that_is_used_does_not_end(start, upstream, client):
    relay = start(upstream, flow_timeout=1.0)
    for _ in range(15):
        client.sendto(b"query", relay.address)
        upstream.recv(100)
        time.sleep(0.1)
    assert relay.lines == []


def test_an_upstream_that_is_not_there(start, client):
    with datagram_socket() as gone:
        address = Place(*gone.getsockname())
    with datagram_socket() as upstream:
        relay = start(upstream)
        relay.relay.upstreams._upstreams[0] = address
        for _ in range(3):  # the second one finds what the first one came to
            client.sendto(b"query", relay.address)
            time.sleep(0.05)
        relay.loop.call(relay.relay.abort_all)
        assert relay.line().endswith("15 bytes sent, 0 received, T s, shutdown")


def test_an_upstream_that_cannot_be_reached(start, upstream, client, caplog):
    relay = start(upstream)
    relay.relay.upstreams._upstreams[0] = Place("255.255.255.255", 1)
    client.sendto(b"query", relay.address)
    deadline = time.monotonic() + TIMEOUT
    while "255.255.255.255:1: Permission denied" not in caplog.text:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert not relay.relay._flows


def test_answers_that_are_awaited_at_the_end(start, upstream, client):
    """Those that were not answered yet get a while."""
    relay = start(upstream)
    client.sendto(b"query", relay.address)
    _, peer = upstream.recvfrom(100)

    async def close_and_answer() -> None:
        closing = asyncio.ensure_future(relay.relay.close(TIMEOUT))
        await asyncio.sleep(0.05)
        upstream.sendto(b"reply", peer)
        await closing

    relay.loop.run(close_and_answer())
    assert client.recv(100) == b"reply"
    assert relay.line().endswith("5 bytes sent, 5 received, T s, ok")


def test_answers_that_do_not_come(start, upstream, client):
    """Only those that were answered end before the patience does."""
    relay = start(upstream)
    with datagram_socket() as other:
        for sock, data in ((client, b"answered"), (other, b"never")):
            sock.sendto(data, relay.address)
        for _ in range(2):
            data, peer = upstream.recvfrom(100)
            if data == b"answered":
                upstream.sendto(b"reply", peer)
        assert client.recv(100) == b"reply"
        relay.loop.run(relay.relay.close(0.3))
    assert sorted(line.rpartition(" ")[2] for line in relay.lines) == ["ok", "shutdown"]


def test_many_replies_at_once(start, upstream, client):
    """None is lost, and those of one client do not hold up another client's."""
    relay = start(upstream)
    replies = [b"%c" % number for number in range(100)]
    with datagram_socket() as other:
        peers = []
        for sock in (client, other):
            sock.sendto(b"query", relay.address)
            peers.append(upstream.recvfrom(100)[1])

        async def answer() -> int:
            """How many of the one client's had been handed on when the other client's was."""
            one, another = relay.relay._flows.values()
            for reply in replies:
                upstream.sendto(reply, peers[0])
            upstream.sendto(b"reply", peers[1])
            assert select.select([another._socket], [], [], TIMEOUT)[0]
            while not another.received:
                await asyncio.sleep(0)
            return one.received

        assert relay.loop.run(answer()) < len(replies)
        assert [client.recv(100) for _ in replies] == replies
        assert other.recv(100) == b"reply"
