"""Real servers on loopback: started by the tests, polled until they listen, and stopped.

Every wait is bounded by ``TIMEOUT``; every port is held for the test that asked for it.
"""

from __future__ import annotations

import re
import socket
import subprocess
import time
from contextlib import closing, contextmanager, suppress
from functools import cache
from pathlib import Path

import pytest
from programs import Program
from scripted import until_request
from tools import require_tool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Address = tuple[str, int]

TIMEOUT = 10.0
POLL_INTERVAL = 0.02
IPV4 = "127.0.0.1"
IPV6 = "::1"
MAPPED = f"::ffff:{IPV4}"
RECEIVE_SIZE = 65536
HTTP_REQUEST = b"GET / HTTP/1.0\r\n\r\n"


def family_of(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def authority(host: str, port: int) -> str:
    """The address as HAProxy and nginx write it in their configurations."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@cache
def has_loopback(host: str) -> bool:
    """Containers often have no IPv6."""
    try:
        with socket.socket(family_of(host)) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True


def require_loopback(host: str) -> None:
    if not has_loopback(host):
        pytest.skip(f"this machine has no {host}")


@contextmanager
def reserved_port(host: str = IPV4) -> Iterator[int]:
    """A port for a server, which nobody else can be given meanwhile.

    The holder is bound and does not listen, so a server that sets SO_REUSEADDR, as all do, may
    bind the same address; the system gives it to nobody who asks for any port.
    """
    with socket.socket(family_of(host)) as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((host, 0))
        yield holder.getsockname()[1]


@contextmanager
def running(command: Sequence[str], log: Path, ready: Address) -> Iterator[None]:
    """The server, from its first answer to an HTTP request at ``ready`` to the end of the block.

    A server that answers has opened all its sockets; that one of them listens says nothing of the
    others.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        _wait_until_ready(process, log, ready)
        yield
    finally:
        _stop(process)


def _wait_until_ready(process: subprocess.Popen[bytes], log: Path, ready: Address) -> None:
    deadline = time.monotonic() + TIMEOUT
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError):
            _, answer = ask(ready, HTTP_REQUEST)
            if answer:
                return
        time.sleep(POLL_INTERVAL)
    said = log.read_text(errors="replace")
    pytest.fail(f"{process.args!r} gives no answer at {ready}, exit {process.poll()}:\n{said}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


HAPROXY_HEAD = """\
global
    nbthread 1
    maxconn 100  # the default takes more open files than an ordinary user may have
defaults
    mode tcp
    timeout connect {timeout}s
    timeout client {timeout}s
    timeout server {timeout}s
frontend ready
    mode http
    bind {host}:{port}
    http-request return status 200
"""

# One process, which changes no user: what root starts must reach its own temporary directory.
NGINX_HEAD = """\
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log stderr;
{modules}
events {{ }}
"""

NGINX_HTTP = """\
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{ listen {host}:{port}; return 200; }}
{servers}}}
"""


@contextmanager
def haproxy(directory: Path, sections: str) -> Iterator[None]:
    """HAProxy with these frontends and backends."""
    with reserved_port() as port:
        config = directory / "haproxy.cfg"
        head = HAPROXY_HEAD.format(host=IPV4, port=port, timeout=int(TIMEOUT))
        config.write_text(head + sections)
        # -db: in the foreground, as one process
        command = [require_tool("haproxy"), "-db", "-f", str(config)]
        with running(command, directory / "haproxy.log", (IPV4, port)):
            yield


@contextmanager
def nginx(directory: Path, *, http: str = "", stream: str = "") -> Iterator[None]:
    """nginx with these ``server`` blocks in its http and stream modules."""
    with reserved_port() as port:
        modules = _stream_module() if stream else ""
        text = NGINX_HEAD.format(directory=directory, modules=modules)
        text += NGINX_HTTP.format(directory=directory, host=IPV4, port=port, servers=http)
        text += f"stream {{\n{stream}}}\n" if stream else ""
        config = directory / "nginx.conf"
        config.write_text(text)
        command = [require_tool("nginx"), "-c", str(config)]
        with running(command, directory / "nginx.log", (IPV4, port)):
            yield


APACHE_MODULES = Path("/usr/lib/apache2/modules")
APACHE_HEAD = """\
ServerRoot {directory}
ServerName localhost
PidFile {directory}/apache.pid
ErrorLog {directory}/error.log
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
"""


@contextmanager
def apache(directory: Path, addresses: Sequence[Address], section: str) -> Iterator[None]:
    """Apache at these addresses, with what stands in its configuration besides."""
    text = APACHE_HEAD.format(directory=directory, modules=APACHE_MODULES)
    text += "".join([f"Listen {authority(*address)}\n" for address in addresses])
    config = directory / "apache.conf"
    config.write_text(text + section)
    command = [require_tool("apache2"), "-f", config, "-DFOREGROUND"]
    _, port = addresses[0]
    with closing(Program(command, directory / "apache.log", port)) as program:
        program.connect().close()  # it listens everywhere before it serves
        yield


@contextmanager
def varnish(directory: Path, vcl: str, addresses: Sequence[str]) -> Iterator[None]:
    """Varnish with this program, at addresses as its option ``-a`` has them, of 127.0.0.1 first."""
    config = directory / "default.vcl"
    config.write_text(vcl)
    command = [
        # -j: as who started it, for nobody else may read the directory
        *(require_tool("varnishd"), "-j", "none", "-F", "-n", directory / "varnish"),
        *("-f", config, "-s", "malloc,16m"),
    ]
    for address in addresses:
        command += ["-a", address]
    port = int(addresses[0].partition(",")[0].rpartition(":")[2])
    with closing(Program(command, directory / "varnish.log", port)) as program:
        program.connect().close()  # it listens everywhere before it serves
        yield


# Nothing is fetched, nothing is left behind.
CADDY_HEAD = """\
{{
    admin off
    auto_https off
    persist_config off
    {options}
}}
"""


@contextmanager
def caddy(directory: Path, sites: str, options: str = "") -> Iterator[None]:
    """Caddy with these sites and global options."""
    config = directory / "Caddyfile"
    config.write_text(CADDY_HEAD.format(options=options) + sites)
    command = [require_tool("caddy"), "run", "--config", config]
    homes = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"), str(directory))
    with closing(Program(command, directory / "caddy.log", 0, env=homes)) as program:
        program.wait_until_said("serving initial configuration")
        yield


def _stream_module() -> str:
    """Debian builds it as a file of its own; relative paths start at nginx's prefix."""
    if "--with-stream=dynamic" in _said_by("nginx", "-V"):
        return "load_module modules/ngx_stream_module.so;"
    return ""


@cache
def _said_by(tool: str, option: str) -> str:
    done = subprocess.run(
        [require_tool(tool), option],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT,
        check=True,
    )
    return done.stdout


def version_of(tool: str) -> tuple[int, ...]:
    """The installed version of ``haproxy`` or ``nginx``, such as (2, 6, 12)."""
    said = _said_by(tool, "-v")
    found = re.search(r"\d+(?:\.\d+)+", said)
    if found is None:
        pytest.fail(f"no version in what {tool} -v says: {said}")
    return tuple([int(number) for number in found[0].split(".")])


class Listener:
    """The application's end: takes what a proxy under test connects to it."""

    def __init__(self, host: str = IPV4) -> None:
        self._socket = socket.create_server((host, 0), family=family_of(host))
        self._socket.settimeout(TIMEOUT)
        self.address: Address = self._socket.getsockname()[:2]

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def receive(self, ending: bytes, reply: bytes = b"") -> tuple[bytes, Address]:
        """What one connection brings up to ``ending``, and its peer, which gets ``reply``."""
        connection, peer = self._socket.accept()
        with connection:
            received = receive_until(connection, ending)
            connection.sendall(reply)
        return received, peer[:2]

    def receive_head(self, reply: bytes) -> bytes:
        """What one connection brings up to the end of a request's head, or to its own."""
        connection, _ = self._socket.accept()
        with connection:
            connection.settimeout(TIMEOUT)
            received = until_request(connection)
            if received:
                connection.sendall(reply)
        return received


def receive_until(connection: socket.socket, ending: bytes) -> bytes:
    """All that comes up to ``ending``; if that is empty, up to the end of the connection."""
    connection.settimeout(TIMEOUT)
    deadline = time.monotonic() + TIMEOUT
    received = b""
    while not (ending and received.endswith(ending)):
        piece = connection.recv(RECEIVE_SIZE)
        if not piece and not ending:
            break
        received += piece
        if not piece or time.monotonic() > deadline:
            pytest.fail(f"expected bytes that end in {ending!r}, the connection gave {received!r}")
    return received


def ask(address: Address, data: bytes) -> tuple[Address, bytes]:
    """Our own address, and what the server says to ``data`` until it closes the connection."""
    with socket.create_connection(address, TIMEOUT) as connection:
        connection.sendall(data)
        return connection.getsockname()[:2], receive_until(connection, b"")
