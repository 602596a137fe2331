"""What an application is shown of the ends of its connection: the name of a host, a socket."""

from __future__ import annotations

import copy
import pickle
import select
import socket
from ipaddress import ip_address

import pytest

from fastppv2 import build, parse
from fastppv2._endpoint import Host, SocketView

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

BALANCER = ("10.0.0.7", 4123)
CLIENT, SERVER = ("198.51.100.1", 56324), ("203.0.113.1", 443)
HEADER = parse(build(CLIENT, SERVER))


@pytest.fixture
def host() -> Host:
    return Host("203.0.113.1", HEADER, BALANCER)


@pytest.fixture
def view() -> Iterator[SocketView]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.send(b"hello")
        yield SocketView(ours, socket.AF_INET, CLIENT, SERVER)


def test_a_host_is_its_name(host: Host) -> None:
    assert host == "203.0.113.1"
    assert hash(host) == hash("203.0.113.1")
    assert f"{host}:{host!r}" == "203.0.113.1:'203.0.113.1'"
    assert ip_address(host) == ip_address("203.0.113.1")


def test_a_host_keeps_its_header_through_str(host: Host) -> None:
    """That is how servers make ``scope["server"]``."""
    assert str(host) is host
    assert str(host).proxy_header is HEADER  # type: ignore[attr-defined]
    assert str(host).proxy_peername == BALANCER  # type: ignore[attr-defined]


def test_what_is_made_of_a_host_is_plain_text(host: Host) -> None:
    for text in (host[:], host.lower(), host + ""):
        assert type(text) is str


def test_equal_hosts_keep_headers_of_their_own(host: Host) -> None:
    other = Host("203.0.113.1", parse(build(("192.0.2.9", 9), SERVER)), BALANCER)
    assert other == host
    assert other.proxy_header != host.proxy_header


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copy_of_a_host_has_the_header(host: Host, way) -> None:
    found = way(host)
    assert (type(found), found) == (Host, host)
    assert (found.proxy_header, found.proxy_peername) == (HEADER, BALANCER)


def test_a_socket_names_the_ends_of_the_header(view: SocketView) -> None:
    assert view.getpeername() == CLIENT
    assert view.getsockname() == SERVER
    assert view.family == socket.AF_INET
    assert repr(CLIENT) in repr(view)


def test_all_else_is_the_socket(view: SocketView) -> None:
    assert view.type == socket.SOCK_STREAM
    assert select.select([view], [], [], 0)[0] == [view]
    assert view.recv(9) == b"hello"
    with pytest.raises(AttributeError, match="no_such_method"):
        view.no_such_method  # noqa: B018
