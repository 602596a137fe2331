"""What a connection costs a server, in its CPU seconds: python -m bench.connections (Linux only)

A server that takes PROXY headers against the same server without, and against what the framework
itself has. The servers are processes that run at the same time; the client gives each in turn a
block of connections, one after the other, and reads what CPU time the server's process has used. A
ratio is of two blocks that stand next to each other, so what slows the machine down slows both.
"""

from __future__ import annotations

import random
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from statistics import median

from fastppv2 import build

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = "127.0.0.1"
REQUEST, ANSWER = b"GET / HTTP/1.0\r\n\r\n", b"HTTP/1.0 204 No Content\r\n\r\n"
BLOCK = 200  # connections
ROUNDS = 60
WARM_UP = 5  # rounds
RESAMPLES = 2000
TIMEOUT = 10.0  # seconds
GONE = 0.005  # seconds, after which the server has seen the end of the last connection

HEADERS = {
    "v1 TCP4": build(("192.0.2.1", 56324), ("198.51.100.2", 443), version=1),
    "v2 TCP4": build(("192.0.2.1", 56324), ("198.51.100.2", 443)),
}
# The server without PROXY, and those that are compared with it: module, kind, first bytes.
TWISTED = {
    "plain": ("bench.twisted_server", "plain", b""),
    **{
        f"{kind} {name}": ("bench.twisted_server", kind, header)
        for name, header in HEADERS.items()
        for kind in ("fastppv2", "twisted")
    },
}


class Server:
    """One of those that are measured, and what its client sends."""

    def __init__(self, process: subprocess.Popen[str], first_bytes: bytes) -> None:
        assert process.stdout is not None
        self._address = (HOST, int(process.stdout.readline()))
        # clock_getcpuclockid(3): the CPU time of another process, all its threads.
        self._clock = ~process.pid << 3 | 2
        self._sent = first_bytes + REQUEST

    def block(self) -> float:
        """CPU seconds for a block of connections."""
        before = time.clock_gettime(self._clock)
        for _ in range(BLOCK):
            with socket.create_connection(self._address, TIMEOUT) as client:
                client.sendall(self._sent)
                answer = client.recv(len(ANSWER))
                if answer != ANSWER:
                    raise ValueError(f"expected {ANSWER!r}, got {answer!r}")
        time.sleep(GONE)
        return time.clock_gettime(self._clock) - before


@contextmanager
def running(module: str, kind: str, first_bytes: bytes) -> Iterator[Server]:
    command = [sys.executable, "-m", module, kind]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Server(process, first_bytes)
        finally:
            process.terminate()


def measure(candidates: dict[str, tuple[str, str, bytes]]) -> dict[str, list[float]]:
    """For each candidate the ratios of the first one's CPU time to its own, a round each."""
    first, *others = candidates
    ratios: dict[str, list[float]] = {name: [] for name in others}
    with ExitStack() as stack:
        servers = {name: stack.enter_context(running(*how)) for name, how in candidates.items()}
        for number in range(-WARM_UP, ROUNDS):
            for name in others:
                # Which one begins alternates, so that a trend favours neither.
                pair = (first, name) if number % 2 else (name, first)
                took = {candidate: servers[candidate].block() for candidate in pair}
                if number >= 0:
                    ratios[name].append(took[first] / took[name])
    return ratios


def lower_bound(values: list[float]) -> float:
    """Of the median, at 97.5 %, by resampling."""
    rng = random.Random(len(values))
    medians = sorted(median(rng.choices(values, k=len(values))) for _ in range(RESAMPLES))
    return medians[RESAMPLES // 40]


def main() -> None:
    print("Twisted: CPU time per connection without PROXY over that with the header read by")
    for name, values in measure(TWISTED).items():
        print(f"{name:20} {median(values):.3f} (at least {lower_bound(values):.3f})")


if __name__ == "__main__":
    main()
