"""``fastppv2 probe``: each verdict, and what they are said to mean together.

The real servers are in tests/peers/test_probe.py.
"""

from __future__ import annotations

import re
import socket
import ssl
import struct

import pytest
import trustme
from scripted import HOST, scripted, until_end, until_request

from fastppv2 import build
from fastppv2.cli import main
from fastppv2.cli.probe import CASES, LOCAL, NONE, TWICE, V1, V2, WRONG

DEMANDS = "This port demands a PROXY header, and took one from here. "
OPTIONAL = "This port takes connections with and without header from here: it guesses, "
NONE_TAKEN = "This port takes no PROXY headers from here: "
BELIEVED = "It was believed: the answer names the client that the header made up.\n"
RIGHT = "Wrong checksums are refused: right.\n"
OK = "HTTP/1.1 200 OK\r\n\r\n"
BAD = "HTTP/1.1 400 Bad Request\r\n\r\n"
CLOSE, RESET, SILENT = "close", "reset", "silent"


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """None of these servers thinks long before it speaks first."""
    monkeypatch.setattr("fastppv2.cli.probe._FIRST_WORD", 0.05)


def answering(answers):
    """A server that finds by the bytes which case it is, and does what stands there for it."""

    def serve(connection: socket.socket) -> bytes:
        received = until_request(connection)
        (case,) = [case for case in CASES if received.startswith(case.header + b"GET ")] or [None]
        if case is None:  # the look whether the server speaks first
            return received
        answer = answers[case]
        if answer == SILENT:
            until_end(connection)
        elif answer == RESET:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif answer != CLOSE:
            own = connection.getpeername()[0]
            connection.sendall(answer.format(claimed=case.claims, own=own).encode())
        return received

    return serve


def probe(capsys, target: str, *options: str) -> tuple[list[str], str]:
    """The verdicts, in the order of the cases, and what is said below them."""
    assert main(["probe", target, *options]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.isascii()
    title, table, meaning = out.split("\n\n")
    assert title == target
    rows = [re.fullmatch(r"  (.{20})(\w+) +(.+)", line).groups() for line in table.splitlines()]
    assert [name.rstrip() for name, _, _ in rows] == [case.name for case in CASES]
    return [verdict for _, verdict, _ in rows], meaning


def ask(capsys, answers, *options: str) -> tuple[dict[str, str], str]:
    if SILENT in answers.values():
        options = (*options, "--timeout", "0.4")
    with scripted(answering(answers)) as server:
        verdicts, meaning = probe(capsys, server.target, *options)
    return dict(zip(CASES, verdicts)), meaning


def test_a_port_that_demands_a_header(capsys):
    answers = dict.fromkeys(CASES, OK + "{claimed}")
    answers.update({NONE: CLOSE, WRONG: RESET, TWICE: BAD})
    verdicts, meaning = ask(capsys, answers)
    assert {case.name: verdict for case, verdict in verdicts.items()} == {
        "no header": "refused",
        "v1 over IPv4": "believed",
        "v1 over IPv6": "believed",
        "v2 over IPv4": "believed",
        "v2 over IPv6": "believed",
        "v1 UNKNOWN": "answered",
        "v2 LOCAL": "answered",
        "v2, checksum": "believed",
        "v2, wrong checksum": "refused",
        "v2 twice": "payload",
    }
    assert meaning.startswith(DEMANDS)
    second = "A second header is payload, which the application refused: safe.\n"
    assert meaning.endswith(BELIEVED + RIGHT + second)


@pytest.mark.parametrize(
    ("answer", "verdict"), [(BAD, "payload"), (CLOSE, "refused"), (SILENT, "silent")]
)
def test_a_port_that_takes_none(capsys, answer, verdict):
    verdicts, meaning = ask(capsys, {**dict.fromkeys(CASES, answer), NONE: OK})
    assert verdicts == {**dict.fromkeys(CASES, verdict), NONE: "answered"}
    assert meaning.startswith(NONE_TAKEN)


def test_a_port_that_guesses(capsys):
    verdicts, meaning = ask(capsys, dict.fromkeys(CASES, OK + "you are {own}"))
    assert verdicts[V2] == "ignored"
    assert verdicts[LOCAL] == verdicts[NONE] == "answered"
    assert meaning.startswith(OPTIONAL)
    assert BELIEVED not in meaning
    assert "\nWrong checksums are taken: " in meaning
    assert meaning.endswith("\nA second header is swallowed, and neither of them counts.\n")


def test_an_application_that_dislikes_every_request(capsys):
    """400 without header as well as with one: that says nothing against the header."""
    verdicts, meaning = ask(capsys, {**dict.fromkeys(CASES, BAD), NONE: BAD})
    assert verdicts[NONE] == "refused"
    assert set(verdicts.values()) == {"refused", "payload"}
    assert meaning.startswith("It refuses all of these from here: ")


@pytest.mark.parametrize(
    ("version", "other", "said"), [(V1, V2, "Only version 1 is taken."), (V2, V1, "Only version 2")]
)
def test_one_version(capsys, version, other, said):
    takes = {case: OK if case.header[:1] == version.header[:1] else CLOSE for case in CASES}
    verdicts, meaning = ask(capsys, takes)
    assert (verdicts[version], verdicts[other]) == ("answered", "refused")
    assert said in meaning
    assert ("checksum" in meaning) == (version is V2)


def test_health_checks_that_would_fail(capsys):
    _, meaning = ask(capsys, {**dict.fromkeys(CASES, OK), NONE: CLOSE, LOCAL: CLOSE})
    assert "LOCAL is not taken: the balancer's health checks will fail.\n" in meaning


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (CLOSE, "A second header is refused: right."),
        (SILENT, "A second header is payload, and the application waits for more: safe."),
        (OK, "A second header is swallowed, so a client behind a balancer that adds one may send"),
        (OK + "{claimed}", "A second header is swallowed, and the first one counts."),
    ],
)
def test_a_second_header(capsys, answer, said):
    _, meaning = ask(capsys, {**dict.fromkeys(CASES, OK), NONE: CLOSE, TWICE: answer})
    assert meaning.splitlines()[-1].startswith(said)


def test_a_port_that_says_nothing(capsys):
    verdicts, meaning = ask(capsys, dict.fromkeys(CASES, SILENT))
    assert set(verdicts.values()) == {"silent"}
    assert meaning == "It answers nothing at all: is it TLS (--tls), or no HTTP server?\n"


def test_a_server_that_speaks_first(capsys):
    def serve(connection: socket.socket) -> bytes:
        connection.sendall(b"220 mail ESMTP\r\n")
        return until_request(connection)

    with scripted(serve) as server:
        verdicts, meaning = probe(capsys, server.target)
    assert set(verdicts) == {"answered"}
    assert meaning.startswith("It speaks before it is spoken to, so it demands no header; ")


def test_what_a_server_says_is_shown_escaped(capsys):
    with scripted(answering(dict.fromkeys(CASES, "\x1b[31m" + "\u202e" * 50))) as server:
        assert main(["probe", server.target]) == 0
    out = capsys.readouterr().out
    assert "\\x1b[31m" in out
    assert max(len(line) for line in out.splitlines()) < 100


def test_tls(capsys):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert(HOST).configure_cert(context)
    header = build(("192.0.2.77", 47777), ("198.51.100.77", 443))

    def serve(connection: socket.socket) -> bytes:
        if connection.recv(len(header), socket.MSG_WAITALL) != header:
            return b""
        try:
            with context.wrap_socket(connection, server_side=True) as secured:
                until_request(secured)
                secured.sendall(OK.encode())
        except ssl.SSLError:
            return b""
        return b""

    with scripted(serve) as server:
        verdicts, _ = probe(capsys, server.target, "--tls")
    found = dict(zip(CASES, verdicts))
    assert [case for case in CASES if found[case] == "answered"] == [V2]
    assert set(verdicts) == {"answered", "refused"}


def test_no_tls_there(capsys):
    def serve(connection: socket.socket) -> bytes:
        received = connection.recv(1)
        if received:
            connection.sendall(BAD.encode())
            until_end(connection)
        return received

    with scripted(serve) as server:
        assert main(["probe", server.target, "--tls"]) == 0
    assert capsys.readouterr().out.count("refused   TLS failed: ") == len(CASES)


def test_tls_that_is_broken_off(capsys):
    def serve(connection: socket.socket) -> bytes:
        received = connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return received

    with scripted(serve) as server:
        verdicts, meaning = probe(capsys, server.target, "--tls")
    assert set(verdicts) == {"refused"}
    assert meaning.startswith("It refuses all of these from here: ")


def test_tls_that_does_not_answer(capsys):
    with scripted(until_end) as server:
        verdicts, meaning = probe(capsys, server.target, "--tls", "--timeout", "0.1")
    assert set(verdicts) == {"silent"}
    assert meaning.startswith("It answers nothing at all: ")


def test_unix_socket(capsys, tmp_path):
    def serve(connection: socket.socket) -> bytes:
        received = until_request(connection)
        if received:
            connection.sendall(OK.encode())
        return received

    with scripted(serve, tmp_path / "socket") as server:
        verdicts, _ = probe(capsys, server.target)
    assert set(verdicts) == {"answered"}


def test_nobody_there(capsys):
    assert main(["probe", "/no/such/socket"]) == 1
    assert capsys.readouterr().err.startswith("fastppv2: cannot connect to /no/such/socket: ")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["here"], "HOST:PORT: expected HOST:PORT, "),
        (["h:1", "--timeout", "-1"], "--timeout is more than 0"),
    ],
)
def test_misuse(capsys, argv, message):
    with pytest.raises(SystemExit) as caught:
        main(["probe", *argv])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
