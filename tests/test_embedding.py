"""The examples of embedding: built from the installed wheel alone, and held against ``parse``."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any, Callable, NamedTuple

import pytest
from backends import VECTORS
from quoted import quoted
from shipped import (
    ROOT,
    Installed,
    contents,
    environment,
    only_where_it_builds,
    run,
    succeeded,
)
from tools import require_tool

import fastppv2

pytestmark = only_where_it_builds

(CYTHON,) = quoted("embedding.md", "cython")
(COMMAND,) = quoted("embedding.md", "console")
EXAMPLES = ROOT / "docs" / "examples" / "embedding"
FLAGS = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wpedantic", "-Werror"]
TIMEOUT = 20.0
SHOW_INCLUDE = "import fastppv2; print(fastppv2.get_include())"

GOOD = b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"
PAYLOAD = b"GET / HTTP/1.1\r\n\r\n" + bytes(range(256))
INPUTS = [bytes.fromhex(case["hex"]) for case in VECTORS]
_OK = [case["expect"]["status"] == "ok" for case in VECTORS]
# What follows a header would be the next one: the good ones without their payload.
HEADERS = [raw[: fastppv2.parse(raw).size] for raw, ok in zip(INPUTS, _OK) if ok]
BROKEN = [raw for raw, ok in zip(INPUTS, _OK) if not ok]
# As systemd has it for the connection itself, which is that of the load balancer.
PEER = {"REMOTE_ADDR": "10.0.0.1", "REMOTE_PORT": "34567", "PATH": os.defpath}


def test_both_wheels_hold_the_same_core(compiled: Installed, pure: Installed) -> None:
    def core(wheel: Path) -> dict[str, bytes]:
        names = ("fastppv2/include/", "fastppv2/core.pxd")
        return {n: data for n, data in contents(wheel).items() if n.startswith(names)}

    assert len(core(pure.wheel)) > 2
    assert core(compiled.wheel) == core(pure.wheel)


@pytest.fixture(scope="module")
def include(compiled: Installed) -> Path:
    found = Path(succeeded(compiled.run(SHOW_INCLUDE)).strip())
    assert found.is_relative_to(compiled.python.parent.parent)
    return found


READ = """
import json, sys
from array import array
import clients

def read(block, rows):
    hosts, ports = bytearray(46 * rows), array("H", bytes(2 * rows))
    count, at = clients.read_clients(block, memoryview(hosts).cast("c", (rows, 46)), ports)
    texts = [hosts[i : i + 46].partition(b"\\0")[0].decode() for i in range(0, 46 * count, 46)]
    return [count, at, list(zip(texts, ports))]
"""


@pytest.fixture(scope="module")
def clients(
    compiled: Installed, include: Path, builder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Any]:
    """Runs a program with the Cython example, in a venv that holds the wheel and nothing else."""
    require_tool("cc")
    directory = tmp_path_factory.mktemp("cython")
    for name in ("setup.py", "clients.pyx"):
        shutil.copy(EXAMPLES / name, directory)
    # The builder has Cython; of fastppv2 it sees the wheel, before whatever it has itself.
    settings: Any = {"cwd": directory, "env": environment(PYTHONPATH=str(include.parents[1]))}
    assert succeeded(run(builder, "-c", SHOW_INCLUDE, **settings)).strip() == str(include)
    succeeded(run(builder, "setup.py", "build_ext", "--inplace", **settings))
    start = f"import sys; sys.path.insert(0, {str(directory)!r})\n{READ}\n"
    return lambda program: json.loads(succeeded(compiled.run(start + program)))


def client(raw: bytes) -> list[object]:
    source = fastppv2.parse(raw).source
    return list(source) if isinstance(source, tuple) else ["", 0]


def test_cython_reads_what_parse_reads(clients: Callable[[str], Any], tmp_path: Path) -> None:
    """Every good header of the vectors, one behind another."""
    block = tmp_path / "block"
    block.write_bytes(b"".join(HEADERS))
    program = f"print(json.dumps(read(open({str(block)!r}, 'rb').read(), {len(HEADERS)})))"
    expected = [len(HEADERS), len(block.read_bytes()), [client(raw) for raw in HEADERS]]
    assert clients(program) == expected


def test_cython_stops_where_parse_fails(clients: Callable[[str], Any], tmp_path: Path) -> None:
    """At every other input of the vectors, behind one good header."""
    inputs = tmp_path / "inputs"
    inputs.write_text("\n".join(raw.hex() for raw in BROKEN))
    program = (
        f"good = {GOOD!r}; inputs = open({str(inputs)!r}).read().split('\\n')\n"
        "print(json.dumps([read(good + bytes.fromhex(raw), 9) for raw in inputs]))"
    )
    assert clients(program) == [[1, len(GOOD), [client(GOOD)]]] * len(BROKEN)


def test_cython_stops_at_the_last_row(clients: Callable[[str], Any]) -> None:
    program = f"print(json.dumps(read({GOOD!r} * 3, 2)))"
    assert clients(program) == [2, 2 * len(GOOD), [client(GOOD)] * 2]


def test_cython_takes_rows_of_the_right_size(clients: Callable[[str], Any]) -> None:
    program = (
        "rows = memoryview(bytearray(45)).cast('c', (1, 45))\n"
        "try: clients.read_clients(b'', rows, array('H', [0]))\n"
        "except ValueError as error: print(json.dumps(str(error)))"
    )
    assert clients(program) == "hosts: expected rows of 46, got 45"


def test_cython_takes_the_text_of_the_page(include: Path, builder: Path, tmp_path: Path) -> None:
    (tmp_path / "page.pyx").write_text(f"# cython: language_level=3\n{CYTHON}")
    settings: Any = {"cwd": tmp_path, "env": environment(PYTHONPATH=str(include.parents[1]))}
    succeeded(run(builder, "-m", "cython", "-Werror", "page.pyx", **settings))


@pytest.fixture(params=["the files", "one unit"], scope="module")
def remote_addr(
    request: pytest.FixtureRequest, include: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The C example, compiled in both ways that docs/embedding.md has."""
    directory = tmp_path_factory.mktemp("c")
    unit = directory / "unit.c"
    unit.write_text('#include "fastppv2_all.h"\n')
    core = [unit] if request.param == "one unit" else sorted(include.glob("*.c"))
    program = directory / "remote_addr"
    command = [require_tool("cc"), *FLAGS, f"-I{include}", EXAMPLES / "remote_addr.c", *core]
    succeeded(run(*command, "-o", program))
    return program


def test_c_is_compiled_by_the_command_of_the_page(compiled: Installed, tmp_path: Path) -> None:
    require_tool("cc")
    shutil.copy(EXAMPLES / "remote_addr.c", tmp_path)
    path = os.pathsep.join([str(compiled.python.parent), os.environ["PATH"]])
    succeeded(run("sh", "-ec", COMMAND, cwd=tmp_path, env=environment(PATH=path)))
    assert run_example(tmp_path / "remote_addr", GOOD).output == b"192.0.2.1 56324\n"


class Run(NamedTuple):
    status: int
    output: bytes
    said: str


def run_example(program: Path, data: bytes) -> Run:
    """What the program that it runs sees: the two variables, then all of its input."""
    show = 'echo "$REMOTE_ADDR $REMOTE_PORT"; cat'
    done = subprocess.run(
        [program, "sh", "-c", show], input=data, env=PEER, capture_output=True, timeout=TIMEOUT
    )
    return Run(done.returncode, done.stdout, done.stderr.decode())


def expected_run(raw: bytes) -> Run:
    try:
        header = fastppv2.parse(raw, max_size=4096)
    except fastppv2.IncompleteHeaderError:
        return Run(1, b"", f"remote_addr: the end after {len(raw)} bytes of the header\n")
    except fastppv2.InvalidHeaderError as error:
        return Run(1, b"", f"remote_addr: refused at byte {error.offset}: FPP_STATUS ")
    except fastppv2.MissingHeaderError:
        return Run(1, b"", "remote_addr: refused at byte 0: FPP_STATUS ")
    named = f"{PEER['REMOTE_ADDR']} {PEER['REMOTE_PORT']}"
    if isinstance(header.source, tuple):
        named = " ".join(map(str, header.source))
    return Run(0, named.encode() + b"\n" + raw[header.size :], "")


@pytest.mark.parametrize("payload", [b"", PAYLOAD], ids=["alone", "payload"])
def test_c_reads_what_parse_reads(remote_addr: Path, payload: bytes) -> None:
    """Every vector; what follows the header reaches the program whole."""
    for raw in INPUTS:
        expected = expected_run(raw + payload)
        found = run_example(remote_addr, raw + payload)
        assert found[:2] == expected[:2]
        assert found.said.startswith(expected.said)
        assert bool(found.said) == bool(expected.said)


def test_c_takes_pieces_of_one_byte(remote_addr: Path) -> None:
    command = [remote_addr, "sh", "-c", 'echo "$REMOTE_ADDR"; cat']
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=PEER, bufsize=0
    ) as process:
        for at in range(len(GOOD)):
            process.stdin.write(GOOD[at : at + 1])
        assert process.stdout.readline() == b"192.0.2.1\n"  # before the payload was sent
        assert process.communicate(PAYLOAD, TIMEOUT)[0] == PAYLOAD
    assert process.returncode == 0


@pytest.mark.parametrize("remote_addr", ["the files"], indirect=True)
def test_c_does_not_wait_forever(remote_addr: Path) -> None:
    with subprocess.Popen(
        [remote_addr, "true"], stdin=subprocess.PIPE, env=PEER, bufsize=0
    ) as process:
        process.stdin.write(GOOD[:-1])
        assert process.wait(TIMEOUT) == -signal.SIGALRM


def test_c_says_what_it_cannot_run(remote_addr: Path) -> None:
    command = [remote_addr, "/nonexistent/program"]
    done = subprocess.run(command, input=GOOD, env=PEER, capture_output=True, timeout=TIMEOUT)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"remote_addr: ")
    usage = subprocess.run([remote_addr], capture_output=True, timeout=TIMEOUT)
    assert (usage.returncode, usage.stderr[:6]) == (2, b"usage:")
