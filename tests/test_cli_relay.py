"""``fastppv2 relay``: its options, what it says, and how it ends."""

from __future__ import annotations

import re
import signal
import socket
import sys

import pytest
from programs import HOST, TIMEOUT, Program
from scripted import scripted, until_end

from fastppv2 import build, parse, relay, udp
from fastppv2.cli import main
from fastppv2.relay import TransparencyError

CLIENT, SERVER = ("192.0.2.1", 56324), ("198.51.100.2", 443)


def echo(connection: socket.socket) -> bytes:
    received = until_end(connection)
    connection.sendall(b"re: " + received)
    return received


@pytest.fixture
def start(tmp_path):
    """The command in a process of its own, from when it listens."""
    started = []

    def start(*options: str, place: str | None = None, **env: str) -> Program:
        with socket.socket() as holder:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.bind((HOST, 0))
            port = holder.getsockname()[1]
        command = [sys.executable, "-m", "fastppv2", "relay"]
        listen = place or f"{HOST}:{port}"
        log = tmp_path / f"{len(started)}.log"
        program = Program([*command, "--listen", listen, *options], log, port, env=env)
        started.append(program)
        program.wait_until_said("listening on ")
        return program

    yield start
    for program in started:
        program.close()


def exchange(program: Program, data: bytes) -> bytes:
    with program.connect() as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return until_end(connection)


def test_a_connection_and_its_line(start):
    header = build(CLIENT, SERVER, tlvs=[(2, b"a"), (5, b"id")])
    with scripted(echo) as upstream:
        options = ["--accept-proxy", "--trusted", HOST, "--send-proxy", "v2"]
        changes = ["--drop-tlv", "unique-id", "--add-tlv", "0xEA=hex:0161", "--crc32c"]
        program = start("--to", upstream.target, *options, *changes)
        exchange(program, header + b"hello")
        program.wait_until_said(", ok\n")
    line = re.search(r"^\S+ 192\.0\.2\.1:56324 by 127\.0\.0\.1:\d+ to (\S+): 5 bytes sent",
                     program.said(), re.MULTILINE)  # fmt: skip
    assert line[1] == upstream.target
    sent = parse(upstream.received[0])
    assert [tlv.type for tlv in sent.tlvs] == [3, 2, 0xEA]


def test_settings_of_the_environment(start):
    with scripted(echo) as upstream:
        env = {"FASTPPV2_TRUSTED": HOST, "FASTPPV2_VERSIONS": "2"}
        program = start("--to", upstream.target, "--accept-proxy", **env)
        assert exchange(program, build(CLIENT, SERVER, version=1)) == b""
        program.wait_until_said("only version 2 is taken")
        assert exchange(program, build(CLIENT, SERVER) + b"hello") == b"re: hello"


def test_quiet(start):
    with scripted(echo) as upstream:
        program = start("--to", upstream.target, "--quiet")
        assert exchange(program, b"hello") == b"re: hello"
        program.process.terminate()
        program.process.wait(TIMEOUT)
    assert "bytes sent" not in program.said()


def test_datagrams(start):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((HOST, 0))
        sock.settimeout(TIMEOUT)
        options = ["--udp", "--accept-proxy", "--trusted", HOST, "--simple", "--grace", "0"]
        program = start("--to", f"localhost:{sock.getsockname()[1]}", *options)
        sent = udp.build_datagram(b"query", CLIENT, SERVER, format="simple")
        sock.sendto(sent, program.address)
        assert sock.recv(1000) == b"query"


def test_unix_sockets_and_every_address(start, tmp_path):
    with scripted(echo, tmp_path / "up") as upstream:
        program = start("--to", upstream.target, place=str(tmp_path / "front"))
        assert str(tmp_path)[:40] in program.said()
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(tmp_path / "front"))
            connection.shutdown(socket.SHUT_WR)
            assert until_end(connection) == b"re: "
        with socket.socket() as holder:
            holder.bind((HOST, 0))
            port = holder.getsockname()[1]
        program = start("--to", upstream.target, place=f":{port}")
        with program.connect(port) as connection:
            connection.shutdown(socket.SHUT_WR)
            assert until_end(connection) == b"re: "


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_waits_for_connections_and_the_next_one_does_not(start, number):
    with socket.create_server((HOST, 0)) as listener:
        program = start("--to", "{}:{}".format(*listener.getsockname()))
        with program.connect() as connection:
            server, _ = listener.accept()
            with server:
                program.process.send_signal(number)
                program.wait_until_said("ending: no more connections are taken, --grace is 30 s")
                server.sendall(b"the last word")
                assert connection.recv(100) == b"the last word"
                program.process.send_signal(number)
                with pytest.raises(ConnectionResetError):
                    connection.recv(100)
        assert program.process.wait(TIMEOUT) == 0
        assert ", shutdown\n" in program.said()


def test_help_shows_examples(capsys):
    with pytest.raises(SystemExit):
        main(["relay", "--help"])
    assert "\n  fastppv2 relay " in capsys.readouterr().out


def test_a_port_that_is_in_use(capfd):
    with socket.create_server((HOST, 0)) as listener:
        place = "{}:{}".format(*listener.getsockname())
        assert main(["relay", "--listen", place, "--to", "h:1"]) == 1
    assert capfd.readouterr().err == (
        f"fastppv2: cannot listen on {place}: Address already in use: is it in use, or not this "
        "machine's?\n"
    )


def test_without_uvloop(monkeypatch, capfd):
    monkeypatch.setattr("fastppv2.cli.relay.find_spec", lambda name: None)
    test_a_port_that_is_in_use(capfd)


def test_a_name_that_nobody_has(capfd):
    assert main(["relay", "--udp", "--listen", ":1", "--to", "no.such.invalid:1"]) == 1
    err = capfd.readouterr().err
    assert err.startswith("fastppv2: --to no.such.invalid:1: ")
    assert err.endswith(": is the name right?\n")


def test_transparent_without_the_privilege(capfd, monkeypatch):
    def refuse() -> None:
        raise TransparencyError("--transparent needs root")

    monkeypatch.setattr(relay, "check_transparency", refuse)
    assert main(["relay", "--listen", ":1", "--to", "h:1", "--transparent"]) == 1
    assert capfd.readouterr().err == "fastppv2: --transparent needs root\n"


def test_transparent_with_it(capfd, monkeypatch):
    monkeypatch.setattr(relay, "check_transparency", lambda: None)
    test_a_port_that_is_in_use(capfd)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--trusted", "10.0.0.1"], "--trusted is for --accept-proxy"),
        (["--accept-proxy"], "--accept-proxy: FASTPPV2_TRUSTED: must name the load balancers"),
        (["--accept-proxy", "--trusted", "10.0.0.1/8"], "--accept-proxy: FASTPPV2_TRUSTED: "),
        (["--crc32c"], "--drop-tlv, --add-tlv and --crc32c are for --send-proxy v2"),
        (["--drop-tlv", "all", "--send-proxy", "v1"], "--drop-tlv, --add-tlv and --crc32c are for"),
        (["--udp", "--send-proxy", "v1"], "--udp: version 1 knows only TCP"),
        (["--simple"], "--simple is for --udp --accept-proxy"),
        (["--no-replies", "--udp"], "--no-replies is for --udp --transparent"),
        (["--udp", "--to", "/run/app"], "--udp has no UNIX sockets, use HOST:PORT"),
        (["--transparent", "--to", "/run/app"], "--transparent needs IP addresses in --to"),
        (["--send-proxy", "v2", "--add-tlv", "3=hex:00"], "--add-tlv CRC32C: the checksum is"),
        (["--send-proxy", "v2", "--drop-tlv", "xyz"], "argument --drop-tlv: TYPE: expected 0 to"),
        (["--grace", "-1"], "--grace is 0 or more"),
        (["--to", "here"], "argument --to: expected HOST:PORT"),
    ],
)
def test_misuse(capsys, monkeypatch, options, message):
    monkeypatch.delenv("FASTPPV2_TRUSTED", raising=False)
    with pytest.raises(SystemExit) as caught:
        main(["relay", "--listen", ":1", "--to", "h:1", *options])
    assert caught.value.code == 2
    assert capsys.readouterr().err.partition("error: ")[2].startswith(message)
