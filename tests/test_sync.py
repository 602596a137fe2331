"""Blocking sockets: a header received, sent, and listened for."""

from __future__ import annotations

import errno
import os
import selectors
import socket
import ssl
import struct
import threading
import time
from contextlib import ExitStack, contextmanager

import pytest
import trustme
from credentials import SERVER_NAME, Credentials
from sockets import (
    CLIENT,
    ELB,
    FRONTEND,
    NAMELESS,
    NAMING,
    PAUSE,
    TIMEOUT,
    V2,
    connected,
    ended,
    receive,
    running,
    single_bytes,
    until,
)

from fastppv2 import (
    HeaderTooLargeError,
    IncompleteHeaderError,
    InvalidHeaderError,
    MissingHeaderError,
    Policy,
    build,
    parse,
)
from fastppv2.sync import (
    Connection,
    ListeningSocket,
    TLSConnection,
    _listening,
    create_connection,
    create_server,
    recv_header,
)

PAYLOAD = b"GET / HTTP/1.1\r\n\r\n" + bytes(range(256))
HEADERS = {name: header for name, (header, *_) in NAMING.items()}
HEADERS.update(NAMELESS)
LOOPBACK = ("127.0.0.1", 0)
TRUSTING = Policy("127.0.0.1")
PATIENCE = 0.2  # seconds, where a test waits until they are over


@pytest.fixture(scope="session")
def credentials(tmp_path_factory):
    return Credentials(tmp_path_factory.mktemp("credentials"))


@pytest.fixture(scope="session")
def server_context(credentials):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(str(credentials.certificate))
    return context


@pytest.fixture(scope="session")
def client_context(credentials):
    return ssl.create_default_context(cafile=str(credentials.ca))


@pytest.fixture
def listen():
    """Listening sockets on loopback."""
    with ExitStack() as stack:

        def make(policy=TRUSTING, **options):
            server = stack.enter_context(create_server(LOOPBACK, policy=policy, **options))
            server.settimeout(TIMEOUT)
            return server

        yield make


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    ours.settimeout(TIMEOUT)
    with ours, theirs:
        yield ours, theirs


# A header from any socket.


@pytest.mark.parametrize("name", HEADERS)
def test_exactly_the_header_is_read(pair, name):
    ours, theirs = pair
    theirs.sendall(HEADERS[name] + PAYLOAD)
    assert recv_header(ours) == parse(HEADERS[name])
    assert receive(ours, len(PAYLOAD)) == PAYLOAD


@pytest.mark.parametrize("name", HEADERS)
def test_the_header_in_pieces_of_one_byte(pair, name):
    ours, theirs = pair
    arrived = []
    with running(lambda: arrived.append((recv_header(ours), ours.recv(1)))):
        for byte in single_bytes(HEADERS[name] + b"!"):
            theirs.sendall(byte)
            time.sleep(0.0005)
    assert arrived == [(parse(HEADERS[name]), b"!")]


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (b"GET / HTTP/1.1\r\n", MissingHeaderError),
        (V2[:-1], IncompleteHeaderError),
        (b"", IncompleteHeaderError),
        (b"PROXY TCP4 192.0.2.256 192.0.2.1 1 2\r\n", InvalidHeaderError),
    ],
)
def test_what_is_no_header_is_an_error(pair, sent, error):
    ours, theirs = pair
    theirs.sendall(sent)
    theirs.close()
    with pytest.raises(error):
        recv_header(ours)


def test_versions_and_size_are_those_of_parser(pair):
    ours, theirs = pair
    theirs.sendall(ELB)
    with pytest.raises(InvalidHeaderError, match="version"):
        recv_header(ours, versions=(2,))
    theirs.sendall(V2)
    receive(ours, len(ELB) - 15)
    with pytest.raises(HeaderTooLargeError):
        recv_header(ours, max_size=16)


@pytest.mark.parametrize("before", [TIMEOUT, None, 0.0])
def test_the_timeout_is_for_the_whole_header(pair, before):
    """A byte now and then does not put it off; and the socket's own stays."""
    ours, theirs = pair
    ours.settimeout(before)
    done = threading.Event()

    def drip():
        for byte in single_bytes(b"PROXY UNKNOWN" + b" " * 90):
            theirs.sendall(byte)
            if done.wait(PAUSE):
                break

    with running(drip):
        with pytest.raises(socket.timeout):
            recv_header(ours, timeout=PATIENCE)
        done.set()
    assert ours.gettimeout() == before


def test_no_timeout(pair):
    ours, theirs = pair
    theirs.sendall(V2)
    assert recv_header(ours, timeout=None).source == CLIENT


def test_a_time_that_is_over_before_anything_is_read(pair):
    ours, theirs = pair
    theirs.sendall(V2)
    with pytest.raises(socket.timeout, match="PROXY header"):
        recv_header(ours, timeout=0)


# A header that is sent.


@pytest.mark.parametrize("header", [ELB, V2, parse(V2), bytearray(V2)])
def test_the_header_is_sent_first(listen, header):
    server = listen()
    with create_connection(server.getsockname(), header=header) as client:
        client.sendall(PAYLOAD)
        connection, peername = server.accept()
        with connection:
            assert peername == CLIENT
            assert receive(connection, len(PAYLOAD)) == PAYLOAD


def test_the_header_is_sent_before_tls(listen, server_context, client_context):
    server = listen(ssl=server_context)
    accepted = []
    with running(lambda: accepted.append(server.accept())):
        client = create_connection(
            server.getsockname(),
            header=build(CLIENT, FRONTEND),
            ssl=client_context,
            server_hostname=SERVER_NAME,
            timeout=TIMEOUT,
        )
    ((connection, peername),) = accepted
    with client, connection:
        assert client.gettimeout() == TIMEOUT
        assert isinstance(connection, TLSConnection)
        check_names(connection, peername, parse(V2), client)
        client.sendall(PAYLOAD)
        assert receive(connection, len(PAYLOAD)) == PAYLOAD


def test_a_certificate_for_another_name_is_refused(listen, server_context, client_context):
    """Of the address, unless a name is given."""
    server = listen(ssl=server_context)
    server.settimeout(PATIENCE)
    refused = pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch")
    with running(accepts, server), refused:
        create_connection(server.getsockname(), header=V2, ssl=client_context)
    assert server.counters.accepted == 1


def test_what_is_no_header_is_not_sent():
    with pytest.raises(TypeError):
        create_connection(("127.0.0.1", 9), header="PROXY UNKNOWN\r\n")


# A listener.


def check_names(connection, peername, header, client):
    """What it says of its ends, for a header that names them, on a connection from loopback."""
    balancer = client.getsockname()
    assert connection.proxy_header == header
    assert connection.proxy_peername == balancer
    assert connection.getpeername() == peername
    if header.source is None:
        assert (peername, connection.getsockname()) == (balancer, client.getpeername())
        assert connection.family is socket.AF_INET


@pytest.fixture
def on_backend(api, monkeypatch):
    monkeypatch.setattr(_listening, "Listener", api.handshake.Listener)
    return api


@pytest.mark.parametrize("split", [False, True], ids=["whole", "bytes"])
@pytest.mark.parametrize("name", NAMING)
def test_the_connection_is_the_clients(on_backend, listen, name, split):
    header, source, destination = NAMING[name]
    server = listen(on_backend.policy.Policy("127.0.0.1"))
    pieces = single_bytes(header) if split else [header]
    with connected(server.getsockname(), *pieces, PAYLOAD) as client:
        connection, peername = server.accept()
        with connection:
            assert isinstance(connection, Connection)
            assert peername == source
            check_names(connection, source, parse(header), client)
            assert connection.getsockname() == destination
            assert connection.family is (socket.AF_INET6 if len(source) == 4 else socket.AF_INET)
            assert connection.gettimeout() is None
            assert receive(connection, len(PAYLOAD)) == PAYLOAD


@pytest.mark.parametrize("default", [None, TIMEOUT])
@pytest.mark.parametrize("at_once", [True, False])
def test_nobody_is_waited_for_whatever_new_connections_wait(listen, monkeypatch, default, at_once):
    """By themselves they block on some systems, not on others, and as long as the default says."""
    if not at_once:
        monkeypatch.setattr(_listening, "_AT_ONCE", 0)
    server = listen()
    server.setblocking(False)
    socket.setdefaulttimeout(default)
    try:
        with connected(server.getsockname()), connected(server.getsockname()) as client:
            begun = time.monotonic()
            assert accepts_nobody(server)
            assert time.monotonic() - begun < TIMEOUT / 2
            client.sendall(V2 + PAYLOAD)
            server.settimeout(TIMEOUT)
            connection, peername = server.accept()
            with connection:
                assert peername == CLIENT
                assert connection.gettimeout() == default
                assert receive(connection, len(PAYLOAD)) == PAYLOAD
            assert server.counters.pending == 1  # the silent one
    finally:
        socket.setdefaulttimeout(None)


@pytest.mark.parametrize("name", NAMELESS)
def test_a_header_that_names_nobody_leaves_the_real_ends(on_backend, listen, name):
    server = listen(on_backend.policy.Policy("127.0.0.1"))
    with connected(server.getsockname(), NAMELESS[name]) as client:
        connection, peername = server.accept()
        with connection:
            check_names(connection, peername, parse(NAMELESS[name]), client)


def test_a_unix_socket(tmp_path):
    """Its peers have no address; that they are trusted is its own word."""
    path = str(tmp_path / "socket")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen()
    with ListeningSocket(listening, Policy("unix")) as server, connected(path, ELB):
        connection, peername = server.accept()
        with connection:
            assert peername == CLIENT
            assert connection.family is socket.AF_INET
            assert connection.proxy_peername == ""


def test_a_header_that_names_unix_paths(listen):
    server = listen()
    with connected(server.getsockname(), build("/client", "/frontend")):
        connection, peername = server.accept()
        with connection:
            assert peername == connection.getpeername() == "/client"
            assert connection.getsockname() == "/frontend"
            assert connection.family is socket.AF_UNIX


def test_silent_peers_block_nobody_and_are_ended(listen):
    server = listen(Policy("127.0.0.1", timeout=PATIENCE))
    address = server.getsockname()
    with ExitStack() as stack:
        silent = [stack.enter_context(connected(address, *start)) for start in ([], [b"PROXY "])]
        for _ in range(2):
            with connected(address, V2):
                connection, peername = server.accept()
                connection.close()
                assert peername == CLIENT
        server.settimeout(2 * PATIENCE)
        with pytest.raises(socket.timeout):
            server.accept()
        assert all(map(ended, silent))
    assert server.counters.refused["timeout"] == 2
    assert server.counters.pending == 0


def test_a_silent_peer_is_ended_while_accept_waits_for_ever(listen):
    server = listen(Policy("127.0.0.1", timeout=PATIENCE))
    server.settimeout(None)
    with running(lambda: server.accept()[0].close()):
        with connected(server.getsockname()) as silent:
            assert ended(silent)
        with connected(server.getsockname(), V2):
            pass


def test_a_silent_peer_is_ended_though_the_log_waits_longer(listen):
    server = listen(Policy("127.0.0.1", timeout=PATIENCE))
    server.settimeout(None)
    with running(lambda: server.accept()[0].close()):
        for _ in range(2):
            with connected(server.getsockname(), b"GET / HTTP/1.1\r\n") as wrong:
                assert ended(wrong)
        with connected(server.getsockname()) as silent:
            assert ended(silent)
        with connected(server.getsockname(), V2):
            pass


@contextmanager
def no_descriptors():
    """None is left to this process."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)  # the first
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_without_descriptors_who_comes_stays_in_the_queue(listen, monkeypatch, caplog):
    monkeypatch.setattr(_listening, "_PAUSE", PATIENCE / 8)
    server = listen(Policy("127.0.0.1", timeout=PATIENCE))
    with connected(server.getsockname()) as silent:
        server.settimeout(PAUSE)
        with pytest.raises(socket.timeout):
            server.accept()
        with connected(server.getsockname(), V2):
            server.settimeout(TIMEOUT)
            with no_descriptors():  # until the one that waits is ended
                connection, peername = server.accept()
            assert ended(silent)
    with connection:
        assert peername == CLIENT
    assert server.counters.refused["timeout"] == 1
    (message,) = [message for message in caplog.messages if "accept() failed" in message]
    assert "Too many open files" in message
    assert "1 connections wait for their header" in message


def test_without_descriptors_a_selector_waits(listen, monkeypatch):
    monkeypatch.setattr(_listening, "_PAUSE", PATIENCE)
    server = listen()
    server.setblocking(False)
    with connected(server.getsockname(), V2), selectors.DefaultSelector() as selector:
        selector.register(server, selectors.EVENT_READ)
        assert selector.select(TIMEOUT)
        with no_descriptors():
            assert accepts_nobody(server)
        assert accepts_nobody(server)
        assert not selector.select(PAUSE)
        assert 0 < server.sweep() <= PATIENCE
        time.sleep(PATIENCE)
        server.sweep()
        assert selector.select(TIMEOUT)
        connection, peername = server.accept()
    with connection:
        assert peername == CLIENT


def test_a_reset_in_the_queue_is_no_failure():
    """On BSD and macOS accept() says so."""

    class Resetting(socket.socket):
        resets = 1

        def _accept(self):
            fd, peername = super()._accept()
            if self.resets:
                self.resets -= 1
                os.close(fd)
                raise ConnectionAbortedError(errno.ECONNABORTED, "reset")
            return fd, peername

    sock = Resetting()
    sock.bind(LOOPBACK)
    sock.listen()
    with ListeningSocket(sock, TRUSTING) as server:
        server.settimeout(TIMEOUT)
        with connected(sock.getsockname()), connected(sock.getsockname(), V2):
            connection, peername = server.accept()
        with connection:
            assert peername == CLIENT


def test_other_failures_of_accept_are_raised(listen):
    server = listen()
    server.shutdown(socket.SHUT_RDWR)
    with pytest.raises(OSError, match="Invalid argument"):
        server.accept()


def test_a_silent_peer_is_ended_while_no_thread_knows_of_it(listen):
    """Another thread was waiting already when it came."""
    server = listen(Policy("127.0.0.1", timeout=PATIENCE))
    server.settimeout(None)
    with running(lambda: server.accept()[0].close()):
        time.sleep(PAUSE)
        assert server._lock.acquire(timeout=TIMEOUT)
        with connected(server.getsockname()) as silent:
            until(lambda: selected(server._selector))
            assert server._accept() is None
            server._lock.release()
            assert ended(silent)
        with connected(server.getsockname(), V2):
            pass


def selected(selector):
    return selector.select(0)


def test_what_came_in_time_is_in_time_however_late_it_is_accepted(listen):
    """The deadline passes while the application does other things."""
    server = listen(Policy("127.0.0.1", timeout=PATIENCE))
    server.setblocking(False)
    address = server.getsockname()
    with connected(address) as late, connected(address) as never, connected(address) as wrong:
        until(lambda: accepts_nobody(server) and server.counters.pending == 3)
        late.sendall(V2 + PAYLOAD)
        wrong.sendall(b"GET / HTTP/1.1\r\n")
        never.sendall(V2[:20])
        time.sleep(PATIENCE + PAUSE)
        with connected(address):
            connection, peername = server.accept()
        with connection:
            assert peername == CLIENT
            assert receive(connection, len(PAYLOAD)) == PAYLOAD
            late.sendall(b"no byte twice")
            assert connection.recv(1) == b"n"
        assert ended(never)
        assert ended(wrong)
    assert server.counters.refused["missing"] == server.counters.refused["timeout"] == 1


def accepts_nobody(server):
    with pytest.raises(BlockingIOError):
        server.accept()
    return True


def test_timeouts_are_those_of_a_socket(listen):
    server = listen()
    server.settimeout(PAUSE)
    assert server.gettimeout() == PAUSE
    with pytest.raises(socket.timeout):
        server.accept()
    server.setblocking(False)
    assert server.gettimeout() == 0.0
    assert accepts_nobody(server)
    server.setblocking(True)
    assert server.gettimeout() is None


def test_the_timeout_of_the_socket_is_kept():
    with socket.create_server(LOOPBACK) as listening:
        listening.settimeout(PAUSE)
        with ListeningSocket(listening, TRUSTING) as server, pytest.raises(socket.timeout):
            server.accept()


def test_a_selector_can_wait_for_it(listen):
    server = listen()
    server.setblocking(False)
    with selectors.DefaultSelector() as selector:
        selector.register(server, selectors.EVENT_READ)
        with connected(server.getsockname(), V2[:20]) as client:
            assert selector.select(TIMEOUT)
            assert accepts_nobody(server)
            assert not selector.select(PAUSE)
            client.sendall(V2[20:])
            assert selector.select(TIMEOUT)
            connection, peername = server.accept()
            connection.close()
            assert peername == CLIENT
        selector.unregister(server)
    server.close()
    assert server.fileno() == -1


def test_where_selectors_are_no_files(listen, monkeypatch):
    monkeypatch.setattr(selectors, "DefaultSelector", selectors.SelectSelector)
    server = listen()
    with pytest.raises(OSError, match=r"call accept\(\)") as caught:
        server.fileno()
    assert caught.value.errno == errno.ENOTSUP
    with connected(server.getsockname(), V2):
        connection, peername = server.accept()
        connection.close()
        assert peername == CLIENT


def test_who_is_not_trusted_is_not_believed(listen, caplog):
    server = listen(Policy("192.0.2.0/24"))
    server.settimeout(PAUSE)
    with connected(server.getsockname(), V2) as client:
        with pytest.raises(socket.timeout):
            server.accept()
        assert ended(client)
    assert server.counters.refused["untrusted"] == 1
    assert "add 127.0.0.1 to trusted" in caplog.text


def test_who_is_not_trusted_is_let_through_as_itself(listen):
    server = listen(Policy("192.0.2.0/24", untrusted="passthrough"))
    with connected(server.getsockname(), V2) as client:
        connection, peername = server.accept()
        with connection:
            assert peername == connection.getpeername() == client.getsockname()
            assert connection.getsockname() == client.getpeername()
            assert connection.proxy_peername == client.getsockname()
            assert connection.proxy_header is None
            assert connection.family is socket.AF_INET
            assert receive(connection, len(V2)) == V2


def optional(**settings):
    return Policy("127.0.0.1", header="optional", wait=PATIENCE, **settings)


def test_no_byte_is_lost_where_the_header_is_optional(listen):
    """What looked like a header for a while comes first."""
    server = listen(optional())
    with connected(server.getsockname(), b"PRO") as client:
        connection, peername = server.accept()
        with connection:
            assert peername == client.getsockname()
            client.sendall(b"GRESS\nlines\nand more")
            assert connection.recv(0) == b""
            assert connection.recv(2, socket.MSG_PEEK) == b"PR"
            assert connection.recv(1) == b"P"
            buffer = bytearray(8)
            assert connection.recv_into(buffer, 1) == 1
            assert buffer[:1] == b"R"
            with connection.makefile("rb") as lines:
                assert lines.readline() == b"OGRESS\n"
                assert lines.readline() == b"lines\n"
            client.sendall(b"!")
            assert connection.recv(1) == b"!"
            client.sendall(b"?")
            assert connection.recv_into(buffer) == 1
            assert buffer[:1] == b"?"


def test_what_cannot_be_a_header_passes_at_once(listen):
    server = listen(optional())
    with connected(server.getsockname(), b"P", b"OST /") as client:
        connection, peername = server.accept()
        with connection:
            assert peername == client.getsockname()
            assert receive(connection, 6) == b"POST /"


def test_the_start_of_a_header_is_none_of_tls(listen, server_context):
    server = listen(optional(), ssl=server_context)
    server.settimeout(2 * PATIENCE)
    with connected(server.getsockname(), b"PRO") as client:
        with pytest.raises(socket.timeout):
            server.accept()
        assert ended(client)


def test_peers_that_go_away(listen):
    server = listen()
    server.settimeout(PATIENCE)
    address = server.getsockname()
    with connected(address), connected(address, V2[:20]):
        pass
    with connected(address) as client:
        until(lambda: not accepts(server) and server.counters.pending == 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert not accepts(server)
    assert server.counters.pending == 0
    assert server.counters.refused["empty"] == 2
    assert server.counters.refused["eof"] == 1


def accepts(server):
    try:
        server.accept()[0].close()
    except socket.timeout:
        return False
    return True


def test_the_one_who_waits_longest_makes_room(listen):
    server = listen(Policy("127.0.0.1", max_pending=1))
    server.settimeout(PATIENCE)
    address = server.getsockname()
    with connected(address) as first, connected(address) as second:
        assert not accepts(server)
        assert ended(first)
        second.sendall(V2)
        assert accepts(server)
    assert server.counters.refused["evicted"] == 1


def test_who_made_room_is_not_read_any_more(listen):
    """What both do is found at once: one comes, and the other, who must go, sends its header."""
    server = listen(Policy("127.0.0.1", max_pending=1))
    server.settimeout(PATIENCE)
    with connected(server.getsockname()) as first:
        assert not accepts(server)
        with connected(server.getsockname()):
            first.sendall(V2)
            assert not accepts(server)
            assert ended(first)


def test_metrics(listen):
    told = []
    server = listen(metrics=told.append)
    with connected(server.getsockname(), V2), connected(server.getsockname(), NAMELESS["local"]):
        assert accepts(server)
        assert accepts(server)
    assert sorted(told) == ["accepted", "local"]


@pytest.mark.parametrize("wrong", [b"GET / HTTP/1.1\r\n\r\n", b""])
def test_what_is_no_tls(listen, server_context, wrong):
    server = listen(ssl=server_context)
    server.settimeout(PATIENCE)
    with connected(server.getsockname(), V2 + wrong) as client:
        client.shutdown(socket.SHUT_WR)
        with pytest.raises(socket.timeout):
            server.accept()
        assert receive(client, 99)[:1] in (b"", b"\x15")  # an alert (RFC 8446 5.1), or nothing


def test_a_slow_tls_handshake_blocks_nobody_and_is_ended(listen, server_context, client_context):
    server = listen(Policy("127.0.0.1", timeout=PATIENCE), ssl=server_context)
    address = server.getsockname()
    with connected(address, V2) as slow, connected(address, V2, b"\x16\x03\x01") as slower:
        secured(server, client_context).close()
        server.settimeout(2 * PATIENCE)
        assert not accepts(server)
        assert ended(slow)
        assert ended(slower)
    assert server.counters.accepted == 3


def test_a_tls_handshake_that_is_late_for_lack_of_an_accept(listen, server_context):
    server = listen(Policy("127.0.0.1", timeout=PATIENCE), ssl=server_context)
    server.setblocking(False)
    with connected(server.getsockname(), V2) as slow:
        until(lambda: accepts_nobody(server) and server.counters.accepted)
        slow.sendall(b"\x16\x03\x01")
        time.sleep(PATIENCE + PAUSE)
        assert accepts_nobody(server)
        assert ended(slow)


def test_a_certificate_longer_than_a_send_buffer(listen):
    """The server's part of the TLS handshake waits for the client to read."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    names = [f"name{number}.example" for number in range(2000)]
    authority.issue_cert(SERVER_NAME, *names).configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    server = listen(ssl=context)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        client.settimeout(TIMEOUT)
        client.connect(server.getsockname())
        client.sendall(V2)
        with running(accepts, server):
            trusting.wrap_socket(client, server_hostname=SERVER_NAME).close()


def test_the_one_longest_in_its_tls_handshake_makes_room(listen, server_context, client_context):
    server = listen(Policy("127.0.0.1", max_pending=1), ssl=server_context)
    with connected(server.getsockname(), V2) as slow:
        secured(server, client_context).close()
        assert ended(slow)


def secured(server, context):
    """A client that came through its TLS handshake."""
    accepted = []
    with running(lambda: accepted.append(server.accept())):
        client = tls(server.getsockname(), context)
    ((connection, peername),) = accepted
    connection.close()
    assert peername == CLIENT
    return client


def tls(address, context):
    options = {"server_hostname": SERVER_NAME, "timeout": TIMEOUT}
    return create_connection(address, header=V2, ssl=context, **options)


def test_the_end_of_the_server_is_that_of_all_who_wait(listen, server_context):
    server = listen(ssl=server_context)
    server.settimeout(PATIENCE)
    address = server.getsockname()
    with connected(address) as silent, connected(address, V2) as slow:
        assert not accepts(server)
        server.close()
        assert ended(silent)
        assert ended(slow)
    assert server.counters.refused["closed"] == 1
    with pytest.raises(OSError, match=r".") as caught:
        server.accept()
    assert caught.value.errno == errno.EBADF


def test_another_thread_read_what_came(listen):
    server = listen()
    server.setblocking(False)
    with connected(server.getsockname(), V2[:20]) as client:
        until(lambda: accepts_nobody(server) and server.counters.pending)
        (arrival,) = server._arrivals
        assert arrival.advance() is None
        client.sendall(V2[20:])
        server.settimeout(TIMEOUT)
        assert accepts(server)


def test_several_threads_accept(listen):
    server = listen()
    server.settimeout(None)
    clients = [("198.51.100.1", port) for port in range(1000, 1040)]
    seen = []

    def serve():
        for _ in range(len(clients) // 4):
            connection, peername = server.accept()
            connection.close()
            seen.append(peername)

    with ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(running(serve))
        for at, client in enumerate(clients):
            header = build(client, FRONTEND)
            pieces = [header] if at % 2 else [header[:9], header[9:]]
            stack.enter_context(connected(server.getsockname(), *pieces))
        until(lambda: len(seen) == len(clients))
    assert sorted(seen) == clients
