"""HAProxy's ``accept-proxy`` takes what ``build`` makes, and reads it as we mean it."""

from __future__ import annotations

import socket
from contextlib import ExitStack

import pytest
from headers import ADDRESSLESS, ENDS, KINDS, TLVS
from servers import (
    HTTP_REQUEST,
    IPV4,
    IPV6,
    TIMEOUT,
    Listener,
    ask,
    authority,
    haproxy,
    has_loopback,
    receive_until,
    require_loopback,
    reserved_port,
)

from fastppv2 import Command, TLVType

# What HAProxy makes of the header; the text of absent TLVs is empty.
FETCHES = ("src", "src_port", "dst", "dst_port", "fc_pp_authority", "fc_pp_unique_id")
REPLY = ",".join([f"%[{fetch}]" for fetch in FETCHES])
# "The receiver is free to accept the connection anyway [...] or to reject the connection" (2.2):
# HAProxy 2.6 rejects it.
REFUSED = "v2-proxy-unspec"

REPORTER = """\
frontend report-{name}
    mode http
    bind {address} accept-proxy
    http-request return status 200 content-type text/plain lf-string "{reply}"
"""

RELAY = """\
frontend {option}
    bind {address} accept-proxy
    default_backend {option}
backend {option}
    server application {server} {option}
"""


@pytest.fixture(scope="module")
def application():
    with Listener() as listener:
        yield listener


@pytest.fixture(scope="module")
def frontends(tmp_path_factory, application):
    """HAProxy's addresses: by host those that report, by option those that send on."""
    with ExitStack() as stack:
        addresses = {}
        sections = ""
        for host in filter(has_loopback, (IPV4, IPV6)):
            address = addresses[host] = host, stack.enter_context(reserved_port(host))
            sections += REPORTER.format(name=address[1], address=authority(*address), reply=REPLY)
        for option in ("send-proxy", "send-proxy-v2"):
            address = addresses[option] = IPV4, stack.enter_context(reserved_port())
            sections += RELAY.format(
                option=option, address=authority(*address), server=authority(*application.address)
            )
        stack.enter_context(haproxy(tmp_path_factory.mktemp("haproxy"), sections))
        yield addresses


def report(address, header):
    """Our own address, and what HAProxy reports of the connection behind that header."""
    own, response = ask(address, header + HTTP_REQUEST)
    head, _, body = response.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    return own, body.decode().split(",")


def ends(source, destination):
    return [source[0], str(source[1]), destination[0], str(destination[1])]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("source", "destination"), ENDS)
def test_addresses(api, frontends, kind, source, destination):
    _, reported = report(frontends[IPV4], api.build(source, destination, **KINDS[kind]))
    tlvs = dict(KINDS[kind].get("tlvs", ()))
    texts = [tlvs.get(type, b"").decode() for type in (TLVType.AUTHORITY, TLVType.UNIQUE_ID)]
    assert reported == [*ends(source, destination), *texts]


@pytest.mark.parametrize("host", [IPV4, IPV6])
@pytest.mark.parametrize("kind", [kind for kind in ADDRESSLESS if kind != REFUSED])
def test_without_addresses_the_real_ones_stand(api, frontends, kind, host):
    require_loopback(host)
    own, reported = report(frontends[host], api.build(**ADDRESSLESS[kind]))
    assert reported[:4] == ends(own, frontends[host])


@pytest.mark.parametrize("option", ["send-proxy", "send-proxy-v2"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("source", "destination"), ENDS)
def test_what_we_build_is_what_haproxy_sends_on(
    api, application, frontends, option, kind, source, destination
):
    header = api.build(source, destination, **KINDS[kind])
    with socket.create_connection(frontends[option], TIMEOUT) as connection:
        connection.sendall(header + HTTP_REQUEST)
        received, _ = application.receive(HTTP_REQUEST)
    version = 1 if option == "send-proxy" else 2
    assert received == api.build(source, destination, version=version) + HTTP_REQUEST


def test_haproxy_checks_our_checksum(api, frontends):
    """The same header is taken with the right one, and refused with one bit of it changed."""
    source, destination = ENDS[0].values
    right = api.build(source, destination, tlvs=TLVS, checksum=True)
    _, reported = report(frontends[IPV4], right)
    assert reported[:4] == ends(source, destination)
    checksum = api.parse(right).get(TLVType.CRC32C)
    wrong = right.replace(checksum, bytes([checksum[0] ^ 1]) + checksum[1:])
    assert answer(frontends[IPV4], wrong) == b""


def test_haproxy_refuses_a_changed_address(api, frontends):
    source, destination = ENDS[0].values
    header = api.build(source, destination, command=Command.PROXY, checksum=True)
    packed = socket.inet_aton(source[0])
    changed = header.replace(packed, packed[:3] + bytes([packed[3] ^ 1]))
    assert answer(frontends[IPV4], changed) == b""


def answer(address, header):
    """What comes back; nothing where the connection ends, in whichever way it does."""
    with socket.create_connection(address, TIMEOUT) as connection:
        connection.sendall(header + HTTP_REQUEST)
        try:
            return receive_until(connection, b"")
        except ConnectionResetError:
            return b""
