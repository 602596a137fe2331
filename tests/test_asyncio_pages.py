"""The programs of docs/asyncio.md, as they stand there: each a process, asked over real sockets."""

from __future__ import annotations

import socket
import ssl
import sys
from contextlib import closing, contextmanager

import trustme
from programs import HOST, TIMEOUT, Program
from quoted import adapted, quoted
from sockets import CLIENT, V2, receive

SERVER, TLS_SERVER, CLIENT_PROGRAM = quoted("asyncio.md", "python")


@contextmanager
def running(script, directory, **changes):
    """With a port of its own in place of 8080, and loopback in place of the balancers' network."""
    # Bound and not listening: nobody else is given the port, and SO_REUSEADDR lets the server in.
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((HOST, 0))
        port = holder.getsockname()[1]
        places = {"8080": str(port), "10.0.0.0/8": HOST, "0.0.0.0": HOST}
        path = directory / "program.py"
        path.write_text(adapted(script, places))
        with closing(
            Program([sys.executable, path], directory / "log", port, cwd=directory)
        ) as program:
            yield program


def test_a_server(tmp_path):
    with running(SERVER, tmp_path) as program, program.connect() as sock:
        sock.sendall(V2 + b"thank you\n")
        assert receive(sock, 65536) == b"hello %a\nthank you\n" % (CLIENT,)


def test_a_server_over_tls(tmp_path):
    authority = trustme.CA()
    certificate = authority.issue_cert("server.example")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with running(TLS_SERVER, tmp_path) as program, program.connect() as sock:
        sock.sendall(V2)
        with context.wrap_socket(sock, server_hostname="server.example") as tls:
            tls.sendall(b"hello")
            assert tls.recv(5) == b"hello"


def test_a_client_of_the_server(tmp_path):
    with running(SERVER, tmp_path) as server:
        server.connect().close()  # once it listens
        path = tmp_path / "client.py"
        path.write_text(adapted(CLIENT_PROGRAM, {"8080": str(server.address[1])}))
        with closing(Program([sys.executable, path], tmp_path / "client", 0)) as client:
            assert client.process.wait(TIMEOUT) == 0
        assert client.said().strip() == "hello ('192.0.2.1', 56324)\nthank you"
