"""Where the bytes to decode come from, and whether they are bytes, hex or escaped text.

Nothing is guessed that could be wrong. A header begins with CR, LF or "P", escaped text with a
backslash, hex with a digit, a to f, or a separator: at most one reading of any content can give a
header. Only an argument that may be a file's name as well needs a rule: where both are possible,
neither is taken.
"""

from __future__ import annotations

import os
import re
import sys
from typing import BinaryIO, NamedTuple, NoReturn

from fastppv2 import Detected, detect
from fastppv2._spec import MAX_SIZE, SIGNATURE_V1
from fastppv2.cli.failure import CommandError
from fastppv2.errors import SEEN_SIZE

# The largest header 15 times over; a stream without end must not fill the memory.
MAX_INPUT = 1 << 20

_TOKEN = re.compile(rb"[^\s:,]+")
# An x may only stand behind the 0 of a prefix; from_hex() says what is wrong with the rest.
_NOT_HEX = re.compile(rb"[^0-9a-fA-FxX\s:,]|(?<!0)[xX]")
_NOT_DIGIT = re.compile(rb"[^0-9a-fA-F]")
# \0 with a digit behind it is octal in C and not in other languages
_ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|([rnt\\]|0(?![0-9])))?")
_ESCAPED = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"\\": b"\\", b"0": b"\0"}


class Input(NamedTuple):
    data: bytes
    note: str = ""  # what was added to the data, if anything was


def read(words: list[str], kind: str | None) -> Input:
    """The bytes that the arguments name; ``kind`` is "hex", "text", "file" or None for the rules.

    CommandError where there are none, or two ways to read them.
    """
    argument = " ".join(words)
    if kind == "file":
        return _content(_read_file(argument), f"file {argument!a}")
    if not words or argument == "-":
        return _standard_input(kind)
    encoded = _encode(argument)
    if not encoded.strip():
        raise CommandError("empty argument: pass a header as hex or text, a file, or - for stdin")
    if kind is None:
        kind = _kind_of_argument(argument, encoded, is_path=len(words) == 1)
        if kind == "file":
            return _content(_read_file(argument), f"file {argument!a}")
    if kind == "hex":
        return Input(from_hex(encoded))
    return _complete_line(unescape(encoded))


def _encode(argument: str) -> bytes:
    try:
        return os.fsencode(argument)
    except UnicodeEncodeError:
        raise CommandError(
            f"the argument {argument[:64]!a} cannot be encoded: write such bytes as \\xHH"
        ) from None


def _kind_of_argument(argument: str, encoded: bytes, is_path: bool) -> str:
    kind = None
    if encoded.startswith((SIGNATURE_V1, b"\\")):
        kind = "text"
    elif not _NOT_HEX.search(encoded):
        kind = "hex"
    is_file = is_path and os.path.exists(argument)
    if kind and is_file:
        raise CommandError(
            f"{argument[:64]!a} is {kind}, and a file has that name: say which with --{kind} "
            "or --file"
        )
    if not kind and not is_file:
        raise CommandError(
            f"no such file: {argument[:64]!a}; nor is it hex or text of a header: correct the "
            "path, or see --hex and --text"
        )
    return kind or "file"


def _complete_line(data: bytes) -> Input:
    """A shell makes it hard to type CRLF: a v1 line without any line end is given one."""
    if data.startswith(SIGNATURE_V1) and b"\r" not in data and b"\n" not in data:
        return Input(data + b"\r\n", "CRLF added: the argument has no line end")
    return Input(data)


def _read_file(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return _read_bounded(file, f"file {path!a}")
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise CommandError(
            f"cannot read file {path!a}: {reason}: pass a file that can be read"
        ) from None


def _standard_input(kind: str | None) -> Input:
    if sys.stdin is None:
        raise CommandError("standard input is closed: pipe a header into it, or name a file")
    try:
        data = _read_bounded(sys.stdin.buffer, "standard input")
    except OSError as error:
        raise CommandError(
            f"cannot read standard input: {error.strerror}: pipe a header into it, or name a file"
        ) from None
    if kind == "hex":
        return Input(from_hex(data))
    return Input(_unescape_line(data)) if kind == "text" else _content(data, "standard input")


def _read_bounded(file: BinaryIO, name: str) -> bytes:
    data = file.read(MAX_INPUT + 1)
    if len(data) > MAX_INPUT:
        raise CommandError(
            f"{name} is larger than {MAX_INPUT} bytes: pass its start alone (head -c {MAX_SIZE})"
        )
    return data


def _content(data: bytes, name: str) -> Input:
    """What a file or stdin holds: a header as bytes, hex text or escaped text."""
    if data and detect(data) != Detected.MISSING:
        return Input(data)
    if not data.strip():
        raise CommandError(f"{name} is empty: pass a header as bytes, hex or text")
    if data.startswith(b"\\"):
        return Input(_unescape_line(data))
    if _NOT_HEX.search(data):
        raise CommandError(
            f"byte 0: {name} holds neither a PROXY header nor hex, it starts with "
            f"{data[:SEEN_SIZE]!r}: is sending the PROXY protocol enabled on the load balancer? "
            "(--hex says what is not hex)"
        )
    return Input(from_hex(data))


def from_hex(text: bytes) -> bytes:
    """The bytes of hex digits in groups of any even length, each with or without 0x.

    An odd group is refused: it is an offset out of a dump, or a digit got lost.
    """
    data = bytearray()
    for token in _TOKEN.finditer(text):
        group = token[0]
        at = token.start()
        if group.startswith((b"0x", b"0X")):
            group, at = group[2:], at + 2
        wrong = _NOT_DIGIT.search(group)
        if wrong:
            _refuse(at + wrong.start(), f"{wrong[0]!r} is not a hex digit", "remove or correct it")
        if len(group) % 2 or not group:
            what = f"odd number of hex digits, {group[:16].decode()!r}" if group else "no digits"
            _refuse(at, what, "write two digits for each byte")
        data += bytes.fromhex(group.decode())
    if not data:
        raise CommandError("empty hex text: pass two hex digits for each byte of the header")
    return bytes(data)


def unescape(text: bytes) -> bytes:
    r"""The bytes of text in which \r, \n, \t, \0, \\ and \xHH stand for one byte each."""

    def replace(escape: re.Match[bytes]) -> bytes:
        if escape[1]:
            return bytes.fromhex(escape[1].decode())
        if not escape[2]:
            seen = text[escape.start() : escape.start() + 4]
            _refuse(escape.start(), f"unknown escape {seen!r}", r"write \r, \n, \t, \0, \\ or \xHH")
        return _ESCAPED[escape[2]]

    return _ESCAPE.sub(replace, text)


def _unescape_line(text: bytes) -> bytes:
    """An LF at the end is the editor's or that of ``echo``; CRLF there may be a v1 header's own."""
    return unescape(text if text.endswith(b"\r\n") or not text.endswith(b"\n") else text[:-1])


def _refuse(at: int, what: str, remedy: str) -> NoReturn:
    raise CommandError(f"character {at} of the text (from 0): {what}: {remedy}")
