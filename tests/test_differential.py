"""What one backend says, all say: value, exception type, offset, needed and message.

``DIFFERENTIAL_INPUTS`` sets how many inputs are drawn (1,000,000 before a release).
"""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

from backends import Api
from generate import inputs
from hypothesis import given, settings
from hypothesis import strategies as st
from make import V2

from fastppv2 import Header, InvalidHeaderError, ProxyProtocolError
from fastppv2._spec import EXPECTED

COUNT = int(os.environ.get("DIFFERENTIAL_INPUTS", "40000"))
CHUNK = 20000
REPRESENTATIVE = 40000


def told(header: Header) -> tuple[Any, ...]:
    """All that can be read from a header."""
    return (
        header.raw,
        header.size,
        header.version,
        header.command,
        header.family,
        header.transport,
        header.source,
        header.destination,
        header.tlvs,
        header.ssl,
        header.checksum,
        header.alpn,
        header.authority,
        header.unique_id,
        header.netns,
        header.encode(1),
        header.encode(2),
        repr(header),
    )


def failed(error: ProxyProtocolError) -> tuple[Any, ...]:
    return type(error), str(error), vars(error)


def outcome(api: Api, data: Any, max_size: int) -> tuple[Any, ...]:
    try:
        return ("ok", *told(api.parse(data, max_size=max_size)))
    except ProxyProtocolError as error:
        return failed(error)


def piecewise(api: Api, data: bytes, max_size: int) -> tuple[Any, ...]:
    """The same through Parser, in two pieces."""
    parser = api.Parser(max_size=max_size)
    cut = len(data) // 3
    try:
        header = parser.feed(data[:cut]) or parser.feed(data[cut:])
        if header is not None:
            return ("ok", *told(header))
        parser.eof()
    except ProxyProtocolError as error:
        return failed(error)
    raise AssertionError("neither a header nor an error")


def status_of(result: tuple[Any, ...]) -> str:
    """What to count: the exception, and for an invalid header which rule was broken."""
    if result[0] == "ok":
        return "ok"
    kind, message = result[0].__name__, result[1]
    if issubclass(result[0], InvalidHeaderError):
        return next(name.name for name, text in EXPECTED.items() if f": {text};" in message)
    return str(kind)


def test_generated(apis: list[Api]) -> None:
    counts: Counter[str] = Counter()
    for start in range(0, COUNT, CHUNK):
        for data, max_size in inputs(start, min(CHUNK, COUNT - start)):
            results = [outcome(api, data, max_size) for api in apis]
            results += [outcome(api, memoryview(data), max_size) for api in apis]
            assert all(result == results[0] for result in results), (data.hex(), max_size)
            pieces = [piecewise(api, data, max_size) for api in apis]
            assert all(piece == pieces[0] for piece in pieces), (data.hex(), max_size)
            counts[status_of(results[0])] += 1
    if COUNT >= REPRESENTATIVE:
        check_mixture(counts)


def check_mixture(counts: Counter[str]) -> None:
    """A tenth each good, incomplete and invalid; every rule broken often enough."""
    print(COUNT, dict(counts))
    missing, incomplete = counts["MissingHeaderError"], counts["IncompleteHeaderError"]
    invalid = COUNT - counts["ok"] - missing - incomplete
    assert min(counts["ok"], incomplete, invalid) >= COUNT // 10
    rules = {status.name for status in EXPECTED} - {"VERSION_REFUSED"}
    assert rules | {"ok", "MissingHeaderError", "IncompleteHeaderError"} == set(counts)
    assert min(counts.values()) >= min(100, COUNT // 4000)


pieces_of_headers = st.one_of(
    st.binary(max_size=60),
    st.sampled_from([V2, V2 + b"\x21\x11", b"PROXY ", b"PROXY TCP4 ", b"PROXY TCP6 ", b"\r\n"]),
    st.from_regex(rb"[0-9a-fA-F:. +-]{0,40}", fullmatch=True),
)


@settings(max_examples=int(os.environ.get("HYPOTHESIS_EXAMPLES", "1000")), deadline=None)
@given(data=st.lists(pieces_of_headers, max_size=5).map(b"".join))
def test_hypothesis(apis: list[Api], data: bytes) -> None:
    results = [outcome(api, data, 65551) for api in apis]
    assert all(result == results[0] for result in results)
    found = [api.detect(data) for api in apis]
    assert all(detected is found[0] for detected in found)
