"""docs/coming-from/proxy-protocol.md: both programs, and the rows of its tables."""

from __future__ import annotations

import socket
import ssl
from contextlib import contextmanager
from functools import partial

import pytest
from coming_from import check_that_all_is_shown
from credentials import SERVER_NAME, Credentials
from programs import HOST
from proxyprotocol.detect import ProxyProtocolDetect
from proxyprotocol.v1 import ProxyProtocolV1
from proxyprotocol.v2 import ProxyProtocolV2
from quoted import quoted, rows
from serving import script
from sockets import CLIENT, FRONTEND, NAMELESS, NAMING, V2, connected, ended, receive

import fastppv2
from fastppv2 import build
from fastppv2.cloud import aws_vpce_id_tlv

PAGE = "coming-from/proxy-protocol.md"
BEFORE, AFTER, READ_BEFORE, READ_AFTER = quoted(PAGE, "python")
LINE = b"thank you\n"
TLS = """
import ssl
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain({certificate!r})
"""


def server(directory, program, balancer=HOST):
    directory.mkdir()
    changes = {"0.0.0.0": HOST}
    if program is AFTER:
        changes["10.0.0.7"] = balancer
    return script(directory, program, "8080", **changes)


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    with server(tmp_path_factory.mktemp("before") / "it", BEFORE) as program:
        program.connect().close()
        yield program


@pytest.fixture(scope="module")
def after(tmp_path_factory):
    with server(tmp_path_factory.mktemp("after") / "it", AFTER) as program:
        program.connect().close()
        yield program


def answer(program, header):
    """What the program says to a line behind the header, and the address that it is asked from."""
    with connected(program.address, header + LINE) as sock:
        return receive(sock, 4096), sock.getsockname()


def hello(client):
    return f"hello {client}\n".encode() + LINE


@pytest.mark.parametrize("name", ["v1", "v2"])
def test_the_programs(before, after, name):
    header, client, _ = NAMING[name]
    for program in (before, after):
        assert answer(program, header)[0] == hello(client)


def test_row_trust(before, tmp_path):
    """who is believed"""
    assert answer(before, V2)[0] == hello(CLIENT)
    with server(tmp_path / "after", AFTER, balancer="10.0.0.7") as after:
        after.connect().close()
        with connected(after.address, V2) as sock:
            assert ended(sock)
        after.wait_until_said("add 127.0.0.1 to trusted")


def test_row_aws(before, after):
    """an AWS PrivateLink header (CRC32C, endpoint, NOOP)"""
    endpoint = aws_vpce_id_tlv("vpce-0a1b2c3d4e5f60718")
    zeros = build(CLIENT, FRONTEND, tlvs=[(3, bytes(4)), endpoint, (4, bytes(36))], checksum=True)
    assert answer(before, zeros)[0] == b""
    before.wait_until_said("connection from None")
    assert answer(after, zeros)[0] == hello(CLIENT)


def test_row_eof(tmp_path, after):
    """a connection that ends inside a v1 line"""
    with server(tmp_path / "before", BEFORE) as before:
        before.connect().close()
        with connected(before.address, b"PROXY TCP4 1"):
            pass
        with connected(before.address, V2 + LINE) as sock:
            sock.settimeout(1)
            with pytest.raises(socket.timeout):
                sock.recv(1)
        before.process.kill()  # it does not hear anything else
    with connected(after.address, b"PROXY TCP4 1"):
        pass
    assert answer(after, V2)[0] == hello(CLIENT)
    after.wait_until_said("refused: a truncated PROXY header, 12 bytes and then the end")


def test_row_refused(before, after):
    """a refused header"""
    calls = before.said().count("connection from None"), after.said().count("connection from")
    for program in (before, after):
        with connected(program.address, b"PROXY TCP4 192.0.2.1 198.51.100.2 1 99999\r\n") as sock:
            assert ended(sock)
    before.wait_until_said("connection from None", calls[0] + 1)
    after.wait_until_said("invalid PROXY header at byte 36: destination port")
    assert after.said().count("connection from") == calls[1]


def test_row_nameless(before, after):
    """UNKNOWN and UNSPEC, which name nobody"""
    for name in ("unknown", "unspec"):
        assert answer(before, NAMELESS[name])[0] == hello(None)
        said, real = answer(after, NAMELESS[name])
        assert said == hello(real)


def test_row_grammar(before, after):
    """`PROXY TCP4 192.0.2.1 198.51.100.2 5_6 +80`"""
    line = b"PROXY TCP4 192.0.2.1 198.51.100.2 5_6 +80\r\n"
    assert answer(before, line)[0] == hello(("192.0.2.1", 56))
    assert ProxyProtocolV1().unpack(line).sockname == ("198.51.100.2", 80)
    with connected(after.address, line) as sock:
        assert ended(sock)


def test_row_long(before, after):
    """a v1 line of 50,000 bytes"""
    line = b"PROXY UNKNOWN " + b"x" * 49_984 + b"\r\n"
    assert answer(before, line)[0] == hello(None)
    with connected(after.address, line[:107]) as sock:
        assert ended(sock)


def test_row_tls(tmp_path):
    """TLS behind the header, `ssl=context`"""
    credentials = Credentials(tmp_path)
    trusting = ssl.create_default_context(cafile=str(credentials.ca))
    context = TLS.format(certificate=str(credentials.certificate))
    secure = partial(trusting.wrap_socket, server_hostname=SERVER_NAME)
    for program in (BEFORE, AFTER):
        text = context + program.replace("8080", "8080, ssl=context")
        changes = {"0.0.0.0": HOST, **({"10.0.0.7": HOST} if program is AFTER else {})}
        with script(tmp_path, text, "8080", **changes) as server:
            server.connect().close()
            with connected(server.address, V2) as sock:
                if program is BEFORE:
                    with pytest.raises((ssl.SSLError, ConnectionError)):
                        secure(sock)
                else:
                    with secure(sock) as tls:
                        tls.sendall(LINE)
                        assert receive(tls, 4096) == hello(CLIENT)


def test_row_repeated():
    """a TLV type that comes twice"""
    data = build(CLIENT, FRONTEND, tlvs=[(0xE1, b"1"), (0xE1, b"2")])
    assert dict(ProxyProtocolV2().unpack(data).tlv) == {0xE1: b"2"}
    assert fastppv2.parse(data).tlvs == ((0xE1, b"1"), (0xE1, b"2"))


def test_all_is_shown():
    check_that_all_is_shown(PAGE, globals())


@contextmanager
def sent(data):
    """The other end of a connection that brought the data."""
    here, there = socket.socketpair()
    with here, there:
        there.sendall(data)
        yield here


@pytest.mark.parametrize("name", ["v1", "v2"])
def test_reading_from_a_socket(name):
    header, client, _ = NAMING[name]
    for program, attribute in ((READ_BEFORE, "peername"), (READ_AFTER, "source")):
        names = {}
        exec(program, names)
        with sent(header + LINE) as sock:
            assert getattr(names["read"](sock), attribute) == client
            assert receive(sock, len(LINE)) == LINE  # not a byte more was read


def test_the_payload_behind_a_header():
    payload = fastppv2.TLV(0xE1, b"payload")
    data = V2 + bytes([payload.type, 0, len(payload.value)]) + payload.value
    assert dict(ProxyProtocolDetect().unpack(data).tlv) == {payload.type: payload.value}
    assert fastppv2.parse(data).tlvs == ()


SSL = bytes.fromhex("01 00000000 21 0007") + b"TLSv1.3" + bytes.fromhex("22 0002") + b"cn"
SSL += bytes.fromhex("23 0006") + b"cipher"
TLVS = [(1, b"h2"), (2, b"example.org"), (3, bytes(4)), (5, b"id"), (0x20, SSL)]
TLVS += [(0x30, b"blue"), (0xE1, b"it")]


@pytest.mark.parametrize(("old", "new"), [row for row in rows(PAGE) if len(row) == 2])
def test_names(old, new):
    data = build(CLIENT, FRONTEND, tlvs=TLVS, checksum=True)
    names = {
        "ProxyProtocolV1": ProxyProtocolV1,
        "ProxyProtocolV2": ProxyProtocolV2,
        "build": build,
        "header": fastppv2.parse(data),
        "result": ProxyProtocolV2().unpack(data),
    }
    was, became = [eval(name.strip("`"), names) for name in (old, new)]
    assert was == became
