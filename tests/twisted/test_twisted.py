"""The adapter for Twisted, on real sockets, under its default reactor and the one on asyncio."""

from __future__ import annotations

import json
import random
import socket
import ssl
import time
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from programs import HOST, TIMEOUT
from twisted.internet.address import IPv4Address
from twisted.internet.protocol import Protocol
from twisted.python import context
from twisted.python.log import ILogContext
from twisted_client import BEHIND, INSIDE, NAME, PAUSE, Connection, Server, connect, tcp4, tcp6

from fastppv2 import Command, build
from fastppv2.twisted._transport import make_room, name_in_log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CLIENT, FRONTEND = ("192.0.2.1", 56324), ("198.51.100.2", 443)
CLIENT6, FRONTEND6 = ("2001:db8::1", 56324), ("2001:db8::2", 443)
V1 = build(CLIENT, FRONTEND, version=1)
V2 = build(CLIENT, FRONTEND, checksum=True)
V2_INET6 = build(CLIENT6, FRONTEND6)
LOCAL = build(command=Command.LOCAL)
UNKNOWN = build(version=1)
BLOCK = bytes(range(256)) * 256
LARGE = random.Random(6).randbytes(1 << 20)


# Whom the application sees.


@pytest.mark.parametrize(
    ("header", "client", "frontend"),
    [
        (V1, tcp4(CLIENT), tcp4(FRONTEND)),
        (V2, tcp4(CLIENT), tcp4(FRONTEND)),
        (V2_INET6, tcp6(CLIENT6), tcp6(FRONTEND6)),
        (build("/a", "/b"), ["UNIX", "/a"], ["UNIX", "/b"]),
        (LOCAL, None, None),
        (UNKNOWN, None, None),
    ],
    ids=["v1", "v2", "inet6", "unix", "local", "unknown"],
)
@pytest.mark.parametrize("port", ["teller", "wrapped", "adopted"])
def test_the_client_is_known_before_it_says_anything(
    server: Server, port: str, header: bytes, client: Any, frontend: Any
) -> None:
    with server.open(port, header) as connection:
        balancer = tcp4((HOST, connection.port))
        seen = connection.said()
        assert seen["peer"] == seen["built"] == (client or balancer)
        assert seen["host"] == (frontend or tcp4((HOST, server.where[port])))
        assert seen["balancer"] == balancer
        assert seen["header"] == header.hex()
        assert seen["carried"] is (seen["host"][0] != "UNIX")
        connection.send(BLOCK)
        assert connection.echoes(BLOCK)


@pytest.mark.parametrize("header", [V1, V2, LOCAL], ids=["v1", "v2", "local"])
def test_a_header_in_pieces_of_one_byte(server: Server, header: bytes) -> None:
    pieces = [header[at : at + 1] for at in range(len(header))]
    with server.open("teller", *pieces, BLOCK) as connection:
        assert connection.said()["header"] == header.hex()
        assert connection.echoes(BLOCK)


def test_what_comes_behind_the_header_is_the_first_data(server: Server) -> None:
    with server.open("teller", V2 + LARGE[:1000]) as connection:
        connection.said()
        assert connection.echoes(LARGE[:1000])
        for at in range(1000, len(LARGE), len(BLOCK)):
            piece = LARGE[at : at + len(BLOCK)]
            connection.send(piece)
            assert connection.echoes(piece)


@pytest.mark.parametrize("port", ["unix", "unix string"])
def test_a_balancer_on_a_unix_socket(server: Server, port: str) -> None:
    with server.open(port, V2) as connection:
        seen = connection.said()
        assert seen["peer"] == tcp4(CLIENT)
        assert seen["host"] == tcp4(FRONTEND)
        assert seen["balancer"][0] == "UNIX"
    with server.open(port, LOCAL) as connection:
        seen = connection.said()
        assert seen["peer"] == seen["balancer"]
        assert seen["host"] == ["UNIX", server.where[port]]


@pytest.mark.parametrize("host", [HOST, "::1"])
def test_a_port_for_both_families(server: Server, host: str) -> None:
    if "inet6" not in server.where:
        pytest.skip("this machine has no ::1")
    with socket.create_connection((host, server.where["inet6"]), TIMEOUT) as sock:
        sock.sendall(V2)
        with closing(Connection(sock)) as connection:
            seen = connection.said()
            assert seen["peer"] == tcp4(CLIENT)
            balancer = host if ":" in host else f"::ffff:{host}"
            assert seen["balancer"] == tcp6((balancer, connection.port))


def test_the_log_names_the_client(server: Server) -> None:
    with server.open("obedient", V2, b"say hello\n") as connection:
        assert connection.line() == b"hello"
        seen = connection.obey("tell")["log"]
    assert seen.startswith("Obedient,")
    assert seen.endswith(",192.0.2.1")
    server.wait_until_said(f"[{seen}] hello\n")
    with server.open("teller", build("/run/a", "/run/b")) as connection:
        assert connection.said()["log"].endswith(",/run/a")


# After the handshake.


@pytest.mark.parametrize("port", ["obedient", "behind", "string", "inside", "string inside"])
def test_nothing_is_left_between_the_application_and_its_transport(
    server: Server, port: str
) -> None:
    tls = [] if port == "obedient" else ["BufferingTLSTransport"]
    with server.open(port, V2, b"tell\n") as connection:
        assert connection.said()["layers"][: len(tls) + 1] == [*tls, "Obedient"]
        own = [] if port == "obedient" else connection.obey("tell")["layers"][2:]
        assert connection.obey("tell")["layers"] == [*tls, "Obedient", *own]
        assert not {"dataReceived", "doRead", "startReading", "stopReading"} & {*own}
    with server.open("obedient", V2 + b"tell\ntell\n") as connection:
        # Not even while the first bytes are delivered.
        assert connection.said()["layers"] == connection.said()["layers"] == ["Obedient"]


def test_reading_can_be_paused_from_the_first_moment(server: Server) -> None:
    with server.open("pausing", V2 + b"first ") as connection:
        connection.send(b"second\n")
        assert connection.is_silent() or connection.socket.recv(1, socket.MSG_PEEK) == b"n"
        assert connection.line() == b"now"  # and nothing before
        assert connection.line() == b"first second"


@pytest.mark.parametrize(("port", "said"), [("leaving", b"goodbye\n"), ("aborting", b"")])
def test_an_application_that_leaves_at_once_receives_nothing(
    server: Server, port: str, said: bytes
) -> None:
    with server.open(port, V2 + b"first\n") as connection:
        assert connection.ends() == said
    server.ask("counters", port=port)  # whatever it would have received is in the log by now
    assert "received bytes after the end" not in server.program.said()


def test_lose_connection_sends_what_was_written(server: Server) -> None:
    with server.open("obedient", V2 + b"close\n") as connection:
        assert connection.ends() == b"goodbye\n"
    with server.open("obedient", V2, b"abort\n") as connection:
        assert connection.ends() == b""


def test_half_close(server: Server) -> None:
    with server.open("counting", V2 + BLOCK, BLOCK) as connection:
        connection.socket.shutdown(socket.SHUT_WR)
        assert connection.ends() == b"%d\n" % (2 * len(BLOCK))
    with server.open("obedient", V2, b"half_close\n") as connection:
        assert connection.ends() == b"goodbye\n"
        connection.send(b"say heard-it\n")
        server.wait_until_said("heard-it")


@pytest.mark.parametrize("port", ["obedient", "behind", "inside"])
def test_pull_and_push_producers(server: Server, tmp_path: Path, port: str) -> None:
    file = tmp_path / "large"
    file.write_bytes(LARGE)
    with server.open(port, V2, f"send {file}\n".encode()) as connection:
        assert connection.ends() == LARGE
    blocks = 256
    with server.open(port, V2, b"push %d\n" % blocks) as connection:
        time.sleep(PAUSE)  # so that the buffers of both ends are full
        received = connection.ends()
    size = blocks * len(BLOCK)
    assert not received[:size].strip(b"\0")
    assert int(received[size:]) > 0  # times that it was paused


# TLS.


@pytest.mark.parametrize("port", BEHIND + INSIDE)
@pytest.mark.parametrize(("header", "client"), [(V1, CLIENT), (V2, CLIENT), (LOCAL, None)])
def test_tls_behind_and_around_the_header(
    server: Server, port: str, header: bytes, client: Any
) -> None:
    with server.open(port, header, b"tell\n") as connection:
        seen = connection.said()
        assert seen["peer"] == seen["built"] == tcp4(client or (HOST, connection.port))
        assert seen["balancer"] == tcp4((HOST, connection.port))
        assert seen["header"] == header.hex()
        assert seen["tls"] is True
        assert seen["handshakes"] == 1
        assert connection.obey("tell") == seen


@pytest.mark.parametrize("port", ["behind", "inside"])
@pytest.mark.parametrize("alpn", ["h2", "http/1.1"])
def test_the_protocol_that_tls_negotiated(server: Server, port: str, alpn: str) -> None:
    with server.open(port, V2, b"tell\n", alpn=alpn) as connection:
        assert connection.socket.selected_alpn_protocol() == alpn
        assert connection.said()["alpn"] == alpn


def test_the_header_and_the_first_data_in_one_record(server: Server) -> None:
    with server.open("inside", V2 + b"tell\n") as connection:
        assert connection.said()["header"] == V2.hex()
        assert connection.obey("tell")["peer"] == tcp4(CLIENT)


def test_start_tls(server: Server) -> None:
    with server.open("obedient", V2, b"tell\nstart_tls\n") as connection:
        seen = connection.said()
        assert (seen["starts_tls"], seen["tls"]) == (True, False)
        assert connection.line() == b"go ahead"
        sock = server.context().wrap_socket(connection.socket, server_hostname=NAME)
        with sock, closing(Connection(sock)) as secure:
            seen = secure.obey("tell")
            assert seen["tls"] is True
            assert seen["peer"] == tcp4(CLIENT)


def test_tls_at_once_finds_the_client_hello_behind_the_header(server: Server) -> None:
    """Both in one segment: what was read too far is TLS's, which began in ``connectionMade``."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = server.context().wrap_bio(incoming, outgoing, server_hostname=NAME)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    with server.open("secure at once", V2 + outgoing.read()) as connection:
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                incoming.write(connection.socket.recv(65536))
        tls.write(b"say hello\n")
        connection.send(outgoing.read())
        server.wait_until_said("hello\n")


# Who is refused.


@pytest.mark.parametrize(
    ("port", "sent", "reason"),
    [
        ("teller", b"GET / HTTP/1.1\r\n\r\n", "missing"),
        ("teller", V1.replace(b"192", b"999"), "invalid"),
        ("teller", V2 + V1, "nested"),
        ("untrusted", b"", "untrusted"),
        ("hasty", V2[:-1], "timeout"),
        ("hasty", b"", "timeout"),
    ],
)
def test_refused(server: Server, port: str, sent: bytes, reason: str) -> None:
    before = server.counters(port)["refused"].get(reason, 0)
    # Who is not trusted is reset before the connection is made at this end.
    with suppress(ConnectionResetError), server.open(port, sent) as connection:
        assert connection.ends() == b""
    assert server.counters(port)["refused"][reason] == before + 1
    server.wait_until_said("refused: ")


@pytest.mark.parametrize("port", INSIDE)
def test_refused_inside_tls(server: Server, port: str) -> None:
    with server.open(port, b"GET / HTTP/1.1\r\n\r\n") as connection, suppress(ssl.SSLEOFError):
        assert connection.ends() == b""  # with or without close_notify


def test_the_settings_of_a_described_endpoint(server: Server) -> None:
    """The environment's, unless the description has its own."""
    large = build(CLIENT, FRONTEND, tlvs=[(0xE0, bytes(80))])
    with connect(server.where["string"]) as sock, closing(Connection(sock)) as connection:
        connection.send(large)
        assert connection.ends() == b""
    server.wait_until_said("max_size is 100 bytes")


@pytest.mark.parametrize(("sent", "reason"), [(b"", "empty"), (V1[:9], "eof"), (V2[:20], "eof")])
def test_the_end_before_the_header(server: Server, sent: bytes, reason: str) -> None:
    before = server.counters("teller")["refused"].get(reason, 0)
    with server.open("teller", sent) as connection:
        connection.socket.shutdown(socket.SHUT_WR)
        assert connection.ends() == b""
    with server.open("teller", sent):
        pass
    assert server.counters("teller")["refused"][reason] == before + 2


def test_a_reset_before_the_header(server: Server) -> None:
    before = server.counters("teller")["refused"].get("empty", 0)
    with server.open("teller") as connection:
        reset = b"\1\0\0\0\0\0\0\0"  # struct linger: on, no seconds
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
    assert server.counters("teller")["refused"]["empty"] == before + 1


def test_the_silent_hold_up_nobody_else(server: Server) -> None:
    with ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(server.open("teller"))
        with server.open("teller", V2) as connection:
            assert connection.said()["peer"] == tcp4(CLIENT)


def test_beyond_max_pending_the_one_that_waited_longest_is_ended(server: Server) -> None:
    with ExitStack() as stack:
        first, second, third = [stack.enter_context(server.open("crowded")) for _ in range(3)]
        assert first.ends() == b""
        for connection in (second, third):
            connection.send(V2)
            assert connection.said()["peer"] == tcp4(CLIENT)
    assert server.counters("crowded")["refused"] == {"evicted": 1}


def test_a_silent_peer_ends_at_its_time_though_the_log_waits_longer(server: Server) -> None:
    for sent in (b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\n", b""):
        with server.open("hasty", sent) as connection:
            assert connection.ends() == b""
        time.sleep(2 * PAUSE)


def test_the_timeout_is_over_with_the_header(server: Server) -> None:
    with server.open("hasty", V2) as connection:
        connection.said()
        time.sleep(3 * PAUSE)
        connection.send(b"still there")
        assert connection.echoes(b"still there")


# Who is let through as itself.


def test_others_are_let_through(server: Server) -> None:
    with server.open("passthrough", V2) as connection:
        seen = connection.said()
        assert seen["peer"] == seen["built"] == seen["balancer"] == tcp4((HOST, connection.port))
        assert seen["header"] is None
        assert connection.echoes(V2)  # unread
        connection.send(BLOCK)
        assert connection.echoes(BLOCK)


def test_a_header_is_optional(server: Server) -> None:
    for sent in (V2, b"GET / HTTP/1.1\r\n", b""):  # nothing: when the wait is over
        with server.open("optional", sent) as connection:
            seen = connection.said()
            header = V2.hex() if sent == V2 else None
            client = CLIENT if header else (HOST, connection.port)
            assert (seen["header"], seen["peer"]) == (header, tcp4(client))
            assert connection.echoes(b"" if header else sent)


def test_the_end_behind_what_could_have_been_a_header(server: Server) -> None:
    with server.open("optional counting", b"PRO") as connection:
        connection.socket.shutdown(socket.SHUT_WR)
        assert connection.ends() == b"3\n"
    with server.open("optional pausing", b"PRO") as connection:
        connection.socket.shutdown(socket.SHUT_WR)
        assert connection.ends().startswith(b"now\n")
        server.wait_until_said("Pausing received b'PRO'")


# Applications that do not want to, and ports that are closed.


def test_an_application_that_wants_no_connection(server: Server) -> None:
    with server.open("none", V2) as connection:
        assert connection.ends() == b""


@pytest.mark.parametrize(("port", "sent"), [("failing", V2), ("failing late", b"")])
def test_an_application_that_fails_loses_the_connection(
    server: Server, port: str, sent: bytes
) -> None:
    with server.open(port, sent) as connection:
        assert connection.ends() == b""
    server.wait_until_said("ValueError: as planned")
    server.wait_until_said("Failing lost its connection")


def test_a_port_that_is_closed_ends_what_waits_for_a_header(server: Server) -> None:
    assert server.ask("started", port="stopped") == 1
    with ExitStack() as stack:
        served = stack.enter_context(server.open("stopped", V2))
        served.said()
        waiting = stack.enter_context(server.open("stopped", V2[:10]))
        assert waiting.is_silent()
        server.ask("stop", port="stopped")
        assert waiting.ends() == b""
        served.send(b"still there")
        assert served.echoes(b"still there")
    assert server.counters("stopped")["refused"] == {"closed": 1}
    assert server.ask("started", port="stopped") == 0
    with pytest.raises(ConnectionRefusedError):
        connect(server.where["stopped"])


# Clients.


@pytest.mark.parametrize("tls", ["none", "outside", "inside"])
def test_the_header_is_sent_first(server: Server, tls: str) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(str(server.certificate))
    with socket.create_server((HOST, 0)) as listener, ExitStack() as stack:
        port = listener.getsockname()[1]
        request = {"do": "connect", "port": port, "header": V2.hex(), "tls": tls}
        asking = server.open("control", json.dumps(request).encode() + b"\n")
        control = stack.enter_context(asking)
        listener.settimeout(TIMEOUT)
        sock = stack.enter_context(listener.accept()[0])
        sock.settimeout(TIMEOUT)
        if tls == "inside":
            sock = stack.enter_context(context.wrap_socket(sock, server_side=True))
        assert sock.recv(len(V2), 0 if tls == "inside" else socket.MSG_WAITALL) == V2
        if tls == "outside":
            sock = stack.enter_context(context.wrap_socket(sock, server_side=True))
        connection = stack.enter_context(closing(Connection(sock)))
        assert connection.echoes(b"hello")
        connection.send(BLOCK)
        assert connection.echoes(BLOCK)
        assert control.said() == ["connected", "factory", "transport"]


def test_room_is_made_around_what_a_transport_has():
    transport = SimpleNamespace(producer="kept")
    make_room(transport)
    assert vars(transport) == {"producer": "kept"}


def test_the_name_in_the_log_outside_of_a_read():
    """What all other messages have in front stays as it is."""
    before = dict(context.defaultContextDict[ILogContext])
    transport = SimpleNamespace(protocol=Protocol(), sessionno=7)
    name_in_log(transport, IPv4Address("TCP", *CLIENT), at_once=True)
    assert transport.logstr == f"Protocol,7,{CLIENT[0]}"
    assert context.defaultContextDict[ILogContext] == before
