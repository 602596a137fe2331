"""README.md's examples, as they stand there; its servers are in tests/dropin and tests/servers."""

from __future__ import annotations

import ast
import asyncio
import re
import shlex
import socket
from contextlib import ExitStack

import pytest
from quoted import DOCS, quoted, rows
from sockets import CLIENT, FRONTEND, TIMEOUT, V2, receive, single_bytes

import fastppv2
from fastppv2 import ProxyProtocolError, build, cloud, parse
from fastppv2.cli import main

README = "../README.md"
TEXT = (DOCS / README).read_text(encoding="utf-8")
_, HEADER, ECHO, CONNECT = quoted(README, "python")
(DECODE,) = [code for code in quoted(README, "console") if code.startswith("fastppv2 decode")]
DECODED, ERRORS = quoted(README, "")
READERS = [row for row in rows(README) if "cloud" in row[0].lower() or "AWS Priv" in row[0]]


def test_decode(capsys):
    """Where the page has "..." there is more."""
    _, *arguments = shlex.split(DECODE)
    assert main(arguments) == 0
    said = capsys.readouterr().out
    at = 0
    for part in DECODED.split("...\n"):
        assert part in said[at:]
        at += said[at:].index(part) + len(part)


def test_a_header_and_what_follows_it():
    """Behind each expression stands what it gives."""
    names = {}
    exec(HEADER, names)
    told = re.findall(r"^(.*?)  # (.*)$", HEADER, re.MULTILINE)
    assert len(told) == 3
    for expression, value in told:
        assert eval(expression, names) == ast.literal_eval(value)


@pytest.mark.parametrize(("reader", "value"), [row[1:] for row in READERS])
def test_what_clouds_say(reader, value):
    first, *others = re.findall(r"`([a-z_]+)(?:\(header\))?`", reader)
    value = ast.literal_eval(value.strip("`"))
    for name in (first, *others):
        tlv = getattr(cloud, f"{name}_tlv")(value)
        header = parse(build(CLIENT, FRONTEND, tlvs=[tlv]))
        assert getattr(cloud, name)(header) == value
        assert getattr(cloud, name)(parse(V2)) is None


@pytest.mark.parametrize("pieces", [[V2 + b"hello"], single_bytes(V2 + b"hello")])
def test_a_connection_whose_bytes_come_in_pieces(pieces):
    names = {}
    exec(ECHO, names)

    async def talk():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(names["Echo"], "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        expected = b"client %a\nhello" % (CLIENT,)
        assert await asyncio.wait_for(reader.readexactly(len(expected)), TIMEOUT) == expected
        writer.close()
        server.close()

    asyncio.run(talk())


def test_a_header_to_send():
    names = {}
    exec(CONNECT, names)
    with ExitStack() as stack:
        front, upstream = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)
        ]
        client = stack.enter_context(socket.create_connection(front.getsockname()))
        accepted = stack.enter_context(front.accept()[0])
        stack.enter_context(names["connect_for"](accepted, upstream.getsockname()))
        told = stack.enter_context(upstream.accept()[0])
        told.settimeout(TIMEOUT)
        header = parse(receive(told, 16 + 12 + 7))  # with a checksum
        assert header.source == client.getsockname()
        assert header.destination == front.getsockname()
        assert header.checksum is not None


def test_errors():
    """The table's exceptions, and both messages, word by word."""
    invalid, missing = ERRORS.splitlines()
    for data, message in (
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 080 443\r\n", invalid),
        (b"GET / HTTP/1.1\r\n\r\n", missing),
    ):
        with pytest.raises(ProxyProtocolError) as caught:
            parse(data)
        assert str(caught.value) == message
    table = re.findall(r"^\| (`\w*Error`(?:, `\w*Error`)*) \|", TEXT, re.MULTILINE)
    named = [name for cell in table for name in re.findall(r"`(\w+)`", cell)]
    assert len(named) == 5
    assert all(issubclass(getattr(fastppv2, name), ProxyProtocolError) for name in named)
    assert issubclass(ProxyProtocolError, ValueError)


def test_encode(capsys):
    (command,) = re.findall(r"`fastppv2 (encode [^`]*)`", TEXT)
    assert main(shlex.split(command)) == 0
    header = parse(bytes.fromhex(capsys.readouterr().out))
    assert header.source == ("192.0.2.1", 56324)
    assert header.authority == "example.org"
    assert header.checksum is not None
