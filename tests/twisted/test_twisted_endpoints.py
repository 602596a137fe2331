"""Endpoints of Twisted around others, and described by text, without sockets."""

from __future__ import annotations

import gc
import os
import re
import sys
import weakref

import pytest

from fastppv2 import Policy, build, parse

if not os.environ.get("CI"):
    pytest.importorskip("twisted.internet.endpoints")

from twisted.internet.address import IPv4Address
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IStreamServerEndpointStringParser
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactor, StringTransport
from twisted.plugin import getPlugins
from twisted.protocols.policies import WrappingFactory

from fastppv2.twisted import ProxyProtocolFactory, ServerParser, client_endpoint
from fastppv2.twisted._strings import _Reactor

PEER = IPv4Address("TCP", "10.0.0.7", 4123)
HEADER = build(("192.0.2.1", 56324), ("198.51.100.2", 443))


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("FASTPPV2_"):
            monkeypatch.delenv(name)


def listening(description: str):
    """What the reactor is asked for."""
    reactor = MemoryReactor()
    serverFromString(reactor, description).listen(Factory.forProtocol(Protocol))
    return reactor


def test_twisted_finds_the_plugin() -> None:
    found = [p for p in getPlugins(IStreamServerEndpointStringParser) if p.prefix == "fastppv2"]
    assert [type(parser) for parser in found] == [ServerParser]


@pytest.mark.parametrize(
    ("description", "interface"),
    [
        ("tcp:8080", ""),
        ("tcp:port=8080:interface=127.0.0.1", "127.0.0.1"),
        ("tcp6:8080", "::"),
        (r"tcp6:8080:interface=\:\:1", "::1"),
    ],
)
@pytest.mark.parametrize("tls", ["", ":tls=inside"])
def test_tcp(description: str, interface: str, tls: str) -> None:
    reactor = listening(f"fastppv2:{description}:trusted=10.0.0.0/8{tls}")
    ((port, factory, _backlog, bound),) = reactor.tcpServers
    assert (port, bound) == (8080, interface)
    assert isinstance(factory, ProxyProtocolFactory)


@pytest.mark.parametrize("path", ["/run/app", "/a b", "/a:b", "/a=b", "/a\\b", "/=:\\"])
def test_what_is_in_an_argument_stays_in_it(path: str) -> None:
    quoted = "".join("\\" + char if char in ":=\\" else char for char in path)
    for described in (quoted, f"address={quoted}"):
        reactor = listening(f"fastppv2:unix:{described}:mode=600:trusted=unix")
        ((address, factory, _backlog, mode, _lock),) = reactor.unixServers
        assert (address, mode) == (path, 0o600)
        assert isinstance(factory, ProxyProtocolFactory)


def test_what_is_in_a_name_stays_in_it() -> None:
    """No endpoint has an option of such a name, so that the error tells what Twisted understood."""
    with pytest.raises(TypeError, match="unexpected keyword argument 'a:b=c'"):
        listening(r"fastppv2:tcp:8080:trusted=unix:a\:b\=c=d")


def test_settings_of_the_environment_and_of_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTPPV2_TRUSTED", "192.0.2.0/24")
    monkeypatch.setenv("FASTPPV2_TIMEOUT", "3")
    described = r"fastppv2:tcp:8080:trusted=10.0.0.0/8,2001\:db8\:\:/32:versions=2"
    ((_, factory, *_),) = listening(described).tcpServers
    factory.doStart()
    expected = Policy(["10.0.0.0/8", "2001:db8::/32"], versions=[2], timeout=3)
    assert factory.listener.policy == expected


@pytest.mark.parametrize(
    ("environ", "settings", "message"),
    [
        ({}, "", "FASTPPV2_TRUSTED: must name the load balancers"),
        ({}, ":trusted=10.0.0.1/8", "FASTPPV2_TRUSTED: "),
        ({}, ":trusted=unix:tls=both", "FASTPPV2_TLS: expected 'outside' or 'inside', got 'both'"),
        (
            {"FASTPPV2_LISTEN": ":8080"},
            ":trusted=unix",
            "FASTPPV2_LISTEN: not for Twisted, whose endpoints speak PROXY if they begin with "
            "fastppv2: leave it unset",
        ),
    ],
)
def test_what_does_not_start(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], settings: str, message: str
) -> None:
    for name, text in environ.items():
        monkeypatch.setenv(name, text)
    with pytest.raises(ValueError, match=re.escape(message)):
        listening(f"fastppv2:tcp:8080{settings}")


def test_the_reactor_is_still_itself() -> None:
    """For what an endpoint asks of it beside a port."""
    reactor = MemoryReactor()
    assert _Reactor(reactor, Policy("unix")).callWhenRunning == reactor.callWhenRunning


def test_a_transport_that_keeps_its_protocol_elsewhere() -> None:
    """Where the application would not receive anything after the header."""
    factory = ProxyProtocolFactory(Factory.forProtocol(Protocol), policy=Policy("unix"))
    factory.doStart()
    with pytest.raises(TypeError, match="expected a transport with its protocol in one of prot"):
        factory.buildProtocol(PEER).makeConnection(StringTransport())


class Transport(StringTransport):
    """As a reactor makes it."""

    reactor = Clock()
    sessionno = 7


def connected(factory: Factory, peer: IPv4Address | None = PEER) -> Transport:
    factory.doStart()
    transport = Transport()
    transport.protocol = factory.buildProtocol(peer)
    transport.protocol.makeConnection(transport)
    return transport


def test_a_peer_without_address_is_refused() -> None:
    factory = ProxyProtocolFactory(
        Factory.forProtocol(Protocol), policy=Policy("unix", untrusted="passthrough")
    )
    assert connected(factory, None).disconnected
    assert factory.listener.counters.refused["unreadable"] == 1


class Application(Protocol):
    received = b""

    def dataReceived(self, data):  # noqa: N802
        self.received += data


class Unwilling(Factory):
    def buildProtocol(self, addr):  # noqa: N802
        return None


def test_one_factory_on_transports_of_several_kinds() -> None:
    factory = ProxyProtocolFactory(Factory.forProtocol(Application), policy=Policy("10.0.0.0/8"))
    direct, under = connected(factory), connected(WrappingFactory(factory))
    for transport in (direct, under):
        transport.protocol.dataReceived(HEADER + b"ping")
    for application in (direct.protocol, under.protocol.wrappedProtocol):
        assert type(application) is Application
        assert application.received == b"ping"


@pytest.mark.skipif(sys.implementation.name == "pypy", reason="PyPy frees later")
@pytest.mark.parametrize("served", [Factory.forProtocol(Application), Unwilling()])
@pytest.mark.parametrize("first", [b"", b"ping"])
def test_nothing_is_left_to_the_garbage_collector(served: Factory, first: bytes) -> None:
    transport = connected(ProxyProtocolFactory(served, policy=Policy("10.0.0.0/8")))
    transport.protocol.dataReceived(HEADER + first)
    assert transport.disconnected is isinstance(served, Unwilling)
    gone = weakref.ref(transport)
    gc.disable()
    try:
        del transport.protocol  # as the reactor does at the end
        del transport
        assert gone() is None
    finally:
        gc.enable()


class Endpoint:
    """Gives the factory that it should connect with."""

    def connect(self, factory):
        return factory


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_client_sends_the_header_before_its_protocol_is_connected(kind: type) -> None:
    class Hello(Protocol):
        def connectionMade(self):  # noqa: N802
            self.transport.write(b"hello")

    factory = client_endpoint(Endpoint(), header=kind(HEADER)).connect(Factory.forProtocol(Hello))
    for _ in range(2):
        transport = StringTransport()
        factory.buildProtocol(PEER).makeConnection(transport)
        assert transport.value() == HEADER + b"hello"


def test_a_header_that_was_received_is_sent_as_it_was() -> None:
    factory = client_endpoint(Endpoint(), header=parse(HEADER)).connect(
        Factory.forProtocol(Protocol)
    )
    transport = StringTransport()
    factory.buildProtocol(PEER).makeConnection(transport)
    assert transport.value() == HEADER


def test_a_client_that_wants_no_connection() -> None:
    factory = client_endpoint(Endpoint(), header=HEADER).connect(Unwilling())
    assert factory.buildProtocol(PEER) is None
