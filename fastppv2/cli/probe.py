"""``fastppv2 probe``: what a port makes of PROXY headers, and what that means for its safety."""

from __future__ import annotations

import argparse
import re
import socket
import ssl
import sys
from typing import NamedTuple

from fastppv2 import build
from fastppv2.cli.send import http_request
from fastppv2.cli.target import Target, parse_target

_DESCRIPTION = """\
Find out what a port makes of PROXY protocol headers: it connects with one header after another in
front of an HTTP request, and tells what came back, and what that means for who can reach the port.

What a server believes may depend on who asks: probe from where clients are, and from the balancer.
If the answer contains the client's address, the verdicts tell whether the header was believed."""

_EPILOG = """\
verdicts:
  answered   by the application; believed: and it names the header's client; ignored: and it
             names the real one
  payload    the header was taken for a part of the request
  refused    the connection was ended without an answer
  silent     nothing came in time"""

_TIMEOUT = 3.0
_FIRST_WORD = 0.5  # seconds that a server has to speak before it is spoken to
_MOST = 1 << 18  # bytes of an answer
_SHOWN = 40  # characters
_STATUS = re.compile(rb"HTTP/[0-9.]+ ([0-9]{3})")
# What HTTP servers say to bytes that are no request.
_COMPLAINTS = frozenset({b"400", b"405", b"501", b"505"})
# Addresses for documentation (RFC 5737, RFC 3849), which no client has.
_CLIENTS = {4: "192.0.2.77", 6: "2001:db8::77"}
_SERVERS = {4: "198.51.100.77", 6: "2001:db8:77::"}
_PORT = 47777


class Case(NamedTuple):
    """What is sent in front of the request."""

    name: str
    header: bytes
    claims: str = ""  # the client that it names


class Outcome(NamedTuple):
    verdict: str
    detail: str


def _cases() -> list[Case]:
    cases = []
    for version in (1, 2):
        for family, client in _CLIENTS.items():
            header = build((client, _PORT), (_SERVERS[family], 443), version=version)
            cases.append(Case(f"v{version} over IPv{family}", header, client))
    ends = (_CLIENTS[4], _PORT), (_SERVERS[4], 443)
    checked = build(*ends, checksum=True)
    wrong = checked[:-1] + bytes([checked[-1] ^ 1])
    plain = build(*ends)
    return [
        Case("no header", b""),
        *cases,
        Case("v1 UNKNOWN", build(version=1)),
        Case("v2 LOCAL", build()),
        Case("v2, checksum", checked, _CLIENTS[4]),
        Case("v2, wrong checksum", wrong, _CLIENTS[4]),
        Case("v2 twice", plain + build((_CLIENTS[6], _PORT), (_SERVERS[6], 443)), _CLIENTS[4]),
    ]


NONE, V1, _, V2, _, _, LOCAL, _, WRONG, TWICE = CASES = _cases()


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "probe",
        help="find out what a port makes of headers",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "target", metavar="HOST:PORT", help="the server, or the path of its UNIX socket"
    )
    parser.add_argument(
        "--tls",
        action="store_true",
        help="speak TLS behind the header; the certificate is not verified",
    )
    parser.add_argument("--get", metavar="PATH", default="/", help="request PATH (%(default)s)")
    parser.add_argument(
        "--timeout",
        type=float,
        default=_TIMEOUT,
        metavar="SECONDS",
        help="for each answer (%(default)g)",
    )
    parser.set_defaults(run=run, usage_error=parser.error)


def run(arguments: argparse.Namespace) -> int:
    """Prints a line for each header and what they mean together."""
    try:
        target = parse_target(arguments.target)
    except ValueError as error:
        arguments.usage_error(f"HOST:PORT: {error}")
    if arguments.timeout <= 0:
        arguments.usage_error("--timeout is more than 0")
    request = http_request(target, arguments.get)
    context = _context() if arguments.tls else None
    speaks_first = _speaks_first(target, arguments.timeout)
    outcomes: dict[Case, Outcome] = {}
    sys.stdout.write(f"{target}\n\n")
    for case in CASES:
        answer = _answer(target, case.header, request, context, arguments.timeout)
        outcome = outcomes[case] = _judge(case, answer)
        sys.stdout.write(f"  {case.name:<20}{outcome.verdict:<10}{outcome.detail}\n")
        sys.stdout.flush()
    sys.stdout.write("\n" + "".join([f"{line}\n" for line in _meaning(outcomes, speaks_first)]))
    return 0


def _context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


# What comes back.


class Answer(NamedTuple):
    data: bytes
    ended: str  # "" while the connection is open, else how it ended
    own: str  # our address


def _speaks_first(target: Target, timeout: float) -> bool:
    with target.connect(timeout) as connection:
        connection.settimeout(min(timeout, _FIRST_WORD))
        return bool(_receive(connection).data)


def _answer(
    target: Target, header: bytes, request: bytes, context: ssl.SSLContext | None, timeout: float
) -> Answer:
    with target.connect(timeout) as connection:
        try:
            if context is None:
                connection.sendall(header + request)
                return _receive(connection)
            with context.wrap_socket(
                connection, server_hostname=target.host, do_handshake_on_connect=False
            ) as secured:
                socket.socket.sendall(secured, header)  # in front of TLS
                secured.do_handshake()
                secured.sendall(request)
                return _receive(secured)
        except ssl.SSLError as error:
            return Answer(b"", f"TLS failed: {error.reason or 'no TLS'}", "")
        except socket.timeout:
            return Answer(b"", "", "")
        except OSError:  # or "not connected", if it is gone before TLS begins
            return Answer(b"", "reset", "")


def _receive(connection: socket.socket) -> Answer:
    """What comes until the end; what came before a reset, too."""
    name = connection.getsockname()
    own = name[0] if isinstance(name, tuple) else ""
    data, ended = b"", ""
    try:
        while len(data) < _MOST and not ended:
            piece = connection.recv(_MOST)
            data += piece
            ended = "" if piece else "closed"
    except ConnectionError:
        ended = "reset"
    except socket.timeout:
        pass  # it leaves the connection open
    return Answer(data, ended, own)


def _judge(case: Case, answer: Answer) -> Outcome:
    """What the answer says of the header."""
    data = answer.data
    if not data:
        if answer.ended:
            return Outcome("refused", f"{answer.ended} without an answer")
        return Outcome("silent", "nothing in time")
    status = _STATUS.match(data)
    line = data.split(b"\n", 1)[0].rstrip(b"\r")
    shown = ascii(line.decode("latin-1"))[1:-1][:_SHOWN]
    if status and status[1] in _COMPLAINTS:
        return Outcome("payload" if case.header else "refused", shown)
    if case.claims and case.claims.encode() in data:
        return Outcome("believed", shown)
    if case.claims and answer.own and answer.own.encode() in data:
        return Outcome("ignored", shown)
    return Outcome("answered", shown)


# What it means.

_TAKEN = frozenset({"answered", "believed", "ignored"})


def _meaning(outcomes: dict[Case, Outcome], speaks_first: bool) -> list[str]:
    if speaks_first:
        return [_SPEAKS_FIRST]
    taken = {case for case in CASES if outcomes[case].verdict in _TAKEN}
    if not taken - {NONE}:
        if NONE in taken:
            return [_NONE_TAKEN]
        silent = all(outcome.verdict == "silent" for outcome in outcomes.values())
        return [_ALL_SILENT if silent else _ALL_REFUSED]
    lines = [_OPTIONAL if NONE in taken else _DEMANDS]
    if any(outcome.verdict == "believed" for outcome in outcomes.values()):
        lines.append(_BELIEVED)
    versions = [number for number, case in ((1, V1), (2, V2)) if case in taken]
    if len(versions) == 1:
        lines.append(f"Only version {versions[0]} is taken.")
    if V2 in taken:
        if LOCAL not in taken:
            lines.append("LOCAL is not taken: the balancer's health checks will fail.")
        lines.append(_WRONG_TAKEN if WRONG in taken else "Wrong checksums are refused: right.")
        lines.append(_SECOND[outcomes[TWICE].verdict])
    return lines


_DEMANDS = """\
This port demands a PROXY header, and took one from here. Whoever can reach it chooses the
client's address: only the balancer should. If you are not the balancer, close the port to you."""
_OPTIONAL = """\
This port takes connections with and without header from here: it guesses, which the
specification forbids (section 2). Every client that can reach it, even through a balancer that
adds no header, can choose its own address."""
_BELIEVED = "It was believed: the answer names the client that the header made up."
_WRONG_TAKEN = """\
Wrong checksums are taken: a header that was damaged on the way goes unnoticed (2.2.3)."""
_SECOND = {
    "refused": "A second header is refused: right.",
    "payload": "A second header is payload, which the application refused: safe.",
    "silent": "A second header is payload, and the application waits for more: safe.",
    "answered": """\
A second header is swallowed, so a client behind a balancer that adds one may send its own.""",
    "believed": "A second header is swallowed, and the first one counts.",
    "ignored": "A second header is swallowed, and neither of them counts.",
}
_NONE_TAKEN = """\
This port takes no PROXY headers from here: a client cannot choose its address with one. Behind
a balancer that sends them it will fail."""
_ALL_SILENT = """\
It answers nothing at all: is it TLS (--tls), or no HTTP server?"""
_ALL_REFUSED = """\
It refuses all of these from here: it trusts other peers, is TLS (--tls), or no HTTP server. Its
log should say which."""
_SPEAKS_FIRST = """\
It speaks before it is spoken to, so it demands no header; whether it takes one, an HTTP request
cannot tell."""
