"""docs/coming-from/twisted-haproxy.md: its commands, its programs, and the rows of its table."""

from __future__ import annotations

import json
import socket
import ssl
import time

import pytest
from coming_from import check_that_all_is_shown
from credentials import SERVER_NAME, Credentials
from programs import HOST
from quoted import adapted, quoted
from serving import read, script, started
from sockets import CLIENT, ELB, NAMELESS, NAMING, PAUSE, V2, connected, ended

PAGE = "coming-from/twisted-haproxy.md"
COMMANDS = quoted(PAGE, "console")
BEFORE, AFTER = quoted(PAGE, "python")
PATIENCE = 0.3  # seconds, where a test waits until they are over
# What tells of its transport, at once in the log and to each line that it is sent.
TELLER = """\
import json

from twisted.internet.protocol import Factory
from twisted.protocols.basic import LineReceiver


class Teller(LineReceiver):
    def connectionMade(self):
        print("connected", self.transport.getPeer().host, flush=True)

    def lineReceived(self, line):
        peer, kind = self.transport.getPeer(), type(self.transport).__name__
        self.sendLine(json.dumps([peer.host, peer.port, kind]).encode())


"""
SITE = {'server.Site(static.File("."))': "Factory.forProtocol(Teller)"}


def telling(directory, program, policy='"127.0.0.1"'):
    """The page's program with another application."""
    changes = {'"10.0.0.7"': policy} if program is AFTER else {}
    return script(directory, TELLER + program, "8080", **SITE, **changes)


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    with telling(tmp_path_factory.mktemp("before"), BEFORE) as server:
        server.connect().close()
        yield server


@pytest.fixture(scope="module")
def after(tmp_path_factory):
    with telling(tmp_path_factory.mktemp("after"), AFTER) as server:
        server.connect().close()
        yield server


def seen(server, header):
    """What the application sees of its peer, and what that sees of itself."""
    with connected(server.address, header + b"?\r\n") as sock:
        *peer, _ = json.loads(sock.makefile("rb").readline())
        return tuple(peer), sock.getsockname()


def refused(server, header):
    with connected(server.address, header + b"?\r\n") as sock:
        return ended(sock)


def twist(directory, command, **changes):
    (directory / "hello").write_text("hello")
    changes = {"tcp:8080": "tcp:{port}:interface=127.0.0.1", **changes}
    return started(directory, adapted(command, changes), "--log-format=text")


@pytest.mark.parametrize("command", COMMANDS, ids=["before", "after"])
def test_the_commands(tmp_path, command):
    changes = {"10.0.0.7": HOST} if "trusted" in command else {}
    with twist(tmp_path, command, **changes) as server:
        server.connect().close()
        with connected(server.address, ELB) as sock:
            assert read(sock, "/hello") == b"hello"
        server.wait_until_said(f'"{CLIENT[0]}" - - [')


@pytest.mark.parametrize("program", [BEFORE, AFTER], ids=["before", "after"])
def test_the_programs(tmp_path, program):
    changes = {"10.0.0.7": HOST} if program is AFTER else {}
    with script(tmp_path, program, "8080", **changes) as server:
        server.connect().close()
        with connected(server.address, V2) as sock:
            assert b"program.py" in read(sock)


def test_row_trust(before, tmp_path):
    """who is believed"""
    assert seen(before, V2)[0] == CLIENT
    with telling(tmp_path, AFTER, policy='"10.0.0.7"') as after:
        after.connect().close()
        assert refused(after, V2)


def test_row_pieces(before, after):
    """a header in pieces"""
    for header, least in ((ELB, 8), (V2, 16)):
        for server in (before, after):
            for size in (least - 1, least):
                with connected(server.address, header[:size]) as sock:
                    time.sleep(PAUSE)  # what follows is another segment
                    if server is before and size < least:
                        assert ended(sock)
                    else:
                        sock.sendall(header[size:] + b"?\r\n")
                        assert json.loads(sock.makefile("rb").readline())[:2] == [*CLIENT]


def test_row_unknown(before, after):
    r"""`PROXY UNKNOWN\r\n`, as HAProxy's health checks begin"""
    assert refused(before, NAMELESS["unknown"])
    peer, real = seen(after, NAMELESS["unknown"])
    assert peer == real


def test_row_addresses(before, after):
    """addresses"""
    header = b"PROXY TCP4 nobody nowhere 99999 -1\r\n"
    assert seen(before, header)[0] == ("nobody", 99999)
    assert refused(after, header)


def test_row_inet6(before, after):
    """IPv6"""
    header = NAMING["v2-inet6"][0]
    assert seen(before, header)[0] == ("2001:db8:0:0:0:0:0:1", 56324)
    assert seen(after, header)[0] == ("2001:db8::1", 56324)


def test_row_checksum(before, after):
    """a wrong checksum"""
    right = NAMING["v2-checksum"][0]
    wrong = right[:-1] + bytes([right[-1] ^ 1])
    assert seen(before, wrong)[0] == CLIENT
    assert seen(after, right)[0] == CLIENT
    assert refused(after, wrong)


def test_row_connection_made(before, after):
    """`connectionMade`"""
    for server, told in ((before, HOST), (after, CLIENT[0])):
        times = server.said().count(f"connected {told}\n")
        assert seen(server, V2)[0] == CLIENT
        server.wait_until_said(f"connected {told}\n", times + 1)


def test_row_silence(before, tmp_path):
    """a peer that sends nothing"""
    times = before.said().count("connected")
    with telling(tmp_path, AFTER, policy=f'"127.0.0.1", timeout={PATIENCE}') as after:
        after.connect().close()
        with connected(before.address) as old, connected(after.address) as new:
            before.wait_until_said("connected", times + 1)
            assert ended(new)
            old.settimeout(3 * PATIENCE)
            with pytest.raises(socket.timeout):
                old.recv(1)
        assert "connected" not in after.said()


def test_row_tls(tmp_path):
    """TLS behind the header, `ssl:`"""
    credentials = Credentials(tmp_path)
    trusting = ssl.create_default_context(cafile=str(credentials.ca))
    file = credentials.certificate
    endpoint = f"ssl:{{port}}:privateKey={file}:certKey={file}:interface=127.0.0.1"
    for number, command in enumerate(COMMANDS):
        changes = {"tcp:8080": endpoint, **({"10.0.0.7": HOST} if number else {})}
        with twist(tmp_path, command, **changes) as server:
            server.connect().close()
            with connected(server.address, V2) as sock:
                if number:
                    with trusting.wrap_socket(sock, server_hostname=SERVER_NAME) as tls:
                        assert read(tls, "/hello") == b"hello"
                else:
                    with pytest.raises((ssl.SSLError, ConnectionError)):
                        trusting.wrap_socket(sock, server_hostname=SERVER_NAME)


def test_row_words(before, after):
    """a refused connection"""
    said = before.said()
    assert refused(before, b"GET / HTTP/1.1\r\n")
    assert refused(after, b"GET / HTTP/1.1\r\n")
    after.wait_until_said("not a PROXY header (looks like an HTTP request): is send-proxy enabled")
    assert before.said()[len(said) :].split() == ["connected", HOST]


def test_row_transport(before, after):
    """the application's transport"""
    kinds = []
    for server in (before, after):
        with connected(server.address, V2 + b"?\r\n") as sock:
            kinds.append(json.loads(sock.makefile("rb").readline())[2])
    assert kinds == ["HAProxyProtocolWrapper", "Server"]


def test_all_is_shown():
    check_that_all_is_shown(PAGE, globals())
