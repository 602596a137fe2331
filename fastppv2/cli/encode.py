"""``fastppv2 encode``: a header out of addresses and TLVs."""

from __future__ import annotations

import argparse
import os
import re
import sys

from fastppv2 import Command, TLVType, Transport, build, cloud
from fastppv2._peer import host_and_port
from fastppv2.cli.failure import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_DESCRIPTION = """\
Write a PROXY protocol header, in hex unless --raw is given.

SRC and DST are the client and what it connected to: 192.0.2.1:56324, [2001:db8::1]:443, or
with --unix a path, @NAME for the abstract name NAME (./@NAME for a file). With --local or
--unknown there are none."""

TYPES = f"""\
TLV types: a number (0 to 255, 0x00 to 0xff) or a name: {" ".join(TLVType.__members__)}.
VALUE is text as the shell gives it, or bytes in hex: hex:6832; text:hex:6832 is the text itself.
An identifier of a cloud, by name: {" ".join([field.name.upper() for field in cloud.FIELDS])}.
VALUE is then its text, or the number in decimal."""

_EXAMPLES = """\
examples:
  fastppv2 encode 192.0.2.1:56324 198.51.100.2:443 --tlv AUTHORITY=example.org --crc32c
  fastppv2 encode --v1 [2001:db8::1]:56324 [2001:db8::2]:443
  (fastppv2 encode --raw 192.0.2.1:56324 198.51.100.2:443; cat request) | nc server 8080
  fastppv2 encode --local | fastppv2 decode"""

_PORT = re.compile("0|[1-9][0-9]{0,4}")
_NUMBER = re.compile("[0-9]{1,20}")
_DECIMAL = re.compile("[0-9]{1,3}")
_HEXADECIMAL = re.compile("0[xX][0-9a-fA-F]{1,2}")


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "encode",
        help="write a header",
        description=_DESCRIPTION,
        epilog=f"{TYPES}\n\n{_EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_header_options(parser)
    parser.add_argument("--raw", action="store_true", help="write the bytes themselves")
    parser.set_defaults(run=run, usage_error=parser.error)


def add_header_options(parser: argparse.ArgumentParser) -> None:
    """What says which header it is, for ``build_header``."""
    parser.add_argument("source", metavar="SRC", nargs="?", help="address of the client")
    parser.add_argument("destination", metavar="DST", nargs="?", help="address it connected to")
    parser.add_argument("--v1", action="store_true", help="version 1 (text); the default is 2")
    parser.add_argument(
        "--udp",
        "--dgram",
        dest="dgram",
        action="store_true",
        help="the client speaks UDP, or a UNIX datagram socket; the default is a stream",
    )
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--unix", action="store_true", help="SRC and DST are UNIX socket paths")
    kind.add_argument(
        "--local", action="store_true", help="the sender's own connection, as for health checks"
    )
    kind.add_argument(
        "--unknown",
        "--unspec",
        dest="unknown",
        action="store_true",
        help="of a client, without addresses: UNKNOWN in version 1, UNSPEC in 2",
    )
    parser.add_argument(
        "--tlv",
        metavar="TYPE=VALUE",
        dest="tlvs",
        action="append",
        type=parse_tlv,
        default=[],
        help="add a TLV; repeat for more, they keep their order",
    )
    parser.add_argument(
        "--crc32c",
        action="store_true",
        help="add the checksum, first, or in the place of --tlv CRC32C=hex:00000000",
    )


def run(arguments: argparse.Namespace) -> int:
    """Writes the header; what cannot be written is an error of usage."""
    try:
        header = build_header(arguments)
    except ValueError as error:
        arguments.usage_error(str(error))
    if arguments.raw:
        _write_raw(header)
    else:
        sys.stdout.write(header.hex() + "\n")
    return 0


def build_header(arguments: argparse.Namespace, own: tuple[Any, Any] | None = None) -> bytes:
    """The header that the options ask for; ValueError where they contradict one another.

    ``own``: the two ends that it has where they name none.
    """
    ends = [end for end in (arguments.source, arguments.destination) if end is not None]
    addressed = not (arguments.local or arguments.unknown)
    if addressed and len(ends) != 2 and not (own and not ends):
        raise ValueError("SRC and DST are needed, or one of --local and --unknown")
    if ends and not addressed:
        raise ValueError("--local and --unknown take no addresses, leave out SRC and DST")
    if arguments.dgram and not addressed:
        raise ValueError("--local and --unknown have no transport, leave out --udp")
    if not arguments.crc32c and TLVType.CRC32C in [type for type, _ in arguments.tlvs]:
        raise ValueError("--tlv CRC32C: the checksum is computed, pass --crc32c")
    read = _path if arguments.unix else _endpoint
    named = [read(name, end) for name, end in zip(("SRC", "DST"), ends)]
    return build(
        *(own if own and addressed and not ends else named),
        version=1 if arguments.v1 else 2,
        command=Command.LOCAL if arguments.local else Command.PROXY,
        transport=Transport.DGRAM if arguments.dgram else Transport.STREAM,
        tlvs=arguments.tlvs,
        checksum=arguments.crc32c,
    )


def _endpoint(name: str, text: str) -> tuple[str, int]:
    host, port = host_and_port(text) or ("", "")
    if not _PORT.fullmatch(port):
        raise ValueError(
            f"{name}: expected 192.0.2.1:443, or [2001:db8::1]:443, or a path with --unix, "
            f"got {text!a}"
        )
    return host, int(port)


def _path(name: str, text: str) -> bytes:
    path = _encode(name, text)
    return b"\0" + path[1:] if path.startswith(b"@") else path


def _encode(name: str, text: str) -> bytes:
    try:
        return os.fsencode(text)
    except UnicodeEncodeError:
        raise ValueError(f"{name}: {text!a} cannot be encoded") from None


def parse_tlv(text: str) -> tuple[int, bytes]:
    """``TYPE=VALUE`` as the help has it; argparse's error where it is not."""
    type, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"expected TYPE=VALUE, got {text!a}")
    try:
        return _cloud_tlv(type, value) or (parse_tlv_type(type), _tlv_value(value))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _cloud_tlv(type: str, value: str) -> tuple[int, bytes] | None:
    for field in cloud.FIELDS:
        if field.name.upper() == _member(type):
            return field.encode(value) if isinstance(field, cloud.Text) else _number(field, value)
    return None


def _number(field: cloud.Number, text: str) -> tuple[int, bytes]:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{field.name}: expected a number in decimal, got {text!a}")
    return field.encode(int(text))


def _member(name: str) -> str:
    return name.upper().replace("-", "_")


def parse_tlv_type(text: str) -> int:
    """A number or a name; ValueError where it is neither."""
    member = TLVType.__members__.get(_member(text))
    if member is not None:
        return member.value
    if _HEXADECIMAL.fullmatch(text):
        return int(text, 16)
    if _DECIMAL.fullmatch(text) and int(text) <= 0xFF:
        return int(text)
    raise ValueError(f"TYPE: expected 0 to 255, 0x00 to 0xff or a name (see --help), got {text!a}")


def _tlv_value(text: str) -> bytes:
    prefix, _, rest = text.partition(":")
    if prefix == "hex":
        try:
            return bytes.fromhex(rest.replace(":", " "))
        except ValueError:
            raise ValueError(f"VALUE: expected two hex digits a byte, got {text!a}") from None
    return _encode("VALUE", rest if prefix == "text" and _ else text)


def _write_raw(header: bytes) -> None:
    if sys.stdout.isatty():
        raise CommandError(
            "raw bytes are not for a terminal: pipe them (| nc HOST PORT), or leave out --raw"
        )
    sys.stdout.buffer.write(header)
