"""Proxies as senders: what they put before a client's bytes, beside the truth."""

from __future__ import annotations

import socket
import sys
from contextlib import ExitStack, closing, contextmanager
from functools import cache
from typing import NamedTuple

from credentials import SERVER_NAME, Credentials, TLSClient
from programs import Program
from servers import (
    APACHE_MODULES,
    HTTP_REQUEST,
    IPV4,
    IPV6,
    MAPPED,
    TIMEOUT,
    Listener,
    apache,
    authority,
    caddy,
    haproxy,
    has_loopback,
    nginx,
    receive_until,
    require_loopback,
    reserved_port,
    varnish,
    version_of,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator
    from pathlib import Path

    from servers import Address

HOSTS = (IPV4, IPV6, MAPPED)
UNIX = "unix"
# Every byte there is, and what could be taken for a second header.
PAYLOAD = bytes(range(256)) + b"\r\n\r\n\0\r\nQUIT\nPROXY UNKNOWN\r\nlast bytes of the client"
CHECK_END = b"x-end: of the check\r\n\r\n"
CHECK_REPLY = b"HTTP/1.0 200 OK\r\n\r\n"


class TLS(NamedTuple):
    """What the client's own end says of its TLS connection."""

    version: str
    cipher: str
    alpn: str | None
    resumed: bool


class Arrival(NamedTuple):
    """What arrived at the application, and the truth about the client it came from."""

    received: bytes
    client: Address | None
    frontend: Address | None
    tls: TLS | None = None


class Sender:
    """A running proxy. It is asked once for each kind of connection, however many backends read."""

    def __init__(
        self,
        listener: Listener,
        frontends: dict[tuple[str, str], Address | str],
        credentials: Credentials | None = None,
    ) -> None:
        self._listener = listener
        self._frontends = frontends
        self._credentials = credentials
        self.arrival = cache(self._arrival)

    def __contains__(self, option_and_host: tuple[str, str]) -> bool:
        return option_and_host in self._frontends

    def _arrival(self, option: str, host: str, client: TLSClient | None = None) -> Arrival:
        """One connection to the frontend of that ``option`` and ``host``."""
        if host != UNIX:
            require_loopback(host)
        address = self._frontends[option, host]
        if isinstance(address, str):
            return self._unix(address)
        if client is not None:
            return self._tls(address, client)
        with socket.create_connection(address, TIMEOUT) as connection:
            return Arrival(self._exchange(connection), connection.getsockname()[:2], address)

    def _exchange(self, connection: socket.socket) -> bytes:
        connection.sendall(PAYLOAD)
        received, _ = self._listener.receive(PAYLOAD)
        return received

    def _unix(self, path: str) -> Arrival:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(TIMEOUT)
            connection.connect(path)
            return Arrival(self._exchange(connection), None, None)

    def _tls(self, address: Address, client: TLSClient) -> Arrival:
        context = self._credentials.context(client)
        session = None
        if client.resumes:
            with _tls_connection(address, context) as connection:
                self._exchange(connection)
                session = connection.session
        with _tls_connection(address, context, session) as connection:
            received = self._exchange(connection)
            cipher, version, _ = connection.cipher()
            alpn = connection.selected_alpn_protocol()
            tls = TLS(version, cipher, alpn, connection.session_reused)
            return Arrival(received, connection.getsockname()[:2], address, tls)


class HTTPSender(Sender):
    """A proxy that takes nothing but requests, and changes them."""

    def _exchange(self, connection: socket.socket) -> bytes:
        connection.sendall(HTTP_REQUEST)
        received = self._listener.receive_head(CHECK_REPLY)
        receive_until(connection, b"")
        return received


@contextmanager
def _tls_connection(
    address: Address, context: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> Iterator[ssl.SSLSocket]:
    with (
        socket.create_connection(address, TIMEOUT) as plain,
        context.wrap_socket(plain, server_hostname=SERVER_NAME, session=session) as secure,
    ):
        yield secure


V1 = "send-proxy"
V2 = "send-proxy-v2"
V2_CHECKSUM = "send-proxy-v2 proxy-v2-options crc32c,unique-id"
V2_SSL = "send-proxy-v2-ssl"
V2_SSL_CN = "send-proxy-v2-ssl-cn"
V2_ALL = (
    "send-proxy-v2 proxy-v2-options "
    "crc32c,unique-id,authority,ssl,cert-cn,cert-key,cert-sig,ssl-cipher"
)
PLAIN_OPTIONS = (V1, V2, V2_CHECKSUM, V2_SSL)
TLS_OPTIONS = (V2_SSL_CN, V2_ALL)
CHECK_OPTIONS = (f"check check-send-proxy {V1}", f"check check-send-proxy {V2}")

HAPROXY_FRONTEND = """\
frontend {name}
    bind {bind}
    unique-id-format %[src]:%[src_port]-%[dst]:%[dst_port]
    default_backend {name}
backend {name}
    server application {server} {option}
"""

HAPROXY_CHECK = """\
backend check
    option httpchk
    http-check send meth GET uri / hdr x-end "of the check"
    server application {server} {option} inter 10s
"""


@contextmanager
def haproxy_sender(directory: Path) -> Iterator[Sender]:
    """HAProxy with a frontend for every option and host."""
    credentials = Credentials(directory)
    with ExitStack() as stack:
        listener = stack.enter_context(Listener())
        server = authority(*listener.address)
        frontends: dict[tuple[str, str], Address | str] = {}
        sections = ""
        for option, host in _combinations(PLAIN_OPTIONS + TLS_OPTIONS):
            address, bind = _frontend(stack, directory / f"{len(frontends)}.sock", host)
            bind = bind.replace("unix:", "unix@") + (" v4v6" if host == MAPPED else "")
            if option in TLS_OPTIONS:
                bind += _haproxy_tls(credentials, option)
            sections += HAPROXY_FRONTEND.format(
                name=f"f{len(frontends)}", bind=bind, server=server, option=option
            )
            frontends[option, host] = address
        stack.enter_context(haproxy(directory, sections))
        yield Sender(listener, frontends, credentials)


def _combinations(
    options: tuple[str, ...], hosts: tuple[str, ...] = HOSTS
) -> list[tuple[str, str]]:
    present = [host for host in hosts if has_loopback(host)] + [UNIX]
    return [(option, host) for option in options for host in present]


def _frontend(stack: ExitStack, path: Path, host: str) -> tuple[Address | str, str]:
    """Where the client connects, and the same as nginx writes it."""
    if host == UNIX:
        return str(path), f"unix:{path}"
    port = stack.enter_context(reserved_port(host))
    return (host, port), authority(host, port)


def _haproxy_tls(credentials: Credentials, option: str) -> str:
    tls = f" ssl crt {credentials.certificate} ca-file {credentials.ca} alpn h2,http/1.1"
    if option == V2_SSL_CN:
        return f"{tls} verify required"
    # Clients without a certificate or with a wrong one come through; the header tells.
    return f"{tls} verify optional crt-ignore-err all ca-ignore-err all"


def haproxy_check(directory: Path, option: str) -> Arrival:
    """The first health check that HAProxy makes with that option; the client is HAProxy."""
    with Listener() as listener:
        section = HAPROXY_CHECK.format(server=authority(*listener.address), option=option)
        with haproxy(directory, section):
            received, peer = listener.receive(CHECK_END, CHECK_REPLY)
    return Arrival(received, peer, listener.address)


NGINX_V1 = "proxy_protocol on"
NGINX_V2 = "proxy_protocol on; proxy_protocol_version 2"
NGINX_V2_SINCE = (1, 31, 4)

NGINX_SERVER = """\
    server {{ listen {listen}; proxy_pass {server}; {option}; }}
"""


def nginx_options() -> tuple[str, ...]:
    return (NGINX_V1, NGINX_V2) if version_of("nginx") >= NGINX_V2_SINCE else (NGINX_V1,)


@contextmanager
def nginx_sender(directory: Path) -> Iterator[Sender]:
    """nginx's stream module with a server for every option and host."""
    with ExitStack() as stack:
        listener = stack.enter_context(Listener())
        frontends: dict[tuple[str, str], Address | str] = {}
        servers = ""
        for option, host in _combinations(nginx_options()):
            address, listen = _frontend(stack, directory / f"{len(frontends)}.sock", host)
            listen += " ipv6only=off" if host == MAPPED else ""
            servers += NGINX_SERVER.format(
                listen=listen, server=authority(*listener.address), option=option
            )
            frontends[option, host] = address
        stack.enter_context(nginx(directory, stream=servers))
        yield Sender(listener, frontends)


VARNISH_OPTIONS = (".proxy_header = 1", ".proxy_header = 2")
VARNISH = """\
vcl 4.1;
backend default {{ .host = "{host}"; .port = "{port}"; {option}; }}
sub vcl_recv {{ return (pass); }}
"""


@contextmanager
def varnish_sender(directory: Path) -> Iterator[Sender]:
    """A Varnish for every option, which listens on every host."""
    with ExitStack() as stack:
        listener = stack.enter_context(Listener())
        frontends: dict[tuple[str, str], Address | str] = {}
        for option in VARNISH_OPTIONS:
            place = directory / option[-1]
            place.mkdir()
            listens = []
            for _, host in _combinations((option,), (IPV4, IPV6)):
                frontends[option, host], listen = _frontend(stack, place / "listen.sock", host)
                listens.append(listen.replace("unix:", ""))
            host, port = listener.address
            program = VARNISH.format(host=host, port=port, option=option)
            stack.enter_context(varnish(place, program, listens))
        yield HTTPSender(listener, frontends)


CADDY_OPTIONS = ("proxy_protocol v1", "proxy_protocol v2")
CADDY_SITE = """\
http://{site} {{
    bind {host}
    reverse_proxy {server} {{
        transport http {{
            {option}
        }}
    }}
}}
"""


@contextmanager
def caddy_sender(directory: Path) -> Iterator[Sender]:
    """Caddy with a site for every option and host."""
    with ExitStack() as stack:
        listener = stack.enter_context(Listener())
        frontends: dict[tuple[str, str], Address | str] = {}
        sites = ""
        for option, host in _combinations(CADDY_OPTIONS, (IPV4, IPV6)):
            path = directory / f"{len(frontends)}.sock"
            address = frontends[option, host] = _frontend(stack, path, host)[0]
            site, bind = (f":{address[1]}", host) if host != UNIX else ("", f"unix/{address}")
            server = authority(*listener.address)
            sites += CADDY_SITE.format(site=site, host=bind, server=server, option=option)
        stack.enter_context(caddy(directory, sites))
        yield HTTPSender(listener, frontends)


APACHE_OPTION = "ProxyPass"
APACHE = """\
LoadModule proxy_module {modules}/mod_proxy.so
LoadModule proxy_http_module {modules}/mod_proxy_http.so
ProxyPass / http://{server}/
"""


@contextmanager
def apache_sender(directory: Path) -> Iterator[Sender]:
    """Apache, which listens on no UNIX socket."""
    with ExitStack() as stack:
        listener = stack.enter_context(Listener())
        hosts = [host for host in (IPV4, IPV6) if has_loopback(host)]
        addresses = [(host, stack.enter_context(reserved_port(host))) for host in hosts]
        section = APACHE.format(modules=APACHE_MODULES, server=authority(*listener.address))
        stack.enter_context(apache(directory, addresses, section))
        yield HTTPSender(listener, {(APACHE_OPTION, a[0]): a for a in addresses})


RELAY_OPTIONS = ("--send-proxy v1", "--send-proxy v2")


@contextmanager
def relay_sender(directory: Path) -> Iterator[Sender]:
    """Our own relay, one for every option, which listens on every host."""
    with ExitStack() as stack:
        listener = stack.enter_context(Listener())
        frontends: dict[tuple[str, str], Address | str] = {}
        for option in RELAY_OPTIONS:
            command = [sys.executable, "-m", "fastppv2", "relay", *option.split()]
            command += ["--to", authority(*listener.address)]
            combinations = _combinations((option,), (IPV4, IPV6))
            for _, host in combinations:
                path = directory / f"{len(frontends)}.sock"
                frontends[option, host], listen = _frontend(stack, path, host)
                command += ["--listen", listen.replace("unix:", "")]
            program = Program(command, directory / f"{option[-1]}.log", 0)
            stack.enter_context(closing(program))
            program.wait_until_said("listening on ", len(combinations))
        yield Sender(listener, frontends)
