"""The C core's own test program on other processors, by qemu: big endian, 32 bit, arm, RISC-V.

And the core, without a warning, for Windows.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest
from program import CORE, HERE, STANDARD, Variant, check_passed, compile_program, run
from tools import require_tool

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="qemu-user is for Linux")

# The fifth and sixth byte of an ELF file: how wide an address is, and the order of bytes.
BITS = {1: 32, 2: 64}
ORDER = {1: "little", 2: "big"}


class Machine(NamedTuple):
    target: str  # as the cross compiler has it in its name
    qemu: str
    bits: int
    order: str
    crc32c: str = "table"
    sources: tuple[Path, ...] = ()


MACHINES = {
    "s390x": Machine("s390x-linux-gnu", "s390x", 64, "big"),
    "arm64": Machine("aarch64-linux-gnu", "aarch64", 64, "little", "armv8"),
    "arm64 without CRC32C": Machine(
        "aarch64-linux-gnu", "aarch64", 64, "little", "table", (HERE / "without_crc32c.c",)
    ),
    "armhf": Machine("arm-linux-gnueabihf", "arm", 32, "little"),
    "i386": Machine("i686-linux-gnu", "i386", 32, "little"),
    "riscv64": Machine("riscv64-linux-gnu", "riscv64", 64, "little"),
}


def compile_and_run(machine: Machine, vectors_file: Path, directory: Path) -> str:
    program = compile_program(
        f"{machine.target}-gcc", Variant(["-O2"]), directory, *map(str, machine.sources)
    )
    start = program.read_bytes()[:6]
    assert (BITS[start[4]], ORDER[start[5]]) == (machine.bits, machine.order)
    # Where the C library and the loader of that machine are.
    libraries = f"/usr/{machine.target}"
    return run(require_tool(f"qemu-{machine.qemu}"), "-L", libraries, program, vectors_file)


@pytest.fixture(scope="module")
def outputs(
    vectors_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[str]]]:
    """Of all machines, as many at a time as there are processors: each takes seconds."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield {
            name: pool.submit(compile_and_run, machine, vectors_file, tmp_path_factory.mktemp("on"))
            for name, machine in MACHINES.items()
        }


@pytest.mark.parametrize("name", MACHINES)
def test_program(name: str, outputs: dict[str, Future[str]]) -> None:
    output = outputs[name].result()
    check_passed(output)
    assert f"crc32c: {MACHINES[name].crc32c}" in output.splitlines()


@pytest.mark.parametrize("flags", [["-O2"], ["-O3", "-DNDEBUG"]], ids=" ".join)
def test_mingw(flags: list[str], tmp_path: Path) -> None:
    """A library that needs nothing but what every Windows has: else it could not be linked."""
    compiler = require_tool("x86_64-w64-mingw32-gcc")
    target = tmp_path / "core.dll"
    run(compiler, *STANDARD, *flags, "-shared", *CORE, "-o", target)
    assert target.read_bytes().startswith(b"MZ")
