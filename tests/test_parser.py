"""Parser: a header in pieces, and what the caller gets back around it."""

from __future__ import annotations

import random

import pytest
from backends import Api
from make import V2, tlv, v2

from fastppv2 import (
    HeaderTooLargeError,
    IncompleteHeaderError,
    InvalidHeaderError,
    MissingHeaderError,
)

LINE = b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"
BLOCK = v2(0x21, 0x11, bytes(12) + tlv(1, b"h2"))
PAYLOAD = b"GET / HTTP/1.1\r\n\r\n"


@pytest.mark.parametrize("raw", [LINE, BLOCK, b"PROXY UNKNOWN\r\n"])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_cut(api: Api, raw: bytes, kind: type) -> None:
    data = raw + PAYLOAD
    for cut in range(len(data) + 1):
        parser = api.Parser()
        header = parser.feed(kind(data[:cut]))
        assert (header is not None) == (cut >= len(raw))
        if header is None:
            assert parser.trailing_data == b""
            header = parser.feed(kind(data[cut:]))
        assert header is not None
        assert header.raw == raw
        behind = data[len(raw) : cut] if cut >= len(raw) else data[len(raw) :]
        assert parser.trailing_data == behind
        assert type(parser.trailing_data) is bytes


def test_random_pieces(api: Api) -> None:
    draw = random.Random(1)
    for _ in range(300):
        parser, data, at = api.Parser(), BLOCK + PAYLOAD, 0
        header = None
        while header is None:
            size = draw.randrange(4)
            header = parser.feed(data[at : at + size])
            at += size
        assert header.raw + parser.trailing_data == data[:at]


def test_nothing_is_parsed_before_it_can_matter(api: Api) -> None:
    calls = []

    class Counting(api.Parser):  # type: ignore[name-defined, misc]
        @staticmethod
        def _parse(data: bytes, *, max_size: int) -> object:
            calls.append(len(data))
            return api.parse(data, max_size=max_size)

    large = v2(0x21, 0x11, bytes(12) + tlv(0xE0, bytes(3000)))
    parser = Counting()
    assert parser.feed(b"") is None
    for at in range(len(large)):
        parser.feed(large[at : at + 1])
    assert calls == [1, 16, len(large)]


def test_feed_after_the_end(api: Api) -> None:
    parser = api.Parser()
    assert parser.feed(LINE + PAYLOAD) is not None
    with pytest.raises(RuntimeError, match="make a new one"):
        parser.feed(b"")
    parser.eof()
    assert parser.trailing_data == PAYLOAD
    parser = api.Parser()
    with pytest.raises(MissingHeaderError):
        parser.feed(PAYLOAD)
    with pytest.raises(RuntimeError):
        parser.feed(b"x")


def test_nothing_is_lost_on_an_error(api: Api) -> None:
    parser = api.Parser()
    assert parser.feed(b"PRO") is None
    with pytest.raises(MissingHeaderError):
        parser.feed(b"PFIND / HTTP/1.1")
    assert parser.trailing_data == b"PROPFIND / HTTP/1.1"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", IncompleteHeaderError),
        (b"PROXY TCP4 1", IncompleteHeaderError),
        (BLOCK[:-1], IncompleteHeaderError),
        (V2 + b"\x31", InvalidHeaderError),
    ],
)
def test_eof(api: Api, data: bytes, kind: type[Exception]) -> None:
    parser = api.Parser()
    for at in range(len(data)):
        assert parser.feed(data[at : at + 1]) is None
    with pytest.raises(kind) as caught:
        parser.eof()
    assert type(caught.value) is kind
    assert parser.trailing_data == data
    parser.eof()
    with pytest.raises(RuntimeError):
        parser.feed(b"x")


@pytest.mark.parametrize(("versions", "raw"), [((2,), LINE), ({1}, BLOCK)])
def test_version_that_is_not_taken(api: Api, versions: tuple[int], raw: bytes) -> None:
    for data in (raw, raw[:12]):
        parser = api.Parser(versions=versions)
        with pytest.raises(InvalidHeaderError, match="is not accepted here") as caught:
            parser.feed(data)
        assert caught.value.offset == 0
        assert parser.trailing_data == data
    parser = api.Parser(versions=versions)
    assert parser.feed(raw[:1]) is None
    with pytest.raises(InvalidHeaderError):
        parser.feed(raw[1:])
    other = LINE if raw == BLOCK else BLOCK
    header = api.Parser(versions=versions).feed(other)
    assert header is not None


def test_eof_names_a_version_that_is_not_taken(api: Api) -> None:
    parser = api.Parser(versions=[2])
    assert parser.feed(b"P") is None
    assert parser.feed(b"ROXY TC") is None
    with pytest.raises(InvalidHeaderError, match="is not accepted here"):
        parser.eof()


@pytest.mark.parametrize("raw", [LINE, BLOCK])
def test_both_versions_in_so_many_words(api: Api, raw: bytes) -> None:
    header = api.Parser(versions=[2, 1]).feed(raw)
    assert header is not None
    assert header.raw == raw


@pytest.mark.parametrize("versions", [(), (3,), (1, 2, 3), ("1",)])
def test_versions_are_checked(api: Api, versions: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="versions: expected"):
        api.Parser(versions=versions)


def test_bounds(api: Api) -> None:
    """What is kept never exceeds max_size: a larger header is refused at its 16th byte."""
    parser = api.Parser(max_size=100)
    assert parser.feed(V2 + b"\x21\x11\0") is None
    with pytest.raises(HeaderTooLargeError):
        parser.feed(b"\x55")
    parser = api.Parser(max_size=100)
    assert parser.feed(V2 + b"\x21\x11\0\x54") is None
    endless = api.Parser()
    assert endless.feed(b"PROXY UNKNOWN ") is None
    with pytest.raises(InvalidHeaderError) as caught:
        for _ in range(107):
            assert endless.feed(b"x") is None
    assert caught.value.offset == 106


def test_wrong_type(api: Api) -> None:
    with pytest.raises(TypeError, match="expected a bytes-like object, got str"):
        api.Parser().feed("PROXY")
