"""Reading what a sender sent, with the backend under test."""

from __future__ import annotations

import pytest
from senders import PAYLOAD

from fastppv2 import Family, IncompleteHeaderError, Transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from senders import Arrival

    from fastppv2 import Header

MAX_SIZE = 65551


@pytest.fixture
def read(api) -> Callable[[Arrival], Header]:
    """The header of an arrival, once all that holds of any header held."""

    def read(arrival: Arrival) -> Header:
        parser = api.Parser(max_size=MAX_SIZE)
        header = parser.feed(arrival.received)
        assert isinstance(header, api.Header)
        assert header.raw == arrival.received[: header.size]
        assert parser.trailing_data == arrival.received[header.size :]
        check_pieces(api, arrival.received, header)
        check_encode(api, header)
        return header

    return read


def check_pieces(api, received: bytes, header: Header) -> None:
    """Byte by byte the header is there with its last byte, and ``needed`` never asks for more."""
    parser = api.Parser(max_size=MAX_SIZE)
    for at in range(header.size - 1):
        assert parser.feed(received[at : at + 1]) is None
        with pytest.raises(IncompleteHeaderError) as caught:
            api.parse(received[: at + 1])
        assert at + 1 < caught.value.needed <= header.size
    assert parser.feed(received[header.size - 1 : header.size]) == header


def check_encode(api, header: Header) -> None:
    """What was sent is what we would have sent: the same addresses and TLVs in the same order."""
    assert header.encode(header.version) == header.raw
    rebuilt = api.build(
        header.source,
        header.destination,
        version=header.version,
        command=header.command,
        tlvs=header.tlvs,
        checksum=header.checksum is not None,
    )
    assert rebuilt == header.raw


@pytest.fixture
def read_client(read) -> Callable[[Arrival], Header]:
    """The header of a client's connection: its true addresses, and its bytes behind it."""

    def read_client(arrival: Arrival) -> Header:
        header = read(arrival)
        assert arrival.received[header.size :] == PAYLOAD
        assert header.source == arrival.client
        assert header.destination == arrival.frontend
        if arrival.client is not None:
            assert header.family == (Family.INET6 if ":" in arrival.client[0] else Family.INET)
            assert header.transport == Transport.STREAM
        return header

    return read_client
