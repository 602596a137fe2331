"""docs/udp.md's examples, as they stand there."""

from __future__ import annotations

import ast
import re
import socket
import sys
from contextlib import closing

from programs import HOST, Program
from quoted import adapted, quoted
from sockets import CLIENT, FRONTEND, TIMEOUT

from fastppv2 import udp

ENDPOINT, DATAGRAM = quoted("udp.md", "python")


def test_an_endpoint(tmp_path):
    with socket.socket(type=socket.SOCK_DGRAM) as balancer:
        balancer.settimeout(TIMEOUT)
        balancer.bind((HOST, 0))
        with socket.socket(type=socket.SOCK_DGRAM) as free:
            free.bind((HOST, 0))
            address = free.getsockname()
        changes = {"0.0.0.0": HOST, "5353": str(address[1]), "10.0.0.7": HOST}
        # It says when it listens, which nobody can see from outside.
        forever = "    await asyncio.Event()"
        changes[forever] = f"    print('ready')\n{forever}"
        path = tmp_path / "program.py"
        path.write_text(adapted(ENDPOINT, changes))
        with closing(Program([sys.executable, "-u", path], tmp_path / "log", 0)) as program:
            program.wait_until_said("ready")
            balancer.sendto(udp.build_datagram(b"query", CLIENT, FRONTEND), address)
            assert balancer.recv(1000) == b"query"
            program.wait_until_said(f"{CLIENT} by {balancer.getsockname()}")


def test_one_datagram():
    names = {}
    exec(DATAGRAM, names)
    ((expression, value),) = re.findall(r"^(.*?)  # (.*)$", DATAGRAM, re.MULTILINE)
    assert eval(expression, names) == ast.literal_eval(value)
    assert names["payload"] == b"query"
