"""The servers of the standard library, Werkzeug's, and a listener of our own, behind HAProxy."""

from __future__ import annotations

import logging
import ssl
from functools import partial

import pytest
from credentials import SERVER_NAME, Credentials
from serving import ELSEWHERE, behind_haproxy, through
from sockets import receive, running
from sync_servers import HTTP, KEEP_ALIVE, TCP, ForkingTCP, Lines, address_of, get, serving

from fastppv2 import Policy
from fastppv2.sync import create_server


@pytest.fixture(scope="module")
def credentials(tmp_path_factory):
    return Credentials(tmp_path_factory.mktemp("credentials"))


@pytest.fixture(params=["plain", "tls"])
def secured(request, credentials):
    """The server's context, and what makes a client's connection one of TLS."""
    if request.param == "plain":
        return None, lambda sock: sock
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(str(credentials.certificate))
    trusting = ssl.create_default_context(cafile=str(credentials.ca))
    return context, partial(trusting.wrap_socket, server_hostname=SERVER_NAME)


def through_each(ask, directory, address, wrap):
    """Connects through one frontend of HAProxy's after the other, and asks."""
    with behind_haproxy(directory, address) as frontends:
        for frontend in frontends:
            with through(frontend) as sock, wrap(sock) as wrapped:
                ask(wrapped)


@pytest.mark.parametrize("name", HTTP)
def test_the_client_in_every_request_and_in_the_log(name, secured, tmp_path, caplog, capsys):
    caplog.set_level(logging.INFO)
    context, wrap = secured
    requests = 3 if name in KEEP_ALIVE else 1

    def ask(sock):
        client = list(sock.getsockname())
        assert [get(sock)["client"] for _ in range(requests)] == [client] * requests

    with serving(*HTTP[name], context=context) as server:
        through_each(ask, tmp_path, address_of(server), wrap)
    said = capsys.readouterr().err + caplog.text
    assert said.count(f"{ELSEWHERE} - - [") == 2 * requests


@pytest.mark.parametrize("server_class", [TCP, ForkingTCP])
def test_the_client_under_socketserver(server_class, secured, tmp_path):
    context, wrap = secured

    def ask(sock):
        sock.sendall(b"hello\n")
        assert receive(sock, 99) == b"%a hello\n" % (sock.getsockname(),)

    with serving(server_class, Lines, context=context) as server:
        through_each(ask, tmp_path, address_of(server), wrap)


def test_the_client_of_a_listener(secured, tmp_path):
    context, wrap = secured

    def serve():
        for _ in range(2):
            connection, client = listener.accept()
            with connection:
                connection.sendall(b"%a %a\n" % (client, connection.getpeername()))

    def ask(sock):
        client = sock.getsockname()
        assert receive(sock, 99) == b"%a %a\n" % (client, client)

    policy = Policy("127.0.0.1")
    with create_server(("127.0.0.1", 0), policy=policy, ssl=context) as listener, running(serve):
        through_each(ask, tmp_path, listener.getsockname(), wrap)
