"""``fastppv2 send``: what reaches the server, what is printed, and what is said if it fails."""

from __future__ import annotations

import asyncio
import errno
import io
import os
import re
import socket
import ssl
import struct
import subprocess
import sys
import time

import pytest
import trustme
from scripted import HOST, scripted, until_end, until_request

from fastppv2 import Family, build, parse
from fastppv2.cli import main

CLIENT, SERVER = ("192.0.2.1", 56324), ("198.51.100.2", 443)
ENDS = ("192.0.2.1:56324", "198.51.100.2:443")
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
TIMEOUT = 20.0


def answering(connection: socket.socket, after: float = 0.0) -> bytes:
    received = until_request(connection)
    time.sleep(after)
    connection.sendall(ANSWER)
    return received


def echoing(connection: socket.socket) -> bytes:
    """What came behind the header goes back once it has ended."""
    received = until_end(connection)
    connection.sendall(received[parse(received).size :])
    return received


def refusing(connection: socket.socket) -> bytes:
    return connection.recv(65536)


def resetting(connection: socket.socket) -> bytes:
    received = until_request(connection)
    connection.sendall(b"half")
    time.sleep(0.5)  # the answer is read before the reset throws it away
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return received


def silent(connection: socket.socket) -> bytes:
    return until_end(connection)


def sent(capfdbinary, *argv: str) -> bytes:
    assert main(["send", *argv]) == 0
    out, err = capfdbinary.readouterr()
    assert err == b""
    return out


def broken(capfd, *argv: str) -> str:
    assert main(["send", *argv]) == 1
    err = capfd.readouterr().err
    assert re.fullmatch(r"fastppv2: [ -~]+\n", err), err
    return err[len("fastppv2: ") : -1]


def misused(capfd, *argv: str) -> str:
    with pytest.raises(SystemExit) as caught:
        main(["send", *argv])
    assert caught.value.code == 2
    return capfd.readouterr().err.partition("error: ")[2][:-1]


def request(target: str, path: str = "/") -> bytes:
    head = f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n"
    return f"{head}User-Agent: fastppv2\r\nAccept: */*\r\nConnection: close\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("options", "header"),
    [
        ([*ENDS], build(CLIENT, SERVER)),
        ([*ENDS, "--v1"], build(CLIENT, SERVER, version=1)),
        (
            [*ENDS, "--crc32c", "--tlv", "2=x"],
            build(CLIENT, SERVER, tlvs=[(2, b"x")], checksum=True),
        ),
        (["--local"], build()),
        (["--unknown", "--v1"], build(version=1)),
        (["--local", "--times", "3"], build() * 3),
        (["--local", "--times", "0"], b""),
        (["--bytes", "0d0a"], b"\r\n"),
        (["--bytes", "PROXY TCP4 junk"], b"PROXY TCP4 junk\r\n"),
    ],
)
def test_get(capfdbinary, options, header):
    with scripted(answering) as server:
        assert sent(capfdbinary, server.target, *options, "--get", "/path") == ANSWER
    assert server.received == [header + request(server.target, "/path")]


def test_the_connections_own_ends(capfdbinary):
    peers = []

    def serve(connection: socket.socket) -> bytes:
        peers.append(connection.getpeername())
        return answering(connection)

    with scripted(serve) as server:
        sent(capfdbinary, server.target, "--get", "/")
    header = parse(server.received[0])
    assert (header.source, header.destination) == (peers[0], server.address)


def test_unix_socket(capfdbinary, tmp_path):
    with scripted(answering, tmp_path / "socket") as server:
        sent(capfdbinary, server.target, "--get", "/")
        sent(capfdbinary, server.target, *ENDS, "--get", "/")
    header = parse(server.received[0])
    assert (header.family, header.source, header.destination) == (Family.UNIX, "", server.address)
    assert parse(server.received[1]).source == CLIENT
    assert b"\r\nHost: localhost\r\n" in server.received[1]


@pytest.mark.parametrize("size", [0, 1, 300_000])
def test_standard_input(capfdbinary, monkeypatch, tmp_path, size):
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    file = tmp_path / "input"
    file.write_bytes(data)
    with file.open() as opened, scripted(echoing) as server:
        monkeypatch.setattr(sys, "stdin", opened)
        assert sent(capfdbinary, server.target, "--local") == data
    assert server.received == [build() + data]


def test_a_server_that_does_not_read_to_the_end(capfd, monkeypatch, tmp_path):
    def serve(connection: socket.socket) -> bytes:
        connection.sendall(b"220 no\r\n")
        time.sleep(0.5)  # it is read before the reset throws it away
        return b""

    file = tmp_path / "input"
    file.write_bytes(bytes(10_000_000))
    with file.open() as opened, scripted(serve) as server:
        monkeypatch.setattr(sys, "stdin", opened)
        message = broken(capfd, server.target, "--local")
    assert message == f"{server.target} broke the connection off after 8 bytes"


def test_standard_input_that_never_ends():
    """A server's end is the command's, though a terminal is still being waited for."""
    with scripted(refusing) as server:
        command = [sys.executable, "-m", "fastppv2", "send", server.target, "--local"]
        started = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        with started:
            assert started.wait(TIMEOUT) == 0
            assert started.stderr.read() == b""


def test_verbose(capfd):
    with scripted(answering) as server:
        assert main(["send", server.target, *ENDS, "--get", "/", "-v"]) == 0
        err = capfd.readouterr().err
        assert "Source Address: 192.0.2.1\n" in err
        assert err.endswith(f"({len(ANSWER)} bytes came back)\n")
        assert main(["send", server.target, "--bytes", "00", "--get", "/", "-v"]) == 0
        assert capfd.readouterr().err.startswith("00\n(not a PROXY header")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_no_commands(monkeypatch):
    def serve(connection: socket.socket) -> bytes:
        until_request(connection)
        connection.sendall(b"a\tb\r\n\x1b[31m\xff\0\n")
        return b""

    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    with scripted(serve) as server:
        assert main(["send", server.target, "--local", "--get", "/"]) == 0
    assert terminal.getvalue() == "a\tb\n\\x1b[31m\\xff\\x00\n"


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def behind_the_header(authority):
    """What a server does that finds TLS behind a header."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(context)

    def serve(connection: socket.socket) -> bytes:
        header = b""
        while len(header) < len(build(CLIENT, SERVER)):
            header += connection.recv(1)
        with context.wrap_socket(connection, server_side=True) as secured:
            return header + answering(secured, after=0.3)  # when all was sent

    return serve


def test_tls(capfdbinary, tmp_path, authority, behind_the_header):
    cafile = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(cafile))
    with scripted(behind_the_header) as server:
        options = ["--tls", "--cafile", str(cafile), "--get", "/"]
        assert sent(capfdbinary, server.target, *ENDS, *options) == ANSWER
    assert server.received == [build(CLIENT, SERVER) + request(server.target)]


def test_standard_input_through_tls(
    capfdbinary, monkeypatch, tmp_path, authority, behind_the_header
):
    """TLS has no half of a connection to end: the server's end is awaited."""
    cafile, file = tmp_path / "ca.pem", tmp_path / "input"
    authority.cert_pem.write_to_path(str(cafile))
    file.write_bytes(b"GET / HTTP/1.0\r\n\r\n")
    with file.open() as opened, scripted(behind_the_header) as server:
        monkeypatch.setattr(sys, "stdin", opened)
        assert sent(capfdbinary, server.target, *ENDS, "--tls", "--cafile", str(cafile)) == ANSWER


def test_tls_that_is_not_trusted(capfd, behind_the_header):
    with scripted(lambda connection: ignoring_tls_errors(behind_the_header, connection)) as server:
        message = broken(capfd, server.target, *ENDS, "--tls", "--get", "/")
    assert re.fullmatch(
        rf"{server.target}: TLS failed: .*certificate.*: is it TLS behind the header there, and "
        r"its CA in --cafile\?",
        message,
    )


def ignoring_tls_errors(serve, connection: socket.socket) -> bytes:
    try:
        return serve(connection)
    except ssl.SSLError:
        return b""


def test_no_tls_there(capfd):
    def serve(connection: socket.socket) -> bytes:
        connection.sendall(b"HTTP/1.0 400\r\n\r\n")
        return connection.recv(65536)

    with scripted(serve) as server:
        message = broken(capfd, server.target, *ENDS, "--tls", "--get", "/")
    assert message.startswith(f"{server.target}: TLS failed: ")


@pytest.mark.parametrize(
    ("serve", "message"),
    [
        (
            refusing,
            "{} closed the connection without an answer: it refuses such a header, or "
            "expects one: fastppv2 probe {} tells",
        ),
        (resetting, "{} broke the connection off after 4 bytes"),
        (silent, "{} is silent for 0.2 s: raise --timeout, or probe it"),
    ],
)
def test_no_answer(capfd, serve, message):
    with scripted(serve) as server:
        timeout = "0.2" if serve is silent else "10"
        seen = broken(capfd, server.target, "--local", "--get", "/", "--timeout", timeout)
    assert seen == message.format(server.target, server.target)


def test_nobody_there(capfd):
    with socket.socket() as holder:
        holder.bind((HOST, 0))
        target = f"{HOST}:{holder.getsockname()[1]}"
        message = broken(capfd, target, "--get", "/")
    assert message == (
        f"cannot connect to {target}: Connection refused: is a server listening there?"
    )
    message = broken(capfd, "/no/such/socket", "--get", "/")
    assert message.startswith("cannot connect to /no/such/socket: No such file")


def test_a_network_that_goes(capfd, monkeypatch):
    async def fail(**_: object) -> None:
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr(asyncio, "open_connection", fail)
    with scripted(until_end) as server:
        message = broken(capfd, server.target, "--get", "/")
    assert message == f"{server.target}: Network is unreachable: is the network down?"


def test_no_standard_input(capfd, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    assert broken(capfd, "127.0.0.1:1").startswith("standard input is closed: ")


def test_standard_input_that_cannot_be_read(capfd, monkeypatch):
    class Directory:
        def __init__(self) -> None:
            self.descriptor = os.open("/", os.O_RDONLY)

        def fileno(self) -> int:
            return self.descriptor

    directory = Directory()
    monkeypatch.setattr(sys, "stdin", directory)
    with scripted(until_end) as server:
        message = broken(capfd, server.target, "--local")
    os.close(directory.descriptor)
    assert message == "cannot read standard input: Is a directory: pipe it, or --get /"


def test_cafile_that_cannot_be_read(capfd):
    message = broken(capfd, "127.0.0.1:1", "--tls", "--cafile", "/no/such", "--get", "/")
    assert message == "cannot read '/no/such': No such file or directory: pass certificates in PEM"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            ["here"],
            "HOST:PORT: expected HOST:PORT, [2001:db8::1]:443 or the path of a UNIX socket, "
            "got 'here'",
        ),
        (["h:0"], "HOST:PORT: expected HOST:PORT, "),
        (["h:65536"], "HOST:PORT: expected HOST:PORT, "),
        (["::1:80"], "HOST:PORT: expected HOST:PORT, "),
        (["h:1", "--times", "-1"], "--times is 0 or more, --timeout is more than 0"),
        (["h:1", "--timeout", "0"], "--times is 0 or more, --timeout is more than 0"),
        (["h:1", "--cafile", "x"], "--cafile is for --tls"),
        (["h:1", *ENDS, "--bytes", "00"], "--bytes stands in place of a header"),
    ],
)
def test_misuse(capfd, argv, message):
    assert misused(capfd, *argv).startswith(message)


def test_contradicting_options(capfd):
    with scripted(until_end) as server:
        message = misused(capfd, server.target, ENDS[0], "--get", "/")
    assert message == "SRC and DST are needed, or one of --local and --unknown"


def test_help_shows_examples(capfd):
    with pytest.raises(SystemExit):
        main(["send", "--help"])
    assert "\n  fastppv2 send " in capfd.readouterr().out
