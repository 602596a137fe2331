"""``fastppv2 decode``: the headers at the start of a stream, field by field or as JSON."""

from __future__ import annotations

import argparse
import json
import sys

from fastppv2 import (
    ChecksumError,
    Detected,
    Header,
    IncompleteHeaderError,
    InvalidHeaderError,
    ProxyProtocolError,
    cloud,
    detect,
    parse,
)
from fastppv2.cli import source
from fastppv2.cli.describe import Line, describe, render
from fastppv2.cli.failure import CommandError

_DESCRIPTION = """\
Show PROXY protocol headers field by field, with the offset of each byte in the stream.

INPUT is hex, the text of a header, a file, or - (also: none) for standard input:
  hex    digits in groups of any even length, with spaces, newlines, colons, commas or 0x
         between them; several arguments count as one
  text   begins with PROXY or a backslash; \\r \\n \\t \\0 \\\\ \\xHH stand for one byte each,
         and a PROXY line without any line end is given CRLF
  file   any other argument. One that is hex or text and the name of a file as well is
         refused: say which with --hex, --text or --file
A file and standard input may hold the bytes themselves, hex, or text with a backslash in front.

Several headers one after another are all shown. What follows the last one is payload and is
counted; it is taken for another header where it begins with a whole signature, and is an error
where that header is broken (--first takes it for payload). What was decoded before an error is
still shown.

exit status: 0 decoded, 1 not (one line on standard error says why), 2 wrong usage"""

_EPILOG = """\
examples:
  fastppv2 decode 0d0a0d0a000d0a515549540a 2111000c c0000201 c6336402 dc04 01bb
  fastppv2 decode 'PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\\r\\n'
  fastppv2 decode --json capture.bin
  nc -l 8080 | fastppv2 decode"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "decode",
        help="show headers field by field",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("input", metavar="INPUT", nargs="*", help="see above")
    kind = parser.add_mutually_exclusive_group()
    for name, help in (
        ("hex", "INPUT, or standard input, is hex"),
        ("text", "INPUT, or standard input, is text with escapes"),
        ("file", "INPUT is the name of a file"),
    ):
        kind.add_argument(f"--{name}", dest="kind", action="store_const", const=name, help=help)
    parser.add_argument("--first", action="store_true", help="decode the first header alone")
    parser.add_argument(
        "--json",
        action="store_true",
        help='one document: {"headers": [...], "payload_bytes": number or null, '
        '"error": null or text}; bytes are in hex, "cloud" is what a cloud says of the client',
    )
    parser.set_defaults(run=run, usage_error=parser.error)


def run(arguments: argparse.Namespace) -> int:
    """Prints what the input holds; CommandError where that is not a header."""
    if arguments.kind == "file" and len(arguments.input) != 1:
        arguments.usage_error("--file needs the name of one file as INPUT")
    data, note = source.read(arguments.input, arguments.kind)
    headers, end, error = _decode(data, only_first=arguments.first)
    if not headers and error is not None:
        raise error
    if arguments.json:
        sys.stdout.write(_json(headers, len(data) - end, error))
    else:
        _print_tree(headers, end, len(data), note, error)
    if error is not None:
        raise error
    return 0


def _decode(data: bytes, only_first: bool) -> tuple[list[Header], int, CommandError | None]:
    """The headers, where the last one ends, and what is wrong there.

    The bytes behind a header that begin like one but are not whole signatures are payload: a lone
    CRLF may well begin it.
    """
    headers: list[Header] = []
    view = memoryview(data)  # parse() copies one header out of it, not the whole rest each time
    at = 0
    while not headers or (not only_first and detect(view[at:]) in (Detected.V1, Detected.V2)):
        try:
            header = parse(view[at:])
        except ProxyProtocolError as error:
            return headers, at, _explain(error, at, len(data))
        headers.append(header)
        at += header.size
    return headers, at, None


def _explain(error: ProxyProtocolError, start: int, size: int) -> CommandError:
    """The error in offsets of the stream, and what to do about it."""
    message = str(error)
    at = start
    if isinstance(error, IncompleteHeaderError):
        at = size
        message = (
            f"the input ends inside a PROXY header: {size - start} bytes of it are here, at least "
            f"{error.needed} needed: pass all of it"
        )
    elif isinstance(error, InvalidHeaderError):
        at += error.offset
        # the core counts from the start of the header
        message = message.replace(f" at byte {error.offset}:", ":", 1)
        remedy = "capture it again, or correct" if isinstance(error, ChecksumError) else "correct"
        message += f": {remedy} the sender"
    if start:
        message += f" (or pass --first, if what follows byte {start - 1} is payload)"
    return CommandError(f"byte {at}: {message}")


def _print_tree(
    headers: list[Header], end: int, size: int, note: str, error: CommandError | None
) -> None:
    width = 2 * len(str(size)) + 1
    blocks = []
    at = 0
    for header in headers:
        blocks.append(render(describe(header), at, width))
        at += header.size
    sys.stdout.write("\n".join(blocks))
    if note:
        sys.stdout.write(f"({note})\n")
    if error is None and end < size:
        payload = Line(end, size, 0, f"Payload: {size - end} bytes")
        sys.stdout.write("\n" + render([payload], 0, width))


def _json(headers: list[Header], left: int, error: CommandError | None) -> str:
    documents = []
    at = 0
    for header in headers:
        documents.append({"offset": at, **header.as_dict(), "cloud": cloud.as_dict(header)})
        at += header.size
    document = {
        "headers": documents,
        "payload_bytes": left if error is None else None,
        "error": None if error is None else str(error),
    }
    # JSON lets DEL stand as it is, terminals act on it
    return json.dumps(document, indent=2).replace("\x7f", "\\u007f") + "\n"
