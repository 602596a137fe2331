"""``fastppv2 send``: a connection that begins with a header, as a balancer would open it."""

from __future__ import annotations

import argparse
import asyncio
import os
import ssl
import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from fastppv2 import ProxyProtocolError, parse
from fastppv2.cli import source
from fastppv2.cli.describe import describe, render
from fastppv2.cli.encode import TYPES, add_header_options, build_header
from fastppv2.cli.failure import CommandError
from fastppv2.cli.target import Target, parse_target

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Iterator

_DESCRIPTION = """\
Connect to a server, send a PROXY protocol header, then standard input, and print what comes back.

SRC and DST are the client and what it connected to, as for encode; without them the header names
the two ends of this very connection, as a proxy's own."""

_EXAMPLES = """\
examples:
  fastppv2 send web:8080 --get /
  fastppv2 send web:8443 192.0.2.1:56324 198.51.100.2:443 --crc32c --tls --get /
  fastppv2 send web:8080 --v1 --get / --times 2
  fastppv2 send web:8080 --bytes 'PROXY TCP4 192.0.2.1\\r\\n' --get /
  echo QUIT | fastppv2 send mail:25 --local"""

_TIMEOUT = 10.0
_READ_SIZE = 65536


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "send",
        help="open a connection with a header in front",
        description=_DESCRIPTION,
        epilog=f"{TYPES}\n\n{_EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "target", metavar="HOST:PORT", help="the server, or the path of its UNIX socket"
    )
    add_header_options(parser)
    parser.add_argument(
        "--bytes",
        metavar="BYTES",
        help="hex or text, as decode takes it, in place of a header: what no balancer should send",
    )
    parser.add_argument(
        "--times", type=int, default=1, metavar="N", help="send the header N times; 0: not at all"
    )
    parser.add_argument("--get", metavar="PATH", help="send an HTTP request for PATH, not stdin")
    add_tls_options(parser)
    parser.add_argument(
        "--timeout",
        type=float,
        default=_TIMEOUT,
        metavar="SECONDS",
        help="for the connection, and for each silence once all is sent (%(default)g)",
    )
    parser.add_argument("--verbose", "-v", action="store_true", help="show the header on stderr")
    parser.set_defaults(run=run, usage_error=parser.error)


def add_tls_options(parser: argparse.ArgumentParser) -> None:
    """What ``tls_context`` reads."""
    parser.add_argument("--tls", action="store_true", help="speak TLS behind the header")
    parser.add_argument("--cafile", metavar="FILE", help="with --tls: whom to trust, in PEM")


def run(arguments: argparse.Namespace) -> int:
    """Talks to the server until it ends the connection; CommandError if it does not answer."""
    try:
        target = parse_target(arguments.target)
    except ValueError as error:
        arguments.usage_error(f"HOST:PORT: {error}")
    if arguments.times < 0 or arguments.timeout <= 0:
        arguments.usage_error("--times is 0 or more, --timeout is more than 0")
    if arguments.cafile and not arguments.tls:
        arguments.usage_error("--cafile is for --tls")
    if arguments.bytes is not None and arguments.source is not None:
        arguments.usage_error("--bytes stands in place of a header, leave out SRC and DST")
    if arguments.get is None and sys.stdin is None:
        raise CommandError("standard input is closed: pipe something into it, or pass --get /")
    context = tls_context(arguments) if arguments.tls else None
    with target.connect(arguments.timeout) as connection:
        header = _header(arguments, connection)
        if arguments.verbose and arguments.times:
            sys.stderr.write(_shown(header))
        asyncio.run(_talk(arguments, target, connection, header * arguments.times, context))
    return 0


def tls_context(arguments: argparse.Namespace) -> ssl.SSLContext:
    """A context that verifies; CommandError where the file cannot be read."""
    try:
        if arguments.cafile is not None:
            open(arguments.cafile, "rb").close()  # PyPy's ssl does not say why it cannot
        return ssl.create_default_context(cafile=arguments.cafile)
    except OSError as error:
        raise CommandError(
            f"cannot read {arguments.cafile!a}: {error.strerror}: pass certificates in PEM"
        ) from None


def _header(arguments: argparse.Namespace, connection: socket.socket) -> bytes:
    if arguments.bytes is not None:
        return source.read([arguments.bytes], None).data
    own = connection.getsockname(), connection.getpeername()
    try:
        header = build_header(arguments, own)
    except ValueError as error:
        arguments.usage_error(str(error))
    return header


def _shown(data: bytes) -> str:
    try:
        lines = describe(parse(data))
    except ProxyProtocolError as error:
        return f"{data.hex()}\n({error})\n"
    return render(lines, 0, 2 * len(str(len(data))) + 1)


async def _talk(
    arguments: argparse.Namespace,
    target: Target,
    connection: socket.socket,
    header: bytes,
    context: ssl.SSLContext | None,
) -> None:
    timeout: float = arguments.timeout
    request = None if arguments.get is None else http_request(target, arguments.get)
    with _explained(target, timeout):
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_sendall(connection, header)
        opening = asyncio.open_connection(
            sock=connection, ssl=context, server_hostname=target.host if context else None
        )
        reader, writer = await asyncio.wait_for(opening, timeout)
    sending = asyncio.ensure_future(_send(writer, request))
    received = 0
    try:
        while True:
            with _explained(target, timeout, received):
                data = await _read(reader, sending, timeout)
                if not data and not received and request is not None:
                    raise EOFError
            if not data:
                break
            received += len(data)
            _write(data)
    finally:
        sending.cancel()
        writer.transport.abort()
    if arguments.verbose:
        sys.stderr.write(f"({received} bytes came back)\n")


def http_request(target: Target, path: str) -> bytes:
    """For one answer, after which the server closes the connection."""
    host = f"[{target.host}]" if ":" in target.host else target.host
    lines = (
        f"GET {path} HTTP/1.1",
        f"Host: {host if target.is_ip else 'localhost'}",
        "User-Agent: fastppv2",
        "Accept: */*",
        "Connection: close",
    )
    return "".join([f"{line}\r\n" for line in (*lines, "")]).encode()


async def _read(
    reader: asyncio.StreamReader, sending: asyncio.Future[None], timeout: float
) -> bytes:
    """The next bytes; while our own side goes on, the server may be silent as long as it likes."""
    reading = asyncio.ensure_future(reader.read(_READ_SIZE))
    await asyncio.wait((reading, sending), return_when=asyncio.FIRST_COMPLETED)
    if sending.done():
        sending.result()
    return await asyncio.wait_for(reading, timeout)


async def _send(writer: asyncio.StreamWriter, request: bytes | None) -> None:
    # A server that does not read to the end may have answered all the same.
    with suppress(ConnectionError):
        if request is not None:
            writer.write(request)
            await writer.drain()
            return
        async for data in _standard_input():
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


async def _standard_input() -> AsyncIterator[bytes]:
    """What comes, as it comes; read by a thread, for a file cannot be waited for.

    That may still wait for a terminal when the command is over: it holds no lock of the
    interpreter's then.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes | OSError] = asyncio.Queue()
    wanted = threading.Semaphore(1)
    descriptor = sys.stdin.fileno()

    def read() -> None:
        data: bytes | OSError = b"-"
        with suppress(RuntimeError):  # the loop is closed
            while isinstance(data, bytes) and data:
                wanted.acquire()
                try:
                    data = os.read(descriptor, _READ_SIZE)
                except OSError as error:
                    data = error
                loop.call_soon_threadsafe(queue.put_nowait, data)

    threading.Thread(target=read, daemon=True).start()
    while data := await queue.get():
        if isinstance(data, OSError):
            raise CommandError(f"cannot read standard input: {data.strerror}: pipe it, or --get /")
        yield data
        wanted.release()


def _write(data: bytes) -> None:
    """As it is, but a terminal gets no commands from the wire."""
    if sys.stdout.isatty():
        text = data.decode("ascii", "backslashreplace")
        shown = "".join([c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text])
        sys.stdout.write(shown.replace("\\r\n", "\n"))
    else:
        sys.stdout.buffer.write(data)
    sys.stdout.flush()


@contextmanager
def _explained(target: Target, timeout: float, received: int = 0) -> Iterator[None]:
    """What goes wrong with the connection, and not with the output, becomes a CommandError."""
    try:
        yield
    except ssl.SSLError as error:
        reason = getattr(error, "verify_message", None) or error.reason or "no TLS"
        advice = "is it TLS behind the header there, and its CA in --cafile?"
        raise CommandError(f"{target}: TLS failed: {reason}: {advice}") from None
    except (ConnectionError, EOFError):
        if received:
            raise CommandError(
                f"{target} broke the connection off after {received} bytes"
            ) from None
        raise CommandError(
            f"{target} closed the connection without an answer: it refuses such a header, or "
            f"expects one: fastppv2 probe {target} tells"
        ) from None
    except asyncio.TimeoutError:
        raise CommandError(
            f"{target} is silent for {timeout:g} s: raise --timeout, or probe it"
        ) from None
    except OSError as error:
        raise CommandError(f"{target}: {error.strerror}: is the network down?") from None
