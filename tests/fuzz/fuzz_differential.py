#!/usr/bin/env python3
"""What one backend says, all say, on inputs that a coverage-guided fuzzer finds.

The input's first byte says what is tried: ``parse``, ``Parser`` with cuts anywhere, ``encode`` or
``build``. ``run.py`` starts this file; atheris measures the coverage of the pure backend.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Callable

sys.path.insert(0, str(Path(__file__).parents[1]))

# Before the package is imported for the first time, or its code could not be measured.
if __name__ == "__main__":
    import atheris

    with atheris.instrument_imports(include=["fastppv2"]):
        import fastppv2._pure  # noqa: F401

from backends import Api, load_present
from test_differential import failed, told

from fastppv2 import Header, Parser, ProxyProtocolError

MAX_SIZES = (65551, 4096, 16, 28, 52, 107)
VERSIONS = ((1, 2), (1, 2), (1,), (2,))


class Source:
    """The input, taken piece by piece; zeros follow its end."""

    def __init__(self, data: bytes) -> None:
        self.left = data

    def bytes(self, size: int) -> bytes:
        taken, self.left = self.left[:size], self.left[size:]
        return taken.ljust(size, b"\0")

    def number(self, size: int = 1) -> int:
        return int.from_bytes(self.bytes(size), "big")

    def rest(self) -> bytes:
        return self.bytes(len(self.left))


def outcome(act: Callable[..., Any], *arguments: Any) -> Any:
    """What came of it, or which error, in which words; an error of any other kind is a finding."""
    try:
        return act(*arguments)
    except ProxyProtocolError as error:
        return failed(error)
    except (ValueError, TypeError) as error:
        return type(error), str(error)


def try_parse(apis: list[Api], source: Source) -> list[Any]:
    max_size = MAX_SIZES[source.number() % len(MAX_SIZES)]
    data = source.rest()

    def act(api: Api) -> Any:
        return told(api.parse(data, max_size=max_size))

    return [(api.detect(data), outcome(act, api)) for api in apis]


def try_parser(apis: list[Api], source: Source) -> list[Any]:
    max_size = MAX_SIZES[source.number() % len(MAX_SIZES)]
    versions = VERSIONS[source.number() % len(VERSIONS)]
    sizes = [source.number() for _ in range(source.number() % 6)]
    pieces = [source.bytes(min(size, len(source.left))) for size in sizes]
    pieces.append(source.rest())

    def act(api: Api) -> Any:
        parser = api.Parser(max_size=max_size, versions=versions)
        return outcome(feed, parser, pieces), parser.trailing_data

    return [act(api) for api in apis]


def feed(parser: Parser, pieces: list[bytes]) -> Any:
    """At which piece which header."""
    for at, piece in enumerate(pieces):
        header = parser.feed(piece)
        if header is not None:
            return at, header.raw, repr(header)
    parser.eof()
    raise AssertionError("neither a header nor an error")


def try_encode(apis: list[Api], source: Source) -> list[Any]:
    version = source.number() % 4
    data = source.rest()

    def act(api: Api) -> Any:
        header = api.parse(data)
        encoded = header.encode(version or None)
        again = api.parse(encoded)
        assert again.raw == encoded
        if header.family and header.transport and again.family:
            assert (again.source, again.destination) == (header.source, header.destination)
        return encoded

    return [outcome(act, api) for api in apis]


def take_end(source: Source) -> Any:
    kind = source.number() % 7
    if kind == 0:
        return None
    if kind < 3:
        path = source.bytes(source.number() % 112)
        return path if kind == 1 else os.fsdecode(path)
    if kind == 3:
        return source.bytes(source.number() % 48).decode("latin-1")
    if kind == 4:
        host = ".".join([str(octet) for octet in source.bytes(4)])
    elif kind == 5:
        host = ":".join([f"{source.number(2):x}" for _ in range(8)])
    else:
        host = source.bytes(source.number() % 48).decode("latin-1")
    return host, source.number(2)


def take_tlv(source: Source) -> tuple[int, bytes]:
    kind, size = source.number(), source.number()
    return kind, source.bytes(size if size < 250 else source.number(2))


def try_build(apis: list[Api], source: Source) -> list[Any]:
    bits = source.number()
    arguments: dict[str, Any] = {
        "source": take_end(source),
        "destination": take_end(source),
        "version": bits & 3,
        "command": (None, None, 0, 1, 2)[(bits >> 2 & 7) % 5],
        "transport": (1, 1, 1, 2, 0, 3)[(bits >> 5) % 6],
        "checksum": source.number() & 1 == 1,
        "tlvs": [take_tlv(source) for _ in range(source.number() % 5)],
    }

    def act(api: Api) -> Any:
        built = api.build(**arguments)
        header: Header = api.parse(built)
        assert header.raw == built
        return built, told(header)

    return [outcome(act, api) for api in apis]


TRIES = (try_parse, try_parser, try_encode, try_build)


def try_input(apis: list[Api], data: bytes) -> None:
    source = Source(data)
    results = TRIES[source.number() % len(TRIES)](apis, source)
    for api, result in zip(apis, results):
        assert result == results[0], f"{apis[0]}: {results[0]}\n{api}: {result}"


if __name__ == "__main__":
    present = load_present()
    atheris.Setup(sys.argv, lambda data: try_input(present, data))
    atheris.Fuzz()
