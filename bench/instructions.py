"""What the hot path takes in instructions, here and at another commit: no noise hides a slow-down.

    python -m bench.instructions [REVISION]

REVISION is the commit that last renewed the figures unless it is given. Callgrind counts what one
pass over 4,096 headers takes; the working tree and the revision are built alike, by this Python.
Ends with status 1 if anything takes more than 2 % more.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.headers import COUNT

ROOT = Path(__file__).resolve().parent.parent
FIGURES = "bench/results"
LIMIT = 1.02

# What each is called on; all in one loop over one argument, whose cost they share.
JOBS = {
    "parse v1 TCP4": ("parse", "headers('v1 TCP4')"),
    "parse v1 TCP6": ("parse", "headers('v1 TCP6')"),
    "parse v2 TCP4": ("parse", "headers('v2 TCP4')"),
    "parse v2 TCP6": ("parse", "headers('v2 TCP6')"),
    "parse v2 AWS": ("parse", "headers('v2 AWS')"),
    "parse memoryview v2 TCP4": ("parse", "[*map(memoryview, headers('v2 TCP4'))]"),
    "source v2 TCP4": ("operator.attrgetter('source')", "[*map(parse, headers('v2 TCP4'))]"),
    "source v2 TCP6": ("operator.attrgetter('source')", "[*map(parse, headers('v2 TCP6'))]"),
    "build v2 TCP4": ("lambda ends: build(*ends)", "endpoints(socket.AF_INET)"),
}
PROGRAM = """
import gc, operator, socket, sys
gc.disable()
sys.path[:0] = sys.argv[1:3]
from bench.headers import endpoints, headers
from fastppv2 import build, parse
f = {function}
data = {data}
def run(passes):
    for _ in range(passes):
        for x in data:
            f(x)
run(int(sys.argv[3]))
"""


def count(site: Path, name: str, passes: int) -> int:
    function, data = JOBS[name]
    program = PROGRAM.format(function=function, data=data)
    callgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    run = subprocess.run(
        [*callgrind, sys.executable, "-c", program, str(site), str(ROOT), str(passes)],
        env={**os.environ, "PYTHONHASHSEED": "0"},  # else each run has other collisions
        cwd=site,
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    )
    collected = re.search(r"Collected : (\d+)", run.stderr)
    assert collected is not None
    return int(collected[1])


def per_header(site: Path, name: str) -> float:
    return (count(site, name, 3) - count(site, name, 1)) / (2 * COUNT)


def install(tree: Path, site: Path) -> Path:
    options = ["-q", "--no-deps", "--no-build-isolation", "--no-cache-dir", "--target", str(site)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(tree)], check=True)
    return site


def git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True).stdout


def main() -> int:
    revision = sys.argv[1] if len(sys.argv) > 1 else ""
    revision = revision or git("log", "-1", "--format=%h", "--", FIGURES).decode().strip()
    slower = []
    with tempfile.TemporaryDirectory() as directory:
        then = Path(directory, "tree")
        then.mkdir()
        subprocess.run(["tar", "-x", "-C", then], input=git("archive", revision), check=True)
        sites = [install(then, Path(directory, "then")), install(ROOT, Path(directory, "now"))]
        print(f"{'instructions':26}{revision:>10}{'now':>10}")
        for name in JOBS:
            before, after = [per_header(site, name) for site in sites]
            print(f"{name:26}{before:10.0f}{after:10.0f}{after / before - 1:+8.1%}", flush=True)
            if after > LIMIT * before:
                slower.append(name)
    if slower:
        print(f"FAILED: more than {LIMIT - 1:.0%} more instructions: {', '.join(slower)}")
    return bool(slower)


if __name__ == "__main__":
    sys.exit(main())
