"""What a header costs a server in instructions: ``python -m bench.server_instructions [NAME]``.

Callgrind counts what the servers of ``bench.connections`` take for a connection outside the kernel,
plain and behind a header. NAME: the rows whose name says it. Linux, with valgrind; three minutes.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from bench import figures, report
from bench.connections import HEADER, ROWS, Row, by_c, compile_client, started

CONNECTIONS = 400  # as many before them warm up
ROUNDED = 500
# callgrind_control does not find the worker, which is a fork; the client of TLS is slow.
LEFT_OUT = ("gunicorn", "create_server TLS")


def per_connection(row: Row, proxy: bool) -> int:
    """Instructions of the process that serves."""
    cpus = sorted(os.sched_getaffinity(0))
    connect = by_c(replace(row, connections=CONNECTIONS), cpus[0])
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        callgrind = ["-q", "--tool=callgrind", f"--callgrind-out-file={directory / 'counted'}"]
        with started(row, proxy, cpus[-1], "valgrind", *callgrind) as server:
            for _ in range(2):
                connect(server.port, HEADER if proxy else b"")
                # What was counted since the last time goes into a file, which gets a number.
                dump = ["callgrind_control", "--dump", str(server.pid)]
                subprocess.run(dump, check=True, capture_output=True)
            (counted,) = [path.read_text(encoding="utf-8") for path in directory.glob("*.2")]
    found = re.search(r"^(?:summary|totals): (\d+)", counted, re.MULTILINE)
    assert found is not None
    return round(int(found[1]) / CONNECTIONS / ROUNDED) * ROUNDED


def main(chosen: str = "") -> None:
    compile_client()
    for row in ROWS:
        name = f"{row.kind} on {row.loop}"
        if chosen in name and row.requests == 1 and row.kind not in LEFT_OUT:
            plain, behind = [per_connection(row, proxy) for proxy in (False, True)]
            print(f"{name:36}{plain:10,}{behind - plain:+10,}", flush=True)
            counts = {"plain": plain, "more behind a header": behind - plain}
            cells = {**counts, "counted on": figures.python()}
            figures.save("servers", name, cells, report.ROOT)
    report.write()


if __name__ == "__main__":
    main(*sys.argv[1:])
