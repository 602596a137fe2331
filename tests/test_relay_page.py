"""The commands of docs/relay.md, as they stand there but for ports and addresses of this machine.

Those of ``--transparent`` are in tests/peers/test_transparent.py.
"""

from __future__ import annotations

import re
import shlex
import socket
import sys
from contextlib import closing, contextmanager

from programs import HOST, Program
from quoted import adapted, quoted
from scripted import scripted, until_end
from sockets import CLIENT, TIMEOUT, V2

from fastppv2 import parse, udp

PAGE = "relay.md"
COMMANDS = quoted(PAGE, "console")[0].splitlines()
BALANCER, TAKER, HOP, _, DATAGRAMS = [line.partition("#")[0] for line in COMMANDS]
(SAID,) = quoted(PAGE, "")


@contextmanager
def running(command, directory, kind=socket.SOCK_STREAM, **changes):
    """The relay, and a connected socket of a client of its."""
    with socket.socket(type=kind) as holder:
        if kind == socket.SOCK_STREAM:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((HOST, 0))
        address = holder.getsockname()
        if kind == socket.SOCK_DGRAM:
            holder.close()  # two that are bound would share the datagrams
        words = shlex.split(adapted(command, changes))
        words[words.index("--listen") + 1] = f"{HOST}:{address[1]}"
        command = [sys.executable, "-m", *words, "--grace", "0"]
        with closing(Program(command, directory / "log", 0)) as program:
            program.wait_until_said("listening on ")
            with socket.socket(type=kind) as sock:
                sock.settimeout(TIMEOUT)
                sock.connect(address)
                yield program, sock


def ask(sock, data=b"hello"):
    sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)
    return until_end(sock)


def echo(connection):
    received = until_end(connection)
    connection.sendall(b"re: hello")
    return received


def test_as_a_balancer(tmp_path):
    with scripted(echo) as one, scripted(echo) as other:
        places = {"10.0.0.9:80": one.target, "10.0.0.10:80": other.target}
        with running(BALANCER, tmp_path, **places) as (_, sock):
            client, frontend = sock.getsockname(), sock.getpeername()
            assert ask(sock) == b"re: hello"
            with socket.create_connection(frontend, TIMEOUT) as second:
                assert ask(second) == b"re: hello"
    header = parse(one.received[0])
    assert (header.version, header.source, header.destination) == (2, client, frontend)
    assert len(other.received) == 1


def test_that_takes_the_header_off(tmp_path):
    """And says so in the words of the page."""
    with scripted(echo) as upstream:
        places = {"127.0.0.1:8080": upstream.target, "10.0.0.7": HOST}
        with running(TAKER, tmp_path, **places) as (program, sock):
            assert ask(sock, V2 + b"hello") == b"re: hello"
            program.wait_until_said(", ok\n")
    assert upstream.received == [b"hello"]
    (said,) = [line for line in program.said().splitlines() if line.endswith(", ok")]
    assert re.sub(r"\d+", "0", said) == re.sub(r"\d+", "0", SAID.strip())


def test_as_a_second_hop(tmp_path):
    with scripted(echo) as upstream:
        places = {"10.2.0.9:80": upstream.target, "10.0.0.7": HOST}
        with running(HOP, tmp_path, **places) as (_, sock):
            assert ask(sock, V2 + b"hello") == b"re: hello"
    header = parse(upstream.received[0])
    assert header.source == CLIENT


def test_datagrams(tmp_path):
    with socket.socket(type=socket.SOCK_DGRAM) as upstream:
        upstream.bind((HOST, 0))
        upstream.settimeout(TIMEOUT)
        place = {"10.0.0.9:53": "{}:{}".format(*upstream.getsockname())}
        with running(DATAGRAMS, tmp_path, socket.SOCK_DGRAM, **place) as (_, sock):
            sock.send(b"query")
            header, payload = udp.parse_datagram(upstream.recv(1000))
            assert (header.source, payload) == (sock.getsockname(), b"query")
