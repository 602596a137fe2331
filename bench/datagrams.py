"""What a header costs a datagram, in CPU seconds: python -m bench.datagrams (Linux only)

An endpoint that echoes, of ``fastppv2.udp`` and of the loop itself, in a process each; the client
gives each in turn a block of datagrams and reads what CPU time its process has used, as
bench/connections.py does.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from importlib.util import find_spec
from statistics import median

from bench import figures, report
from bench.connections import MALLOC
from fastppv2 import Policy, udp

HOST = "127.0.0.1"
PAYLOAD = bytes(64)
BLOCK = 4000  # datagrams
AT_ONCE = 32  # on the way, which any socket's buffer holds
ROUNDS = 25
TIMEOUT = 10.0  # seconds


class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: object) -> None:
        self.transport.sendto(data, address)  # type: ignore[attr-defined]


async def serve(kind: str) -> None:
    if kind == "plain":
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(Echo, (HOST, 0))
    else:
        transport, _ = await udp.create_datagram_endpoint(Echo, (HOST, 0), policy=Policy(HOST))
    print(transport.get_extra_info("sockname")[1], flush=True)
    await asyncio.Event().wait()


class Endpoint:
    """One of the two, and what its client sends: of a thousand clients in turn."""

    def __init__(self, loop: str, kind: str) -> None:
        command = [sys.executable, "-m", "bench.datagrams", loop, kind]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, **MALLOC}
        )
        assert self.process.stdout is not None
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(TIMEOUT)
        self._socket.connect((HOST, int(self.process.stdout.readline())))
        self._clock = ~self.process.pid << 3 | 2  # clock_getcpuclockid(3)
        server = ("198.51.100.2", 53)
        self._sent = [PAYLOAD] * 1000
        if kind == "proxy":
            self._sent = [
                udp.build_datagram(PAYLOAD, ("192.0.2.1", port), server) for port in range(1000)
            ]

    def block(self) -> float:
        """CPU seconds for a block of datagrams."""
        before = time.clock_gettime(self._clock)
        for start in range(0, BLOCK, AT_ONCE):
            for number in range(start, start + AT_ONCE):
                self._socket.send(self._sent[number % 1000])
            for _ in range(AT_ONCE):
                self._socket.recv(2000)
        return time.clock_gettime(self._clock) - before

    def close(self) -> None:
        self._socket.close()
        self.process.terminate()
        self.process.communicate()


def measure(loop: str) -> None:
    # All on one CPU: to wake who sleeps on another one costs as much as a datagram, and who sleeps
    # when is chance.
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with ExitStack() as stack:
        endpoints = [Endpoint(loop, kind) for kind in ("plain", "proxy")]
        for endpoint in endpoints:
            stack.callback(endpoint.close)
            endpoint.block()  # what is made once is made
        pairs = [[endpoint.block() for endpoint in endpoints] for _ in range(ROUNDS)]
    ratio = median([plain / proxy for plain, proxy in pairs])
    rates = [BLOCK / median(column) for column in zip(*pairs)]
    print(
        f"{loop}: without header {rates[0]:,.0f} datagrams for a second of CPU time, with one "
        f"{rates[1]:,.0f}, ratio {ratio:.2f}"
    )
    row = f"datagrams on {loop}, with a header against without"
    figures.save("relay", row, {figures.python(): round(ratio, 2)}, report.ROOT)


def main() -> None:
    if len(sys.argv) == 1:
        for loop in ("asyncio", "uvloop") if find_spec("uvloop") else ("asyncio",):
            measure(loop)
        report.write()
    elif sys.argv[1] == "uvloop":
        import uvloop

        uvloop.run(serve(sys.argv[2]))
    else:
        asyncio.run(serve(sys.argv[2]))


if __name__ == "__main__":
    main()
