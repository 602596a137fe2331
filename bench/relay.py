"""What the relay costs against HAProxy, in CPU seconds: python -m bench.relay (Linux only)

Both take a version 2 header and send one, in TCP mode, one thread each, to the same upstream, and
run at the same time; the client gives each in turn a block, and reads what CPU time its process has
used, as bench/connections.py does. A rate is what one core would do.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from bench import figures, report
from fastppv2 import build

HOST = "127.0.0.1"
HEADER = build(("192.0.2.1", 56324), ("198.51.100.2", 443))
CONNECTIONS = 300  # a block
BULK = 64 << 20  # bytes of a block, each way together
ROUNDS = 15
MANY = 100_000  # connections, during which the memory is looked at
TIMEOUT = 10.0  # seconds
HAPROXY = """\
global
    nbthread 1
    maxconn 1000
defaults
    mode tcp
    timeout connect 5s
    timeout client 5s
    timeout server 5s
listen relay
    bind {host}:{port} accept-proxy
    server upstream {host}:{to} send-proxy-v2
"""


def serve(listener: socket.socket) -> None:
    """The upstream: answers a byte with a byte, and a big request with as many."""
    piece = bytes(1 << 18)
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection, suppress(OSError):
            first = connection.recv(len(HEADER) + 1, socket.MSG_WAITALL)
            if first[-1:] == b"b":
                left = BULK // 2
                while left:
                    left -= len(connection.recv(left))
                for _ in range(BULK // 2 // len(piece)):
                    connection.sendall(piece)
            else:
                connection.sendall(b"a")


class Process:
    """One of the two relays."""

    def __init__(self, command: list[str], port: int) -> None:
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._address = HOST, port
        # clock_getcpuclockid(3): the CPU time of another process, all its threads.
        self._clock = ~self._process.pid << 3 | 2

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()

    def wait(self) -> None:
        """Until it answers."""
        end = time.monotonic() + TIMEOUT
        while time.monotonic() < end:
            with suppress(OSError):
                self.connect(1)
                return
            time.sleep(0.05)
        raise TimeoutError(f"no answer at {self._address}")

    def connect(self, number: int) -> float:
        """CPU seconds for that many connections, one after the other."""
        before = time.clock_gettime(self._clock)
        for _ in range(number):
            with socket.create_connection(self._address, TIMEOUT) as client:
                client.sendall(HEADER + b"a")
                if client.recv(1) != b"a":
                    raise ConnectionError("no answer")
        time.sleep(0.01)
        return time.clock_gettime(self._clock) - before

    def bulk(self) -> float:
        """CPU seconds for a block of bytes."""
        before = time.clock_gettime(self._clock)
        piece = bytes(1 << 18)
        with socket.create_connection(self._address, TIMEOUT) as client:
            client.sendall(HEADER + b"b")
            for _ in range(BULK // 2 // len(piece)):
                client.sendall(piece)
            left = BULK // 2
            while left:
                left -= len(client.recv(1 << 18))
        return time.clock_gettime(self._clock) - before

    def memory(self) -> int:
        """Resident, in KiB."""
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise ValueError("no VmRSS")


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        return int(sock.getsockname()[1])


def main() -> None:
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server((HOST, 0), backlog=1000))
        to = listener.getsockname()[1]
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ports = free_port(), free_port()
        config = directory / "haproxy.cfg"
        config.write_text(HAPROXY.format(host=HOST, port=ports[0], to=to))
        ours = [sys.executable, "-m", "fastppv2", "relay", "--quiet", "--grace", "0"]
        ours += ["--listen", f"{HOST}:{ports[1]}", "--to", f"{HOST}:{to}", "--accept-proxy"]
        ours += ["--trusted", HOST, "--send-proxy", "v2"]
        haproxy = Process(["haproxy", "-db", "-f", str(config)], ports[0])
        stack.callback(haproxy.close)
        relay = Process(ours, ports[1])
        stack.callback(relay.close)
        for process in (haproxy, relay):
            process.wait()
        show(haproxy, relay)


def show(haproxy: Process, relay: Process) -> None:
    python = figures.python()
    loop = "asyncio" if find_spec("uvloop") is None else "uvloop"
    for name, unit, amount, block in (
        ("connections", "1/s", CONNECTIONS, lambda process: process.connect(CONNECTIONS)),
        ("bytes", "MiB/s", BULK >> 20, Process.bulk),
    ):
        pairs = [(block(haproxy), block(relay)) for _ in range(ROUNDS)]
        ratio = median([theirs / our for theirs, our in pairs])
        rates = [amount / median(column) for column in zip(*pairs)]
        print(
            f"{name}: HAProxy {rates[0]:,.0f} {unit} of CPU time, relay on {loop} "
            f"{rates[1]:,.0f}, ratio {ratio:.2f}"
        )
        row = f"{name}, the relay on {loop} against HAProxy"
        figures.save("relay", row, {python: round(ratio, 2)}, report.ROOT)
    sizes = [relay.memory()]
    for _ in range(10):
        relay.connect(MANY // 10)
        sizes.append(relay.memory())
    print(
        f"memory of the relay: {sizes[0]} KiB, after {MANY:,} connections more {sizes[-1]}, at "
        f"most {max(sizes)}"
    )
    grown = max(sizes) - sizes[0]
    row = f"KiB that {MANY:,} connections add to the relay"
    figures.save("relay", row, {python: grown}, report.ROOT)
    report.write()


if __name__ == "__main__":
    main()
