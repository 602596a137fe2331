"""A short run of each harness, on top of what longer ones have learned: nothing is found.

``FUZZ_SECONDS`` sets for how many seconds each runs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import reached
import run
from backends import Api
from fuzz_differential import try_input
from make import v2
from tools import require_module, require_tool

from fastppv2 import Header

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="clang's libFuzzer, as Debian's")

SECONDS = int(os.environ.get("FUZZ_SECONDS", "5"))
LOCAL = v2(0x20, 0, b"")

# One fault for each harness: a file of the core, what stands there, and what is off by one.
FAULTS = {
    "parse": ("v2.c", "if (size > input.length)", "if (size > input.length + 1)"),
    "build": (
        "build.c",
        "memset(out, 0, FPP_UNIX_PATH_SIZE)",
        "memset(out, 0, FPP_UNIX_PATH_SIZE + 1)",
    ),
    "tlv": ("tlv.c", "if (length > room)", "if (length > room + 1)"),
    "address": ("address.c", "if (filled == FPP_IPV6_SIZE)", "if (filled > FPP_IPV6_SIZE)"),
    "networks": ("networks.c", "number <= networks->ends[last]", "number < networks->ends[last]"),
}


def require(harness: str) -> None:
    if harness in run.C_HARNESSES:
        require_tool("clang")
    else:
        require_module("atheris")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[run.Run]]]:
    """Of all harnesses, as many at a time as there are processors."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield {
            name: pool.submit(
                run.fuzz, name, tmp_path_factory.mktemp(name), f"-max_total_time={SECONDS}"
            )
            for name in run.HARNESSES
        }


@pytest.mark.parametrize("harness", run.HARNESSES)
def test_nothing_is_found(harness: str, runs: dict[str, Future[run.Run]]) -> None:
    require(harness)
    found = runs[harness].result()
    assert [data.hex() for data in found.findings] == []
    assert found.executions > len(run.derived(harness) + run.kept(harness))


@pytest.mark.parametrize("harness", FAULTS)
def test_a_fault_is_found(harness: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require(harness)
    name, right, wrong = FAULTS[harness]
    core = tmp_path / "csrc"
    shutil.copytree(run.CSRC, core)
    text = (core / name).read_text()
    assert text.count(right) == 1
    (core / name).write_text(text.replace(right, wrong))
    monkeypatch.setattr(run, "CSRC", core)
    monkeypatch.setattr(run, "CORE", sorted(core.glob("*.c")))
    found = run.fuzz(harness, tmp_path / "work", "-runs=200000")
    assert len(found.findings) == 1


# What is tried, and a header; the last is the header that is built without arguments.
TRIED = [b"\0\0" + LOCAL, b"\1\0\0\0" + LOCAL, b"\2\2" + LOCAL, b"\3\2"]


@pytest.mark.parametrize("data", TRIED)
def test_a_difference_is_found(apis: list[Api], data: bytes) -> None:
    def wrong(data: bytes, **options: Any) -> Header:
        raise ValueError("what no other says")

    parser = type("Parser", (apis[0].Parser,), {"__slots__": (), "_parse": staticmethod(wrong)})
    other = replace(apis[0], parse=wrong, Parser=parser)
    try_input([apis[0], apis[0]], data)
    with pytest.raises(AssertionError, match="what no other says"):
        try_input([apis[0], other], data)


def test_seeds_reach_all_of_the_core() -> None:
    """But for the way of computing CRC32C that this processor does not take."""
    require_tool("gcc")
    found = reached.by_all()
    assert {path.name for path in run.CORE} <= {name for name, _ in found.lines}
    for counts in found:
        missing = [place for place, count in counts.items() if count == 0]
        assert [place for place in missing if place[0] != "crc32c.c"] == []


@pytest.mark.parametrize("harness", run.C_HARNESSES)
def test_seeds_on_a_big_endian_machine(harness: str, tmp_path: Path) -> None:
    qemu = require_tool("qemu-s390x")
    compiler = require_tool("s390x-linux-gnu-gcc")
    run.write_seeds(harness, tmp_path / "seeds")
    program = run.compile_replay(harness, tmp_path, compiler, "-O2")
    libraries = "/usr/s390x-linux-gnu"
    seeds = sorted((tmp_path / "seeds").iterdir())
    subprocess.run([qemu, "-L", libraries, program, *seeds], check=True)
