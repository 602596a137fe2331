"""From the client's address upstream, as far as that goes without privileges and routes.

Here clients have loopback addresses, which may be bound to by anybody; tests/peers/
test_transparent.py has foreign ones, in network namespaces.
"""

from __future__ import annotations

import errno
import socket
import time

import pytest
from loops import TIMEOUT, running
from scripted import scripted, until_end

from fastppv2 import Policy, build, udp
from fastppv2.relay import (
    DatagramRelay,
    Place,
    StreamRelay,
    TransparencyError,
    _upstreams,
    check_transparency,
)
from fastppv2.relay._upstreams import allow_any_address, client_socket, no_answer

HOST, CLIENT, SERVER = "127.0.0.1", "127.0.0.9", ("127.0.0.1", 443)


class Socket:
    """One that refuses options with that error."""

    family = socket.AF_INET

    def __init__(self, error: OSError) -> None:
        self.error = error

    def setsockopt(self, *_: int) -> None:
        raise self.error


@pytest.fixture
def allowed(monkeypatch):
    monkeypatch.setattr(_upstreams, "allow_any_address", lambda sock: None)


@pytest.fixture
def loop():
    with running("asyncio") as loop:
        yield loop


@pytest.fixture
def port():
    """Of the client; nobody else is given it meanwhile."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((CLIENT, 0))
        yield holder.getsockname()[1]


def listening(loop, relay):
    async def listen():
        (name,) = await relay.listen(Place(HOST, 0))
        return name

    return loop.run(listen())


def test_tcp(allowed, loop, port):
    peers = []

    def serve(connection: socket.socket) -> bytes:
        peers.append(connection.getpeername())
        return until_end(connection)

    lines: list[str] = []
    with scripted(serve) as upstream:
        relay = StreamRelay(
            [Place(*upstream.address)], policy=Policy(HOST), transparent=True, access=lines.append
        )
        name = listening(loop, relay)
        header = build((CLIENT, port), SERVER)
        for _ in range(2):  # the port of a connection that is just over may be used again
            with socket.create_connection(name) as connection:
                connection.sendall(header + b"hello")
                connection.shutdown(socket.SHUT_WR)
                assert until_end(connection) == b""
        loop.run(relay.close(TIMEOUT))
    assert [host for host, _ in peers] == [CLIENT, CLIENT]
    assert peers[0][1] == port
    assert upstream.received == [b"hello", b"hello"]
    assert len(lines) == 2


def test_a_port_that_is_not_free(allowed):
    """Another connection of the client's has it: the address alone is the client's then."""
    with socket.socket() as other:
        other.bind((CLIENT, 0))
        other.listen()
        port = other.getsockname()[1]
        with client_socket((CLIENT, port), Place(HOST, 1), socket.SOCK_STREAM) as sock:
            host, found = sock.getsockname()
    assert host == CLIENT
    assert found != port


def test_udp_port_that_is_not_free(allowed):
    """An answer would come to the other one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((CLIENT, 0))
        with pytest.raises(TransparencyError, match="cannot bind to the client's address"):
            client_socket(other.getsockname(), Place(HOST, 1), socket.SOCK_DGRAM)


def test_ipv6(allowed):
    with client_socket(("::1", 0, 0, 0), Place("::1", 1), socket.SOCK_STREAM) as sock:
        assert sock.getsockname()[0] == "::1"


@pytest.mark.parametrize(
    ("client", "upstream", "message"),
    [
        ("/run/client", HOST, "the client has no IP address: '/run/client'"),
        (("::1", 1, 0, 0), HOST, "client ::1 and upstream 127.0.0.1:1 are of two address families"),
        ((HOST, 1), "::1", "client 127.0.0.1 and upstream [::1]:1 are of two address families"),
    ],
)
def test_clients_that_cannot_be(client, upstream, message):
    with pytest.raises(TransparencyError) as caught:
        client_socket(client, Place(upstream, 1), socket.SOCK_STREAM)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(errno.EPERM, "no"), "--transparent needs root, or the capability"),
        (
            OSError(errno.ENOPROTOOPT, "Protocol not available"),
            "--transparent needs IP_TRANSPARENT, which Linux has: Protocol not available",
        ),
    ],
)
def test_a_system_that_does_not_let_us(error, message):
    with pytest.raises(TransparencyError) as caught:
        allow_any_address(Socket(error))
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_the_option_of_each_family(family):
    asked = []

    class Willing:
        def __init__(self) -> None:
            self.family = family

        def setsockopt(self, *option: int) -> None:
            asked.append(option)

    allow_any_address(Willing())
    assert asked == [(0, 19, 1) if family == socket.AF_INET else (41, 75, 1)]


def test_no_permission_is_told_for_each_connection(monkeypatch, loop, caplog):
    def refuse(sock: socket.socket) -> None:
        raise TransparencyError("--transparent needs root")

    monkeypatch.setattr(_upstreams, "allow_any_address", refuse)
    lines: list[str] = []
    relay = StreamRelay([Place(HOST, 1)], transparent=True, access=lines.append)
    name = listening(loop, relay)
    with socket.create_connection(name) as connection, pytest.raises(ConnectionResetError):
        connection.recv(100)
    loop.run(relay.close(TIMEOUT))
    assert lines[0].endswith("--transparent needs root")
    assert "--transparent needs root" in caplog.text
    with pytest.raises(TransparencyError, match="needs root"):
        check_transparency()


def test_no_answer_to_the_client(allowed, monkeypatch, loop, port):
    monkeypatch.setattr("fastppv2.relay._streams.CONNECT_TIMEOUT", 0.2)
    lines: list[str] = []
    with socket.socket() as deaf:
        deaf.bind((HOST, 0))
        deaf.listen(0)
        waiting = [socket.socket() for _ in range(4)]  # its queue is full
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(deaf.getsockname())
        place = Place(*deaf.getsockname())
        relay = StreamRelay([place], policy=Policy(HOST), transparent=True, access=lines.append)
        with socket.create_connection(listening(loop, relay)) as connection:
            connection.sendall(build((CLIENT, port), SERVER))
            with pytest.raises(ConnectionResetError):
                connection.recv(100)
        loop.run(relay.close(TIMEOUT))
        for sock in waiting:
            sock.close()
    assert no_answer((CLIENT, port), place) in lines[0]


def test_how_to_look_over_ipv6():
    said = no_answer(("2001:db8::1", 1), Place("2001:db8::2", 80))
    for command in ("ip -6 route get 2001:db8::1", "ip -6 rule", "local ::/0 dev lo"):
        assert command in said


@pytest.mark.parametrize("replies", [True, False])
def test_udp(allowed, loop, port, replies):
    lines: list[str] = []
    kind = socket.AF_INET, socket.SOCK_DGRAM
    with socket.socket(*kind) as upstream, socket.socket(*kind) as balancer:
        for sock in (upstream, balancer):
            sock.bind((HOST, 0))
            sock.settimeout(TIMEOUT)

        async def listen():
            relay = DatagramRelay(
                [Place(*upstream.getsockname())],
                policy=Policy(HOST),
                transparent=True,
                replies=replies,
                access=lines.append,
            )
            (name,) = await relay.listen(Place(HOST, 0))
            return relay, name

        relay, name = loop.run(listen())
        balancer.sendto(udp.build_datagram(b"query", (CLIENT, port), SERVER), name)
        assert upstream.recvfrom(100) == (b"query", (CLIENT, port))
        upstream.sendto(b"reply", (CLIENT, port))
        if replies:
            assert balancer.recv(100) == b"reply"
        else:
            time.sleep(0.05)
        loop.run(relay.close(0))
    assert f"5 bytes sent, {5 if replies else 0} received" in lines[0]
