"""What a header costs a server: ``python -m bench.connections``; Linux, ten minutes.

Server CPU seconds a connection, of a plain server against the same one behind a v2 TCP4 header
with policy and trust check. Both run, and take short turns; a pair's ratio is the median of those
of its turns. Each pair has processes of its own, for where things come to lie in memory moves
ratios, too. Printed is the mean over the pairs with its lower 95 % bound: 1.00 is a header for
nothing.
"""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from math import exp, log, sqrt
from socket import IPPROTO_TCP, TCP_NODELAY, create_connection, socket
from statistics import mean, median, stdev

from bench import costs, figures, native, report, results
from bench.costs import Cost
from fastppv2 import build

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

PAIRS = 15
TURNS = 24  # of each server, for one ratio: whatever slows the machine for a while slows both
WARM = 4  # turns before them
T_95 = 1.761  # Student's t, one-sided 95 %, for the 15 pairs
HEADER = build(("198.51.100.1", 56324), ("203.0.113.1", 443))
PING = b"ping"
OVER_HTTP = ("uvicorn", "gunicorn")
HTTP = b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"
# 256 KiB buffers of asyncio lie on glibc's thresholds, and fake 30 % either way.
MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": "33554432",
    "MALLOC_TRIM_THRESHOLD_": "1073741824",
    "MALLOC_TOP_PAD_": "16777216",
}


@dataclass(frozen=True)
class Row:
    kind: str
    loop: str
    floor: float | None
    connections: int
    """In each turn."""
    requests: int = 1
    window: int = 16
    """Connections at a time."""


ROWS = (
    Row("create_server", "asyncio", 0.95, 300),
    Row("start_server", "asyncio", 0.95, 300),
    Row("create_server", "uvloop", 0.86, 300),
    Row("start_server", "uvloop", 0.94, 300),
    Row("uvicorn", "asyncio", 0.94, 150),
    Row("uvicorn", "asyncio", 0.98, 16, 100),
    Row("uvicorn", "uvloop", 0.94, 150),
    Row("uvicorn", "uvloop", 0.98, 16, 100),
    Row("create_server TLS", "asyncio", 0.88, 30),
    Row("create_server TLS", "uvloop", 0.88, 30),
    Row("twisted", "default", 0.92, 300),
    Row("twisted", "asyncio", 0.92, 300),
    Row("gunicorn", "sync", 0.96, 150, window=2),
    Row("twisted's own haproxy", "default", None, 300),  # to be compared with
)


class Server:
    """A process that serves, and the CPU time that it took."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        self.port, self.pid = map(int, process.stdout.readline().split())

    def cpu_seconds(self) -> float:
        with open(f"/proc/{self.pid}/schedstat") as file:
            return int(file.read().split()[0]) / 1e9


@contextmanager
def started(row: Row, proxy: bool, cpu: int, *under: str) -> Iterator[Server]:
    """``under``: a program that runs it, with its options."""
    process = subprocess.Popen(
        [*under, sys.executable, "-m", "bench.server", row.kind, row.loop, str(int(proxy))],
        env={
            **os.environ,
            **MALLOC,
            "PYTHONHASHSEED": "0",
            "FASTPPV2_TRUSTED": "127.0.0.0/8, 10.0.0.0/8",
        },
        cwd=native.ROOT,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=pinned(cpu),
    )
    try:
        yield Server(process)
    finally:
        process.terminate()
        process.wait()


def pinned(cpu: int) -> Callable[[], None]:
    return lambda: os.sched_setaffinity(0, {cpu})


def by_c(row: Row, cpu: int) -> Callable[[int, bytes], None]:
    """``client.c`` connects."""
    program = native.BUILD / "client"
    request = PING if row.kind not in OVER_HTTP else HTTP

    def connect(port: int, header: bytes) -> None:
        counts = [str(number) for number in (port, row.connections, row.window, row.requests)]
        command = [str(program), *counts, header.hex(), request.hex(), "pong"]
        subprocess.run(command, check=True, preexec_fn=pinned(cpu))

    return connect


def over_tls(row: Row) -> Callable[[int, bytes], None]:
    """Here the client is Python, which costs the server nothing; it never sleeps, either."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def connect(port: int, header: bytes) -> None:
        for _ in range(row.connections):
            with create_connection(("127.0.0.1", port)) as raw:
                raw.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
                raw.setblocking(False)
                ping_over_tls(raw, header, context)

    return connect


def ping_over_tls(raw: socket, header: bytes, context: ssl.SSLContext) -> None:
    """The header and the ClientHello in one segment."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing)

    def finish(step: Callable[[], object], first: bytes = b"") -> None:
        while True:
            try:
                step()
                return
            except ssl.SSLWantReadError:
                raw.sendall(first + outgoing.read())
                first = b""
                incoming.write(received(raw))

    finish(tls.do_handshake, header)
    tls.write(PING)
    finish(tls.read)


def received(raw: socket) -> bytes:
    """Some bytes, without sleeping until they come."""
    while True:
        try:
            return raw.recv(1 << 16)
        except BlockingIOError:
            pass


def compile_client() -> None:
    native.BUILD.mkdir(parents=True, exist_ok=True)
    command = [os.environ.get("CC", "cc"), "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Wconversion"]
    source, program = native.HERE / "client.c", native.BUILD / "client"
    subprocess.run([*command, str(source), "-o", str(program)], check=True)


def ratio(row: Row) -> float:
    """Of plain to ours, each in a process of its own."""
    cpus = sorted(os.sched_getaffinity(0))
    connect = over_tls(row) if row.kind.endswith("TLS") else by_c(row, cpus[0])
    with started(row, False, cpus[-1]) as plain, started(row, True, cpus[-1]) as ours:

        def seconds(server: Server) -> float:
            before = server.cpu_seconds()
            connect(server.port, HEADER if server is ours else b"")
            return server.cpu_seconds() - before

        found = []
        for turn in range(-WARM, TURNS):
            order = (plain, ours) if turn % 2 else (ours, plain)
            taken = {server: seconds(server) for server in order}
            if turn >= 0:
                found.append(taken[plain] / taken[ours])
        return median(found)


def summary(found: Sequence[float]) -> tuple[float, float]:
    """The geometric mean, and its lower 95 % bound."""
    logs = [log(ratio) for ratio in found]
    return exp(mean(logs)), exp(mean(logs) - T_95 * stdev(logs) / sqrt(len(logs)))


def cost(row: Row, pairs: int) -> Cost:
    middle, bound = summary([ratio(row) for _ in range(pairs)])
    date = results.environment()["date"][:10]
    found = (round(middle, 3), round(bound, 3))
    return Cost(row.kind, row.loop, row.requests, row.floor, figures.python(), date, *found)


def main(words: Sequence[str]) -> None:
    """Prints, and keeps what whole runs gave."""
    pairs = int(words[0]) if words else PAIRS
    chosen = " ".join(words[1:])
    compile_client()
    print(f"{sys.version.split()[0]}, {pairs} pairs: plain / behind a header; in brackets at least")
    for row in ROWS:
        if chosen in f"{row.kind} {row.loop}":
            one = cost(row, pairs)
            print(*one.row, one.text, "floor", one.floor, flush=True)
            if pairs >= PAIRS:
                costs.save(one, report.ROOT)
    report.write()


if __name__ == "__main__":
    main(sys.argv[1:])
