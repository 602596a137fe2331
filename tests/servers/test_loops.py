"""tornado, gevent, trio and anyio: the client and the header, for every request of a connection."""

from __future__ import annotations

import ssl
import time
from contextlib import ExitStack

import pytest
from credentials import SERVER_NAME, Credentials
from loops import SERVERS
from servers import IPV4, haproxy, reserved_port
from serving import FRONTEND
from sockets import CLIENT, NAMELESS, NAMING, PAUSE, V2, connected, ended, single_bytes

from fastppv2 import Policy

TRUSTING = Policy("127.0.0.1")
PATIENCE = 0.3  # seconds, where a test waits until they are over
UNTRUSTED = Policy("192.0.2.1")
PASSING = Policy("192.0.2.1", untrusted="passthrough")


@pytest.fixture(params=SERVERS)
def name(request):
    return request.param


@pytest.fixture
def serve(name):
    return SERVERS[name][0]


@pytest.fixture
def ask(name):
    return SERVERS[name][1]


def test_the_application_sees_the_client(serve, ask, tmp_path):
    """All that one server can be asked in a row."""

    def scenario(address):
        for header, client, _ in NAMING.values():
            for pieces in ([header], single_bytes(header)):
                with connected(address, *pieces) as sock:
                    expected = {"client": list(client[:2]), "header": header.hex()}
                    assert [ask(sock), ask(sock)] == [expected, expected]
        for header in NAMELESS.values():
            with connected(address, header) as sock:
                real = list(sock.getsockname())
                assert ask(sock) == {"client": real, "header": header.hex()}
        with connected(address, b"GET / HTTP/1.1\r\n\r\n") as sock:
            assert ended(sock)
        behind_haproxy(address, ask, tmp_path)

    serve(scenario, TRUSTING)


def behind_haproxy(address, ask, directory):
    for name, option in {"v1": "send-proxy", "v2": "send-proxy-v2"}.items():
        with reserved_port() as port:
            section = FRONTEND.format(name=name, port=port, server=address[1], option=option)
            with haproxy(directory, section), connected((IPV4, port)) as sock:
                client = list(sock.getsockname())
                assert [ask(sock)["client"], ask(sock)["client"]] == [client, client]


def test_silent_peers_hold_up_nobody_and_are_ended(serve, ask):
    def scenario(address):
        with ExitStack() as stack:
            starts = (b"", b"PROXY TCP4", V2[:15])
            silent = [stack.enter_context(connected(address, start)) for start in starts]
            with connected(address, V2) as sock:
                assert ask(sock)["client"] == list(CLIENT)
            began = time.monotonic()
            assert all(map(ended, silent))
            assert time.monotonic() - began < 10 * PATIENCE

    serve(scenario, Policy("127.0.0.1", timeout=PATIENCE))


def test_who_is_not_trusted_is_not_believed(serve, ask):
    def refused(address):
        with connected(address, V2) as sock:
            assert ended(sock)

    def passed(address):
        with connected(address) as sock:
            real = list(sock.getsockname())
            assert ask(sock) == {"client": real, "header": None}

    serve(refused, UNTRUSTED)
    serve(passed, PASSING)


def test_tls_comes_after_the_header(serve, ask, tmp_path):
    credentials = Credentials(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(credentials.certificate)
    trusting = ssl.create_default_context(cafile=str(credentials.ca))

    def scenario(address):
        with connected(address, V2) as slow, connected(address, V2) as sock:
            with trusting.wrap_socket(sock, server_hostname=SERVER_NAME) as secure:
                expected = {"client": list(CLIENT), "header": V2.hex()}
                assert [ask(secure), ask(secure)] == [expected, expected]
            slow.sendall(b"\x15\x03\x01\0\2\2\0")  # gives up

    serve(scenario, TRUSTING, context)


def test_the_end_of_the_server_is_that_of_all_who_wait(serve):
    silent = ExitStack()

    def scenario(address):
        socks.extend([silent.enter_context(connected(address, *at)) for at in ([], [b"PROXY "])])
        time.sleep(PAUSE)

    socks = []
    with silent:
        serve(scenario, TRUSTING)
        assert all(map(ended, socks))


def test_peers_that_go_away(serve, ask):
    def scenario(address):
        with connected(address), connected(address, V2[:15]):
            pass
        with connected(address, V2) as sock:
            assert ask(sock)["client"] == list(CLIENT)

    serve(scenario, TRUSTING)
