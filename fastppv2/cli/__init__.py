"""The command ``fastppv2``: headers decoded, encoded and sent, and ports that take them."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress

import fastppv2
from fastppv2._backend import crc32c_kind
from fastppv2.cli import decode, demo, encode, probe, relay, send
from fastppv2.cli.failure import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_INTERRUPTED = 130  # 128 + SIGINT, as shells report it


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; the exit status: 0, 1 (broken input or output) or 130 (interrupted).

    Wrong usage and --help leave by SystemExit, as ``argparse`` has it.
    """
    try:
        try:
            return _run(argv)
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()  # here, where a full disk can still be reported
    except CommandError as error:
        return _fail(str(error))
    except BrokenPipeError:
        _drop_output()  # the reader has what it wanted: no message
        return 1
    except OSError as error:
        _drop_output()
        return _fail(f"cannot write the output: {error.strerror}: redirect it elsewhere")
    except KeyboardInterrupt:
        return _INTERRUPTED


def _run(argv: Sequence[str] | None) -> int:
    arguments = _parser().parse_args(argv)
    if sys.stdout is None:
        raise CommandError("standard output is closed: open it, or redirect it to a file")
    status: int = arguments.run(arguments)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fastppv2",
        description="PROXY protocol headers, version 1 and 2: read, written, sent and received.",
        # as it stands: the other formatters break long lines, and scripts read --version
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version",
        action="version",
        version=f"fastppv2 {fastppv2.__version__} "
        f"(backend {fastppv2.backend}, crc32c {crc32c_kind})",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    demo.add_parser(commands)
    decode.add_parser(commands)
    encode.add_parser(commands)
    send.add_parser(commands)
    probe.add_parser(commands)
    relay.add_parser(commands)
    return parser


def _fail(message: str) -> int:
    if sys.stderr is not None:
        with suppress(OSError):
            print(f"fastppv2: {message}", file=sys.stderr)
    return 1


def _drop_output() -> None:
    """What is left in the buffer goes nowhere: else the interpreter tries again at its end."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
