"""``fastppv2 relay``: connections or datagrams handed on, with or without header on either side."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

from fastppv2._peer import text_of
from fastppv2.cli.encode import TYPES, parse_tlv, parse_tlv_type
from fastppv2.cli.failure import CommandError
from fastppv2.cli.target import parse_target
from fastppv2.settings import PREFIX, from_environment

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from fastppv2._place import Place
    from fastppv2.policy import Policy
    from fastppv2.relay import DatagramRelay, StreamRelay

_DESCRIPTION = """\
Take connections on the --listen addresses and hand each on to one of the --to addresses in turn,
with a PROXY protocol header taken off (--accept-proxy), put in front (--send-proxy), or both: what
came in one is then handed on, TLVs and all. A line on standard output tells of each connection
that is over. SIGTERM and SIGINT end the relay when the connections that are left are over, or when
--grace is; a second one ends it at once.

Settings of docs/policy.md that are in the environment (FASTPPV2_TIMEOUT...) hold for
--accept-proxy. uvloop is used if it is installed."""

_EXAMPLES = """\
examples:
  fastppv2 relay --listen :80 --to 10.0.0.9:80 --to 10.0.0.10:80 --send-proxy v2
  fastppv2 relay --listen :80 --accept-proxy --trusted 10.0.0.0/24 --to 127.0.0.1:8080
  fastppv2 relay --listen :80 --accept-proxy --trusted 10.0.0.7 --to /run/app.sock --send-proxy v1
  fastppv2 relay --listen :80 --accept-proxy --trusted 10.0.0.7 --to 10.1.0.9:80 --transparent
  fastppv2 relay --udp --listen :53 --to 10.0.0.9:53 --send-proxy v2"""

_GRACE = 30.0  # seconds


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "relay",
        help="hand connections on, headers in and out",
        description=_DESCRIPTION,
        epilog=f"{TYPES}\n\n{_EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--listen",
        metavar="ADDRESS",
        action="append",
        required=True,
        type=_listen,
        help="where to listen: :80, 127.0.0.1:80, [::1]:80 or the path of a UNIX socket",
    )
    add(
        "--to",
        metavar="ADDRESS",
        action="append",
        required=True,
        type=_upstream,
        help="an upstream: 10.0.0.9:80, [::1]:80, a name, or a path; repeat for more",
    )
    add("--accept-proxy", action="store_true", help="connections begin with a header")
    add(
        "--trusted",
        metavar="NETWORKS",
        help="with --accept-proxy: whose header is believed, as 10.0.0.0/8,unix; or everyone",
    )
    add("--send-proxy", choices=("v1", "v2"), help="send a header of that version upstream")
    add(
        "--drop-tlv",
        metavar="TYPE",
        action="append",
        type=_dropped,
        default=[],
        help="hand on no TLV of that type; all: none at all",
    )
    add(
        "--add-tlv",
        metavar="TYPE=VALUE",
        action="append",
        type=parse_tlv,
        default=[],
        help="add a TLV to each header; repeat for more",
    )
    add("--crc32c", action="store_true", help="add a checksum to headers that have none")
    add(
        "--transparent",
        action="store_true",
        help="connect upstream from the client's own address (Linux, CAP_NET_RAW, and routes: "
        "docs/relay.md)",
    )
    add("--udp", action="store_true", help="datagrams, each with its header, not connections")
    add(
        "--simple",
        action="store_true",
        help="with --udp --accept-proxy: the header is Cloudflare's Simple Proxy Protocol",
    )
    add(
        "--no-replies",
        action="store_true",
        help="with --udp --transparent: upstreams answer the client directly",
    )
    add(
        "--grace",
        metavar="SECONDS",
        type=float,
        default=_GRACE,
        help="for connections that are left when it is ended (%(default)g)",
    )
    add("--quiet", action="store_true", help="no line for each connection")
    parser.set_defaults(run=run, usage_error=parser.error)


def _listen(text: str) -> Place:
    if not text.startswith(":"):
        return _upstream(text)
    return _upstream(f"every{text}")._replace(host="")


def _upstream(text: str) -> Place:
    try:
        return parse_target(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _dropped(text: str) -> frozenset[int]:
    try:
        return frozenset(range(256)) if text == "all" else frozenset({parse_tlv_type(text)})
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def run(arguments: argparse.Namespace) -> int:
    """Relays until it is told to end."""
    _check(arguments)
    logging.basicConfig(level=logging.INFO, format="fastppv2: %(message)s")
    relay = _relay(arguments, _policy(arguments))
    loop = _new_loop()
    try:
        loop.run_until_complete(_serve(relay, arguments))
    finally:
        loop.close()
    return 0


def _check(arguments: argparse.Namespace) -> None:
    sends = arguments.send_proxy
    changes = arguments.drop_tlv or arguments.add_tlv or arguments.crc32c
    wrong = (
        (arguments.trusted and not arguments.accept_proxy, "--trusted is for --accept-proxy"),
        (changes and sends != "v2", "--drop-tlv, --add-tlv and --crc32c are for --send-proxy v2"),
        (arguments.udp and sends == "v1", "--udp: version 1 knows only TCP, use --send-proxy v2"),
        (arguments.simple and not (arguments.udp and arguments.accept_proxy),
         "--simple is for --udp --accept-proxy"),
        (arguments.no_replies and not (arguments.udp and arguments.transparent),
         "--no-replies is for --udp --transparent"),
        (arguments.udp and not all(place.is_ip for place in arguments.listen + arguments.to),
         "--udp has no UNIX sockets, use HOST:PORT"),
        (arguments.transparent and not all(place.is_ip for place in arguments.to),
         "--transparent needs IP addresses in --to"),
        (any(type == 3 for type, _ in arguments.add_tlv),
         "--add-tlv CRC32C: the checksum is computed, pass --crc32c"),
        (arguments.grace < 0, "--grace is 0 or more"),
    )  # fmt: skip
    for is_wrong, message in wrong:
        if is_wrong:
            arguments.usage_error(message)


def _policy(arguments: argparse.Namespace) -> Policy | None:
    if not arguments.accept_proxy:
        return None
    environ = dict(os.environ)
    if arguments.trusted:
        environ[f"{PREFIX}TRUSTED"] = arguments.trusted
    try:
        policy = from_environment(environ).policy
    except ValueError as error:
        arguments.usage_error(f"--accept-proxy: {error} (--trusted)")
    return policy


def _relay(arguments: argparse.Namespace, policy: Policy | None) -> StreamRelay | DatagramRelay:
    from fastppv2 import relay

    options: dict[str, Any] = {
        "policy": policy,
        "sender": relay.Sender(
            int(arguments.send_proxy[1:]) if arguments.send_proxy else None,
            frozenset().union(*arguments.drop_tlv),
            tuple(arguments.add_tlv),
            arguments.crc32c,
        ),
        "transparent": arguments.transparent,
        "access": _silent if arguments.quiet else _access,
    }
    if arguments.transparent:
        try:
            relay.check_transparency()
        except relay.TransparencyError as error:
            raise CommandError(str(error)) from None
    if not arguments.udp:
        return relay.StreamRelay(arguments.to, **options)
    options["format"] = "simple" if arguments.simple else "proxy"
    options["replies"] = not arguments.no_replies
    return relay.DatagramRelay([_numeric(place) for place in arguments.to], **options)


def _numeric(place: Place) -> Place:
    try:
        found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_DGRAM)
    except OSError as error:
        raise CommandError(f"--to {place}: {error.strerror}: is the name right?") from None
    return place._replace(host=str(found[0][4][0]))


def _access(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _silent(line: str) -> None:
    """No access log was asked for."""


def _new_loop() -> asyncio.AbstractEventLoop:
    if find_spec("uvloop") is None:
        return asyncio.new_event_loop()
    import uvloop

    return uvloop.new_event_loop()


async def _serve(relay: StreamRelay | DatagramRelay, arguments: argparse.Namespace) -> None:
    for place in arguments.listen:
        try:
            names = await relay.listen(place)
        except OSError as error:
            relay.abort_all()
            reason = os.strerror(error.errno) if error.errno else error
            raise CommandError(
                f"cannot listen on {place}: {reason}: is it in use, or not this machine's?"
            ) from None
        for name in names:
            logging.info("listening on %s", text_of(name))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, _stopper(stop, relay.abort_all))
    await stop.wait()
    logging.info("ending: no more connections are taken, --grace is %g s", arguments.grace)
    await relay.close(arguments.grace)


def _stopper(stop: asyncio.Event, abort: Callable[[], None]) -> Callable[[], None]:
    """The first signal asks to stop, the next one does not ask."""

    def stopper() -> None:
        if stop.is_set():
            abort()
        stop.set()

    return stopper
