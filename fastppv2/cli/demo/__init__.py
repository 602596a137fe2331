"""``fastppv2 demo``: a balancer in front of a web page that shows what its header says."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING

from fastppv2._peer import text_of
from fastppv2.cli.failure import CommandError

if TYPE_CHECKING:
    from fastppv2.cli.demo.site import Site

_DESCRIPTION = """\
Start a small balancer on this machine, and a web page behind it that shows the visitor's address
out of the PROXY header, the header byte by byte, and what becomes of other headers, good and bad.
It prints the address to open, and a line for each request; refusals are on standard error."""

_PORT = 8080  # not that of uvicorn and gunicorn, which README starts next


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "demo",
        help="a balancer and a web page, to see it all in a browser",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--port", type=int, default=_PORT, help="of the balancer (%(default)s); 0: any that is free"
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="where the balancer listens (%(default)s); the page itself is on 127.0.0.1 alone",
    )
    parser.set_defaults(run=run, usage_error=parser.error)


def run(arguments: argparse.Namespace) -> int:
    """Serves until it is interrupted."""
    if not 0 <= arguments.port <= 0xFFFF:
        arguments.usage_error("--port is 0 to 65535")
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    asyncio.run(_serve(arguments.host, arguments.port))
    return 0


async def _serve(host: str, port: int) -> None:
    from fastppv2.cli.demo.site import Site

    site = Site(_log)
    try:
        await _start(site, host, port)
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await stop.wait()
    finally:
        await site.close()


async def _start(site: Site, host: str, port: int) -> None:
    try:
        await site.start(host, port)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error
        raise CommandError(
            f"cannot listen on {text_of((host, port))}: {reason}: pass another --port"
        ) from None
    _log(f"open http://{text_of(site.address)}/")
    _log(f"the page behind the balancer takes headers on {text_of(site.backend)}")


def _log(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
