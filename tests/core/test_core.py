"""The C core's own test program: compiled in every way that matters, run, and measured."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from backends import VECTORS
from tools import require_tool

from fastppv2 import Command, Family, TLVType, Transport

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="guard pages need mmap")
# Others name and sort the symbols of an object, and what gcc and gcov are, in their own way.
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="ELF and GNU's gcov")

HERE = Path(__file__).resolve().parent
CSRC = HERE.parent.parent / "csrc"
CORE = sorted(CSRC.glob("*.c"))
PROGRAM = [HERE / "guarded.c", *sorted(HERE.glob("test_*.c"))]
CRC32C_BY_TABLE = HERE / "crc32c_by_table.c"

STANDARD = ["-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wpedantic", "-Werror"]
COMPILERS = ["gcc", "clang"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


class Variant(NamedTuple):
    flags: list[str]
    crc32c: Path = CSRC / "crc32c.c"


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


def run(*command: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert done.returncode == 0, done.stdout[-8000:]
    return done.stdout


def tlvs_field(tlvs: Any) -> str:
    if tlvs == "*":
        return "*"
    pairs = [f"{type:02x}:{value}" for type, value in tlvs if type != TLVType.NOOP]
    return ",".join(pairs) or "-"


def ssl_field(ssl: Any) -> str:
    if ssl is None:
        return "!"
    return "*" if ssl == "*" else f"{ssl['client']}/{ssl['verify']}/{tlvs_field(ssl['tlvs'])}"


def address_field(address: str | None) -> str:
    if address is None or address == "*":
        return "*"
    if address.startswith("hex:"):
        return address[4:] or "-"
    return ip_address(address).packed.hex()


def number_field(value: Any, names: Any = None) -> str:
    if value in ("*", None):
        return "*"
    return str(int(names[value] if names else value))


def vector_line(case: dict[str, Any]) -> str:
    """The fields in the order of the enumeration in test_vectors.c."""
    expect = case["expect"]
    fields = [case["id"], case["hex"] or "-", expect["status"]]
    if expect["status"] != "ok":
        return " ".join(fields + ["*"] * 11)
    fields += [
        number_field(expect["header_length"]),
        number_field(expect["version"]),
        number_field(expect["command"], Command),
        number_field(expect["family"], Family),
        number_field(expect["transport"], Transport),
        address_field(expect["source"]),
        number_field(expect["source_port"]),
        address_field(expect["destination"]),
        number_field(expect["destination_port"]),
        tlvs_field(expect["tlvs"]),
        ssl_field(expect.get("ssl", "*")),
    ]
    return " ".join(fields)


@pytest.fixture(scope="session")
def vectors_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("vectors") / "vectors.txt"
    path.write_text("".join(vector_line(case) + "\n" for case in VECTORS))
    return path


def compile_program(compiler: str, variant: Variant, directory: Path, *flags: str) -> Path:
    program = directory / "core"
    core = [variant.crc32c if path.name == "crc32c.c" else path for path in CORE]
    run(
        require_tool(compiler),
        *STANDARD,
        *variant.flags,
        *flags,
        f"-I{CSRC}",
        *core,
        *PROGRAM,
        "-o",
        program,
        cwd=directory,
    )
    return program


def check_passed(output: str) -> None:
    lines = output.splitlines()
    assert f"vectors: {len(VECTORS)}" in lines
    last = re.fullmatch(r"(\d+) passed, (\d+) failed", lines[-1])
    assert last is not None, output[-8000:]
    assert int(last[1]) > 1_000_000
    assert int(last[2]) == 0, output[-8000:]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("compiler", COMPILERS)
def test_program(compiler: str, variant: str, vectors_file: Path, tmp_path: Path) -> None:
    program = compile_program(compiler, VARIANTS[variant], tmp_path)
    output = run(program, vectors_file)
    check_passed(output)
    if variant.startswith("portable"):
        assert "crc32c: table" in output.splitlines()


def covered_lines(directory: Path) -> dict[tuple[str, int], int]:
    """How often each line of csrc ran, over all the objects that contain it."""
    counts: dict[tuple[str, int], int] = {}
    notes = sorted(directory.glob("*.gcda"))
    for document in run(
        require_tool("gcov"), "--json-format", "--stdout", *notes, cwd=directory
    ).splitlines():
        for file in json.loads(document)["files"]:
            path = (directory / file["file"]).resolve()
            if path.parent != CSRC:
                continue
            for line in file["lines"]:
                key = path.name, line["line_number"]
                counts[key] = counts.get(key, 0) + line["count"]
    return counts


@linux_only
def test_every_line_is_covered(vectors_file: Path, tmp_path: Path) -> None:
    program = compile_program("gcc", Variant(["-O0"]), tmp_path, "--coverage")
    check_passed(run(program, vectors_file))
    counts = covered_lines(tmp_path)
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


@pytest.mark.parametrize("compiler", COMPILERS)
def test_32_bit(compiler: str, vectors_file: Path, tmp_path: Path) -> None:
    """Skipped, even in CI, where the 32-bit C library is not installed."""
    probe = tmp_path / "probe.c"
    probe.write_text('#include <string.h>\nint main(void) { return (int)strlen(""); }\n')
    found = subprocess.run(
        [require_tool(compiler), "-m32", str(probe), "-o", os.devnull], capture_output=True
    )
    if found.returncode != 0:
        pytest.skip(f"{compiler} -m32 has no C library")
    check_passed(run(compile_program(compiler, Variant(["-O2"]), tmp_path, "-m32"), vectors_file))
