"""``fastppv2 relay --transparent``: an upstream that knows nothing of PROXY sees the client.

In network namespaces: a client, a relay that is the way between them, and upstreams whose default
route is the relay. Needs root, and iproute2.
"""

from __future__ import annotations

import itertools
import os
import shlex
import subprocess
import sys
import time
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from programs import POLL_INTERVAL, TIMEOUT, Program
from quoted import quoted
from tools import require_tool

from fastppv2 import Transport, build

_, ROUTING, _ = quoted("relay.md", "console")
UPSTREAMS = 4
_numbers = itertools.count()
PORT = 8000
# By address family: the addresses of the client's net and the upstreams', and their bits.
NETS = {
    4: ("192.0.2.{}", "198.51.100.{}", 24),
    6: ("2001:db8:1::{}", "2001:db8:2::{}", 64),
}
# Says who it is and who asks.
SERVER = """\
import socket, sys
name, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
family = socket.AF_INET6 if ":" in host else socket.AF_INET
if sys.argv[4] == "tcp":
    listener = socket.create_server((host, port), family=family)
    while True:
        connection, _ = listener.accept()
        peer = connection.getpeername()
        connection.sendall(f"{name} {peer[0]} {peer[1]}".encode())
        connection.close()
sock = socket.socket(family, socket.SOCK_DGRAM)
sock.bind((host, port))
while True:
    data, peer = sock.recvfrom(1000)
    sock.sendto(f"{name} {peer[0]} {peer[1]} {data.decode()}".encode(), peer)
"""
# Prints what it is called itself, and what it is told.
CLIENT = """\
import socket, sys
host, port = sys.argv[1], int(sys.argv[2])
header = bytes.fromhex(sys.argv[4])
if sys.argv[3] == "tcp":
    connection = socket.create_connection((host, port), 10)
    connection.sendall(header)
    said = b"".join(iter(lambda: connection.recv(1000), b""))
else:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    connection = socket.socket(family, socket.SOCK_DGRAM)
    connection.settimeout(10)
    connection.connect((host, port))
    connection.send(header + b"query")
    said = connection.recv(1000)
name = connection.getsockname()
print(name[0], name[1], "|", said.decode())
"""


def ip(*arguments: str) -> None:
    done = subprocess.run([require_tool("ip"), *arguments], capture_output=True, text=True)
    assert done.returncode == 0, (arguments, done.stderr)


class Network:
    """Namespaces with links between them."""

    def __init__(self, stack: ExitStack, directory: Path) -> None:
        self._stack = stack
        self._directory = directory
        self._prefix = f"fppv2-{os.getpid()}-{next(_numbers)}"
        for name in ("client", "relay", "upstream"):
            ip("netns", "add", self.full(name))
            stack.callback(ip, "netns", "delete", self.full(name))
            self.ip(name, "link", "set", "lo", "up")

    def full(self, name: str) -> str:
        return f"{self._prefix}-{name}"

    def ip(self, name: str, *arguments: str) -> None:
        ip("-n", self.full(name), *arguments)

    def command(self, name: str, *command: object) -> list[str]:
        return [require_tool("ip"), "netns", "exec", self.full(name), *map(str, command)]

    def run(self, name: str, *command: object) -> str:
        done = subprocess.run(
            self.command(name, *command), capture_output=True, text=True, timeout=TIMEOUT
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, name: str, *command: object) -> Program:
        log = self._directory / f"{len(list(self._directory.iterdir()))}.log"
        program = Program(self.command(name, *command), log, 0)
        self._stack.enter_context(closing(program))
        return program

    def listens(self, name: str, what: str) -> None:
        """Waits until a socket there is bound to that."""
        deadline = time.monotonic() + TIMEOUT
        while what not in self.run(name, require_tool("ss"), "-Hlntu"):
            assert time.monotonic() < deadline, self.run(name, require_tool("ss"), "-lntu")
            time.sleep(POLL_INTERVAL)


@contextmanager
def network(directory: Path):
    if os.geteuid():
        pytest.skip("needs root, for network namespaces")
    with ExitStack() as stack:
        net = Network(stack, directory)
        for side, index in (("client", 0), ("upstream", 1)):
            net.ip("relay", "link", "add", f"to-{side}", "type", "veth", "peer", "name", "eth",
                   "netns", net.full(side))  # fmt: skip
            net.ip(side, "link", "set", "eth", "up")
            net.ip("relay", "link", "set", f"to-{side}", "up")
            for family, nets in NETS.items():
                pattern, bits = nets[index], nets[2]
                more = ["nodad"] if family == 6 else []
                net.ip("relay", "addr", "add", f"{pattern.format(1)}/{bits}", "dev",
                       f"to-{side}", *more)  # fmt: skip
                for host in range(2, 2 + (UPSTREAMS if side == "upstream" else 1)):
                    address = f"{pattern.format(host)}/{bits}"
                    net.ip(side, "addr", "add", address, "dev", "eth", *more)
                net.ip(side, f"-{family}", "route", "add", "default", "via", pattern.format(1))
        yield net


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    with network(tmp_path_factory.mktemp("network")) as net:
        yield net


@pytest.fixture(scope="module")
def routed(net):
    """What comes back from the upstreams is the relay's own: by the commands of docs/relay.md."""
    for line in ROUTING.splitlines():
        net.run("relay", *shlex.split(line.replace("eth1", "to-upstream"), comments=True))
    return net


def start_upstreams(net, family: int, kind: str, count: int) -> list[str]:
    hosts = [NETS[family][1].format(2 + number) for number in range(count)]
    for number, host in enumerate(hosts):
        net.start("upstream", sys.executable, "-c", SERVER, number, host, PORT, kind)
    for host in hosts:
        net.listens("upstream", authority(host, PORT))
    return [authority(host, PORT) for host in hosts]


@pytest.fixture(scope="module")
def upstreams(routed):
    """By family and protocol."""
    return {
        (family, kind): start_upstreams(routed, family, kind, UPSTREAMS)
        for family in NETS
        for kind in ("tcp", "udp")
    }


@pytest.fixture
def unrouted(tmp_path):
    """The relay knows nothing of what the upstreams answer."""
    with network(tmp_path) as net:
        yield net


@pytest.fixture
def directly(unrouted):
    """The relay's machine is a router, which puts its own address in the place of an upstream's."""
    nft = require_tool("nft")  # tc's action nat does the same, where the kernel has it
    relay, upstream = NETS[4][0].format(1), NETS[4][1].format(2)
    unrouted.run("relay", require_tool("sysctl"), "-w", "net.ipv4.ip_forward=1")
    unrouted.run("relay", nft, "add table ip direct")
    hook = "type filter hook postrouting priority 0;"
    unrouted.run("relay", nft, f"add chain ip direct out {{ {hook} }}")
    unrouted.run("relay", nft, f"add rule ip direct out ip saddr {upstream} ip saddr set {relay}")
    return unrouted


def authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@contextmanager
def relay(net, listen: str, upstreams: list[str], *options: str):
    to = [option for upstream in upstreams for option in ("--to", upstream)]
    command = (sys.executable, "-m", "fastppv2", "relay", "--listen", listen, *to, *options)
    program = net.start("relay", *command, "--transparent", "--grace", "0")
    try:
        program.wait_until_said("listening on")
        yield program
    finally:
        program.close()


def ask(net, listen: str, kind: str, header: bytes = b"") -> tuple[str, str]:
    """What the client is called, and what it is told."""
    host, _, port = listen.rpartition(":")
    said = net.run("client", sys.executable, "-c", CLIENT, host.strip("[]"), port, kind,
                   header.hex())  # fmt: skip
    name, _, answer = said.strip().partition(" | ")
    return name, answer


@pytest.mark.parametrize("family", NETS)
def test_tcp(routed, upstreams, family):
    """Four upstreams in turn: each sees the client's own address and port, and answers it."""
    listen = authority(NETS[family][0].format(1), 80)
    with relay(routed, listen, upstreams[family, "tcp"]) as program:
        for number in range(2 * UPSTREAMS):
            name, answer = ask(routed, listen, "tcp")
            assert answer == f"{number % UPSTREAMS} {name}"
        program.wait_until_said(", ok\n", 2 * UPSTREAMS)


@pytest.mark.parametrize("family", NETS)
def test_udp(routed, upstreams, family):
    listen = authority(NETS[family][0].format(1), 80)
    with relay(routed, listen, upstreams[family, "udp"], "--udp"):
        for number in range(UPSTREAMS):
            name, answer = ask(routed, listen, "udp")
            assert answer == f"{number % UPSTREAMS} {name} query"


@pytest.mark.parametrize("family", NETS)
@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_client_of_a_header(routed, upstreams, family, kind):
    """The balancer is not who the upstream sees, but the client that its header names."""
    listen, client = (authority(NETS[family][0].format(n), p) for n, p in ((1, 80), (77, 4242)))
    host = NETS[family][0].format(77)
    transport = Transport.DGRAM if kind == "udp" else Transport.STREAM
    header = build((host, 4242), (NETS[family][0].format(1), 80), transport=transport)
    options = ["--accept-proxy", "--trusted", NETS[family][0].format(2)]
    if kind == "udp":
        options.append("--udp")
    with relay(routed, listen, upstreams[family, kind], *options) as program:
        _, answer = ask(routed, listen, kind, header)
        assert answer.split()[:3] == ["0", host, "4242"]
        program.close()
        assert f" {client} by {authority(NETS[family][0].format(2), 0)[:-1]}" in program.said()


def test_direct_server_return(directly):
    """The relay sees no answer, and the client's connected socket gets it all the same."""
    listen = authority(NETS[4][0].format(1), PORT)
    upstream = start_upstreams(directly, 4, "udp", 1)
    with relay(directly, listen, upstream, "--udp", "--no-replies") as program:
        name, answer = ask(directly, listen, "udp")
        assert answer == f"0 {name} query"
        program.close()
        assert "5 bytes sent, 0 received" in program.said()


def test_no_way_back(unrouted):
    """Each cause is named, and how to look."""
    listen = authority(NETS[4][0].format(1), 80)
    (upstream,) = start_upstreams(unrouted, 4, "tcp", 1)
    with relay(unrouted, listen, [upstream]) as program:
        done = subprocess.run(
            unrouted.command("client", sys.executable, "-c", CLIENT, *listen.split(":"), "tcp", ""),
            capture_output=True,
            timeout=TIMEOUT,
        )
        assert done.returncode != 0
        client = NETS[4][0].format(2)
        program.wait_until_said(f"no answer from {upstream} to {client}: (1) the upstream must ")
        for said in (
            f"'ip route get {client}'",
            "'iif DEVICE lookup 100'",
            "'local 0.0.0.0/0 dev lo'",
            "rp_filter",
            "(4) the client must not be in the upstream's own network",
        ):
            assert said in program.said()


def test_without_the_privilege():
    if os.geteuid():
        pytest.skip("needs root, to be without a part of it")
    without = [require_tool("setpriv"), "--bounding-set=-net_admin,-net_raw"]
    command = [sys.executable, "-m", "fastppv2", "relay", "--listen", "127.0.0.1:1"]
    done = subprocess.run(
        [*without, *command, "--to", "127.0.0.1:2", "--transparent"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    assert (done.returncode, done.stderr) == (
        1,
        "fastppv2: --transparent needs root, or the capability CAP_NET_RAW (systemd: "
        "AmbientCapabilities=CAP_NET_RAW)\n",
    )
