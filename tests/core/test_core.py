"""The C core's own test program: compiled in every way that matters, run, and measured."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from gcov import reached
from program import (
    CORE,
    CSRC,
    HERE,
    SANITIZERS,
    STANDARD,
    Variant,
    check_passed,
    compile_program,
    run,
)
from tools import require_tool

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="guard pages need mmap")
# Others name and sort the symbols of an object, and what gcc and gcov are, in their own way.
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="ELF and GNU's gcov")

COMPILERS = ["gcc", "clang"]
CRC32C_BY_TABLE = HERE / "crc32c_by_table.c"
VARIANTS = {
    "asserts": Variant(["-O2"]),
    "released": Variant(["-O3", "-DNDEBUG"]),
    "sanitizers": Variant(["-O1", "-g", *SANITIZERS]),
    # What a processor runs that has neither SSE2 nor an instruction for CRC32C.
    "portable": Variant(["-O2", "-DFPP_PORTABLE"], CRC32C_BY_TABLE),
    "portable-sanitizers": Variant(["-O1", "-g", "-DFPP_PORTABLE", *SANITIZERS], CRC32C_BY_TABLE),
}

# Lines of csrc that this program need not reach: a pattern of the line, and why.
NOT_COVERED: dict[str, str] = {}

# What the core may call: compilers put the mem* calls in by themselves, too.
ALLOWED_CALLS = re.compile(
    r"memchr|memcpy|memcmp|bcmp|memmove|memset|strlen"
    r"|__assert_fail|__assert_rtn"
    r"|__cpu_model|__cpu_indicator_init|getauxval"
    r"|_GLOBAL_OFFSET_TABLE_|fpp_\w+"
)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("compiler", COMPILERS)
def test_program(compiler: str, variant: str, vectors_file: Path, tmp_path: Path) -> None:
    program = compile_program(compiler, VARIANTS[variant], tmp_path)
    output = run(program, vectors_file)
    check_passed(output)
    if variant.startswith("portable"):
        assert "crc32c: table" in output.splitlines()


@linux_only
def test_every_line_is_covered(vectors_file: Path, tmp_path: Path) -> None:
    program = compile_program("gcc", Variant(["-O0"]), tmp_path, "--coverage")
    check_passed(run(program, vectors_file))
    counts = reached(CSRC, tmp_path).lines
    assert {path.name for path in CORE} <= {name for name, _ in counts}
    missing = []
    for (name, number), count in sorted(counts.items()):
        text = (CSRC / name).read_text().splitlines()[number - 1]
        if count == 0 and not any(re.search(pattern, text) for pattern in NOT_COVERED):
            missing.append(f"{name}:{number}: {text}")
    assert not missing, "\n".join(missing)


@linux_only
@pytest.mark.parametrize(
    "flags", [["-O2"], ["-O3", "-DNDEBUG"], ["-O2", "-DFPP_PORTABLE"]], ids=" ".join
)
@pytest.mark.parametrize("compiler", COMPILERS)
def test_each_file_compiles_alone(compiler: str, flags: list[str], tmp_path: Path) -> None:
    """Without warnings, without state, and without a call out but to memcpy and the like."""
    for source in CORE:
        target = tmp_path / f"{source.stem}.o"
        run(require_tool(compiler), *STANDARD, *flags, "-c", source, "-o", target)
        for line in run(require_tool("nm"), target).splitlines():
            kind, name = line.split()[-2:]
            assert kind not in "bBdDCsSgG", f"{source.name} has state: {line}"
            if kind in "Uwv":
                assert ALLOWED_CALLS.fullmatch(name), f"{source.name} calls {name}"
