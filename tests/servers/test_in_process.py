"""tornado, gevent, trio and anyio: the client and the header, for every request of a connection."""

from __future__ import annotations

import json
import logging
import socket
import ssl
import struct
import time
from contextlib import ExitStack
from functools import partial

import anyio
import pytest
import trio
from anyio.abc import SocketAttribute
from credentials import SERVER_NAME, Credentials
from in_process import SERVERS, tornado_stream
from servers import IPV4
from serving import ELSEWHERE, behind_haproxy, through
from sockets import CLIENT, NAMELESS, NAMING, PAUSE, V2, connected, ended, receive, single_bytes

import fastppv2.servers.anyio
import fastppv2.servers.gevent
import fastppv2.servers.trio
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
        with behind_haproxy(tmp_path, address) as frontends:
            for frontend in frontends:
                with through(frontend) as sock:
                    client = list(sock.getsockname())
                    assert [ask(sock)["client"], ask(sock)["client"]] == [client, client]

    serve(scenario, TRUSTING)


@pytest.mark.parametrize("name", ["tornado-http", "gevent-pywsgi"], indirect=True)
def test_the_access_log_shows_the_client_of_every_request(serve, ask, tmp_path, caplog, capsys):
    """The others keep none."""
    caplog.set_level(logging.INFO, "tornado.access")

    def scenario(address):
        with connected(address, V2) as sock:
            assert [ask(sock)["client"], ask(sock)["client"]] == [list(CLIENT)] * 2
        with behind_haproxy(tmp_path, address) as frontends:
            for frontend in frontends:
                with through(frontend) as sock:
                    assert [ask(sock)["client"][0], ask(sock)["client"][0]] == [ELSEWHERE] * 2

    serve(scenario, TRUSTING)
    said = caplog.text + capsys.readouterr().err
    assert [said.count(host) for host in (CLIENT[0], ELSEWHERE, IPV4)] == [2, 4, 0]


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
    trusting = ssl.create_default_context(cafile=str(credentials.ca))
    tls = partial(trusting.wrap_socket, server_hostname=SERVER_NAME)

    def scenario(address):
        expected = {"client": list(CLIENT), "header": V2.hex()}
        with connected(address, V2), connected(address, V2) as sock, tls(sock) as secure:
            assert [ask(secure), ask(secure)] == [expected, expected]
        with behind_haproxy(tmp_path, address) as frontends:
            for frontend in frontends:
                with through(frontend) as sock, tls(sock) as secure:
                    client = list(secure.getsockname())
                    assert [ask(secure)["client"], ask(secure)["client"]] == [client, client]

    serve(scenario, TRUSTING, str(credentials.certificate))


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
        for start in (b"PROXY ", V2):
            with connected(address, start) as sock:
                time.sleep(PAUSE)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with connected(address, V2) as sock:
            assert ask(sock)["client"] == list(CLIENT)

    serve(scenario, TRUSTING)


def test_the_one_who_waits_longest_makes_room(serve, ask):
    def scenario(address):
        with connected(address) as first:
            time.sleep(PAUSE)
            with connected(address, b"PROXY"):
                assert ended(first)
                with connected(address, V2) as sock:
                    assert ask(sock)["client"] == list(CLIENT)

    serve(scenario, Policy("127.0.0.1", max_pending=1))


def optional(address):
    """tornado reads through the socket, which gives the bytes that were read first."""
    with connected(address, b"PRO") as sock:
        time.sleep(2 * PATIENCE)
        sock.sendall(b"GRESS\n")
        with sock.makefile("rb") as lines:
            assert json.loads(lines.readline())["client"] == list(sock.getsockname())


def test_where_the_header_is_optional():
    policy = Policy("127.0.0.1", header="optional", wait=PATIENCE)
    tornado_stream(optional, policy)
    for refusing in (fastppv2.servers.anyio.Listener, fastppv2.servers.trio.Listener):
        with pytest.raises(ValueError, match="expected header='required'"):
            refusing(None, policy)
    with pytest.raises(ValueError, match="expected header='required'"):
        fastppv2.servers.gevent.StreamServer(("", 0), None, policy=policy)


def test_nobody_listens_without_a_policy():
    with pytest.raises(TypeError, match=r"Server\.policy: expected a Policy, got None"):
        tornado_stream(optional, None)


async def listen_by_anyio():
    taken = await anyio.create_tcp_listener(local_host=IPV4)
    return fastppv2.servers.anyio.Listener(taken.listeners[0], TRUSTING)


def test_a_listener_of_anyio_serves_by_itself():
    """Without a task group it makes one; and the handler ends the stream in one direction."""

    async def handle(stream):
        await stream.send(await stream.receive())
        await stream.send_eof()
        await stream.aclose()

    def scenario(address):
        with connected(address, V2 + b"?") as sock:
            assert receive(sock, 99) == b"?"

    async def main():
        listener = await listen_by_anyio()
        address = listener.extra(SocketAttribute.local_address)
        async with anyio.create_task_group() as group:
            group.start_soon(listener.serve, handle)
            await anyio.to_thread.run_sync(scenario, address)
            group.cancel_scope.cancel()
        await listener.aclose()
        with pytest.raises(anyio.ClosedResourceError):
            await listener.serve(handle)

    anyio.run(main)


def test_a_peer_that_goes_between_its_header_and_its_stream():
    async def main():
        listener = await listen_by_anyio()
        with connected(listener.extra(SocketAttribute.local_address), V2) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await anyio.wait_readable(listener._socket)
            accepted = listener._socket.accept()
        await listener._handle(None, *accepted)
        await listener.aclose()

    anyio.run(main)


def test_a_listener_of_trio_that_is_closed():
    async def main():
        (taken,) = await trio.open_tcp_listeners(0, host=IPV4)
        listener = fastppv2.servers.trio.Listener(taken, TRUSTING)
        await listener.aclose()
        with pytest.raises(trio.ClosedResourceError):
            await listener.accept()

    trio.run(main)
