"""Listening sockets that read ahead, as gunicorn's sync worker has them."""

from __future__ import annotations

import socket
from select import select

import pytest
from sockets import (
    CLIENT,
    PAUSE,
    TIMEOUT,
    V2,
    connected,
    ended,
    receive,
    single_bytes,
    until,
)

from fastppv2 import Command, Policy, build, parse
from fastppv2.servers._listening import ReadingAhead
from fastppv2.sync import Connection

LOCAL = build(command=Command.LOCAL)
PAYLOAD = b"GET / HTTP/1.1\r\n\r\n" + bytes(range(256)) * 32
OPTIONAL = Policy("127.0.0.1", header="optional", wait=PAUSE)
PASSING = Policy("192.0.2.0/24", untrusted="passthrough")


def accepted(listening):
    """The next connection, waited for as the worker does."""
    found = []

    def accept():
        listening.sweep()
        if select([listening], [], [], PAUSE)[0]:
            try:
                found.append(listening.accept())
            except BlockingIOError:
                return False
        return bool(found)

    until(accept)
    return found[0]


@pytest.fixture
def listen():
    made = []

    def make(policy):
        made.append(ReadingAhead(socket.create_server(("127.0.0.1", 0)), policy))
        return made[-1]

    yield make
    for listening in made:
        listening.close()


@pytest.mark.parametrize("split", [False, True], ids=["whole", "bytes"])
@pytest.mark.parametrize("header", [V2, LOCAL], ids=["v2", "local"])
def test_no_byte_is_lost_behind_the_header(listen, header, split):
    listening = listen(Policy("127.0.0.1"))
    pieces = single_bytes(header) if split else [header + PAYLOAD[:10]]
    with connected(listening.getsockname(), *pieces) as client:
        connection, peername = accepted(listening)
        with connection:
            assert peername == (CLIENT if header == V2 else client.getsockname())
            assert connection.proxy_header == parse(header)
            client.sendall(PAYLOAD if split else PAYLOAD[10:])
            assert receive(connection, len(PAYLOAD)) == PAYLOAD
            assert split or connection.recv == super(Connection, connection).recv


@pytest.mark.parametrize("policy", [OPTIONAL, PASSING], ids=["optional", "passthrough"])
@pytest.mark.parametrize("sent", [b"PRO", PAYLOAD, b""], ids=["begun", "payload", "nothing"])
def test_who_brings_no_header_is_read_from_the_first_byte(listen, policy, sent):
    listening = listen(policy)
    with connected(listening.getsockname(), sent) as client:
        connection, peername = accepted(listening)
        with connection:
            assert peername == client.getsockname()
            assert connection.proxy_header is None
            client.sendall(b"more")
            assert receive(connection, len(sent) + 4) == sent + b"more"


def test_who_is_refused_is_ended(listen):
    listening = listen(Policy("127.0.0.1"))
    with connected(listening.getsockname(), PAYLOAD) as client:
        assert select([listening], [], [], TIMEOUT)[0]
        with pytest.raises(BlockingIOError):
            listening.accept()
        assert ended(client)
    assert listening.counters.refused["missing"] == 1


def test_the_selector_is_waited_for_while_somebody_is_awaited(listen):
    listening = listen(Policy("127.0.0.1"))
    alone = listening.fileno()
    with connected(listening.getsockname(), V2[:20]) as client:
        assert select([listening], [], [], TIMEOUT)[0]
        with pytest.raises(BlockingIOError):
            listening.accept()
        assert listening.fileno() != alone
        client.sendall(V2[20:])
        connection, _ = accepted(listening)
        connection.close()
    assert listening.fileno() == alone
