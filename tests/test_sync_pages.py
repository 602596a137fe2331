"""The programs of docs/sync.md, as they stand there: each a process, asked over real sockets."""

from __future__ import annotations

import socket
import sys
from contextlib import closing, contextmanager

import pytest
from programs import HOST, TIMEOUT, Program
from quoted import quoted
from sockets import CLIENT, V2, receive

from fastppv2 import build
from fastppv2.cloud import aws_vpce_id_tlv

HTTP_SERVER, WSGIREF, FLASK, LISTENER, ONE_HEADER, CLIENT_PROGRAM = quoted("sync.md", "python")


@contextmanager
def running(script, directory):
    """With a port of its own in place of 8080, and loopback in place of the balancers' network."""
    # Bound and not listening: nobody else is given the port, and SO_REUSEADDR lets the server in.
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((HOST, 0))
        port = holder.getsockname()[1]
        assert "8080" in script
        text = script.replace("8080", str(port)).replace("10.0.0.0/8", HOST)
        path = directory / "program.py"
        path.write_text(text)
        with closing(Program([sys.executable, path], directory / "log", port)) as program:
            yield program


def answer(program, sent):
    with program.connect() as sock:
        sock.sendall(sent)
        return receive(sock, 65536)


REQUEST = b"GET / HTTP/1.0\r\n\r\n"


def test_http_server(tmp_path):
    with running(HTTP_SERVER, tmp_path) as program:
        assert b" 200 OK" in answer(program, V2 + REQUEST)
        program.wait_until_said(f"{CLIENT[0]} - - [")


def test_wsgiref(tmp_path):
    endpoint = "vpce-0a1b2c3d4e5f60718"
    private = build(CLIENT, ("203.0.113.1", 443), tlvs=[aws_vpce_id_tlv(endpoint)])
    with running(WSGIREF, tmp_path) as program:
        said = answer(program, private + REQUEST)
        assert said.endswith(f"\r\n\r\n{CLIENT[0]}:{CLIENT[1]} {endpoint}\n".encode())
        assert answer(program, V2 + REQUEST).endswith(b" None\n")


def test_flask(tmp_path):
    with running(FLASK, tmp_path) as program:
        said = answer(program, V2 + REQUEST)
        assert said.endswith(f"\r\n\r\n{CLIENT[0]}:{CLIENT[1]}\n".encode())
        program.wait_until_said(f"{CLIENT[0]} - - [")


@pytest.mark.parametrize("script", [LISTENER, ONE_HEADER], ids=["listener", "one header"])
def test_a_listener(tmp_path, script):
    with running(script, tmp_path) as program:
        assert answer(program, V2) == b"hello %a\n" % (CLIENT,)


def test_a_client_and_a_server(tmp_path):
    with running(LISTENER, tmp_path) as server:
        server.connect().close()  # once it listens
        script = CLIENT_PROGRAM.replace("8080", str(server.address[1]))
        path = tmp_path / "client.py"
        path.write_text(script)
        with closing(Program([sys.executable, path], tmp_path / "client", 0)) as client:
            assert client.process.wait(TIMEOUT) == 0
        assert "hello ('192.0.2.1', 56324)" in client.said()
